//! The deployment that all troubles befall: two services with a DirectorGroup each.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::fleet::{Fleet, PATIENCE};
use crate::lab::process::wait_until;
use crate::lab::{Process, Topology, traffic};
use crate::scenarios::Bench;

/// VIP of `web`.
pub(super) const WEB: &str = "192.168.10.40";
/// VIP of `other`.
pub(super) const OTHER: &str = "192.168.10.41";

/// The DirectorGroups: `edge` for `web`, `spare` for `other`.
pub(super) const GROUPS: &str = "
apiVersion: lvs-operator.io/v1alpha1
kind: DirectorGroup
metadata: {name: edge}
spec:
  nodeSelector: {matchLabels: {edge: director}}
  pools: [{name: public, addresses: [192.168.10.40/32]}]
---
apiVersion: lvs-operator.io/v1alpha1
kind: DirectorGroup
metadata: {name: spare}
spec:
  nodeSelector: {matchLabels: {spare: director}}
  pools: [{name: public, addresses: [192.168.10.41/32]}]
";

/// The service that gets into trouble.
pub(super) const WEB_MANIFEST: &str = "
apiVersion: lvs-operator.io/v1alpha1
kind: VirtualService
metadata: {name: web, namespace: default}
spec:
  vips: [{address: 192.168.10.40}]
  ports: [{port: 80, protocol: TCP}]
  scheduler: rr
  realServers:
  - {name: rs-1, nodeName: rs-1, weight: 1}
  - {name: rs-2, nodeName: rs-2, weight: 1}
";

/// The service that must not notice.
pub(super) const OTHER_MANIFEST: &str = "
apiVersion: lvs-operator.io/v1alpha1
kind: VirtualService
metadata: {name: other, namespace: default}
spec:
  vips: [{address: 192.168.10.41}]
  ports: [{port: 80, protocol: TCP}]
  scheduler: rr
  realServers:
  - {name: rs-2, nodeName: rs-2, weight: 1}
";

/// A Node: its name, address and labels.
pub(super) type NodeRow<'a> = (&'a str, &'a str, &'a str);

