//! What every object's metadata says.

use kube::core::ObjectMeta;
use lvs_core::time::Time;

/// When an object was created; the beginning of time where it does not say, as in a folder.
#[must_use]
pub(crate) fn created(metadata: &ObjectMeta) -> Time {
    metadata.creation_timestamp.as_ref().map_or(Time::default(), |time| Time(time.0.as_millisecond()))
}
