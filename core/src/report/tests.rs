use super::*;
use crate::diff::diff;
use crate::example::{NOW, VIP, VIP6, address, holder, in_use, kernel, link, local, name, part, plan};
use crate::flat_map::FlatMap;
use crate::ipvs::Timeouts;
use crate::kernel::{ArpSettings, Op, Refusal};
use crate::node_plan::PlannedVip;
use crate::node_report::Trouble;
use crate::render::render;
use crate::wanted::Scope;

/// A node that follows plans to the end.
struct Node {
    local: Local,
    kernel: Kernel,
    owned: Custody,
}

fn node() -> Node {
    Node { local: local(), kernel: kernel(), owned: Custody::default() }
}

impl Node {
    fn follow(&mut self, plan: &NodePlan) {
        let (phases, _) = self.phases(plan);
        for phase in &phases {
            phase.before.iter().for_each(|record| self.owned.record(record));
            phase.ops.iter().for_each(|op| self.kernel.step(op).unwrap());
            phase.after.iter().for_each(|record| self.owned.record(record));
        }
        self.local.ours = self.owned.addresses();
        for key in &self.local.ours {
            let prefix = crate::network::Prefix { address: key.address, length: key.prefix_length };
            self.local.links.get_mut(&key.link).unwrap().addresses.insert(prefix);
        }
    }

    fn phases(&self, plan: &NodePlan) -> (Vec<crate::wanted::Phase>, Vec<Hold>) {
        let (wanted, _) = render(plan, &self.local, NOW);
        diff(&wanted, &self.kernel, &self.owned, &Scope::Everything)
    }

    fn report(&self, plan: &NodePlan) -> NodeReport {
        self.report_after(plan, &[])
    }

    fn report_after(&self, plan: &NodePlan, failures: &[Failure]) -> NodeReport {
        let (wanted, _) = render(plan, &self.local, NOW);
        let (_, holds) = diff(&wanted, &self.kernel, &self.owned, &Scope::Everything);
        report(plan, &self.local, &wanted, &self.kernel, &self.owned, &holds, failures)
    }
}

fn service(report: &NodeReport) -> &ServiceReport {
    &report.services[&name()]
}

fn reasons<'a>(troubles: impl IntoIterator<Item = &'a Trouble>) -> Vec<Reason> {
    troubles.into_iter().map(|trouble| trouble.reason).collect()
}

fn leaving() -> NodePlan {
    let mut plan = plan();
    let part = plan.part_mut(&name()).unwrap();
    (part.vips, part.form) = (FlatMap::new(), None);
    plan
}

fn done() -> Node {
    let mut node = node();
    node.follow(&plan());
    node
}

#[test]
fn a_holder_reports_what_its_kernel_says() {
    let mut node = node();
    let before = node.report(&plan());
    assert!(!service(&before).applied && before.node.clean);
    assert_eq!(service(&before).vips[&address(VIP)], VipReport::default());
    node.follow(&plan());
    let after = node.report(&plan());
    assert!(service(&after).applied && !after.node.clean);
    let all = VipReport { bound: true, hidden: true, held: true, forwarding: true };
    assert_eq!(service(&after).vips[&address(VIP)], all);
    assert_eq!(service(&after).revision, plan().services[&name()].revision);
    assert_eq!((after.node.epoch, after.node.lineage.as_str()), (1, "lineage"));
    assert!(service(&after).troubles.is_empty());
}

#[test]
fn links_are_reported_without_what_is_ours() {
    let mut node = done();
    let vip = "192.168.10.40/32".parse().unwrap();
    let report = node.report(&plan());
    assert!(report.node.links.values().all(|link| !link.addresses.contains(&vip)));
    assert_eq!(report.node.links[&link("eth0")].addresses.len(), 2);
    // The same by somebody else's hand is the node's.
    node.owned = Custody::default();
    let report = node.report(&plan());
    assert!(report.node.links[&link("lo")].addresses.contains(&vip));
}

