//! Reads from a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use lvs_core::names::NodeName;

use super::complaints::Complaints;
use crate::folder::scan::{self, Files};
use crate::folder::watch::Watch;
use crate::folder::{Folder, PLANS, REPORTS, STATUS};
use crate::manifest::{self, Objects, Place, Problem};
use crate::memory::Memory;
use crate::snapshot::{Orphan, Snapshot};

/// The reader.
#[derive(Debug)]
pub(crate) struct FolderObserver {
    folder: Arc<Folder>,
    watch: Watch,
    manifests: Files<Objects>,
    plans: Files<Objects>,
    reports: Files<Objects>,
    statuses: Files<Objects>,
    /// The lineage of the folder where no plan has one yet.
    lineage: String,
    complaints: Complaints,
}

impl FolderObserver {
    /// Starts to watch an open folder. `lineage` is for a folder without plans.
    pub(crate) fn start(folder: Arc<Folder>, lineage: String) -> Self {
        Self {
            watch: Watch::start(&folder.path),
            folder,
            manifests: Files::default(),
            plans: Files::default(),
            reports: Files::default(),
            statuses: Files::default(),
            lineage,
            complaints: Complaints::default(),
        }
    }

    /// Waits until a file has changed, or nothing can be read any more.
    pub(super) async fn changed(&mut self) {
        loop {
            self.watch.changed().await;
            if self.scan().unwrap_or(true) || !self.folder.is_same() {
                return;
            }
        }
    }

    /// What is there now; `None` while the folder itself, or a plan in it, cannot be read.
    pub(super) fn snapshot(&mut self, memory: &Memory) -> Option<Snapshot> {
        let mut complaints = BTreeSet::new();
        let snapshot = self.read(memory, &mut complaints);
        self.complaints.tell(complaints);
        snapshot
    }

    fn read(&mut self, memory: &Memory, complaints: &mut BTreeSet<String>) -> Option<Snapshot> {
        if !self.folder.is_same() {
            let shown = self.folder.path.display();
            complaints.insert(format!("{shown} is not the folder that was opened: nothing is planned until the operator is started anew"));
            return None;
        }
        if let Err(error) = self.scan() {
            complaints.insert(format!("cannot read {}: {error}", self.folder.path.display()));
            return None;
        }
        let mut snapshot = Snapshot::default();
        snapshot.cluster.complete = true;
        let mut gathered = Gathered::default();
        for (_, objects) in self.manifests.iter() {
            gathered.add(&mut snapshot, objects);
        }
        complaints.append(&mut gathered.complaints);
        for (_, objects) in self.plans.iter() {
            objects.plans.iter().for_each(|plan| snapshot.add_plan(plan));
            objects.slices.iter().for_each(|slice| snapshot.add_slice(slice));
        }
        for (path, objects) in self.reports.iter() {
            complaints.extend(objects.problems.iter().map(Problem::to_string));
            add_report(&mut snapshot, path, objects);
        }
        for (_, objects) in self.statuses.iter() {
            add_statuses(&mut snapshot, objects);
        }
        snapshot.assemble(memory);
        self.add_lineages(&mut snapshot);
        complaints.extend(snapshot.remarks.iter().cloned());
        // A plan that cannot be read may ask anything of its node, so nothing can follow it.
        let unreadable: Vec<&Problem> =
            self.plans.iter().flat_map(|(_, objects)| &objects.problems).collect();
        complaints.extend(unreadable.iter().map(|problem| {
            format!("{problem}; nothing is planned until this plan can be read: move it away to plan its node afresh")
        }));
        unreadable.is_empty().then_some(snapshot)
    }

    /// Reads what has changed, and returns whether anything has.
    fn scan(&mut self) -> io::Result<bool> {
        let path = &self.folder.path;
        let manifests = self.manifests.scan(scan::manifests(path)?, |file, text, before| {
            let mut objects = read(file, text);
            if let Some(before) = before.filter(|_| objects.hides) {
                objects.keep(before);
            }
            objects
        });
        let plans = self.plans.scan(scan::written(&path.join(PLANS))?, |file, text, _| read(file, text));
        let reports = self.reports.scan(scan::written(&path.join(REPORTS))?, |file, text, before| {
            let mut objects = read(file, text);
            if let Some(before) = before.filter(|_| !objects.problems.is_empty()) {
                // What the node last said is nearer to the truth than that it says nothing.
                objects = Objects { problems: objects.problems, ..before };
            }
            objects
        });
        let statuses =
            self.statuses.scan(scan::written(&path.join(STATUS))?, |file, text, _| read(file, text));
        Ok(manifests || plans || reports || statuses)
    }

