//! A node's plan as objects, and back.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::Hasher;

use kube::core::ObjectMeta;
use lvs_core::names::NodeName;
use lvs_core::node_plan::{NodePlan as Plan, PlannedService};
use serde_json::Value;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::as_written::AsWritten;
use crate::names::{NODE_LABEL, node_label, slice_name};
use crate::node_plan::{NodePlan, NodePlanSlice, NodePlanSliceSpec, NodePlanSpec, SliceReference};
use crate::read_slice::ReadSlice;

/// The most JSON that the services of one slice may come to, in bytes. An object of the API server may have 1.5 MiB,
/// and every change of a service writes its whole slice.
const LARGEST_SLICE: usize = 256 * 1024;

/// With more slices than this, larger ones are the lesser evil.
const MOST_SLICES: usize = 1024;

type Services = BTreeMap<String, AsWritten<PlannedService>>;

/// A node's plan as a NodePlan and its slices: the smallest power of two of slices for which each is small enough, a
/// service in the slice that a hash of its name says. Slices without a service are left out.
///
/// Slices are written before the NodePlan that names them, and those that it no longer names are deleted after it.
#[must_use]
pub fn split(node: &NodeName, plan: &Plan) -> (NodePlan, Vec<NodePlanSlice>) {
    let services: Services =
        plan.services.iter().map(|(name, service)| (name.to_string(), AsWritten::of(&**service))).collect();
    let sizes: BTreeMap<&str, usize> =
        services.iter().map(|(name, service)| (name.as_str(), size(name, service.json()))).collect();
    let count = slice_count(&sizes);
    let mut parts: BTreeMap<usize, Services> = BTreeMap::new();
    for (name, service) in services {
        parts.entry(slice_of(&name, count)).or_default().insert(name, service);
    }
    let slices: Vec<NodePlanSlice> =
        parts.into_iter().map(|(number, services)| slice(node, number, services)).collect();
    let spec = NodePlanSpec {
        epoch: plan.epoch,
        lineage: Some(plan.lineage.clone()).filter(|lineage| !lineage.is_empty()),
        service_count: plan.services.len(),
        settings: plan.settings.clone(),
        slices: slices.iter().map(reference).collect(),
    };
    (NodePlan::new(&node.0, spec), slices)
}

fn size(name: &str, service: &Value) -> usize {
    name.len() + service.to_string().len() + "\"\":,".len()
}

fn slice_count(sizes: &BTreeMap<&str, usize>) -> usize {
    let mut count = 1;
    while count < MOST_SLICES && !fits(sizes, count) {
        count *= 2;
    }
    count
}

/// Whether every slice is small enough, or has one service only and so cannot become smaller.
fn fits(sizes: &BTreeMap<&str, usize>, count: usize) -> bool {
    let mut slices: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
    for (name, size) in sizes {
        let (services, bytes) = slices.entry(slice_of(name, count)).or_default();
        *services += 1;
        *bytes += size;
    }
    slices.values().all(|(services, bytes)| *bytes <= LARGEST_SLICE || *services == 1)
}

fn slice_of(name: &str, count: usize) -> usize {
    let mut hasher = siphasher::sip::SipHasher13::new();
    hasher.write(name.as_bytes());
    let mask = u64::try_from(count - 1).unwrap_or(u64::MAX);
    usize::try_from(hasher.finish() & mask).unwrap_or_default()
}

fn slice(node: &NodeName, number: usize, services: Services) -> NodePlanSlice {
    let mut slice = NodePlanSlice::new(
        &slice_name(node, number),
        NodePlanSliceSpec { node_name: node.clone(), services },
    );
    slice.metadata.labels = Some(BTreeMap::from([(NODE_LABEL.to_owned(), node_label(node))]));
    slice
}

fn reference(slice: &NodePlanSlice) -> SliceReference {
    SliceReference { name: name_of(&slice.metadata).to_owned(), hash: hash(&slice.spec.services) }
}

fn name_of(metadata: &ObjectMeta) -> &str {
    metadata.name.as_deref().unwrap_or_default()
}

