//! (b) Connections through the VIP, IPv4 and IPv6, from the LAN and from behind a router.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{Bench, KernelNeeds, Scenario, typed};
use crate::fleet::{Fleet, example};
use crate::lab::{Snapshot, Topology, frame, packet, traffic};

/// The scenarios of this module.
pub const SCENARIOS: &[Scenario] = &[Scenario {
    name: "both-families",
    rows: &["b"],
    needs_ipvs: true,
    kernel: KernelNeeds::Common,
    run: both_families,
}];

const NODES: [&str; 3] = ["director-1", "rs-1", "rs-2"];

const SERVICE: &str = "
apiVersion: lvs-operator.io/v1alpha1
kind: VirtualService
metadata: {name: web, namespace: default}
spec:
  vips: [{address: 192.168.10.40}, {address: 'fd00:10::40'}]
  ports: [{port: 80, protocol: TCP}, {port: 8080, protocol: TCP}]
  scheduler: rr
  realServers:
  - {name: web, nodeSelector: {matchLabels: {role: web}}, weight: 1}
";

fn nodes() -> String {
    let node = |(name, number, label): (&str, u8, &str)| {
        format!(
            "---\napiVersion: v1\nkind: Node\nmetadata: {{name: {name}, labels: {{{label}}}}}\nstatus:\n  addresses:\n  \
             - {{type: InternalIP, address: 192.168.10.{number}}}\n  - {{type: InternalIP, address: 'fd00:10::{number}'}}\n"
        )
    };
    [("director-1", 20, "lvs: director"), ("rs-1", 10, "role: web"), ("rs-2", 11, "role: web")]
        .map(node)
        .concat()
}

fn both_families(bench: &mut Bench) -> Result<Value> {
    let hosts = ["director-1", "rs-1", "rs-2", "client", "router", "far-client"];
    let mut fleet = Fleet::new(bench, Topology::lan().only(&hosts))?;
    let mut servers = Vec::new();
    for name in ["rs-1", "rs-2"] {
        for port in [80, 8080] {
            servers.push(traffic::start_server(bench, fleet.host(name)?, port)?);
        }
    }
    let group = example("directorgroup.yaml")?;
    let wider = group.replace("- 192.168.10.40/32", "- 192.168.10.40/32\n    - fd00:10::40/128");
    ensure!(wider != group, "the example has another pool than this scenario supposes");
    fleet.apply("directorgroup.yaml", &wider)?;
    fleet.apply("nodes.yaml", &nodes())?;
    fleet.apply("service.yaml", SERVICE)?;
    fleet.start_operator()?;
    fleet.start_agents(&NODES)?;
    fleet.wait_ready("web")?;

    let seen = packet::capture(fleet.host("director-1")?, "eth0", |bytes| frame::tcp(bytes).is_some())?;
    for (client, vip, network) in [
        ("client", "192.168.10.40", "192.168.10.10"),
        ("client", "fd00:10::40", "fd00:10::10"),
        ("far-client", "192.168.10.40", "10.20.0."),
        ("far-client", "fd00:10::40", "fd00:20::"),
    ] {
        for port in [80, 8080] {
            spread(&fleet, client, SocketAddr::new(vip.parse()?, port), network)?;
            bench.case(format!("{client} to {vip} port {port}"));
        }
    }
    std::thread::sleep(packet::SETTLE);
    let vips: Vec<IpAddr> = vec!["192.168.10.40".parse()?, "fd00:10::40".parse()?];
    let back = |frame: &packet::Seen| frame::tcp(&frame.bytes).is_some_and(|(from, _)| vips.contains(&from));
    let replies = seen.stop()?.iter().filter(|frame| back(frame)).count();
    ensure!(replies == 0, "{replies} replies went through the director");
    bench.case("replies of both families bypass the director");
    let chosen = Snapshot::of(fleet.host("rs-1")?)?;
    ensure!(
        chosen.addresses.iter().any(|line| line.contains("fd00:10::40/128") && line.contains("deprecated")),
        "the IPv6 VIP could be chosen as a source address: {:?}",
        chosen.addresses
    );
    bench.case("an IPv6 VIP is never a source address by itself");
    typed(())
}

/// Four clients are served by two real servers in equal parts.
fn spread(fleet: &Fleet, client: &str, to: SocketAddr, network: &str) -> Result<()> {
    let mut served = Vec::new();
    for number in 2..=5 {
        let from: IpAddr = format!("{network}{number}").parse()?;
        served.push(traffic::ask(fleet.host(client)?, from, to, Duration::from_secs(5))?);
    }
    let on = |server: &str| served.iter().filter(|name| *name == server).count();
    ensure!((on("rs-1"), on("rs-2")) == (2, 2), "round robin gives each two of four: {served:?}");
    Ok(())
}
