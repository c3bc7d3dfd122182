//! Manifests and other objects in files, as people and programs write them.

mod document;
mod item;
mod kind;
mod place;
pub(crate) mod print;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;
use kube::CustomResourceExt;
use kube::core::object::{HasSpec, HasStatus};
use kube::core::{ObjectMeta, Resource};
use lvs_crds::{
    DirectorGroup, DirectorGroupSpec, NodePlan, NodePlanSlice, StatusOnly, VirtualService,
    VirtualServiceSpec, director_group, virtual_service,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use document::Problem;
use document::documents;
use item::{Head, Item};
use kind::{Kind, kind};

/// What a file holds, kinds that are not ours left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Objects {
    /// VirtualServices.
    pub(crate) services: Vec<Specified<VirtualServiceSpec>>,
    /// DirectorGroups.
    pub(crate) groups: Vec<Specified<DirectorGroupSpec>>,
    /// Nodes.
    pub(crate) nodes: Vec<(Place, Node)>,
    /// NodePlans with a specification.
    pub(crate) plans: Vec<Arc<NodePlan>>,
    /// NodePlanSlices with a specification.
    pub(crate) slices: Vec<Arc<NodePlanSlice>>,
    /// Statuses of VirtualServices.
    pub(crate) service_statuses: Vec<StatusOnly<VirtualService>>,
    /// Statuses of DirectorGroups.
    pub(crate) group_statuses: Vec<StatusOnly<DirectorGroup>>,
    /// Statuses that stand alone, of NodePlans.
    pub(crate) plan_statuses: Vec<StatusOnly<NodePlan>>,
    /// Statuses that stand alone, of NodePlanSlices.
    pub(crate) slice_statuses: Vec<StatusOnly<NodePlanSlice>>,
    /// What could not be read.
    pub(crate) problems: Vec<Problem>,
    /// VirtualServices and DirectorGroups whose specification is among the problems.
    pub(crate) unread: BTreeSet<String>,
    /// Objects of others that were passed over.
    pub(crate) skipped: Vec<String>,
    /// Whether a problem may hide an object whose name is not known.
    pub(crate) hides: bool,
}

/// A user's object: its specification, or what is wrong with it.
#[derive(Clone, Debug)]
pub(crate) struct Specified<S> {
    /// Where it stands.
    pub(crate) place: Place,
    /// The metadata.
    pub(crate) metadata: ObjectMeta,
    /// The specification.
    pub(crate) spec: Result<S, String>,
}

/// Where an object stands: its file, and the line that it begins on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place(PathBuf, Option<usize>);

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0.display())?;
        self.1.map_or(Ok(()), |line| write!(formatter, ":{line}"))
    }
}

/// Reads a file's text.
pub(crate) fn read(file: &Path, text: &str) -> Objects {
    let mut objects = Objects::default();
    for document in documents(file, text) {
        match document.value() {
            Ok(value) => objects.add(&Item::of(&document, &value)),
            Err(problem) => objects.hide(problem),
        }
    }
    objects
}

impl Objects {
    /// What an unreadable file holds: something, and nobody knows what.
    pub(crate) fn unknown(problem: Problem) -> Self {
        Self { problems: vec![problem], hides: true, ..Self::default() }
    }

    /// Keeps what the same file held before, where it does not hold it in another form now: the part of a file that
    /// cannot be read may be just that.
    pub(crate) fn keep(&mut self, before: Self) {
        keep(&mut self.services, before.services, |service| virtual_service::name(&service.metadata));
        keep(&mut self.groups, before.groups, |group| director_group::name(&group.metadata));
        keep(&mut self.nodes, before.nodes, |(_, node)| node.metadata.name.clone());
    }

    fn add(&mut self, item: &Item<'_>) {
        let added = item.head().and_then(|head| self.add_kind(item, &head));
        if let Err(problem) = added {
            self.hide(problem);
        }
    }

    fn hide(&mut self, problem: Problem) {
        self.problems.push(problem);
        self.hides = true;
    }

