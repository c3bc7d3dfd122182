//! Time as a value: wall clock for what a plan remembers, monotonic for what a node measures.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;

use crate::names::{InvalidKey, as_text};

/// A moment of the wall clock in UTC, in milliseconds since 1970-01-01. Written as RFC 3339 with milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

/// A moment of a node's monotonic clock, in milliseconds since an arbitrary start. Never leaves the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(pub u64);

impl Time {
    /// This moment plus a number of seconds.
    #[must_use]
    pub fn plus_seconds(self, seconds: u32) -> Self {
        Self(self.0.saturating_add(i64::from(seconds) * 1000))
    }
}

impl Add<u64> for Monotonic {
    type Output = Self;

    fn add(self, milliseconds: u64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }
}

impl Sub for Monotonic {
    type Output = u64;

    /// Milliseconds since `earlier`; 0 where that lies in the future.
    fn sub(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

const DAY: i64 = 86_400_000;

impl fmt::Display for Time {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.0.div_euclid(DAY));
        let in_day = self.0.rem_euclid(DAY);
        let (hour, minute) = (in_day / 3_600_000, in_day / 60_000 % 60);
        let (second, milli) = (in_day / 1000 % 60, in_day % 1000);
        write!(formatter, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

impl FromStr for Time {
    type Err = InvalidKey;

    /// Reads RFC 3339 in UTC (`…Z`), with or without a fraction of a second; digits past the third are dropped.
    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        parse(text).ok_or_else(|| InvalidKey { text: text.to_owned(), wanted: "YYYY-MM-DDThh:mm:ss[.mmm]Z" })
    }
}

fn parse(text: &str) -> Option<Time> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut clock = clock.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let in_range = (1..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..61).contains(&second)
        && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if !in_range || fraction.is_empty() {
        return None;
    }
    let milli: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let days = days_from_civil(year, month, day);
    Some(Time(days * DAY + hour * 3_600_000 + minute * 60_000 + second * 1000 + milli))
}

/// Days since 1970-01-01 of a date in the Gregorian calendar; years count from March so that the leap day is last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The date of a number of days since 1970-01-01: the inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

as_text!(Time);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_rfc_3339() {
        for (text, milliseconds) in [
            ("1970-01-01T00:00:00.000Z", 0),
            ("2000-02-29T12:30:01.250Z", 951_827_401_250),
            ("2026-11-24T07:00:00.000Z", 1_795_503_600_000),
            ("1969-12-31T23:59:59.999Z", -1),
        ] {
            assert_eq!(text.parse(), Ok(Time(milliseconds)), "{text}");
            assert_eq!(Time(milliseconds).to_string(), text);
        }
        assert_eq!("2000-02-29T12:30:01Z".parse(), Ok(Time(951_827_401_000)));
        assert_eq!("2000-02-29T12:30:01.123456Z".parse(), Ok(Time(951_827_401_123)));
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in [
            "",
            "now",
            "2000-13-01T00:00:00Z",
            "2000-01-01T25:00:00Z",
            "2000-01-01T00:00:00",
            "2000-01-01T00:00:00.Z",
        ] {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_moment_reads_back(milliseconds in -62_135_596_800_000_i64..253_402_300_799_999) {
            let time = Time(milliseconds);
            proptest::prop_assert_eq!(time.to_string().parse(), Ok(time));
        }
    }
}