/// The real servers.
pub(super) const REAL_SERVERS: [NodeRow<'_>; 2] =
    [("rs-1", "192.168.10.10", ""), ("rs-2", "192.168.10.11", "")];
/// One director for both services.
pub(super) const DIRECTOR: NodeRow<'_> = ("director-1", "192.168.10.20", "edge: director, spare: director");

/// The deployment, while it runs.
pub(super) struct Site {
    pub(super) fleet: Fleet,
    servers: BTreeMap<String, Process>,
    others_director: String,
    others_entries: BTreeSet<String>,
}

impl Site {
    /// Starts everything with the service `other` and waits until that is served. `web` is not there yet.
    ///
    /// Fails where that does not come about.
    pub(super) fn new(bench: &Bench, nodes: &[NodeRow<'_>], more_hosts: &[&str]) -> Result<Self> {
        let names: Vec<&str> = nodes.iter().map(|(name, ..)| *name).collect();
        let hosts: Vec<&str> = names.iter().chain(more_hosts).chain(&["client"]).copied().collect();
        let mut fleet = Fleet::new(bench, Topology::lan().only(&hosts))?;
        fleet.apply("groups.yaml", GROUPS)?;
        fleet.apply("nodes.yaml", &manifest_of(nodes))?;
        fleet.apply("other.yaml", OTHER_MANIFEST)?;
        fleet.start_operator()?;
        fleet.start_agents(&names)?;
        let director = nodes.iter().find(|(_, _, labels)| labels.contains("spare"));
        let (others_director, ..) = director.context("no node directs the service `other`")?;
        let mut site = Self {
            fleet,
            servers: BTreeMap::new(),
            others_director: (*others_director).to_owned(),
            others_entries: BTreeSet::new(),
        };
        site.start_server(bench, "rs-1")?;
        site.start_server(bench, "rs-2")?;
        site.fleet.wait_ready("other")?;
        site.others_entries = site.entries(&site.others_director, OTHER)?;
        site.other_goes_on()?;
        Ok(site)
    }

    /// The same, with `web` served too.
    pub(super) fn with_web(bench: &Bench, nodes: &[NodeRow<'_>], more_hosts: &[&str]) -> Result<Self> {
        let site = Self::new(bench, nodes, more_hosts)?;
        site.fleet.apply("web.yaml", WEB_MANIFEST)?;
        site.web_is_served_by(&["rs-1", "rs-2"])?;
        site.fleet.wait_ready("web")?;
        Ok(site)
    }

    /// Starts what answers on a real server, also after a reboot. Fails where it cannot listen.
    pub(super) fn start_server(&mut self, bench: &Bench, node: &str) -> Result<()> {
        let server = traffic::start_server(bench, self.fleet.host(node)?, 80)?;
        self.servers.insert(node.to_owned(), server);
        Ok(())
    }

    /// Applies `web` with one text in the place of another. Fails where the text is not in it.
    pub(super) fn edit_web(&self, from: &str, to: &str) -> Result<()> {
        self.fleet.apply("web.yaml", &replaced(WEB_MANIFEST, from, to)?)
    }

    /// A node's lines of `ipvsadm -Sn` that concern a VIP.
    pub(super) fn entries(&self, node: &str, vip: &str) -> Result<BTreeSet<String>> {
        let table = self.fleet.host(node)?.sh("ipvsadm -Sn")?;
        Ok(table.lines().filter(|line| line.contains(&format!("{vip}:"))).map(str::to_owned).collect())
    }

    /// Fails unless a client is served by `other`, whose IPVS entries are as they were at first.
    pub(super) fn other_goes_on(&self) -> Result<()> {
        let entries = self.entries(&self.others_director, OTHER)?;
        ensure!(
            entries.len() == 2 && entries == self.others_entries,
            "the entries of `other` are {entries:?}, they were {:?}",
            self.others_entries
        );
        let server = self.ask(102, OTHER).context("`other` does not go on")?;
        ensure!(server == "rs-2", "a client of `other` was served by {server}");
        Ok(())
    }

    /// Waits until clients of `web` are served by exactly these real servers. Fails where that is not so in time.
    pub(super) fn web_is_served_by(&self, wanted: &[&str]) -> Result<()> {
        wait_until(&format!("web is served by {wanted:?}"), PATIENCE, || {
            let served: BTreeSet<String> =
                (103..=106).map(|client| self.ask(client, WEB)).collect::<Result<_>>()?;
            ensure!(served.iter().eq(wanted), "it is served by {served:?}");
            Ok(true)
        })
    }

    fn ask(&self, client: u8, vip: &str) -> Result<String> {
        let from: IpAddr = format!("192.168.10.{client}").parse()?;
        let to = SocketAddr::new(vip.parse()?, 80);
        traffic::ask(self.fleet.host("client")?, from, to, Duration::from_secs(5))
    }

    /// Waits until a report of a node says a reason, and returns the message. Fails where that is not so in time.
    pub(super) fn wait_report(&self, node: &str, reason: &str) -> Result<String> {
        let mut message = String::new();
        wait_until(&format!("{node} reports {reason}"), PATIENCE, || {
            let documents = self.fleet.documents(&format!("reports/{node}.yaml"))?;
            let troubles = documents.iter().filter_map(|document| document["status"]["troubles"].as_array());
            let found = troubles.flatten().find(|trouble| trouble["reason"] == reason);
            let found = found.with_context(|| format!("it reports {documents:?}"))?;
            found["message"].as_str().unwrap_or_default().clone_into(&mut message);
            Ok(true)
        })?;
        Ok(message)
    }

    /// Waits until a report of a node says no such reason. Fails where it still does after a while.
    pub(super) fn wait_no_report(&self, node: &str, reason: &str) -> Result<()> {
        wait_until(&format!("{node} no longer reports {reason}"), PATIENCE, || {
            let documents = self.fleet.documents(&format!("reports/{node}.yaml"))?;
            let troubles = documents.iter().filter_map(|document| document["status"]["troubles"].as_array());
            ensure!(troubles.flatten().all(|trouble| trouble["reason"] != reason), "{documents:?}");
            Ok(true)
        })
    }

    /// Waits until the agent of a node has logged all these texts. Fails where it has not in time.
    pub(super) fn wait_agent_log(&mut self, node: &str, wanted: &[&str]) -> Result<()> {
        let agent = self.fleet.agent(node)?;
        wait_until(&format!("{node} logs {wanted:?}"), PATIENCE, || says_all(&agent.log()?, wanted))
    }
}

/// Yes where a text contains all of some. Fails, showing it, where it does not.
pub(super) fn says_all(text: &str, wanted: &[&str]) -> Result<bool> {
    for wanted in wanted {
        ensure!(text.contains(wanted), "{wanted:?} is not in this: {text}");
    }
    Ok(true)
}

/// A text with one part in the place of another. Fails where that part is not in it.
pub(super) fn replaced(text: &str, from: &str, to: &str) -> Result<String> {
    let edited = text.replace(from, to);
    ensure!(edited != text, "there is no {from:?} in this: {text}");
    Ok(edited)
}

/// The manifest of Nodes.
pub(super) fn manifest_of(nodes: &[NodeRow<'_>]) -> String {
    nodes.iter().fold(String::new(), |mut text, (name, address, labels)| {
        let _ = write!(
            text,
            "---\napiVersion: v1\nkind: Node\nmetadata: {{name: {name}, labels: {{{labels}}}}}\n\
             status: {{addresses: [{{type: InternalIP, address: {address}}}]}}\n"
        );
        text
    })
}