#[test]
fn one_link_that_answers_is_enough_to_be_not_hidden() {
    let mut node = done();
    node.kernel.arp.insert(link("eth1"), ArpSettings { ignore: 1, announce: 0 });
    let report = node.report(&plan());
    assert!(!service(&report).vips[&address(VIP)].hidden && !service(&report).applied);
    // A link that speaks no ARP does not matter, nor does what `lo` says.
    node.local.links.get_mut(&link("eth1")).unwrap().arp = false;
    assert!(service(&node.report(&plan())).vips[&address(VIP)].hidden);
}

#[test]
fn an_ipv6_vip_is_always_hidden() {
    let mut plan = plan();
    let part = plan.part_mut(&name()).unwrap();
    part.vips = [(address(VIP6), PlannedVip { attract: false, ..holder() })].into();
    let mut node = node();
    node.follow(&plan);
    let expected = VipReport { bound: true, hidden: true, held: false, forwarding: true };
    assert_eq!(service(&node.report(&plan)).vips[&address(VIP6)], expected);
}

#[test]
fn what_is_taken_away_by_somebody_is_not_applied() {
    for break_it in [
        |kernel: &mut Kernel| kernel.virtual_servers.clear(),
        |kernel: &mut Kernel| {
            kernel.addresses.remove(&"lo 192.168.10.40/32".parse().unwrap());
        },
        |kernel: &mut Kernel| {
            kernel.virtual_servers.values_mut().for_each(|server| server.destinations.clear());
        },
    ] {
        let mut node = done();
        break_it(&mut node.kernel);
        assert!(!service(&node.report(&plan())).applied);
    }
}

#[test]
fn a_service_that_leaves_has_left_when_nothing_of_its_vips_is_ours() {
    let mut node = done();
    let report = node.report(&leaving());
    assert!(!service(&report).applied, "{report:?}");
    assert!(service(&report).vips[&address(VIP)].held);
    node.follow(&leaving());
    let report = node.report(&leaving());
    assert!(service(&report).applied && service(&report).vips.is_empty() && report.node.clean);
}

#[test]
fn a_vip_that_lost_its_duties_is_spoken_of_until_it_is_gone() {
    let mut plan = plan();
    let duties = plan.part_mut(&name()).unwrap().vips.get_mut(&address(VIP)).unwrap();
    (duties.accept, duties.attract, duties.forward) = (false, false, false);
    let mut node = done();
    assert!(!service(&node.report(&plan)).applied);
    node.follow(&plan);
    let report = node.report(&plan);
    assert!(service(&report).applied);
    assert!(!service(&report).vips[&address(VIP)].bound);
}

#[test]
fn a_vip_that_no_part_names_is_never_out_of_sight() {
    let node = done();
    let mut plan = plan();
    let part = plan.part_mut(&name()).unwrap();
    part.vips = [(address("192.168.10.41"), PlannedVip { attract: false, ..holder() })].into();
    let report = node.report(&plan);
    assert!(service(&report).vips[&address(VIP)].held && !service(&report).applied);
    // Of an incomplete plan it may belong to a part that is missing.
    let incomplete = NodePlan { complete: false, ..plan };
    assert!(!service(&node.report(&incomplete)).vips.contains_key(&address(VIP)));
}

#[test]
fn on_an_incomplete_plan_what_has_yet_to_go_is_not_applied() {
    let node = done();
    let mut plan = NodePlan { complete: false, ..plan() };
    let form = plan.part_mut(&name()).unwrap().form.as_mut().unwrap();
    form.real_servers.clear();
    let report = node.report(&plan);
    assert!(!service(&report).applied);
    assert_eq!(reasons(&report.node.troubles), [Reason::IncompletePlan]);
}

