//! `import`: manifests out of what LVS is run with today.
//!
//! [`ipvsadm`] and [`keepalived`] read, [`table`] is what they have in common, [`manifests`] writes.

mod block;
mod ipvsadm;
mod keepalived;
mod manifests;
mod table;
mod tunnel;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use crate::arguments::{Import, Source};
use crate::manifest::print;
use manifests::{Naming, manifests};

/// Prints the manifests, and on standard error each line that could not be carried over.
pub(crate) fn import(arguments: &Import) -> anyhow::Result<ExitCode> {
    let text = read(&arguments.file)?;
    let mut table = match arguments.from.unwrap_or_else(|| guess(&text)) {
        Source::Ipvsadm => ipvsadm::read(&text),
        Source::Keepalived => keepalived::read(&text),
    };
    let naming = Naming {
        namespace: arguments.namespace.clone(),
        group: arguments.director_group.clone(),
        nodes: arguments.nodes.iter().map(|(node, address)| (*address, node.clone())).collect(),
        mark_vips: mark_vips(&arguments.mark_vips),
    };
    let manifests = manifests(&mut table, &naming);
    table.left.sort_by_key(|left| left.line);
    for left in &table.left {
        eprintln!("line {}: not carried over: {}: {}", left.line, left.text, left.why);
    }
    anyhow::ensure!(
        !manifests.is_empty(),
        "{} holds no virtual server that can be carried over",
        arguments.file.display()
    );
    eprintln!("{} VirtualServices made; {} lines not carried over", manifests.len() - 1, table.left.len());
    let output = print::yaml(manifests)?;
    match io::stdout().lock().write_all(output.as_bytes()) {
        // The reader has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written.context("cannot write to stdout")?,
    }
    Ok(if table.left.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn mark_vips(given: &[(u32, IpAddr)]) -> BTreeMap<u32, BTreeSet<IpAddr>> {
    let mut vips = BTreeMap::<u32, BTreeSet<IpAddr>>::new();
    for (mark, vip) in given {
        vips.entry(*mark).or_default().insert(*vip);
    }
    vips
}

/// A dump's lines begin with an option or the program; a configuration's with a word and a brace.
fn guess(text: &str) -> Source {
    let mut lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', '!']));
    let dump = |line: &str| {
        let first = line.split_whitespace().next().unwrap_or_default();
        first.starts_with('-') || first.ends_with("ipvsadm")
    };
    if lines.next().is_some_and(dump) { Source::Ipvsadm } else { Source::Keepalived }
}

fn read(file: &Path) -> anyhow::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
}
