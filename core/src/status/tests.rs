use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::ConditionKind::{Accepted, Programmed, Proved, Ready, ResolvedRefs};
use super::*;
use crate::addresses::Addresses;
use crate::names::ServiceName;
use crate::node_plan::{Revision, StageName};
use crate::node_report::{ServiceReport, Trouble, VipReport};
use crate::verdict::{
    GroupVerdict, NodeSetting, PartVerdict, RealServerVerdict, SettingConflict, Verdict, VipVerdict,
};

const VIP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 10, 40));

fn web() -> ServiceName {
    "default/web".parse().unwrap()
}

/// A service that is well: `director-1` holds its VIP, `rs-1` serves.
fn verdict() -> Verdict {
    let part = PartVerdict {
        revision: Revision { number: 1, hash: 1 },
        alive: true,
        heard: true,
        acknowledged: true,
    };
    Verdict {
        generation: 3,
        accepted: Judgement::yes(Reason::Accepted, "In force."),
        resolved: Judgement::yes(Reason::Resolved, "Found."),
        vips: [(
            VIP,
            VipVerdict {
                group: "edge".into(),
                pool: "public".into(),
                holder: Some("director-1".into()),
                trouble: None,
            },
        )]
        .into(),
        ports: ["TCP 80".parse().unwrap()].into(),
        mark: None,
        parts: [("director-1".into(), part), ("rs-1".into(), part)].into(),
        zero_counters: None,
        real_servers: vec![real_server("one", StageName::Serving)],
    }
}

fn real_server(entry: &str, stage: StageName) -> RealServerVerdict {
    let reason = if stage == StageName::Serving { Reason::Serving } else { Reason::AwaitingReport };
    RealServerVerdict {
        entry: entry.to_owned(),
        node: None,
        addresses: Addresses::default(),
        weight: 1,
        stage,
        reason,
        since: None,
    }
}

fn reports() -> Reports {
    let report = |held| {
        let vips = [(VIP, VipReport { bound: true, hidden: true, held, forwarding: held })].into();
        let service = ServiceReport {
            revision: Revision { number: 1, hash: 1 },
            applied: true,
            receives: BTreeSet::new(),
            redirects: BTreeSet::new(),
            counters_zeroed: None,
            vips,
            troubles: BTreeSet::new(),
        };
        NodeReport { services: [(web(), service)].into(), ..NodeReport::default() }
    };
    [("director-1".into(), report(true)), ("rs-1".into(), report(false))].into()
}

fn condition(status: &ServiceStatus, kind: ConditionKind) -> (ConditionStatus, Reason) {
    let condition = status.conditions.iter().find(|condition| condition.kind == kind).unwrap();
    (condition.status, condition.reason)
}

fn judged(verdict: &Verdict, reports: &Reports, kind: ConditionKind) -> (ConditionStatus, Reason) {
    condition(&service(&web(), verdict, reports, None, Time(0)), kind)
}

#[test]
fn a_service_that_is_well_says_so_in_five_conditions() {
    let status = service(&web(), &verdict(), &reports(), None, Time(0));
    let kinds: Vec<ConditionKind> = status.conditions.iter().map(|condition| condition.kind).collect();
    assert_eq!(kinds, [Accepted, ResolvedRefs, Programmed, Proved, Ready]);
    assert_eq!(condition(&status, Ready), (ConditionStatus::True, Reason::Ready));
    assert_eq!(condition(&status, Programmed), (ConditionStatus::True, Reason::Programmed));
    assert_eq!(condition(&status, Proved), (ConditionStatus::Unknown, Reason::ProofsAbsent));
    let summary = &status.summary;
    assert_eq!(
        (&*summary.vips, &*summary.ports, &*summary.holders, &*summary.real_servers),
        ("192.168.10.40", "80/TCP", "director-1", "1/1")
    );
}

#[test]
fn a_transition_keeps_its_time_until_the_next() {
    let first = service(&web(), &verdict(), &reports(), None, Time(1000));
    let second = service(&web(), &verdict(), &reports(), Some(&first), Time(2000));
    assert_eq!(first, second);
    let third = service(&web(), &verdict(), &Reports::new(), Some(&second), Time(3000));
    let ready = third.conditions.iter().find(|condition| condition.kind == ConditionKind::Ready).unwrap();
    assert_eq!((ready.status, ready.last_transition_time), (ConditionStatus::False, Time(3000)));
}

#[test]
fn an_edit_that_is_not_acknowledged_leaves_ready_alone() {
    let mut verdict = verdict();
    verdict.parts.get_mut(&"director-1".into()).unwrap().acknowledged = false;
    assert_eq!(
        judged(&verdict, &reports(), ConditionKind::Programmed),
        (ConditionStatus::False, Reason::Pending)
    );
    assert_eq!(judged(&verdict, &reports(), ConditionKind::Ready), (ConditionStatus::True, Reason::Ready));
}