    /// One lineage for the folder: that of the plans that are there, else a new one.
    fn add_lineages(&self, snapshot: &mut Snapshot) {
        let mut lineages = snapshot.cluster.previous.values().map(|plan| &plan.lineage);
        let lineage = lineages.find(|lineage| !lineage.is_empty()).unwrap_or(&self.lineage).clone();
        let nodes = snapshot.cluster.nodes.keys();
        snapshot.cluster.lineages = nodes.map(|node| (node.clone(), lineage.clone())).collect();
    }
}

fn read(file: &Path, text: io::Result<String>) -> Objects {
    match text {
        Ok(text) => {
            let objects = manifest::read(file, &text);
            objects.skipped.iter().for_each(|skipped| tracing::debug!("skipped: {skipped}"));
            objects
        }
        // Gone since the folder was listed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Objects::default(),
        Err(error) => Objects::unknown(Problem::of_file(file, format_args!("cannot be read: {error}"))),
    }
}

/// What users wrote, file by file.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    /// What is wrong with it.
    pub(crate) complaints: BTreeSet<String>,
    /// VirtualServices and DirectorGroups whose specification could not be read, which a complaint says.
    pub(crate) unread: BTreeSet<String>,
    /// Where each object stands.
    places: BTreeMap<String, Place>,
}

impl Gathered {
    /// Adds the objects of one file. Of two with one name the first counts.
    pub(crate) fn add(&mut self, snapshot: &mut Snapshot, objects: &Objects) {
        self.complaints.extend(objects.problems.iter().map(Problem::to_string));
        self.unread.extend(objects.unread.iter().cloned());
        snapshot.cluster.complete &= !objects.hides;
        for service in &objects.services {
            let name = lvs_crds::virtual_service::name(&service.metadata);
            if self.is_first(format!("VirtualService {name}"), &service.place) {
                snapshot.add_service(&service.metadata, service.spec.as_ref().map_err(String::as_str));
            }
        }
        for group in &objects.groups {
            let name = lvs_crds::director_group::name(&group.metadata);
            if self.is_first(format!("DirectorGroup {name}"), &group.place) {
                snapshot.add_group(&group.metadata, group.spec.as_ref().map_err(String::as_str));
            }
        }
        for (place, node) in &objects.nodes {
            let name = node.metadata.name.clone().unwrap_or_default();
            if self.is_first(format!("Node {name}"), place) {
                snapshot.add_node(node);
            }
        }
    }

    fn is_first(&mut self, what: String, place: &Place) -> bool {
        if let Some(first) = self.places.get(&what) {
            let complaint =
                format!("{what} stands at {first} and at {place}: {first} counts, take the other out");
            self.complaints.insert(complaint);
            return false;
        }
        self.places.insert(what, place.clone());
        true
    }
}

/// Adds what a node's agent wrote; in its own file it can speak of its own node only.
pub(crate) fn add_report(snapshot: &mut Snapshot, path: &Path, objects: &Objects) {
    let node = NodeName(path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default());
    let stored = snapshot.stored.entry(node.clone()).or_default();
    for status in objects.plan_statuses.iter().filter(|status| status.name() == node.0) {
        stored.node_status = Some(status.status.clone());
    }
    stored.slice_statuses.extend(objects.slice_statuses.iter().map(|status| status.status.clone()));
}

/// Adds what the operator itself wrote of its users' objects.
fn add_statuses(snapshot: &mut Snapshot, objects: &Objects) {
    for status in &objects.service_statuses {
        let name = lvs_crds::virtual_service::name(&status.metadata);
        if snapshot.cluster.services.contains_key(&name) {
            snapshot.add_service_status(&status.metadata, &status.status);
        } else if snapshot.cluster.complete {
            snapshot.orphans.push(Orphan::Service(name));
        }
    }
    for status in &objects.group_statuses {
        let name = lvs_crds::director_group::name(&status.metadata);
        if snapshot.cluster.groups.contains_key(&name) {
            snapshot.add_group_status(&status.metadata, &status.status);
        } else if snapshot.cluster.complete {
            snapshot.orphans.push(Orphan::Group(name));
        }
    }
}
