//! Random tables and edits: few names, so that edits meet what is there, and some that no kernel takes.

use std::net::IpAddr;

use lvs_core::ipvs::{
    DestinationKey, DestinationSettings, ForwardingMethod, Persistence, Tunnel, VirtualServerKey,
    VirtualServerSettings,
};
use lvs_core::kernel::{Kernel, Op};
use lvs_core::names::SchedulerName;
use lvs_core::network::{Family, Protocol};

const SCHEDULERS: [&str; 9] = ["rr", "wrr", "lc", "wlc", "sh", "sed", "nq", "fo", "mh"];

/// A source of random choices.
pub(super) struct Draw(fastrand::Rng);

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// Operations that make a table of a few services; all of them succeed on an empty kernel.
    pub(super) fn table(&mut self) -> Vec<Op> {
        let mut model = Kernel::default();
        let mut ops = Vec::new();
        for _ in 0..self.0.usize(1..8) {
            let key = self.key();
            let settings = self.settings(key.family());
            keep(&mut model, &mut ops, Op::AddVirtualServer(key, settings));
            for _ in 0..self.0.usize(0..6) {
                let (to, settings) = (self.destination(&key, false), self.destination_settings(false));
                keep(&mut model, &mut ops, Op::AddDestination(key, to, settings));
            }
        }
        ops
    }

    /// One operation on a table; most of them about what is there.
    pub(super) fn edit(&mut self, model: &Kernel) -> Op {
        let there: Vec<VirtualServerKey> = model.virtual_servers.keys().copied().collect();
        let key =
            self.0.choice(&there).copied().filter(|_| self.0.u8(0..8) > 0).unwrap_or_else(|| self.key());
        let odd = self.0.u8(0..6) == 0;
        let destinations: Vec<DestinationKey> = model
            .virtual_servers
            .get(&key)
            .into_iter()
            .flat_map(|server| server.destinations.keys())
            .copied()
            .collect();
        let drawn = self.destination(&key, odd);
        let to = self.0.choice(&destinations).copied().filter(|_| self.0.u8(0..3) > 0).unwrap_or(drawn);
        match self.0.u8(0..10) {
            0 => {
                let key = self.key();
                Op::AddVirtualServer(key, self.odd_settings(key.family(), odd))
            }
            1 => Op::SetVirtualServer(key, self.odd_settings(key.family(), odd)),
            2 => Op::RemoveVirtualServer(key),
            3..=5 => Op::AddDestination(key, drawn, self.destination_settings(odd)),
            6..=7 => Op::SetDestination(key, to, self.destination_settings(odd)),
            _ => Op::RemoveDestination(key, to),
        }
    }

    fn key(&mut self) -> VirtualServerKey {
        if self.0.u8(0..5) == 0 {
            let family = if self.0.bool() { Family::IPv4 } else { Family::IPv6 };
            return VirtualServerKey::Mark { family, mark: self.0.u32(1..4) };
        }
        let protocol = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp][self.0.usize(0..3)];
        let number = self.0.u8(1..5);
        let address = self.address(number);
        VirtualServerKey::Tuple { protocol, address, port: [0, 80, 443, 53][self.0.usize(0..4)] }
    }

    fn address(&mut self, number: u8) -> IpAddr {
        if self.0.bool() { v4(number) } else { v6(number) }
    }

    fn settings(&mut self, family: Family) -> VirtualServerSettings {
        self.odd_settings(family, false)
    }

    fn odd_settings(&mut self, family: Family, odd: bool) -> VirtualServerSettings {
        let name =
            if odd && self.0.bool() { "nosuch" } else { SCHEDULERS[self.0.usize(0..SCHEDULERS.len())] };
        let persistence = self.0.bool().then(|| Persistence {
            timeout_seconds: self.0.u32(1..3600),
            prefix_length: if self.0.bool() {
                family.host_length()
            } else {
                self.0.u8(1..=family.host_length())
            },
        });
        // Every name of the list is a scheduler's; see `SchedulerName`.
        let scheduler: SchedulerName = name.parse().unwrap_or_else(|_| unreachable!("{name} is a name"));
        // One packet, and the three bits that belong to the scheduler.
        let flags = if self.0.bool() { 0 } else { self.0.u32(1..16) << 2 };
        // Every kernel of the lab has it.
        let persistence_engine =
            persistence.filter(|_| self.0.u8(0..4) == 0).and_then(|_| "sip".parse().ok());
        VirtualServerSettings { scheduler, flags, persistence, persistence_engine }
    }

    fn destination(&mut self, key: &VirtualServerKey, odd: bool) -> DestinationKey {
        let number = self.0.u8(10..16);
        let same = match key.family() {
            Family::IPv4 => v4(number),
            Family::IPv6 => v6(number),
        };
        let strange = ["224.0.0.9", "255.255.255.255", "fe80::9"];
        let address = match (odd, self.0.u8(0..3)) {
            (true, 0) => strange[self.0.usize(0..strange.len())].parse().unwrap_or(same),
            // Of the other family, perhaps.
            (true, 1) => self.address(number),
            _ => same,
        };
        DestinationKey { address, port: key.port() }
    }

    fn destination_settings(&mut self, odd: bool) -> DestinationSettings {
        let upper_threshold = if self.0.bool() { 0 } else { self.0.u32(1..1000) };
        let lower_threshold = if odd { self.0.u32(0..2000) } else { self.0.u32(0..=upper_threshold) };
        let weight = if odd && self.0.u8(0..4) == 0 { 1 << 31 } else { self.0.u32(0..100) };
        let (method, tunnel) = match self.0.u8(0..8) {
            0 => (ForwardingMethod::Masquerade, None),
            1 | 2 => (ForwardingMethod::Tunnel, Some(self.tunnel(odd))),
            _ => (ForwardingMethod::DirectRouting, None),
        };
        DestinationSettings { method, weight, upper_threshold, lower_threshold, tunnel }
    }

    fn tunnel(&mut self, odd: bool) -> Tunnel {
        match self.0.u8(0..3) {
            1 if odd && self.0.bool() => Tunnel { kind: 1, port: 0, flags: 0 },
            0 => Tunnel { kind: 0, port: 0, flags: 0 },
            1 => Tunnel { kind: 1, port: self.0.u16(1..), flags: self.0.u16(0..3) },
            _ => Tunnel { kind: 2, port: 0, flags: self.0.u16(0..2) },
        }
    }
}

/// Keeps an operation that a kernel would do.
fn keep(model: &mut Kernel, ops: &mut Vec<Op>, op: Op) {
    if model.step(&op).is_ok() {
        ops.push(op);
    }
}

/// From networks on both sides of the place where ipvsadm's order wraps, and of no three that make it a circle.
fn v4(number: u8) -> IpAddr {
    IpAddr::from([if number.is_multiple_of(2) { 10 } else { 192 }, 0, 0, number])
}

fn v6(number: u8) -> IpAddr {
    let first = if number.is_multiple_of(2) { 0x2001 } else { 0xfd00 };
    IpAddr::from([first, 0, 0, 0, 0, 0, 0, u16::from(number)])
}
