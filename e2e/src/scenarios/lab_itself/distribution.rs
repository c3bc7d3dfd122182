//! What the lab's second kernel is there for: the families ip, ip6 and inet of nftables with connection tracking, and
//! several CPUs.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

use anyhow::{Context as _, Result, ensure};
use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;
use serde_json::Value;

use crate::lab::{Host, Lab, Topology};
use crate::scenarios::{Bench, typed};

/// How each address of the far client starts, the router's address on the LAN, and the server's.
const FAMILIES: [(&str, &str, &str, &str); 2] =
    [("ip", "10.20.0.", "192.168.10.1", "192.168.10.10"), ("ip6", "fd00:20::", "fd00:10::1", "fd00:10::10")];

pub(super) fn nftables_and_cpus(bench: &mut Bench) -> Result<Value> {
    let cpus = std::thread::available_parallelism().context("count the CPUs")?.get();
    ensure!(cpus >= 2, "the guest has {cpus} CPU");
    for number in 0..2 {
        let ran_on = std::thread::spawn(move || on_cpu(number)).join();
        let ran_on = ran_on.ok().context("a thread panicked")??;
        ensure!(ran_on == number, "a thread bound to CPU {number} ran on {ran_on}");
    }
    bench.case("threads run on two CPUs");

    let lab = Lab::new(&Topology::lan().only(&["rs-1", "router", "far-client"]))?;
    let (router, server) = (lab.host("router")?, lab.host("rs-1")?);
    let listener = server.inside(|| TcpListener::bind("[::]:80"))?.context("listen on the real server")?;
    let seen = |to: &str| seen_by_server(lab.host("far-client")?, &listener, to.parse()?);
    for (family, far, near, to) in FAMILIES {
        let plain = seen(to)?.to_string();
        ensure!(plain.starts_with(far), "{family}: without rules the server sees {plain}");
        let hook = "type nat hook postrouting priority srcnat";
        nft(
            router,
            &format!("table {family} out {{\nchain out {{\n{hook}\noifname eth0 masquerade\n}}\n}}\n"),
        )?;
        let source = seen(to)?;
        ensure!(source == near.parse::<IpAddr>()?, "{family}: the server sees {source}, not the router");
        bench.case(format!("nftables masquerades in the family {family}"));
    }
    let tracked = router.read_file("/proc/sys/net/netfilter/nf_conntrack_count")?;
    ensure!(tracked.trim().parse::<u32>()? >= 2, "{} connections are tracked", tracked.trim());
    bench.case("connections are tracked");

    let rule = "type filter hook forward priority mangle\ntcp dport 80 ct state new counter meta mark set 7";
    nft(router, &format!("table inet both {{\nchain in {{\n{rule}\n}}\n}}\n"))?;
    for (.., to) in FAMILIES {
        seen(to)?;
    }
    let rules = router.sh("nft list table inet both")?;
    ensure!(
        rules.contains("counter packets 2 "),
        "one new connection of each family was to be counted: {rules}"
    );
    bench.case("one chain of the family inet sees both families");
    typed(rules)
}

/// The CPU that a thread runs on when it is bound to one.
fn on_cpu(number: usize) -> Result<usize> {
    let mut set = CpuSet::new();
    set.set(number)?;
    sched_setaffinity(Pid::from_raw(0), &set).with_context(|| format!("go to CPU {number}"))?;
    sched_getcpu().context("ask for the CPU")
}

/// The address from which the server sees a connection come that the client opens to it.
fn seen_by_server(client: &Host, listener: &TcpListener, server: IpAddr) -> Result<IpAddr> {
    let to = SocketAddr::new(server, 80);
    let _open = client.inside(|| TcpStream::connect(to))?.with_context(|| format!("connect to {to}"))?;
    let (_, peer) = listener.accept().context("take the connection")?;
    Ok(peer.ip().to_canonical())
}

/// Has the program `nft` read rules. Fails where the kernel refuses them.
fn nft(host: &Host, rules: &str) -> Result<()> {
    host.run_with_input(["nft", "-f", "-"], rules)?.success().map(drop).with_context(|| rules.to_owned())
}
