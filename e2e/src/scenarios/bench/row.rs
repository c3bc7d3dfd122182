//! Rows: medians of times, the figure that is judged, and what it must reach.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

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

    fn spread(&self) -> Spread {
        let milliseconds = |time: Option<&Duration>| time.map_or(f64::NAN, Duration::as_secs_f64) * 1e3;
        Spread {
            median: self.median() * 1e3,
            least: milliseconds(self.0.first()),
            greatest: milliseconds(self.0.last()),
        }
    }
}

/// Several times of one thing, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The shortest.
    pub least: f64,
    /// The longest.
    pub greatest: f64,
}

/// What a figure must reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Bound {
    /// So much or more.
    AtLeast(f64),
    /// So much or less.
    AtMost(f64),
}

/// A row of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// What is judged.
    pub figure: f64,
    /// Its unit: `x` for a ratio.
    pub unit: String,
    /// What it must reach; absent where it is only stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
    /// The times behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<Spread>,
    /// The times that it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<Spread>,
}

impl Row {
    /// How many times as fast `first` is.
    pub(super) fn faster(what: String, first: &Times, second: &Times) -> Self {
        let figure = second.median() / first.median();
        let (times, against) = (Some(first.spread()), Some(second.spread()));
        Self { times, against, ..Self::figure(what, figure, "x") }
    }

    /// How many times the time of `second` the first takes.
    pub(super) fn slower(what: String, first: &Times, second: &Times) -> Self {
        Self { figure: first.median() / second.median(), ..Self::faster(what, first, second) }
    }

    /// The time itself, in milliseconds.
    pub(super) fn alone(what: String, times: &Times) -> Self {
        Self { times: Some(times.spread()), ..Self::figure(what, times.median() * 1e3, "ms") }
    }

    /// A figure that is no time.
    pub(super) fn figure(what: String, figure: f64, unit: &str) -> Self {
        Self { what, figure, unit: unit.to_owned(), bound: None, times: None, against: None }
    }

    pub(super) fn at_least(self, figure: f64) -> Self {
        Self { bound: Some(Bound::AtLeast(figure)), ..self }
    }

    pub(super) fn at_most(self, figure: f64) -> Self {
        Self { bound: Some(Bound::AtMost(figure)), ..self }
    }

    /// Whether it reaches what it must.
    #[must_use]
    pub fn holds(&self) -> bool {
        match self.bound {
            None => true,
            Some(Bound::AtLeast(least)) => self.figure >= least,
            Some(Bound::AtMost(most)) => self.figure <= most,
        }
    }
}

/// As it stands in the table.
impl fmt::Display for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figure = format!("{:.2} {}", self.figure, self.unit);
        let bound = match self.bound {
            None => "stated".to_owned(),
            Some(Bound::AtLeast(least)) => format!(">= {least}"),
            Some(Bound::AtMost(most)) => format!("<= {most}"),
        };
        let verdict = if self.holds() { "" } else { "MISSED" };
        let spread =
            |times: &Spread| format!("{:.2} ms ({:.2} to {:.2})", times.median, times.least, times.greatest);
        let times: Vec<String> = self.times.iter().chain(&self.against).map(spread).collect();
        write!(formatter, "{figure:>12}  {bound:<9} {verdict:<7} {:<74} {}", self.what, times.join(" / "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(milliseconds: [u64; 3]) -> Times {
        let mut times = Times::default();
        for time in milliseconds {
            times.add(Duration::from_millis(time));
        }
        times
    }

    #[test]
    fn a_row_is_the_ratio_of_two_medians() {
        let (fast, slow) = (times([3, 1, 2]), times([200, 100, 900]));
        let row = Row::faster("this".to_owned(), &fast, &slow);
        assert!((row.figure - 100.0).abs() < 1e-9, "{row}");
        assert!((Row::slower("this".to_owned(), &slow, &fast).figure - 100.0).abs() < 1e-9);
        assert!(row.clone().at_least(100.0).holds() && !row.clone().at_least(101.0).holds());
        assert!(row.clone().at_most(100.0).holds() && !row.clone().at_most(99.0).holds());
        assert!(row.at_least(101.0).to_string().contains("MISSED"));
    }

    #[test]
    fn what_was_not_measured_reaches_nothing() {
        let row = Row::alone("this".to_owned(), &Times::default());
        assert!(!row.clone().at_most(1.0).holds() && !row.at_least(0.0).holds());
    }
}
