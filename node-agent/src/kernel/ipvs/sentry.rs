//! Watching the table at little cost. The kernel announces no change, and reading a destination costs a thousand times
//! what comparing it does; a list of the services without their destinations is cheap. So destinations are read where
//! the list shows that somebody has been at the service, and of the others a share each time.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::time::{Duration, Instant};

use lvs_core::ipvs::{Timeouts, VirtualServerKey, VirtualServerSettings};
use lvs_core::kernel::VirtualServer;
use netlink_packet_ipvs::{Reply, ReplyBody, Request, ServiceEntry, ServiceIdentity};
use nix::errno::Errno;

use super::{IpvsModule, VirtualServers, encode, family, list_services, read_server, timeouts, translate};
use crate::kernel::error::{Cause, Error};
use crate::kernel::socket::Socket;

/// In so many audits every destination is read; with one every two seconds, within a minute.
const SHARES: usize = 28;
/// A share is no fewer services than this: a small table is read whole every time.
const LEAST_SHARE: usize = 64;
/// Audits that follow each other faster than this read no share.
const SHARE_PAUSE: Duration = Duration::from_secs(1);
/// Of more services than this a list is cheaper than asking for each.
const ASK_EACH: usize = 32;

/// What is remembered of a table from one audit to the next.
#[derive(Clone, Debug, Default)]
pub struct Sentry {
    /// Packets and connections that each service had counted.
    counted: BTreeMap<VirtualServerKey, [u64; 2]>,
    /// The last service of the last share.
    last: Option<VirtualServerKey>,
    shared: Option<Instant>,
}

/// What an audit found.
pub(in crate::kernel) struct Audit {
    pub(in crate::kernel) timeouts: Option<Timeouts>,
    /// Entries that core has no form for, each in a sentence.
    pub(in crate::kernel) left_out: BTreeSet<String>,
    /// The virtual servers that are other than they were.
    pub(in crate::kernel) changed: BTreeSet<VirtualServerKey>,
}

impl Sentry {
    /// Brings `have` up to date: services by a list, destinations of those services that are new, that somebody has
    /// changed, whose counters went backwards (they were made anew), that are named, and of the present share.
    pub(in crate::kernel) fn audit(
        &mut self,
        socket: &mut Socket,
        module: IpvsModule,
        named: &BTreeSet<VirtualServerKey>,
        have: &mut VirtualServers,
    ) -> Result<Audit, Error> {
        let mut audit = Audit { timeouts: None, left_out: BTreeSet::new(), changed: BTreeSet::new() };
        let Some(family) = family::resolve(socket, module)? else {
            self.counted.clear();
            audit.changed = std::mem::take(have).into_keys().collect();
            return Ok(audit);
        };
        let share = self.share(have, Instant::now());
        let services = list_services(socket, family)?;
        let mut present = BTreeSet::new();
        for entry in &services {
            let (key, settings) = match translate::virtual_server(entry) {
                Ok(translated) => translated,
                Err(sentence) => {
                    audit.left_out.insert(sentence);
                    continue;
                }
            };
            present.insert(key);
            let touched =
                self.count(key, entry) || have.get(&key).is_none_or(|there| there.settings != settings);
            if touched || named.contains(&key) || share.contains(&key) {
                let read = read_server(socket, family, entry.service.identity, settings)?;
                note(have, key, Some(read), &mut audit.changed);
            }
        }
        let missing: BTreeSet<VirtualServerKey> =
            have.keys().filter(|key| !present.contains(key)).copied().collect();
        if !missing.is_empty() {
            // A dump may leave out what is there.
            let gone = read_of(socket, family, &missing, have)?;
            audit.changed.extend(gone);
            self.counted.retain(|key, _| have.contains_key(key));
        }
        audit.timeouts = Some(timeouts(socket, family)?);
        Ok(audit)
    }

    /// Takes note that the counters of a service were zeroed by ourselves: that they are less says nothing then.
    pub fn zeroed(&mut self, key: &VirtualServerKey) {
        self.counted.remove(key);
    }

    /// Takes in a service's counters. Whether they went backwards.
    fn count(&mut self, key: VirtualServerKey, entry: &ServiceEntry) -> bool {
        let counters = entry.stats64.map_or([0; 2], |stats| [stats.incoming_packets, stats.connections]);
        let before = self.counted.insert(key, counters);
        before.is_some_and(|before| counters < before)
    }