#[test]
fn a_trouble_of_a_node_is_the_reason_and_the_node_is_named() {
    let mut reports = reports();
    let service_report = reports.get_mut(&"director-1".into()).unwrap().services.values_mut().next().unwrap();
    service_report.troubles.insert(Trouble::new(Reason::SchedulerMissing, "no ip_vs_mh"));
    let status = service(&web(), &verdict(), &reports, None, Time(0));
    let programmed =
        status.conditions.iter().find(|condition| condition.kind == ConditionKind::Programmed).unwrap();
    assert_eq!(programmed.reason, Reason::SchedulerMissing);
    assert_eq!(programmed.message, "director-1: no ip_vs_mh");
}

#[test]
fn a_dead_holder_is_not_ready_whatever_it_reported_last() {
    let mut verdict = verdict();
    verdict.parts.get_mut(&"director-1".into()).unwrap().alive = false;
    verdict.vips.get_mut(&VIP).unwrap().trouble =
        Some((Reason::HolderUnreachable, "director-1 is gone.".to_owned()));
    assert_eq!(
        judged(&verdict, &reports(), ConditionKind::Ready),
        (ConditionStatus::False, Reason::HolderUnreachable)
    );
}

#[test]
fn without_a_real_server_nothing_flows() {
    let mut verdict = verdict();
    for servers in [vec![], vec![real_server("one", StageName::Pending)]] {
        verdict.real_servers = servers;
        assert_eq!(
            judged(&verdict, &reports(), ConditionKind::Ready),
            (ConditionStatus::False, Reason::NoRealServer)
        );
    }
    verdict.real_servers = vec![RealServerVerdict { weight: 0, ..real_server("one", StageName::Serving) }];
    assert_eq!(
        judged(&verdict, &reports(), ConditionKind::Ready),
        (ConditionStatus::False, Reason::NoRealServer)
    );
}

#[test]
fn troubled_real_servers_come_first_and_64_are_enough() {
    let mut verdict = verdict();
    verdict.real_servers =
        (0..99).map(|number| real_server(&format!("s{number:02}"), StageName::Serving)).collect();
    verdict.real_servers[98].stage = StageName::Pending;
    let status = service(&web(), &verdict, &reports(), None, Time(0));
    assert_eq!(status.real_servers.len(), 64);
    assert_eq!(status.real_servers[0].name, "s98");
    assert_eq!(status.summary.real_servers, "98/99");
}

#[test]
fn a_group_names_settings_that_lost_and_directors_that_are_silent() {
    let verdict = GroupVerdict {
        generation: 1,
        accepted: Judgement::yes(Reason::Accepted, "In force."),
        resolved: Judgement::yes(Reason::Resolved, "Found."),
        directors: BTreeMap::from([(
            "director-9".into(),
            crate::verdict::DirectorVerdict { alive: true, vips: [VIP].into() },
        )]),
        setting_conflicts: BTreeMap::from([(
            "director-9".into(),
            SettingConflict { group: "older".into(), setting: NodeSetting::Timeouts },
        )]),
        leaving: BTreeSet::new(),
    };
    let status = group(&verdict, &Reports::new(), None, Time(0));
    assert_eq!(status.directors[0].state, DirectorState::Silent);
    let of = |kind| status.conditions.iter().find(|condition| condition.kind == kind).unwrap();
    assert_eq!(of(ConditionKind::Programmed).reason, Reason::NodeSettingConflict);
    assert!(of(ConditionKind::Programmed).message.contains("older"));
    assert_eq!(of(ConditionKind::Ready).status, ConditionStatus::False);
}

#[test]
fn a_group_says_which_director_cannot_forward_and_why() {
    let verdict = GroupVerdict {
        generation: 1,
        accepted: Judgement::yes(Reason::Accepted, "In force."),
        resolved: Judgement::yes(Reason::Resolved, "Found."),
        directors: BTreeMap::from([("director-1".into(), crate::verdict::DirectorVerdict::default())]),
        setting_conflicts: BTreeMap::new(),
        leaving: BTreeSet::new(),
    };
    let programmed = |reports: &Reports| {
        let status = group(&verdict, reports, None, Time(0));
        let found = status.conditions.into_iter().find(|condition| condition.kind == Programmed).unwrap();
        (found.reason, found.message)
    };
    let mut reports = reports();
    let (reason, message) = programmed(&reports);
    assert_eq!((reason, message.starts_with("director-1: ")), (Reason::IpvsMissing, true), "{message}");
    let node = &mut reports.get_mut(&"director-1".into()).unwrap().node;
    node.ipvs = true;
    node.troubles.insert(Trouble::new(Reason::NotPermitted, "the agent lacks CAP_NET_ADMIN"));
    assert_eq!(programmed(&reports).0, Reason::NotPermitted);
    reports.get_mut(&"director-1".into()).unwrap().node.troubles.clear();
    assert_eq!(programmed(&reports).0, Reason::Programmed);
}

