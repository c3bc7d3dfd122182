//! What `plan` says of services and groups that are not as their user wanted them.

use std::collections::BTreeSet;

use lvs_core::cluster::Service;
use lvs_core::names::ServiceName;
use lvs_core::node_plan::StageName;
use lvs_core::plan::Plan;
use lvs_core::scheduling::KNOWN_SCHEDULERS;
use lvs_core::verdict::{GroupVerdict, Judgement, Verdict};

use crate::snapshot::Snapshot;

/// Says it on stderr; what has been said already, because a specification could not be read, is not said again. Groups
/// come first: what is wrong with one is the cause of what is wrong with its services. Returns whether every
/// specification is in force.
pub(crate) fn tell(snapshot: &Snapshot, decided: &Plan, said: &BTreeSet<String>) -> bool {
    for (name, verdict) in &decided.groups {
        group(&format!("DirectorGroup {name}"), verdict, said);
    }
    for (name, verdict) in &decided.verdicts {
        service(name, verdict, snapshot.cluster.services.get(name), said);
    }
    decided.groups.values().all(|verdict| verdict.accepted.holds)
        && decided.verdicts.values().all(|verdict| verdict.accepted.holds)
}

fn group(what: &str, verdict: &GroupVerdict, said: &BTreeSet<String>) {
    judge(what, &verdict.accepted, &verdict.resolved, said);
    for (node, conflict) in &verdict.setting_conflicts {
        let (group, setting) = (&conflict.group, conflict.setting);
        eprintln!("warning: {what}: on {node} {setting} is as DirectorGroup {group} has it, it is older");
    }
}

fn service(name: &ServiceName, verdict: &Verdict, service: Option<&Service>, said: &BTreeSet<String>) {
    let what = format!("VirtualService {name}");
    judge(&what, &verdict.accepted, &verdict.resolved, said);
    for vip in verdict.vips.values() {
        if let Some((reason, message)) = &vip.trouble {
            eprintln!("warning: {what}: {reason}: {message}");
        }
    }
    if !verdict.accepted.holds {
        return;
    }
    let Some(Ok(spec)) = service.map(|service| &service.spec) else { return };
    let mut staying = verdict.real_servers.iter().filter(|server| server.stage != StageName::Removed);
    if spec.real_servers.is_empty() {
        eprintln!("warning: {what}: it has no real servers, so no connection is answered");
    } else if staying.all(|server| server.addresses.is_empty()) {
        eprintln!("warning: {what}: none of its real servers was found, so no connection is answered");
    }
    let scheduler = spec.scheduling.scheduler.as_str();
    if !KNOWN_SCHEDULERS.contains(&scheduler) {
        eprintln!(
            "warning: {what}: Linux is not known to have a scheduler {scheduler}; it has {}",
            KNOWN_SCHEDULERS.join(", ")
        );
    }
}

fn judge(what: &str, accepted: &Judgement, resolved: &Judgement, said: &BTreeSet<String>) {
    let (level, condition, judgement) =
        if accepted.holds { ("warning", "ResolvedRefs", resolved) } else { ("error", "Accepted", accepted) };
    let said = !accepted.holds && said.contains(what);
    if !judgement.holds && !said {
        eprintln!("{level}: {what}: {condition} is False ({}): {}", judgement.reason, judgement.message);
    }
}
