//! A simulated node: its kernel, its custody on disk, and an agent that runs the pipeline on it, may be stopped between
//! any two steps, and may be refused any operation.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lvs_core::custody::{Claim, Custody, Item, Record};
use lvs_core::diff::{Run, diff};
use lvs_core::kernel::{Kernel, Op, Refusal};
use lvs_core::local::{Link, Local, Path, Probe, ProbeOutcome};
use lvs_core::network::MacAddress;
use lvs_core::node_plan::NodePlan;
use lvs_core::node_report::NodeReport;
use lvs_core::packet_rule::{PacketRuleKey, PacketRuleKind, PacketRuleSettings};
use lvs_core::render::render;
use lvs_core::report::report;
use lvs_core::time::Monotonic;
use lvs_core::wanted::{Failure, Hold, Phase, Scope, Wanted};

use crate::safety::assert_nothing_lost;
use crate::world::{LINKS, RIPS, World, address, link, prefixes};

/// What goes wrong while an agent works.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fault {
    /// The agent is killed after this many steps: each journal append and each operation is one.
    pub(crate) stop_after: Option<usize>,
    /// Which operations are refused, by their place in the order of trying; beyond the end none is.
    pub(crate) refused: Vec<bool>,
}

/// In so many rounds a node has to come to rest: operations, what the probes allow, and one more to see that it is done.
const ROUNDS: usize = 4;

/// The agent was killed.
#[derive(Debug)]
pub(crate) struct Killed;

/// A node and what its agent remembers.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kernel: Kernel,
    pub(crate) custody: Custody,
    pub(crate) now: Monotonic,
    pub(crate) failures: Vec<Failure>,
    /// What was ever taken over from somebody else.
    pub(crate) adopted: BTreeSet<Item>,
    pub(crate) initial: Kernel,
    strangers: BTreeSet<IpAddr>,
    pub(crate) probes: BTreeMap<IpAddr, Probe>,
    steps: usize,
    /// How many operations the last run over all rounds tried.
    pub(crate) tries: usize,
}

/// What is wanted, and what is left to do.
#[derive(Debug)]
pub(crate) struct View {
    /// Whether the plan is whole.
    pub(crate) complete: bool,
    pub(crate) local: Local,
    pub(crate) wanted: Wanted,
    pub(crate) phases: Vec<Phase>,
    pub(crate) holds: Vec<Hold>,
}

/// What a plan wants, and packet rules of the other kinds for its VIPs and real servers.
pub(crate) fn rendered(plan: &NodePlan, local: &Local, now: Monotonic) -> Wanted {
    let (mut wanted, _) = render(plan, local, now);
    let supported = plan.services.iter().filter(|(_, part)| part.requires.is_subset(&local.features));
    for (name, part) in supported {
        for port in part.form.iter().flat_map(|form| &form.ports) {
            let rules = part.vips.iter().filter(|(_, planned)| planned.accept).flat_map(|(vip, planned)| {
                let redirect = (!planned.forward).then_some((PacketRuleKind::Redirect, *vip, 8080));
                redirect.into_iter().chain([(PacketRuleKind::SourceNat, address(RIPS[0]), 0)])
            });
            for (kind, address, value) in rules {
                let key = PacketRuleKey { kind, protocol: port.protocol, address, port: port.port };
                wanted.packet_rules.insert(key, PacketRuleSettings::of(value));
                wanted.users.entry(Item::PacketRule(key)).or_default().insert(name.clone());
            }
        }
    }
    wanted
}

impl Node {
    pub(crate) fn new(world: &World) -> Self {
        Self {
            kernel: world.kernel.clone(),
            custody: Custody::default(),
            now: Monotonic(1000),
            failures: Vec::new(),
            adopted: BTreeSet::new(),
            initial: world.kernel.clone(),
            strangers: world.strangers.clone(),
            probes: BTreeMap::new(),
            steps: 0,
            tries: 0,
        }
    }

    pub(crate) fn local(&self) -> Local {
        let describe = |(index, name): (u32, &&str)| {
            let loopback = *name == "lo";
            let addresses = prefixes(&self.kernel, link(name));
            let arp = name.starts_with("eth");
            (link(name), Link { index, mac: None, up: true, loopback, arp, addresses })
        };
        let by = |name: &str| Path { link: link(name), gateway: None };
        let behind = Path { gateway: Some(address("192.168.10.1")), ..by("eth0") };
        Local {
            node: "director-1".into(),
            features: lvs_core::names::FEATURES.into_iter().map(Into::into).collect(),
            ipvs: true,
            schedulers: self.kernel.schedulers.clone().unwrap_or_default(),
            links: (1..).zip(&LINKS).map(describe).collect(),
            arp_all: self.kernel.arp_all,
            default_links: vec![link("eth0")],
            gateways: BTreeSet::from([address("192.168.10.1")]),
            paths: BTreeMap::from([
                (address("172.16.0.1"), behind),
                (address("192.168.10.10"), by("eth0")),
                (address("192.168.10.11"), by("eth1")),
                (address("192.168.10.12"), by("lo")),
            ]),
            probes: self.probes.clone(),
            ours: self.custody.addresses(),
            ..Local::default()
        }
    }