/// What keeps a plan from being complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A slice that the plan names is not there.
    Missing(String),
    /// A slice has another hash than the plan says: one of the two is yet to come, or somebody has changed it.
    Differs(String),
    /// A service of a slice cannot be read; what is wrong with it.
    Unreadable {
        /// The slice.
        slice: String,
        /// The service's key in it.
        service: String,
        /// What is wrong.
        error: String,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(slice) => write!(formatter, "NodePlanSlice {slice} is missing"),
            Self::Differs(slice) => {
                write!(formatter, "NodePlanSlice {slice} has another hash than the NodePlan names")
            }
            Self::Unreadable { slice, service, error } => {
                write!(formatter, "NodePlanSlice {slice}: service {service}: {error}")
            }
        }
    }
}

/// The plan that a NodePlan and slices make, and what keeps it from being complete. Slices that it does not name are
/// passed over. What can be read of an incomplete plan is in it.
#[must_use]
pub fn assemble<'a>(
    plan: &NodePlan,
    slices: impl IntoIterator<Item = &'a NodePlanSlice>,
) -> (Plan, Vec<Fault>) {
    let read: Vec<ReadSlice> = slices.into_iter().map(|slice| ReadSlice::of(slice, None)).collect();
    assemble_read(plan, &read)
}

/// The same of slices that have been read; the plan shares their services.
#[must_use]
pub fn assemble_read<'a>(
    plan: &NodePlan,
    slices: impl IntoIterator<Item = &'a ReadSlice>,
) -> (Plan, Vec<Fault>) {
    let slices: BTreeMap<&str, &ReadSlice> =
        slices.into_iter().map(|slice| (slice.name.as_str(), slice)).collect();
    let mut faults = Vec::new();
    let mut services = BTreeMap::new();
    for SliceReference { name, hash: expected } in &plan.spec.slices {
        let Some(slice) = slices.get(name.as_str()) else {
            faults.push(Fault::Missing(name.clone()));
            continue;
        };
        if slice.hash != *expected {
            faults.push(Fault::Differs(name.clone()));
        }
        for (service, planned) in &slice.services {
            match planned {
                Ok((service, planned)) => _ = services.insert(service.clone(), planned.clone()),
                Err(error) => {
                    let (slice, service, error) = (name.clone(), service.clone(), error.clone());
                    faults.push(Fault::Unreadable { slice, service, error });
                }
            }
        }
    }
    let lineage = plan.metadata.uid.clone().or_else(|| plan.spec.lineage.clone()).unwrap_or_default();
    let (epoch, settings) = (plan.spec.epoch, plan.spec.settings.clone());
    (Plan { epoch, lineage, complete: faults.is_empty(), settings, services }, faults)
}

/// The hash of a slice's services as they were written, 32 hexadecimal digits: SipHash-1-3 with 128 bits and a zero
/// key, of their JSON, keys in order, no space. The same in every version.
#[must_use]
pub fn hash(services: &BTreeMap<String, AsWritten<PlannedService>>) -> String {
    let mut hasher = SipHasher13::new();
    for (name, service) in services {
        feed(&mut hasher, &Value::from(name.as_str()));
        feed(&mut hasher, service.json());
    }
    let hash = hasher.finish128();
    format!("{:016x}{:016x}", hash.h1, hash.h2)
}

/// `Value` orders the keys of objects or not, as a feature of some crate in the build decides, so they are ordered
/// here.
fn feed(hasher: &mut SipHasher13, value: &Value) {
    match value {
        Value::Object(fields) => {
            let ordered: BTreeMap<&String, &Value> = fields.iter().collect();
            hasher.write(b"{");
            for (key, value) in ordered {
                hasher.write(Value::from(key.as_str()).to_string().as_bytes());
                hasher.write(b":");
                feed(hasher, value);
            }
            hasher.write(b"}");
        }
        Value::Array(items) => {
            hasher.write(b"[");
            for item in items {
                feed(hasher, item);
                hasher.write(b",");
            }
            hasher.write(b"]");
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            hasher.write(value.to_string().as_bytes());
        }
    }
}
