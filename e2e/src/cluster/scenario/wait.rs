//! Waiting for what comes by itself.

use std::time::Duration;

use anyhow::Result;

use crate::lab::process::wait_at_pace;

/// How long anything may take. Most of it is over in seconds; a node needs longer to be missed.
const DEADLINE: Duration = Duration::from_secs(180);
/// Between two questions.
const PACE: Duration = Duration::from_millis(300);

/// Asks until the answer is yes. A question that fails is asked again: a node may be away for a while.
///
/// Fails after the deadline, with the last answer's error.
pub(super) fn until(what: &str, holds: impl FnMut() -> Result<bool>) -> Result<()> {
    wait_at_pace(PACE, what, DEADLINE, holds)
}
