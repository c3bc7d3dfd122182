//! What a release goes through, from `helm lint` to a node as it was before.

mod leave;
mod story;
mod wait;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use super::images::{TAG, WORKLOAD};
use super::snapshot::Snapshot;
use super::traffic::{Traffic, ask_all};
use super::{Cluster, tool};
pub use story::story;
use wait::until;

/// The namespace of the release, and its name.
const NAMESPACE: &str = "lvs-system";
const RELEASE: &str = "lvs-operator";

/// Runs the scenario and returns the cases that held, in order. `show` is told of each, with the seconds so far.
///
/// Fails at the first that does not hold; the error ends with the story of the cluster.
pub fn run<C: Cluster>(cluster: &mut C, show: &mut dyn FnMut(&str)) -> Result<Vec<String>> {
    let mut run = Run { cluster, show, cases: Vec::new(), began: Instant::now() };
    let ended = run.all();
    let (cases, story) = (run.cases, || run.cluster.story());
    ended.map(|()| cases).map_err(|error| anyhow::anyhow!("{error:#}\n{}", story()))
}

struct Run<'a, C> {
    cluster: &'a mut C,
    show: &'a mut dyn FnMut(&str),
    cases: Vec<String>,
    began: Instant,
}

impl<C: Cluster> Run<'_, C> {
    fn all(&mut self) -> Result<()> {
        let chart = tool::in_tree("charts/lvs-operator");
        let chart = chart.to_str().context("a path in UTF-8")?.to_owned();
        self.cluster.helm(&["lint", "--strict", &chart])?;
        self.holds("helm lint --strict finds nothing");
        let before = self.snapshots()?;
        self.install(&chart)?;
        self.start_workload()?;
        self.serve()?;
        if !self.cluster.site().has_ipvs {
            return self.leave(&before);
        }
        self.reboot_a_real_server()?;
        self.upgrade(&chart)?;
        self.take_a_real_server_out(&before)?;
        self.fail_to_leave(&chart)?;
        self.leave(&before)
    }

    fn holds(&mut self, case: &str) {
        (self.show)(&format!("[{:6.1} s] {case}", self.began.elapsed().as_secs_f64()));
        self.cases.push(case.to_owned());
    }

    fn snapshots(&self) -> Result<BTreeMap<String, Snapshot>> {
        let nodes = self.cluster.site().nodes();
        nodes.map(|node| Ok((node.to_owned(), Snapshot::of(self.cluster, node)?))).collect()
    }

    fn install(&mut self, chart: &str) -> Result<()> {
        let tags = [format!("operator.image.tag={TAG}"), format!("agent.image.tag={TAG}")];
        self.cluster.helm(&[
            "install",
            RELEASE,
            chart,
            "--namespace",
            NAMESPACE,
            "--create-namespace",
            "--wait",
            "--timeout",
            "4m",
            "--set",
            &tags[0],
            "--set",
            &tags[1],
        ])?;
        self.holds("helm install --wait: operator and agents are ready");
        until("every node has reported", || {
            let boots = self.get(&["nodeplans"], "{.items[*].status.bootId}")?;
            Ok(boots.split_whitespace().count() >= self.cluster.site().nodes().count())
        })?;
        self.holds("every node has reported in its NodePlan");
        Ok(())
    }

    /// A server on each real server, on the host's network as direct routing needs it.
    fn start_workload(&mut self) -> Result<()> {
        let site = self.cluster.site();
        self.cluster.kubectl(&["label", "node", &site.director, "lvs=director"], "")?;
        for node in &site.real_servers {
            self.cluster.kubectl(&["label", "node", node, "role=web"], "")?;
        }
        let object = serde_json::json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "web", "namespace": "default"},
            "spec": {
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {
                        "hostNetwork": true, "nodeSelector": {"role": "web"}, "terminationGracePeriodSeconds": 1,
                        "containers": [{
                            "name": "web", "image": WORKLOAD, "imagePullPolicy": "IfNotPresent",
                            "args": ["serve", site.service.port().to_string()],
                        }],
                    },
                },
            },
        });
        self.cluster.kubectl(&["apply", "-f", "-"], &object.to_string())?;
        self.cluster.kubectl(&["rollout", "status", "daemonset/web", "--timeout=120s"], "")?;
        Ok(())
    }

    fn serve(&mut self) -> Result<()> {
        let site = self.cluster.site().clone();
        self.cluster.kubectl(&["apply", "-f", "-"], &site.manifests)?;
        if !site.has_ipvs {
            return self.lack_ipvs();
        }
        let ready = ["wait", "virtualservices", "--all", "-A", "--for=condition=Ready", "--timeout=120s"];
        self.cluster.kubectl(&ready, "")?;
        self.holds("kubectl apply of the example: condition Ready");
        self.both_answer()?;
        self.holds("connections from outside reach both real servers through the VIP");
        let vip = site.service.ip().to_string();
        for (node, snapshot) in self.snapshots()? {
            ensure!(snapshot.has_address(&vip), "{node} does not have the VIP: {snapshot:?}");
            ensure!(
                snapshot.ipvs().is_empty() == (node != site.director),
                "{node} has {:?}",
                snapshot.ipvs()
            );
        }
        self.holds("the director has the IPVS table, every node has the VIP");
        Ok(())
    }

    fn lack_ipvs(&mut self) -> Result<()> {
        let programmed =
            |field: &str| format!("{{.items[*].status.conditions[?(@.type==\"Programmed\")].{field}}}");
        until("a condition says that the director's kernel lacks IPVS", || {
            Ok(self.get(&["virtualservices", "-A"], &programmed("reason"))? == "IpvsMissing")
        })?;
        let message = self.get(&["virtualservices", "-A"], &programmed("message"))?;
        ensure!(message.contains(&self.cluster.site().director), "the director is not named: {message}");
        self.holds(&format!(
            "the director's kernel has no IPVS, and Programmed=False says so (IpvsMissing): {message}"
        ));
        Ok(())
    }

    /// Both real servers are in the table and one after the other is chosen.
    fn both_answer(&self) -> Result<()> {
        let wanted: BTreeSet<&str> = self.cluster.site().real_servers.iter().map(String::as_str).collect();
        until("both real servers answer", || {
            let servers = ask_all(self.cluster)?;
            Ok(servers.keys().map(String::as_str).collect::<BTreeSet<_>>() == wanted)
        })
    }

    fn reboot_a_real_server(&mut self) -> Result<()> {
        let node = self.cluster.site().real_servers[1].clone();
        let boot = |run: &Self| run.get(&["node", &node], "{.status.nodeInfo.bootID}");
        let started = |run: &Self| {
            run.get(&["pods", "-n", NAMESPACE], "{.items[*].status.containerStatuses[*].containerID}")
        };
        let (first, containers) = (boot(self)?, started(self)?);
        self.cluster.reboot(&node)?;
        until("the rebooted node is ready again", || {
            let ready = self.get(&["node", &node], "{.status.conditions[?(@.type==\"Ready\")].status}")?;
            // Nodes that are containers of one machine keep its boot id: there only the agent's restart tells.
            Ok(ready == "True" && (boot(self)? != first || started(self)? != containers))
        })?;
        self.cluster.kubectl(&["rollout", "status", "daemonset/web", "--timeout=240s"], "")?;
        let agents = ["rollout", "status", "daemonset/lvs-node-agent", "-n", NAMESPACE, "--timeout=240s"];
        self.cluster.kubectl(&agents, "")?;
        self.await_real_servers("2/2")?;
        self.both_answer()?;
        self.holds("a real server rebooted, and is back in service by itself");
        Ok(())
    }

    fn upgrade(&mut self, chart: &str) -> Result<()> {
        let agents = |run: &Self| -> Result<BTreeSet<String>> {
            let selector = "app.kubernetes.io/name=lvs-node-agent";
            let names = run.get(&["pods", "-n", NAMESPACE, "-l", selector], "{.items[*].metadata.uid}")?;
            Ok(names.split_whitespace().map(str::to_owned).collect())
        };
        let before = agents(self)?;
        let traffic = Traffic::start(self.cluster)?;
        let upgraded = self.cluster.helm(&[
            "upgrade",
            RELEASE,
            chart,
            "--namespace",
            NAMESPACE,
            "--reuse-values",
            "--wait",
            "--timeout",
            "5m",
            "--set",
            "agent.podAnnotations.restarted=yes",
            "--set",
            "operator.podAnnotations.restarted=yes",
        ]);
        let rolled = ["rollout", "status", "daemonset/lvs-node-agent", "-n", NAMESPACE, "--timeout=240s"];
        let rolled = upgraded.and_then(|_| self.cluster.kubectl(&rolled, ""));
        let served = traffic.stop();
        rolled?;
        let served = served?;
        ensure!(agents(self)?.is_disjoint(&before), "not every agent was restarted");
        ensure!(served.connections > 10 && served.echoes > 10, "hardly any traffic: {served:?}");
        self.holds(&format!(
            "helm upgrade restarts every agent and the operator under traffic: {} connections and {} echoes, none lost",
            served.connections, served.echoes
        ));
        Ok(())
    }

    fn take_a_real_server_out(&mut self, before: &BTreeMap<String, Snapshot>) -> Result<()> {
        let [stays, leaves] = self.cluster.site().real_servers.clone();
        let name =
            self.get(&["virtualservices", "-A"], "{.items[0].metadata.namespace} {.items[0].metadata.name}")?;
        let (namespace, name) = name.split_once(' ').context("there is a VirtualService")?;
        let entries =
            self.get(&["virtualservice", name, "-n", namespace], "{.spec.realServers[*].nodeName}")?;
        let index = entries.split_whitespace().position(|entry| entry == leaves);
        let index = index.with_context(|| format!("{leaves} is in {entries}"))?;
        let patch = format!(r#"[{{"op": "remove", "path": "/spec/realServers/{index}"}}]"#);
        self.cluster
            .kubectl(&["patch", "virtualservice", name, "-n", namespace, "--type=json", "-p", &patch], "")?;
        self.await_node_as_before(&leaves, before)?;
        let servers = ask_all(self.cluster)?;
        ensure!(servers.keys().eq([&stays]), "after {leaves} was taken out these answer: {servers:?}");
        self.await_real_servers("1/1")?;
        self.holds("a real server taken out of the spec: its node is as before, the other one serves");
        Ok(())
    }

    fn await_real_servers(&self, summary: &str) -> Result<()> {
        until(&format!("the status says {summary} real servers"), || {
            Ok(self.get(&["virtualservices", "-A"], "{.items[0].status.summary.realServers}")? == summary)
        })
    }

    fn await_node_as_before(&self, node: &str, before: &BTreeMap<String, Snapshot>) -> Result<()> {
        let before = before.get(node).with_context(|| format!("no snapshot of {node}"))?;
        until(&format!("{node} is as it was before"), || {
            let differences = before.differences(&Snapshot::of(self.cluster, node)?);
            ensure!(differences.is_empty(), "{differences:#?}");
            Ok(true)
        })
    }

    fn get(&self, what: &[&str], path: &str) -> Result<String> {
        let path = format!("jsonpath={path}");
        self.cluster.kubectl(&[&["get"], what, &["-o", &path]].concat(), "")
    }
}