    fn add_kind(&mut self, item: &Item<'_>, head: &Head) -> Result<(), Problem> {
        match kind(&head.api_version, &head.kind).map_err(|wrong| item.refuse(wrong))? {
            Kind::Node => {
                item.named(false)?;
                self.nodes.push((place(item), item.read()?));
            }
            Kind::List => item.items()?.for_each(|item| self.add(&item)),
            Kind::VirtualService => self.add_service(item, head)?,
            Kind::DirectorGroup => self.add_group(item, head)?,
            Kind::NodePlan => self.add_plan(item, head)?,
            Kind::NodePlanSlice => self.add_slice(item, head)?,
            Kind::Other => self.skip(item, &head.kind),
        }
        Ok(())
    }

    fn skip(&mut self, item: &Item<'_>, kind: &str) {
        let name = item.name().map(|name| format!(" {name}")).unwrap_or_default();
        self.skipped.push(format!("{kind}{name} in {}", item.document.file.display()));
    }

    fn add_service(&mut self, item: &Item<'_>, head: &Head) -> Result<(), Problem> {
        let metadata = item.named(true)?;
        if head.status.is_some() {
            self.service_statuses.extend(status::<VirtualService>(item, &mut self.problems));
        }
        if head.spec.is_some() || head.status.is_none() {
            let name = format!("VirtualService {}", virtual_service::name(&metadata));
            let spec = self.specification::<VirtualService>(item, &name);
            self.services.push(Specified { place: place(item), metadata, spec });
        }
        Ok(())
    }

    fn add_group(&mut self, item: &Item<'_>, head: &Head) -> Result<(), Problem> {
        let metadata = item.named(false)?;
        if head.status.is_some() {
            self.group_statuses.extend(status::<DirectorGroup>(item, &mut self.problems));
        }
        if head.spec.is_some() || head.status.is_none() {
            let name = format!("DirectorGroup {}", director_group::name(&metadata));
            let spec = self.specification::<DirectorGroup>(item, &name);
            self.groups.push(Specified { place: place(item), metadata, spec });
        }
        Ok(())
    }

    fn add_plan(&mut self, item: &Item<'_>, head: &Head) -> Result<(), Problem> {
        item.named(false)?;
        match head.spec {
            Some(_) => self.plans.push(Arc::new(item.read()?)),
            None => self.plan_statuses.push(item.read()?),
        }
        Ok(())
    }

    fn add_slice(&mut self, item: &Item<'_>, head: &Head) -> Result<(), Problem> {
        item.named(false)?;
        match head.spec {
            Some(_) => self.slices.push(Arc::new(item.read()?)),
            None => self.slice_statuses.push(item.read()?),
        }
        Ok(())
    }

    /// The specification. One that cannot be read is a problem and, as its object's name is known, a verdict.
    fn specification<K>(&mut self, item: &Item<'_>, name: &str) -> Result<K::Spec, String>
    where
        K: HasSpec<Spec: DeserializeOwned + Serialize> + CustomResourceExt,
    {
        item.specification::<K>().map_err(|found| {
            let messages: Vec<String> = found.iter().map(Problem::without_file).collect();
            self.unread.insert(name.to_owned());
            self.problems.extend(found.into_iter().map(|problem| problem.of(name)));
            messages.join("; ")
        })
    }
}

/// Where an object begins.
fn place(item: &Item<'_>) -> Place {
    let place = item.document.place(&item.at, false);
    Place(item.document.file.to_owned(), place.map(|(line, _)| line))
}

fn status<K>(item: &Item<'_>, problems: &mut Vec<Problem>) -> Option<StatusOnly<K>>
where
    K: HasStatus<Status: DeserializeOwned> + Resource,
{
    item.read().map_err(|problem| problems.push(problem)).ok()
}

fn keep<T, N: Ord>(present: &mut Vec<T>, before: Vec<T>, name: impl Fn(&T) -> N) {
    let names: BTreeSet<N> = present.iter().map(&name).collect();
    present.extend(before.into_iter().filter(|object| !names.contains(&name(object))));
}
