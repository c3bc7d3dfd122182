//! Probing: does anybody else on the link have a VIP?
//!
//! Three times in 200 ms it is asked for, by ARP probe (RFC 5227) or by the solicitation of duplicate address
//! detection (RFC 4862). All VIPs share that time. Whoever answers, and whoever probes for the same address meanwhile,
//! has it, unless it is this node itself.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use lvs_core::local::ProbeOutcome;
use lvs_core::names::LinkName;
use lvs_core::network::{Family, MacAddress};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::frame::{Claim, arp, claim, neighbour};
use super::link::Links;
use super::packet_socket::{PacketSocket, Receives};

/// How often each VIP is asked for.
const ROUNDS: u32 = 3;

/// The time for one round; the last one's is that for late answers too.
const ROUND: Duration = Duration::from_nanos(200_000_000 / ROUNDS as u64);

/// Room for one frame: those that matter have less than 128 bytes.
const FRAME_BYTES: usize = 256;

/// Probes each VIP on its link, all at once, and says what was found of each.
pub(super) fn probe(vips: &BTreeMap<IpAddr, LinkName>, links: &Links) -> BTreeMap<IpAddr, ProbeOutcome> {
    let mut findings = Findings { own: links.own_macs(), outcomes: BTreeMap::new() };
    let mut probers = Vec::new();
    for ((link, family), vips) in by_link(vips) {
        match Prober::open(link, family, &vips, links) {
            Ok(prober) => probers.push(prober),
            Err(message) => findings.fail(&vips, &message),
        }
    }
    let start = Instant::now();
    for round in 1..=ROUNDS {
        for prober in &probers {
            prober.ask(&mut findings);
        }
        let end = start + ROUND * round;
        listen(&probers, end, &mut findings);
    }
    findings.rest_is_clean(vips);
    findings.outcomes
}

/// The VIPs of each link and family.
fn by_link(vips: &BTreeMap<IpAddr, LinkName>) -> BTreeMap<(LinkName, Family), Vec<IpAddr>> {
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    for (vip, link) in vips {
        groups.entry((*link, Family::of(*vip))).or_default().push(*vip);
    }
    groups
}

/// What was found so far. The first finding on a VIP stands.
struct Findings {
    own: BTreeSet<MacAddress>,
    outcomes: BTreeMap<IpAddr, ProbeOutcome>,
}

impl Findings {
    fn fail(&mut self, vips: &[IpAddr], message: &str) {
        for vip in vips {
            let failed = || ProbeOutcome::Failed { message: message.to_owned() };
            self.outcomes.entry(*vip).or_insert_with(failed);
        }
    }

    /// Takes in a claim that came on the link of these VIPs.
    fn claimed(&mut self, vips: &[IpAddr], claim: Claim) {
        let stranger = !self.own.contains(&claim.mac) && !self.own.contains(&claim.source);
        if stranger && vips.contains(&claim.address) {
            self.outcomes.entry(claim.address).or_insert(ProbeOutcome::InUse { mac: claim.mac });
        }
    }

    fn rest_is_clean(&mut self, vips: &BTreeMap<IpAddr, LinkName>) {
        for vip in vips.keys() {
            self.outcomes.entry(*vip).or_insert(ProbeOutcome::Clean);
        }
    }
}

/// A link on which VIPs of one family are probed.
struct Prober {
    link: LinkName,
    socket: PacketSocket,
    /// The VIPs in ascending order, each with the frame that asks for it.
    questions: Vec<(IpAddr, Vec<u8>)>,
    vips: Vec<IpAddr>,
}

