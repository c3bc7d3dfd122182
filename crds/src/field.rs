//! What is wrong with an object, field by field.

use std::fmt;

use lvs_core::node_report::Trouble;
use lvs_core::reason::Reason;

/// What was found wrong while an object was read. Reading goes on after each finding, so that a user sees all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings(Vec<String>);

impl Findings {
    /// Notes what is wrong with a field: its path, and what to write instead.
    pub fn add(&mut self, path: impl fmt::Display, message: impl fmt::Display) {
        self.0.push(format!("{path}: {message}"));
    }

    /// Takes the value of a field that could be read, or notes why it could not.
    pub fn take<T, E: fmt::Display>(&mut self, path: impl fmt::Display, read: Result<T, E>) -> Option<T> {
        read.map_err(|error| self.add(path, error)).ok()
    }

    /// Notes a message where a condition does not hold.
    pub fn require(&mut self, holds: bool, path: impl fmt::Display, message: impl fmt::Display) {
        if !holds {
            self.add(path, message);
        }
    }

    /// The value where nothing was found, else the trouble that names every finding.
    ///
    /// # Errors
    ///
    /// [`Reason::InvalidSpec`] with all findings.
    pub fn into_result<T>(self, value: Option<T>) -> Result<T, Trouble> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(invalid(self.0.join("; "))),
        }
    }
}

/// The trouble of an object that cannot be read.
#[must_use]
pub fn invalid(message: impl Into<String>) -> Trouble {
    Trouble::new(Reason::InvalidSpec, message)
}