#[test]
fn a_first_probe_is_awaited_and_a_stranger_is_not() {
    let mut node = node();
    node.local.probes.clear();
    node.follow(&plan());
    assert!(!service(&node.report(&plan())).applied);
    node.local.probes.insert(address(VIP), in_use(NOW));
    let report = node.report(&plan());
    assert!(service(&report).applied && !service(&report).vips[&address(VIP)].held);
    assert_eq!(reasons(&service(&report).troubles), [Reason::AddressInUse]);
}

#[test]
fn an_agent_that_cannot_do_a_part_never_says_that_it_has() {
    let mut node = done();
    node.local.features.clear();
    let mut plan = plan();
    plan.part_mut(&name()).unwrap().requires = BTreeSet::from(["Tunnel".into()]);
    let report = node.report(&plan);
    assert!(!service(&report).applied && service(&report).vips[&address(VIP)].held);
}

#[test]
fn another_services_work_on_the_same_vip_is_not_this_ones() {
    let other = ServiceName::new("web", "other");
    let mut plan = plan();
    let mut second = part();
    second.form.as_mut().unwrap().ports = BTreeSet::from(["TCP 443".parse().unwrap()]);
    plan.services.insert(other.clone(), second.into());
    let report = done().report(&plan);
    assert!(service(&report).applied && service(&report).vips[&address(VIP)].forwarding);
    assert!(!report.services[&other].applied && !report.services[&other].vips[&address(VIP)].forwarding);
}

#[test]
fn holds_and_failures_are_troubles_of_whom_they_concern() {
    let mut node = node();
    let server = "TCP 192.168.10.40:80".parse().unwrap();
    let (wanted, _) = render(&plan(), &node.local, NOW);
    let mut theirs = wanted.virtual_servers[&server].clone();
    theirs.settings.scheduler = "wlc".parse().unwrap();
    node.kernel.virtual_servers.insert(server, theirs.clone());
    let held = node.report(&plan());
    assert!(reasons(&service(&held).troubles).contains(&Reason::ForeignEntry));
    assert!(!service(&held).vips[&address(VIP)].forwarding, "it is not ours that forwards");
    node.kernel.virtual_servers.clear();
    let settings = theirs.settings;
    let arp = ArpSettings { ignore: 1, announce: 2 };
    let timeouts = Timeouts { tcp_seconds: 1, tcp_fin_seconds: 1, udp_seconds: 1 };
    for (op, refusal, of_service, of_node) in [
        (
            Op::AddVirtualServer(server, settings),
            Some(Refusal::NoScheduler),
            Some(Reason::SchedulerMissing),
            None,
        ),
        (Op::AddVirtualServer(server, settings), Some(Refusal::NoIpvs), Some(Reason::IpvsMissing), None),
        (Op::SetArp(link("eth0"), arp), Some(Refusal::NotPermitted), Some(Reason::NotPermitted), None),
        (
            Op::RemoveAddress("eth0 192.168.10.40/32".parse().unwrap()),
            Some(Refusal::Other(16)),
            Some(Reason::KernelRefused),
            None,
        ),
        (Op::SetTimeouts(timeouts), Some(Refusal::Other(22)), None, Some(Reason::KernelRefused)),
        (Op::RemoveVirtualServer(server), None, None, None),
    ] {
        let report = node.report_after(&plan(), &[Failure { op, refusal }]);
        assert_eq!(reasons(&service(&report).troubles), of_service.into_iter().collect::<Vec<_>>(), "{op}");
        assert_eq!(reasons(&report.node.troubles), of_node.into_iter().collect::<Vec<_>>(), "{op}");
    }
    let failure = Failure { op: Op::RemoveVirtualServer(server), refusal: Some(Refusal::Other(16)) };
    let report = node.report_after(&plan(), &[failure]);
    let message = &service(&report).troubles.first().unwrap().message;
    assert!(message.contains("director-1") && message.contains("192.168.10.40:80") && message.contains("16"));
}
