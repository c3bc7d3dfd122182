//! Which mark each service has whose ports are scheduled together.
//!
//! A mark stands in the plans, on every director the same, and stays with its service until that has left or is scheduled
//! otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

use siphasher::sip::SipHasher13;

use super::draft::{Draft, Form};
use super::past::Past;
use crate::marking::{Marking, RESERVED};
use crate::names::ServiceName;

/// How many services there can be whose ports are scheduled together.
pub(super) fn most() -> usize {
    RESERVED.count()
}

/// The marks of services in force: the user's own, or one of the reserved ones.
pub(super) fn marks(past: &Past<'_>, drafts: &BTreeMap<ServiceName, Draft>) -> BTreeMap<ServiceName, u32> {
    let mut held = BTreeMap::new();
    let mut taken = BTreeSet::new();
    for (name, mark) in past.marks().into_iter().filter(|(_, mark)| RESERVED.contains(mark)) {
        // Should two services have one mark, the first by name keeps it.
        if taken.insert(mark) {
            held.entry(name).or_insert(mark);
        }
    }
    let mut marks = BTreeMap::new();
    let forms = drafts.iter().filter_map(|(name, draft)| Some((name, draft.in_force.as_ref()?)));
    let mut waiting = Vec::new();
    for (name, form) in forms {
        match (form.marking, held.get(name)) {
            (Marking::Absent, _) => {}
            (Marking::Own(mark), _) => _ = marks.insert(name.clone(), mark),
            (Marking::Together, Some(mark)) => _ = marks.insert(name.clone(), *mark),
            (Marking::Together, None) => waiting.push(name),
        }
    }
    for name in waiting {
        if let Some(mark) = free(name, &taken) {
            taken.insert(mark);
            marks.insert(name.clone(), mark);
        }
    }
    marks
}

/// A free mark for a service, which depends on its name first and on others where they are in its way.
fn free(name: &ServiceName, taken: &BTreeSet<u32>) -> Option<u32> {
    let mut hasher = SipHasher13::new();
    name.hash(&mut hasher);
    let (first, last) = RESERVED.into_inner();
    let count = last - first + 1;
    // A remainder of a small number fits.
    let start = first + u32::try_from(hasher.finish() % u64::from(count)).unwrap_or_default();
    (start..=last).chain(first..start).find(|mark| !taken.contains(mark))
}

/// What a form of a plan says of its marking.
pub(super) fn marking(form: &crate::node_plan::ServiceForm) -> Marking {
    match form.mark {
        None => Marking::Absent,
        Some(mark) if form.ports.is_empty() => Marking::Own(mark),
        Some(_) => Marking::Together,
    }
}

/// Whether a form is scheduled by one of the reserved marks.
pub(super) fn is_together(form: &Form) -> bool {
    form.marking == Marking::Together
}
