//! Rows: medians of times, and the ratio of two.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// The times of one thing, measured several times.
#[derive(Clone, Debug, Default)]
pub(super) struct Times(Vec<Duration>);

impl Times {
    pub(super) fn add(&mut self, time: Duration) {
        self.0.push(time);
        self.0.sort_unstable();
    }

    fn median(&self) -> f64 {
        self.0.get(self.0.len() / 2).map_or(f64::NAN, Duration::as_secs_f64)
    }

    fn ends(&self) -> [f64; 2] {
        let end = |time: Option<&Duration>| time.map_or(f64::NAN, Duration::as_secs_f64);
        [end(self.0.first()), end(self.0.last())]
    }
}

/// A row of the table.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    /// What was measured.
    what: String,
    /// How many times as fast, or as slow, the first is as the second; absent where there is no second.
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<f64>,
    /// The median of the first, in milliseconds.
    milliseconds: f64,
    /// Its least and its greatest time, in milliseconds.
    spread: [f64; 2],
    /// The median of the second, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    against_milliseconds: Option<f64>,
}

impl Row {
    /// How many times as fast `first` is.
    pub(super) fn faster(what: String, first: &Times, second: &Times) -> Self {
        Self { ratio: Some(second.median() / first.median()), ..Self::pair(what, first, second) }
    }

    /// How many times the time of `second` the first takes.
    pub(super) fn slower(what: String, first: &Times, second: &Times) -> Self {
        Self { ratio: Some(first.median() / second.median()), ..Self::pair(what, first, second) }
    }

    pub(super) fn alone(what: String, times: &Times) -> Self {
        Self {
            what,
            ratio: None,
            milliseconds: times.median() * 1e3,
            spread: times.ends().map(|end| end * 1e3),
            against_milliseconds: None,
        }
    }

    fn pair(what: String, first: &Times, second: &Times) -> Self {
        Self { against_milliseconds: Some(second.median() * 1e3), ..Self::alone(what, first) }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ratio = self.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        let [least, most] = self.spread;
        write!(formatter, "{:>8}  {:10.4} ms ({least:.4} to {most:.4})", ratio, self.milliseconds)?;
        if let Some(against) = self.against_milliseconds {
            write!(formatter, " / {against:.3} ms")?;
        }
        write!(formatter, "  {}", self.what)
    }
}