    /// The services whose destinations are to be read this time for no reason but that it is their turn.
    fn share(&mut self, have: &VirtualServers, now: Instant) -> BTreeSet<VirtualServerKey> {
        if self.shared.is_some_and(|last| now.duration_since(last) < SHARE_PAUSE) {
            return BTreeSet::new();
        }
        self.shared = Some(now);
        let count = have.len().div_ceil(SHARES).max(LEAST_SHARE).min(have.len());
        let rest = self.last.map_or((Unbounded, Unbounded), |last| (Excluded(last), Unbounded));
        let share: Vec<VirtualServerKey> =
            have.range(rest).chain(have.iter()).take(count).map(|(key, _)| *key).collect();
        self.last = share.last().copied();
        share.into_iter().collect()
    }
}

/// Reads some virtual servers alone, and brings them up to date in `have`. Yields those that are other than before.
pub(in crate::kernel) fn read_some(
    socket: &mut Socket,
    keys: &BTreeSet<VirtualServerKey>,
    have: &mut VirtualServers,
) -> Result<BTreeSet<VirtualServerKey>, Error> {
    match family::resolve(socket, IpvsModule::AsFound)? {
        Some(family) => read_of(socket, family, keys, have),
        None => Ok(keys.iter().filter(|key| have.remove(key).is_some()).copied().collect()),
    }
}

fn read_of(
    socket: &mut Socket,
    family: u16,
    keys: &BTreeSet<VirtualServerKey>,
    have: &mut VirtualServers,
) -> Result<BTreeSet<VirtualServerKey>, Error> {
    let mut changed = BTreeSet::new();
    let mut listed = BTreeMap::new();
    if keys.len() > ASK_EACH {
        for entry in list_services(socket, family)? {
            if let Ok((key, settings)) = translate::virtual_server(&entry) {
                listed.insert(key, (entry.service.identity, settings));
            }
        }
    }
    for key in keys {
        let found = match listed.get(key) {
            Some(found) => Some(*found),
            None => service(socket, family, key)?,
        };
        let now = match found {
            Some((identity, settings)) => Some(read_server(socket, family, identity, settings)?),
            None => None,
        };
        note(have, *key, now, &mut changed);
    }
    Ok(changed)
}

/// Puts what was read in the place of what was known.
fn note(
    have: &mut VirtualServers,
    key: VirtualServerKey,
    now: Option<VirtualServer>,
    changed: &mut BTreeSet<VirtualServerKey>,
) {
    if have.get(&key) == now.as_ref() {
        return;
    }
    changed.insert(key);
    match now {
        Some(now) => _ = have.insert(key, now),
        None => _ = have.remove(&key),
    }
}

/// One service; `None` where there is none, or core has no form for it.
fn service(
    socket: &mut Socket,
    family: u16,
    key: &VirtualServerKey,
) -> Result<Option<(ServiceIdentity, VirtualServerSettings)>, Error> {
    let Some(identity) = translate::identity(key) else { return Ok(None) };
    let mut found = None;
    let answer = socket.ask(
        "reading an IPVS service",
        &|sequence, buffer| encode(&Request::GetService(identity), family, sequence, true, buffer),
        &mut |_, payload| {
            if let ReplyBody::Service(entry) = Reply::parse(payload, None)?.body {
                found = translate::virtual_server(&entry).ok();
            }
            Ok(())
        },
    );
    match answer {
        Err(Error { cause: Cause::Refused { errno: Errno::ESRCH, .. }, .. }) => Ok(None),
        other => other.map(|()| found.map(|(_, settings)| (identity, settings))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(services: u16) -> VirtualServers {
        let settings = VirtualServerSettings {
            scheduler: "rr".parse().unwrap(),
            flags: 0,
            persistence: None,
            persistence_engine: None,
        };
        let key = |port: u16| format!("TCP 192.168.10.40:{port}").parse().unwrap();
        let server = VirtualServer { settings, destinations: lvs_core::flat_map::FlatMap::new() };
        (1..=services).map(|port| (key(port), server.clone())).collect()
    }

    #[test]
    fn every_service_has_its_turn_within_a_minute_of_audits() {
        for services in [1, 63, 64, 65, 1000, 5000] {
            let (table, mut sentry) = (table(services), Sentry::default());
            let mut seen = BTreeSet::new();
            let start = Instant::now();
            for audit in 0..30 {
                let share = sentry.share(&table, start + Duration::from_secs(2 * audit));
                assert!(share.len() <= usize::from(services).div_ceil(SHARES).max(LEAST_SHARE));
                seen.extend(share);
            }
            assert_eq!(seen.len(), usize::from(services));
        }
    }

    #[test]
    fn audits_in_quick_succession_read_one_share() {
        let (table, mut sentry) = (table(100), Sentry::default());
        let start = Instant::now();
        assert_eq!(sentry.share(&table, start).len(), LEAST_SHARE);
        assert!(sentry.share(&table, start + Duration::from_millis(50)).is_empty());
        assert_eq!(sentry.share(&VirtualServers::new(), start + Duration::from_secs(2)).len(), 0);
    }
}
