//! Waiting for what comes by itself.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long anything may take. Most of it is over in seconds; a node needs longer to be missed.
const DEADLINE: Duration = Duration::from_secs(180);
/// Between two questions.
const PACE: Duration = Duration::from_millis(300);

/// Asks until the answer is yes. A question that fails is asked again: a node may be away for a while.
///
/// Fails after the deadline, with the last answer's error.
pub(super) fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + DEADLINE;
    loop {
        let answer = holds();
        if matches!(answer, Ok(true)) {
            return Ok(());
        }
        if Instant::now() > end {
            let why = answer.err().map(|error| format!(": {error:#}")).unwrap_or_default();
            bail!("waited {} s in vain until {what}{why}", DEADLINE.as_secs());
        }
        sleep(PACE);
    }
}