    pub(crate) fn view(&self, plan: &NodePlan) -> View {
        let local = self.local();
        let wanted = rendered(plan, &local, self.now);
        let (phases, holds) = diff(&wanted, &self.kernel, &self.custody, &Scope::Everything);
        View { complete: plan.complete, local, wanted, phases, holds }
    }

    /// Follows a plan until nothing is left to do.
    pub(crate) fn settle(&mut self, plan: &NodePlan) -> View {
        for _ in 0..ROUNDS {
            let view = self.view(plan);
            assert_eq!(self.holds_back(&view), None, "an operation that diff made cannot be done");
            let killed = self.pursue(&view, &Fault::default()).is_err();
            assert!(!killed);
            let changed = self.probe(&view);
            if view.phases.is_empty() && !changed {
                return view;
            }
        }
        let view = self.view(plan);
        assert!(view.phases.is_empty(), "the node does not settle: {:#?}", view.phases);
        view
    }

    /// Follows a plan while something goes wrong, and then comes up again with no memory but custody. Whether the agent
    /// was killed.
    pub(crate) fn suffer(&mut self, plan: &NodePlan, fault: &Fault) -> bool {
        (self.steps, self.tries) = (0, 0);
        let mut killed = false;
        for _ in 0..3 {
            let view = self.view(plan);
            killed = self.pursue(&view, fault).is_err();
            if killed {
                break;
            }
            self.probe(&view);
        }
        self.probes.clear();
        self.now = self.now + 60_000;
        killed
    }

    pub(crate) fn report(&self, plan: &NodePlan, view: &View) -> NodeReport {
        report(plan, &view.local, &view.wanted, &self.kernel, &self.custody, &view.holds, &self.failures)
    }

    /// One run over the phases; safety is checked after every step.
    fn pursue(&mut self, view: &View, fault: &Fault) -> Result<(), Killed> {
        assert_nothing_lost(view);
        let mut run = Run::new(&view.wanted, &self.kernel, &self.custody, &view.phases);
        for phase in &view.phases {
            let (ahead, out): (Vec<Op>, Vec<Op>) =
                phase.ops.iter().partition(|op| run.admits(phase.name, op));
            for op in &out {
                run.left_out(phase.name, op, None);
            }
            self.append(&run.before(phase, &out), fault)?;
            for op in &ahead {
                let result = self.try_op(op, fault)?;
                run.tried(phase.name, op, result);
            }
            let after = run.after(phase);
            self.append(&after, fault)?;
        }
        self.failures = run.failures().to_vec();
        Ok(())
    }

    fn append(&mut self, records: &[Record], fault: &Fault) -> Result<(), Killed> {
        if records.is_empty() {
            return Ok(());
        }
        self.step(fault)?;
        for record in records {
            match record {
                Record::Take(item, Claim::Adopted) => {
                    self.adopted.insert(*item);
                }
                // The kernel refused it, and so it is somebody else's again.
                Record::Release(item) if self.is_there(item) => {
                    self.adopted.remove(item);
                }
                _ => {}
            }
            self.custody.record(record);
        }
        self.assert_safe();
        Ok(())
    }

    /// Whether an entry of the IPVS table is there.
    fn is_there(&self, item: &Item) -> bool {
        let table = &self.kernel.virtual_servers;
        match item {
            Item::VirtualServer(key) => table.contains_key(key),
            Item::Destination(key, destination) => {
                table.get(key).is_some_and(|server| server.destinations.contains_key(destination))
            }
            _ => false,
        }
    }

    fn try_op(&mut self, op: &Op, fault: &Fault) -> Result<Result<(), Refusal>, Killed> {
        self.step(fault)?;
        let refused = fault.refused.get(self.tries).copied().unwrap_or(false);
        self.tries += 1;
        if refused {
            let refusal =
                if self.tries.is_multiple_of(2) { Refusal::NotPermitted } else { Refusal::Other(5) };
            return Ok(Err(refusal));
        }
        self.assert_allowed(op);
        let result = self.kernel.step(op);
        assert_eq!(result, Ok(()), "refused: {op}");
        self.assert_safe();
        Ok(result)
    }

    fn step(&mut self, fault: &Fault) -> Result<(), Killed> {
        if fault.stop_after == Some(self.steps) {
            return Err(Killed);
        }
        self.steps += 1;
        Ok(())
    }

    /// Makes the probes that are due. Whether one says something new.
    fn probe(&mut self, view: &View) -> bool {
        self.now = self.now + 200;
        let mut changed = false;
        for vip in view.wanted.probes.keys() {
            let outcome = if self.strangers.contains(vip) {
                ProbeOutcome::InUse { mac: MacAddress([2, 0, 0, 0, 0, 9]) }
            } else {
                ProbeOutcome::Clean
            };
            let probe = Probe { at: self.now, outcome };
            changed |= self.probes.get(vip).map(|before| &before.outcome) != Some(&probe.outcome);
            self.probes.insert(*vip, probe);
        }
        changed
    }

    /// An operation that the run would leave out although nothing has failed.
    fn holds_back(&self, view: &View) -> Option<Op> {
        let mut run = Run::new(&view.wanted, &self.kernel, &self.custody, &view.phases);
        for phase in &view.phases {
            if let Some(op) = phase.ops.iter().find(|op| !run.admits(phase.name, op)) {
                return Some(*op);
            }
            for op in &phase.ops {
                run.tried(phase.name, op, Ok(()));
            }
        }
        None
    }
}