#[test]
fn only_what_a_node_says_of_the_service_itself_counts() {
    let (verdict, mut reports) = (verdict(), reports());
    let services = &mut reports.get_mut(&"director-1".into()).unwrap().services;
    let other = services.remove(&web()).unwrap();
    services.insert("default/other".parse().unwrap(), other);
    let status = service(&web(), &verdict, &reports, None, Time(0));
    let ready = status.conditions.iter().find(|condition| condition.kind == Ready).unwrap();
    assert_eq!(ready.status, ConditionStatus::False, "another service's report is no proof: {ready:?}");
}

#[test]
fn an_agent_that_can_say_nothing_of_services_is_heard_of_itself_but_not_from_an_earlier_boot() {
    let (mut verdict, mut reports) = (verdict(), reports());
    let report = reports.get_mut(&"director-1".into()).unwrap();
    report.services.clear();
    report.node.troubles.insert(Trouble::new(Reason::NotPermitted, "the agent lacks CAP_NET_ADMIN"));
    let director = verdict.parts.get_mut(&"director-1".into()).unwrap();
    director.acknowledged = false;
    let reason = |verdict: &Verdict| judged(verdict, &reports, ConditionKind::Programmed).1;
    assert_eq!(reason(&verdict), Reason::NotPermitted);
    verdict.parts.get_mut(&"director-1".into()).unwrap().heard = false;
    assert_eq!(reason(&verdict), Reason::Pending);
}

#[test]
fn a_message_has_an_end_however_many_nodes_are_silent() {
    let mut verdict = verdict();
    let part = PartVerdict { acknowledged: false, ..verdict.parts[&"rs-1".into()] };
    verdict.parts = (0..1000).map(|number| (format!("node-{number:04}").as_str().into(), part)).collect();
    let status = service(&web(), &verdict, &Reports::new(), None, Time(0));
    let programmed = status.conditions.iter().find(|condition| condition.kind == Programmed).unwrap();
    let wanted = "Waiting for the report of node-0000,node-0001,node-0002,node-0003,node-0004,node-0005,node-0006,\
                  node-0007 and 992 more.";
    assert_eq!(programmed.message, wanted);

    verdict.accepted = Judgement::no(Reason::InvalidSpec, "ü".repeat(40_000));
    let status = service(&web(), &verdict, &Reports::new(), None, Time(0));
    assert_eq!(status.conditions[0].message.chars().count(), 32768);
}

#[test]
fn a_sysctl_that_cannot_be_set_is_the_groups_trouble_and_no_services() {
    let mut reports = reports();
    let director = reports.get_mut(&"director-1".into()).unwrap();
    director.node.ipvs = true;
    director.node.troubles.insert(Trouble::new(Reason::SysctlNotWritable, "only read"));
    let of = |conditions: Vec<Condition>| {
        conditions.into_iter().find(|condition| condition.kind == Programmed).unwrap().reason
    };
    assert_eq!(of(service(&web(), &verdict(), &reports, None, Time(0)).conditions), Reason::Programmed);
    let group = GroupVerdict {
        generation: 1,
        accepted: Judgement::yes(Reason::Accepted, "In force."),
        resolved: Judgement::yes(Reason::Resolved, "Found."),
        directors: BTreeMap::from([("director-1".into(), crate::verdict::DirectorVerdict::default())]),
        setting_conflicts: BTreeMap::new(),
        leaving: BTreeSet::new(),
    };
    assert_eq!(of(super::group(&group, &reports, None, Time(0)).conditions), Reason::SysctlNotWritable);
}

#[test]
fn a_token_is_told_once_every_director_has_zeroed_for_it() {
    let token = crate::counters::ZeroToken("one".to_owned());
    let wanted = Verdict { zero_counters: Some(token.clone()), ..verdict() };
    let mut reports = reports();
    let told = |reports: &Reports| service(&web(), &wanted, reports, None, Time(0)).counters_zeroed;
    assert_eq!(told(&reports), None);
    let of = |reports: &mut Reports, token: &str| {
        let report = reports.get_mut(&"director-1".into()).unwrap().services.get_mut(&web()).unwrap();
        report.counters_zeroed = Some(crate::counters::ZeroToken(token.to_owned()));
    };
    of(&mut reports, "before");
    assert_eq!(told(&reports), None);
    of(&mut reports, "one");
    assert_eq!(told(&reports), Some(token));
}
