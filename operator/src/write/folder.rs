//! Writes into a folder: a file per plan and per status, each whole or not at all.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use kube::Resource;
use lvs_core::names::ServiceName;
use lvs_crds::{DirectorGroup, VirtualService};
use serde::Serialize;
use serde_json::{Value, json};

use super::Outcome;
use super::events::Events;
use crate::change::{Change, PlanChange, ServiceStatusChange};
use crate::clock;
use crate::folder::{Folder, remove, write_atomically};
use crate::manifest::print;
use crate::snapshot::Orphan;

/// The writer.
#[derive(Debug)]
pub(crate) struct FolderWriter {
    folder: Arc<Folder>,
    events: Events,
}

impl FolderWriter {
    /// A writer to an open folder.
    pub(crate) fn new(folder: Arc<Folder>) -> Self {
        Self { folder, events: Events::new() }
    }

    /// Writes each change.
    pub(super) fn apply(&mut self, changes: &[&Change], outcome: &mut Outcome) {
        for change in changes {
            match self.write(change) {
                Ok(()) => outcome.written += 1,
                Err(error) => outcome.failed.push((change.to_string(), format!("{error:#}"))),
            }
        }
    }

    fn write(&mut self, change: &Change) -> anyhow::Result<()> {
        match change {
            Change::Plan(change) => self.write_plan(change),
            Change::RemovePlan { node, .. } => remove_file(&self.folder.plan_file(node)),
            Change::ServiceStatus(change) => {
                let name = &change.name;
                let metadata = json!({ "name": name.name, "namespace": name.namespace });
                write_file(
                    &self.folder.service_status_file(name),
                    &[status::<VirtualService>(&metadata, &change.status)?],
                )?;
                self.tell(change);
                Ok(())
            }
            Change::GroupStatus { name, status: group } => {
                let metadata = json!({ "name": name.0 });
                write_file(
                    &self.folder.group_status_file(name),
                    &[status::<DirectorGroup>(&metadata, group)?],
                )
            }
            Change::RemoveStatus(Orphan::Service(name)) => {
                remove_file(&self.folder.service_status_file(name))
            }
            Change::RemoveStatus(Orphan::Group(name)) => remove_file(&self.folder.group_status_file(name)),
        }
    }

    /// The plan and all its slices are one file, so that no reader ever sees a part.
    fn write_plan(&self, change: &PlanChange) -> anyhow::Result<()> {
        let mut documents = vec![serde_json::to_value(&change.plan)?];
        for slice in &change.slices {
            documents.push(serde_json::to_value(slice)?);
        }
        write_file(&self.folder.plan_file(&change.node), &documents)
    }

    /// Without an API server the log is where events go.
    fn tell(&mut self, change: &ServiceStatusChange) {
        let ServiceName { namespace, name } = &change.name;
        for transition in self.events.due(change, clock::monotonic()) {
            let condition = transition.condition;
            tracing::info!(
                "VirtualService {namespace}/{name}: {} is {} ({}): {}",
                condition.kind,
                condition.status,
                condition.reason,
                condition.message
            );
        }
    }
}

fn status<K: Resource<DynamicType = ()>>(metadata: &Value, status: &impl Serialize) -> anyhow::Result<Value> {
    Ok(json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": metadata,
        "status": serde_json::to_value(status)?,
    }))
}

fn write_file(path: &Path, documents: &[Value]) -> anyhow::Result<()> {
    let text = print::yaml(documents)?;
    write_atomically(path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

fn remove_file(path: &Path) -> anyhow::Result<()> {
    remove(path).with_context(|| format!("cannot remove {}", path.display()))
}