impl Prober {
    /// Fails with a message that names the link, and what to do.
    fn open(link: LinkName, family: Family, vips: &[IpAddr], links: &Links) -> Result<Self, String> {
        let found = links.found.get(&link).ok_or_else(|| format!("there is no link {link}"))?;
        let mac = found.link.mac.filter(|_| found.link.arp).ok_or_else(|| {
            format!("{link} is no Ethernet link that resolves addresses: another one has to be the uplink")
        })?;
        let failed = |error: io::Error| match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EPERM) => format!("probing on {link} needs CAP_NET_RAW"),
            _ => format!("probing on {link}: {error}"),
        };
        let receives = match family {
            Family::IPv4 => Receives::Arp,
            Family::IPv6 => Receives::NeighbourDiscovery,
        };
        let socket = PacketSocket::open(found.link.index, receives).map_err(failed)?;
        for group in groups(vips) {
            socket.join(group).map_err(failed)?;
        }
        let questions = vips.iter().map(|vip| (*vip, question(mac, *vip))).collect();
        Ok(Self { link, socket, questions, vips: vips.to_vec() })
    }

    /// Asks once for each VIP of which nothing is found yet.
    fn ask(&self, findings: &mut Findings) {
        for (vip, frame) in &self.questions {
            if findings.outcomes.contains_key(vip) {
                continue;
            }
            if let Err(error) = self.socket.send(frame) {
                findings.fail(&[*vip], &format!("probing on {}: {error}", self.link));
            }
        }
    }

    /// Looks at every frame that has come.
    fn hear(&self, findings: &mut Findings) {
        let mut buffer = [0; FRAME_BYTES];
        loop {
            match self.socket.receive(&mut buffer) {
                Ok(None) => return,
                Ok(Some(frame)) => {
                    if let Some(claim) = claim(frame) {
                        findings.claimed(&self.vips, claim);
                    }
                }
                Err(error) => {
                    // The link went down, for one: an answer may have been missed.
                    findings.fail(&self.vips, &format!("probing on {}: {error}", self.link));
                    return;
                }
            }
        }
    }
}

/// The Ethernet groups to which those who have an IPv6 address, or want it, speak of it.
fn groups(vips: &[IpAddr]) -> BTreeSet<MacAddress> {
    const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let mut groups = BTreeSet::new();
    for vip in vips {
        if let IpAddr::V6(vip) = vip {
            groups.insert(neighbour::multicast_mac(ALL_NODES));
            groups.insert(neighbour::multicast_mac(neighbour::solicited_node(*vip)));
        }
    }
    groups
}

fn question(mac: MacAddress, vip: IpAddr) -> Vec<u8> {
    match vip {
        IpAddr::V4(vip) => arp::probe(mac, vip),
        IpAddr::V6(vip) => neighbour::solicitation(mac, vip),
    }
}

/// Hears on all links until `end`.
fn listen(probers: &[Prober], end: Instant, findings: &mut Findings) {
    let mut sockets: Vec<PollFd> =
        probers.iter().map(|prober| PollFd::new(prober.socket.as_fd(), PollFlags::POLLIN)).collect();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        // Rounded up, so that what is left is never spun through.
        let milliseconds = u16::try_from(left.as_micros().div_ceil(1000)).unwrap_or(u16::MAX);
        let readable = match poll(&mut sockets, PollTimeout::from(milliseconds)) {
            Ok(0) => false,
            Ok(_) | Err(Errno::EINTR) => true,
            Err(errno) => {
                for prober in probers {
                    findings.fail(&prober.vips, &format!("waiting for answers on {}: {errno}", prober.link));
                }
                return;
            }
        };
        if readable {
            for prober in probers {
                prober.hear(findings);
            }
        }
        if left.is_zero() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
    const THEIRS: MacAddress = MacAddress([2, 0, 0, 0, 0, 9]);

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_a_stranger_on_the_vips_own_link_has_it() {
        let (vip, other) = (address("192.168.10.40"), address("192.168.10.41"));
        let mut findings = Findings { own: BTreeSet::from([OURS]), outcomes: BTreeMap::new() };
        let mut claimed = |address, mac, source| findings.claimed(&[vip], Claim { address, mac, source });
        claimed(vip, OURS, OURS);
        claimed(other, THEIRS, THEIRS);
        // A frame of ours that names another station, as a bond or a proxy might send it.
        claimed(vip, THEIRS, OURS);
        assert_eq!(findings.outcomes, BTreeMap::new());
        findings.claimed(&[vip], Claim { address: vip, mac: THEIRS, source: THEIRS });
        findings.rest_is_clean(&BTreeMap::from([
            (vip, "eth0".parse().unwrap()),
            (other, "eth0".parse().unwrap()),
        ]));
        let expected =
            BTreeMap::from([(vip, ProbeOutcome::InUse { mac: THEIRS }), (other, ProbeOutcome::Clean)]);
        assert_eq!(findings.outcomes, expected);
    }

    #[test]
    fn a_probe_that_cannot_be_made_says_so() {
        let vip = address("192.168.10.40");
        let found = probe(&BTreeMap::from([(vip, "none0".parse().unwrap())]), &Links::default());
        assert_eq!(found[&vip], ProbeOutcome::Failed { message: "there is no link none0".to_owned() });
    }
}
