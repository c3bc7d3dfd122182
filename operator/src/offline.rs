//! `plan`: the same decision over files, printed instead of written.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use lvs_core::names::NodeName;
use lvs_core::plan::{Plan as Decided, plan as decide, settled, unseen};
use lvs_core::verdict::Judgement;
use serde_json::Value;

use crate::arguments::{Output, Plan};
use crate::clock;
use crate::folder::{PLANS, REPORTS, scan};
use crate::manifest::{self, Objects, Problem, print};
use crate::memory::Memory;
use crate::observe::folder::{add_manifests, add_report};
use crate::snapshot::Snapshot;

/// Prints the plans.
pub(crate) fn plan(arguments: &Plan) -> anyhow::Result<ExitCode> {
    let (mut snapshot, complaints) = read(&arguments.filenames)?;
    snapshot.cluster.epoch = snapshot.highest_epoch().max(1);
    if let Some(why) = unseen(&snapshot.cluster) {
        print_lines("error", &complaints);
        anyhow::bail!("{why}");
    }
    let decided = decided(&snapshot, arguments);
    print_lines("error", &complaints);
    print_lines("warning", &snapshot.remarks);
    let accepted = tell(&decided);
    if let Some(node) = arguments.node.as_ref().filter(|node| !decided.nodes.contains_key(*node)) {
        let nodes: Vec<&str> = decided.nodes.keys().map(|node| node.0.as_str()).collect();
        anyhow::bail!("there is no Node {node} among the manifests; there are: {}", nodes.join(", "));
    }
    let text = text(&decided, arguments)?;
    match io::stdout().lock().write_all(text.as_bytes()) {
        // The reader has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written.context("cannot write to stdout")?,
    }
    Ok(if accepted && complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_lines<'a>(level: &str, lines: impl IntoIterator<Item = &'a String>) {
    for line in lines {
        eprintln!("{level}: {line}");
    }
}

/// Everything in the files, and what is wrong with them.
fn read(files: &[PathBuf]) -> anyhow::Result<(Snapshot, BTreeSet<String>)> {
    let mut snapshot = Snapshot::default();
    snapshot.cluster.complete = true;
    let mut complaints = BTreeSet::new();
    for file in files {
        if file.is_dir() {
            read_folder(file, &mut snapshot, &mut complaints)?;
        } else {
            let text = if file == Path::new("-") {
                let mut text = String::new();
                io::stdin().lock().read_to_string(&mut text).context("cannot read stdin")?;
                text
            } else {
                fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?
            };
            add(&mut snapshot, &manifest::read(file, &text), &mut complaints);
        }
    }
    snapshot.assemble(&Memory::default());
    Ok((snapshot, complaints))
}

/// A folder is laid out as `run --folder` wants it; where it has plans and reports, they count.
fn read_folder(
    folder: &Path,
    snapshot: &mut Snapshot,
    complaints: &mut BTreeSet<String>,
) -> anyhow::Result<()> {
    let context = || format!("cannot read {}", folder.display());
    let files = scan::manifests(folder).with_context(context)?;
    let plans = scan::written(&folder.join(PLANS)).with_context(context)?;
    let reports = scan::written(&folder.join(REPORTS)).with_context(context)?;
    for file in files.iter().chain(&plans) {
        add(snapshot, &read_file(file), complaints);
    }
    for file in &reports {
        let objects = read_file(file);
        complaints.extend(objects.problems.iter().map(Problem::to_string));
        add_report(snapshot, file, &objects);
    }
    Ok(())
}

fn read_file(file: &Path) -> Objects {
    match fs::read_to_string(file) {
        Ok(text) => manifest::read(file, &text),
        Err(error) => Objects::unknown(Problem::of_file(file, format_args!("cannot be read: {error}"))),
    }
}

fn add(snapshot: &mut Snapshot, objects: &Objects, complaints: &mut BTreeSet<String>) {
    objects.skipped.iter().for_each(|skipped| eprintln!("skipped: {skipped}"));
    add_manifests(snapshot, objects, complaints);
    objects.plans.iter().for_each(|plan| snapshot.add_plan(plan));
    objects.slices.iter().for_each(|slice| snapshot.add_slice(slice));
    for status in &objects.plan_statuses {
        snapshot.stored.entry(NodeName(status.name().to_owned())).or_default().node_status =
            Some(status.status.clone());
    }
    for status in &objects.slice_statuses {
        // A slice's name is its node's, a dot and a number.
        let node = status.name().rsplit_once('.').map_or(status.name(), |(node, _)| node);
        snapshot
            .stored
            .entry(NodeName(node.to_owned()))
            .or_default()
            .slice_statuses
            .push(status.status.clone());
    }
}

fn decided(snapshot: &Snapshot, arguments: &Plan) -> Decided {
    let now = arguments.now.unwrap_or_else(clock::now);
    if snapshot.stored.is_empty() {
        eprintln!(
            "No NodePlans among the input: supposes that every agent has done as it is told and reported success."
        );
        return settled(&snapshot.cluster, now);
    }
    decide(&snapshot.cluster, now).0
}

/// Says what is not as its user wanted it. Returns whether every specification is in force.
fn tell(decided: &Decided) -> bool {
    let mut all_accepted = true;
    let mut judge = |what: &str, accepted: &Judgement, resolved: &Judgement| {
        all_accepted &= accepted.holds;
        for (condition, judgement, level) in
            [("Accepted", accepted, "error"), ("ResolvedRefs", resolved, "warning")]
        {
            if !judgement.holds {
                eprintln!(
                    "{level}: {what}: {condition} is False ({}): {}",
                    judgement.reason, judgement.message
                );
            }
        }
    };
    for (name, verdict) in &decided.verdicts {
        let what = format!("VirtualService {name}");
        judge(&what, &verdict.accepted, &verdict.resolved);
        for vip in verdict.vips.values() {
            if let Some((reason, message)) = &vip.trouble {
                eprintln!("warning: {what}: {reason}: {message}");
            }
        }
    }
    for (name, verdict) in &decided.groups {
        judge(&format!("DirectorGroup {name}"), &verdict.accepted, &verdict.resolved);
        for (node, other) in &verdict.setting_conflicts {
            eprintln!(
                "warning: DirectorGroup {name}: on {node} the settings of DirectorGroup {other} count, it is older"
            );
        }
    }
    all_accepted
}

/// The plans by node, each with its slices behind it.
fn text(decided: &Decided, arguments: &Plan) -> anyhow::Result<String> {
    let mut objects: Vec<Value> = Vec::new();
    let wanted = |node: &&NodeName| arguments.node.as_ref().is_none_or(|wanted| wanted == *node);
    for node in decided.nodes.keys().filter(wanted) {
        let (plan, slices) = lvs_crds::plan::split(node, &decided.nodes[node]);
        objects.push(serde_json::to_value(&plan)?);
        for slice in &slices {
            objects.push(serde_json::to_value(slice)?);
        }
    }
    Ok(match arguments.output {
        Output::Yaml => print::yaml(objects)?,
        Output::Json => print::json_list(objects)?,
    })
}
