//! Zeroing the counters of a service, once for each token that a user writes.

use std::fmt;
use std::hash::{Hash, Hasher};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

/// What a user wrote in the annotation `lvs-operator.io/zero-counters`: another one asks for another zeroing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ZeroToken(#[schemars(length(min = 1, max = 63))] pub String);

/// A [`ZeroToken`] as custody keeps it: a hash that stays the same from one version to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ZeroMark(pub u64);

impl ZeroToken {
    /// What stands for it in custody.
    #[must_use]
    pub fn mark(&self) -> ZeroMark {
        let mut hasher = SipHasher13::new();
        self.0.hash(&mut hasher);
        ZeroMark(hasher.finish())
    }
}

impl fmt::Display for ZeroToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
