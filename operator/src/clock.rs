//! The clocks, read here and handed on as values.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use lvs_core::time::{Monotonic, Time};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The wall clock.
pub(crate) fn now() -> Time {
    let milliseconds =
        |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Time(milliseconds(since)),
        Err(before) => Time(-milliseconds(before.duration())),
    }
}

/// The monotonic clock.
pub(crate) fn monotonic() -> Monotonic {
    Monotonic(u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX))
}
