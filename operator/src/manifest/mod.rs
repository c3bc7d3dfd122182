//! Manifests and other objects in files, as people and programs write them.

mod document;
mod kind;
pub(crate) mod print;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;
use kube::core::{ObjectMeta, Resource};
use lvs_crds::names::{is_dns_label, is_object_name};
use lvs_crds::{
    DirectorGroup, DirectorGroupSpec, NodePlan, NodePlanSlice, StatusOnly, Strict, VirtualService,
    VirtualServiceSpec, director_group, virtual_service,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) use document::Problem;
use document::{Document, Head, documents};
use kind::{Kind, kind};

/// What a file holds, kinds that are not ours left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Objects {
    /// VirtualServices.
    pub(crate) services: Vec<Specified<VirtualServiceSpec>>,
    /// DirectorGroups.
    pub(crate) groups: Vec<Specified<DirectorGroupSpec>>,
    /// Nodes.
    pub(crate) nodes: Vec<Node>,
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
    /// Objects of others that were passed over.
    pub(crate) skipped: Vec<String>,
    /// Whether a problem may hide an object whose name is not known.
    pub(crate) hides: bool,
}

/// A user's object: its specification, or what is wrong with it.
#[derive(Clone, Debug)]
pub(crate) struct Specified<S> {
    /// The metadata.
    pub(crate) metadata: ObjectMeta,
    /// The specification.
    pub(crate) spec: Result<S, String>,
}

#[derive(Deserialize)]
struct WithMetadata {
    #[serde(default)]
    metadata: ObjectMeta,
}

#[derive(Deserialize)]
struct WithSpec<S> {
    spec: S,
}

#[derive(Deserialize)]
struct WithItems {
    #[serde(default)]
    items: Vec<Value>,
}

/// Reads a file's text.
pub(crate) fn read(file: &Path, text: &str) -> Objects {
    let mut objects = Objects::default();
    for document in documents(file, text) {
        objects.add(&document);
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
        keep(&mut self.nodes, before.nodes, |node| node.metadata.name.clone());
    }

    fn add(&mut self, document: &Document<'_>) {
        match document.read::<Head>() {
            Ok(head) => {
                if let Err(problem) = self.add_kind(document, &head) {
                    self.hide(problem);
                }
            }
            Err(problem) => self.hide(problem),
        }
    }

    fn hide(&mut self, problem: Problem) {
        self.problems.push(problem);
        self.hides = true;
    }

    fn add_kind(&mut self, document: &Document<'_>, head: &Head) -> Result<(), Problem> {
        match kind(&head.api_version, &head.kind).map_err(|wrong| document.refuse(wrong))? {
            Kind::Node => self.add_node(document),
            Kind::List => self.add_items(document),
            Kind::VirtualService => self.add_service(document, head),
            Kind::DirectorGroup => self.add_group(document, head),
            Kind::NodePlan => self.add_plan(document, head),
            Kind::NodePlanSlice => self.add_slice(document, head),
            Kind::Other => {
                self.skip(document, &head.kind);
                Ok(())
            }
        }
    }

    fn skip(&mut self, document: &Document<'_>, kind: &str) {
        let name = document.read().ok().and_then(|WithMetadata { metadata }| metadata.name);
        let name = name.map(|name| format!(" {name}")).unwrap_or_default();
        self.skipped.push(format!("{kind}{name} in {}", document.file.display()));
    }

    fn add_service(&mut self, document: &Document<'_>, head: &Head) -> Result<(), Problem> {
        let metadata = named(document, true)?;
        if head.status.is_some() {
            self.service_statuses.extend(self::status::<VirtualService>(document, &mut self.problems));
        }
        if head.spec.is_some() || head.status.is_none() {
            let spec = self.specification(document);
            self.services.push(Specified { metadata, spec });
        }
        Ok(())
    }

    fn add_group(&mut self, document: &Document<'_>, head: &Head) -> Result<(), Problem> {
        let metadata = named(document, false)?;
        if head.status.is_some() {
            self.group_statuses.extend(self::status::<DirectorGroup>(document, &mut self.problems));
        }
        if head.spec.is_some() || head.status.is_none() {
            let spec = self.specification(document);
            self.groups.push(Specified { metadata, spec });
        }
        Ok(())
    }

    fn add_node(&mut self, document: &Document<'_>) -> Result<(), Problem> {
        named(document, false)?;
        self.nodes.push(document.read()?);
        Ok(())
    }

    fn add_plan(&mut self, document: &Document<'_>, head: &Head) -> Result<(), Problem> {
        named(document, false)?;
        match head.spec {
            Some(_) => self.plans.push(Arc::new(document.read()?)),
            None => self.plan_statuses.push(document.read()?),
        }
        Ok(())
    }

    fn add_slice(&mut self, document: &Document<'_>, head: &Head) -> Result<(), Problem> {
        named(document, false)?;
        match head.spec {
            Some(_) => self.slices.push(Arc::new(document.read()?)),
            None => self.slice_statuses.push(document.read()?),
        }
        Ok(())
    }

    /// The objects of a List, as kubectl prints several of them. What is wrong with one has no place in the file.
    fn add_items(&mut self, document: &Document<'_>) -> Result<(), Problem> {
        let list: WithItems = document.read()?;
        for (number, item) in list.items.iter().enumerate() {
            let text = item.to_string();
            let known = self.problems.len();
            for item in documents(document.file, &text) {
                self.add(&item);
            }
            for problem in &mut self.problems[known..] {
                problem.place = None;
                problem.message = format!("items[{number}]: {}", problem.message);
            }
        }
        Ok(())
    }

    /// The specification. One that cannot be read is a problem and, as its object's name is known, a verdict.
    fn specification<S: DeserializeOwned>(&mut self, document: &Document<'_>) -> Result<S, String> {
        document.read::<WithSpec<Strict<S>>>().map(|with| with.spec.0).map_err(|problem| {
            // What is wrong does not always say where: a port that is no number is an "invalid i32".
            let message = match problem.place {
                Some((line, column)) => format!("line {line}, column {column}: {}", problem.message),
                None => problem.message.clone(),
            };
            self.problems.push(problem);
            message
        })
    }
}

fn status<K>(document: &Document<'_>, problems: &mut Vec<Problem>) -> Option<StatusOnly<K>>
where
    K: kube::core::object::HasStatus<Status: DeserializeOwned> + Resource,
{
    document.read().map_err(|problem| problems.push(problem)).ok()
}

fn keep<T, N: Ord>(present: &mut Vec<T>, before: Vec<T>, name: impl Fn(&T) -> N) {
    let names: BTreeSet<N> = present.iter().map(&name).collect();
    present.extend(before.into_iter().filter(|object| !names.contains(&name(object))));
}

/// The metadata. Without a name that can be one it is not known which object it is, and files are named after it.
fn named(document: &Document<'_>, namespaced: bool) -> Result<ObjectMeta, Problem> {
    let WithMetadata { metadata } = document.read()?;
    let Some(name) = metadata.name.as_deref() else {
        return Err(document.refuse("there is no metadata.name: write the name of the object"));
    };
    let namespace = metadata.namespace.as_deref().unwrap_or("default");
    if !is_object_name(name) {
        let wrong = format!("metadata.name {name:?}: write lower-case letters, digits, '-' and '.'");
        return Err(document.refuse(wrong));
    }
    if namespaced && !is_dns_label(namespace) {
        let wrong = format!("metadata.namespace {namespace:?}: write lower-case letters, digits and '-'");
        return Err(document.refuse(wrong));
    }
    Ok(metadata)
}
