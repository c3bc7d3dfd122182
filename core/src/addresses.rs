//! A few addresses, in little room: a plan has two such sets for each of a hundred thousand real servers.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A set of addresses, in order. It is meant for one or two; one takes no room of its own.
#[derive(Clone, Debug)]
pub struct Addresses(Few);

/// Sorted and without repetition.
#[derive(Clone, Debug)]
enum Few {
    One(IpAddr),
    Other(Box<[IpAddr]>),
}

impl Addresses {
    /// Whether every address of `other` is in here too.
    #[must_use]
    pub fn is_superset(&self, other: &Self) -> bool {
        other.iter().all(|address| self.contains(address))
    }
}

impl Deref for Addresses {
    type Target = [IpAddr];

    fn deref(&self) -> &[IpAddr] {
        match &self.0 {
            Few::One(address) => std::slice::from_ref(address),
            Few::Other(addresses) => addresses,
        }
    }
}

impl FromIterator<IpAddr> for Addresses {
    fn from_iter<I: IntoIterator<Item = IpAddr>>(addresses: I) -> Self {
        let mut addresses = addresses.into_iter();
        match (addresses.next(), addresses.next()) {
            (Some(one), None) => Self(Few::One(one)),
            (first, second) => {
                let mut all: Vec<IpAddr> = first.into_iter().chain(second).chain(addresses).collect();
                all.sort_unstable();
                all.dedup();
                Self(if let [one] = all[..] { Few::One(one) } else { Few::Other(all.into_boxed_slice()) })
            }
        }
    }
}

impl<const COUNT: usize> From<[IpAddr; COUNT]> for Addresses {
    fn from(addresses: [IpAddr; COUNT]) -> Self {
        addresses.into_iter().collect()
    }
}

/// None.
impl Default for Addresses {
    fn default() -> Self {
        Self(Few::Other(Box::default()))
    }
}

impl PartialEq for Addresses {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Addresses {}

impl PartialOrd for Addresses {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Addresses {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (**self).cmp(&**other)
    }
}

/// As that of any other set or list of the same addresses: hashes of plans outlive versions.
impl Hash for Addresses {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl Serialize for Addresses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Addresses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<IpAddr>::deserialize(deserializer).map(|addresses| addresses.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn set(last: &[u8]) -> Vec<IpAddr> {
        last.iter().map(|last| IpAddr::from([10, 0, 0, *last])).collect()
    }

    #[test]
    fn it_is_a_set() {
        for last in [&[][..], &[1], &[2, 2], &[2, 1, 2], &[3, 1, 2]] {
            let ordinary: BTreeSet<IpAddr> = set(last).into_iter().collect();
            let addresses: Addresses = set(last).into_iter().collect();
            assert!(addresses.iter().eq(&ordinary), "{last:?}");
            assert_eq!(addresses, ordinary.iter().copied().collect());
            let written = serde_json::to_string(&addresses).unwrap();
            assert_eq!(written, serde_json::to_string(&ordinary).unwrap());
            assert_eq!(serde_json::from_str::<Addresses>(&written).unwrap(), addresses);
            assert_eq!(hash(&addresses), hash(&ordinary), "plans of before would all be other ones");
        }
        assert!(Addresses::default().is_empty());
        let (two, one) = (Addresses::from_iter(set(&[1, 2])), Addresses::from_iter(set(&[2])));
        assert!(two.is_superset(&one) && two.is_superset(&Addresses::default()) && !one.is_superset(&two));
    }

    fn hash(value: &impl Hash) -> u64 {
        let mut hasher = siphasher::sip::SipHasher13::new();
        value.hash(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn one_address_takes_no_room_of_its_own() {
        assert!(size_of::<Addresses>() <= 24);
    }
}
