//! The recipe by hand, on a second set of hosts with the same addresses on a switch of their own.

use anyhow::Result;

use crate::lab::{Lab, Topology};

/// The name of a host in the second set.
pub(super) fn name(node: &str) -> String {
    format!("hand-{node}")
}

/// The hosts of both sets.
pub(super) fn two_sets() -> Topology {
    let mut both = Topology::lan().only(&["director-1", "rs-1", "rs-2", "client"]);
    let mut second = both.hosts.clone();
    for host in &mut second {
        host.name = name(&host.name);
        for link in &mut host.links {
            "hand".clone_into(&mut link.network);
        }
    }
    both.hosts.extend(second);
    both
}

/// Does what the notes do, in the words of today's tools (`ifconfig` and `route` of the notes are `ip` here).
pub(super) fn set_up(lab: &Lab) -> Result<()> {
    for node in ["rs-1", "rs-2"] {
        let host = lab.host(&name(node))?;
        host.sh("ip addr add 192.168.10.40/32 dev lo label lo:0")?;
        host.sh("ip route add 192.168.10.40/32 dev lo")?;
        for (setting, value) in [("arp_ignore", "1"), ("arp_announce", "2")] {
            for link in ["lo", "all"] {
                host.write_file(&format!("/proc/sys/net/ipv4/conf/{link}/{setting}"), value)?;
            }
        }
    }
    let director = lab.host(&name("director-1"))?;
    director.sh("ip addr add 192.168.10.40/24 dev eth0 label eth0:0")?;
    director.sh("ip route add 192.168.10.1/32 dev eth0")?;
    director.sh("ipvsadm -C")?;
    director.sh("ipvsadm --set 30 5 60")?;
    director.sh("ipvsadm -A -t 192.168.10.40:80 -s rr -p 20")?;
    director.sh("ipvsadm -a -t 192.168.10.40:80 -r 192.168.10.11 -g -w 1")?;
    director.sh("ipvsadm -a -t 192.168.10.40:80 -r 192.168.10.10 -g -w 1")?;
    Ok(())
}
