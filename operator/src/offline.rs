//! `plan`: the same decision over files, printed instead of written.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use lvs_core::names::NodeName;
use lvs_core::plan::{Plan as Decided, plan as decide, settled, unseen};
use serde_json::Value;

use crate::arguments::{Output, Plan};
use crate::clock;
use crate::folder::{PLANS, REPORTS, scan};
use crate::manifest::{self, Objects, Problem, print};
use crate::memory::Memory;
use crate::observe::folder::{Gathered, add_report};
use crate::snapshot::Snapshot;
use crate::tell::tell;

/// Prints the plans.
pub(crate) fn plan(arguments: &Plan) -> anyhow::Result<ExitCode> {
    let (mut snapshot, gathered) = read(&arguments.filenames)?;
    let complaints = &gathered.complaints;
    if is_empty(&snapshot) {
        print_lines("error", complaints);
        let files: Vec<String> = arguments.filenames.iter().map(|file| file.display().to_string()).collect();
        anyhow::bail!(
            "no manifest of ours in {}: write VirtualServices, DirectorGroups and Nodes",
            files.join(", ")
        );
    }
    snapshot.cluster.epoch = snapshot.highest_epoch().max(1);
    if let Some(why) = unseen(&snapshot.cluster) {
        print_lines("error", complaints);
        anyhow::bail!("{why}");
    }
    let decided = decided(&snapshot, arguments);
    print_lines("error", complaints);
    print_lines("warning", &snapshot.remarks);
    let accepted = tell(&snapshot, &decided, &gathered.unread);
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

/// Whether nothing was read that a plan could be made of.
fn is_empty(snapshot: &Snapshot) -> bool {
    let cluster = &snapshot.cluster;
    cluster.services.is_empty()
        && cluster.groups.is_empty()
        && cluster.nodes.is_empty()
        && snapshot.stored.is_empty()
}

fn print_lines<'a>(level: &str, lines: impl IntoIterator<Item = &'a String>) {
    for line in lines {
        eprintln!("{level}: {line}");
    }
}

/// Everything in the files, and what is wrong with them.
fn read(files: &[PathBuf]) -> anyhow::Result<(Snapshot, Gathered)> {
    let mut snapshot = Snapshot::default();
    snapshot.cluster.complete = true;
    let mut gathered = Gathered::default();
    for file in files {
        if file.is_dir() {
            read_folder(file, &mut snapshot, &mut gathered)?;
        } else {
            let text = if file == Path::new("-") {
                let mut text = String::new();
                io::stdin().lock().read_to_string(&mut text).context("cannot read stdin")?;
                text
            } else {
                fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?
            };
            add(&mut snapshot, &manifest::read(file, &text), &mut gathered);
        }
    }
    snapshot.assemble(&Memory::default());
    Ok((snapshot, gathered))
}

/// A folder is laid out as `run --folder` wants it; where it has plans and reports, they count.
fn read_folder(folder: &Path, snapshot: &mut Snapshot, gathered: &mut Gathered) -> anyhow::Result<()> {
    let context = || format!("cannot read {}", folder.display());
    let files = scan::manifests(folder).with_context(context)?;
    let plans = scan::written(&folder.join(PLANS)).with_context(context)?;
    let reports = scan::written(&folder.join(REPORTS)).with_context(context)?;
    for file in files.iter().chain(&plans) {
        add(snapshot, &read_file(file), gathered);
    }
    for file in &reports {
        let objects = read_file(file);
        gathered.complaints.extend(objects.problems.iter().map(Problem::to_string));
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

fn add(snapshot: &mut Snapshot, objects: &Objects, gathered: &mut Gathered) {
    objects.skipped.iter().for_each(|skipped| eprintln!("skipped: {skipped}"));
    gathered.add(snapshot, objects);
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
