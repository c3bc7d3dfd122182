//! Leadership: of several replicas only the one that holds the Lease writes.
//!
//! Two leaders for a moment do no harm: plans are a function of what is in the API server, are written whole, and
//! carry an epoch that agents compare. So the Lease saves work and noise; the epoch is what makes it safe.

mod election;

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use lvs_core::time::Monotonic;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::shutdown::Shutdown;
use election::{Election, LEASE_DURATION, RENEW_DEADLINE, RETRY_PERIOD, Record, Seen, Step};

/// One read or write of the Lease; far shorter than the renew deadline, so that several fit into it.
const CALL_TIMEOUT: Duration = Duration::from_secs(4);

/// A time in which this replica may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    /// How often the Lease has changed hands.
    pub(crate) transitions: u64,
    /// When the round began that renewed it last.
    pub(crate) renewed: Instant,
}

impl Term {
    /// Whether the term still runs: a renewal must not be older than the renew deadline.
    pub(crate) fn runs(&self) -> bool {
        self.renewed.elapsed() < RENEW_DEADLINE
    }
}

/// Takes part in the election until told to stop, then releases the Lease.
///
/// `term` always says what is known; a reader asks [`Term::runs`] before each write, so that a leader whose API server
/// is away stops writing although nobody tells it.
pub(crate) async fn campaign(
    api: Api<Lease>,
    name: String,
    term: watch::Sender<Option<Term>>,
    mut stop: Shutdown,
) {
    let mut campaign =
        Campaign { api, name, election: Election::new(identity()), began: Instant::now(), followed: None };
    tracing::info!(lease = campaign.name, identity = campaign.election.identity(), "stands for leader");
    while !stop.requested() {
        let renewed = Instant::now();
        match timeout(RENEW_DEADLINE, campaign.round()).await {
            Ok(Ok(Round::Leads { transitions })) => announce(&term, Some(Term { transitions, renewed })),
            Ok(Ok(Round::Follows)) => announce(&term, None),
            // Somebody has changed the Lease since it was read; who holds it is seen in the next round.
            Ok(Ok(Round::Overtaken)) => {}
            Ok(Err(error)) => tracing::warn!(error = crate::log::chain(&error), "cannot renew the lease"),
            Err(_) => tracing::warn!("cannot renew the lease: the API server does not answer"),
        }
        if term.borrow().is_some_and(|term| !term.runs()) {
            announce(&term, None);
        }
        tokio::select! {
            () = sleep(RETRY_PERIOD.mul_f64(1.0 + jitter() / 5.0)) => {}
            () = stop.wait() => {}
        }
    }
    if term.send_replace(None).is_some() {
        if let Ok(Ok(())) = timeout(CALL_TIMEOUT, campaign.release()).await {
            tracing::info!("released the lease");
        } else {
            tracing::warn!("could not release the lease: it expires by itself");
        }
    }
}

fn announce(term: &watch::Sender<Option<Term>>, next: Option<Term>) {
    let before = term.send_replace(next);
    match (before, next) {
        (None, Some(term)) => tracing::info!(transitions = term.transitions, "leads"),
        (Some(_), None) => tracing::warn!("leads no more: writes nothing"),
        _ => {}
    }
}

/// What one round found.
enum Round {
    /// This replica leads.
    Leads { transitions: u64 },
    /// Another does.
    Follows,
    /// The Lease was changed between reading and writing.
    Overtaken,
}

struct Campaign {
    api: Api<Lease>,
    name: String,
    election: Election,
    began: Instant,
    /// Whom the log names as leader.
    followed: Option<String>,
}

impl Campaign {
    /// Reads the Lease and claims it where it may.
    async fn round(&mut self) -> Result<Round, kube::Error> {
        let lease = call(self.api.get_opt(&self.name)).await?;
        let now = Monotonic(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX));
        let seen = lease.as_ref().map(seen);
        match self.election.step(seen.as_ref(), now) {
            Step::Follow { holder } => {
                if self.followed.as_ref() != Some(&holder) {
                    tracing::info!(holder, "follows");
                    self.followed = Some(holder);
                }
                Ok(Round::Follows)
            }
            Step::Claim { over, transitions } => {
                let claimed = self.claim(lease, over, transitions).await?;
                self.followed = None;
                Ok(if claimed { Round::Leads { transitions } } else { Round::Overtaken })
            }
        }
    }

    /// Writes the Lease over the version that was read; `false`: another was faster.
    async fn claim(
        &self,
        lease: Option<Lease>,
        over: Option<String>,
        transitions: u64,
    ) -> Result<bool, kube::Error> {
        let now = MicroTime(Timestamp::now());
        let ours = |spec: &LeaseSpec| spec.holder_identity.as_deref() == Some(self.election.identity());
        let before = lease.and_then(|lease| lease.spec).filter(ours);
        let spec = LeaseSpec {
            holder_identity: Some(self.election.identity().to_owned()),
            lease_duration_seconds: i32::try_from(LEASE_DURATION.as_secs()).ok(),
            lease_transitions: i32::try_from(transitions).ok(),
            acquire_time: before.and_then(|spec| spec.acquire_time).or_else(|| Some(now.clone())),
            renew_time: Some(now),
            ..LeaseSpec::default()
        };
        self.put(over, spec).await
    }

    /// Gives the Lease up, if it is still ours, so that a follower need not wait for it to expire.
    async fn release(&self) -> Result<(), kube::Error> {
        let Some(lease) = self.api.get_opt(&self.name).await? else { return Ok(()) };
        let spec = lease.spec.unwrap_or_default();
        if spec.holder_identity.as_deref() != Some(self.election.identity()) {
            return Ok(());
        }
        let spec =
            LeaseSpec { holder_identity: Some(String::new()), lease_duration_seconds: Some(1), ..spec };
        self.put(lease.metadata.resource_version, spec).await.map(drop)
    }

    async fn put(&self, over: Option<String>, spec: LeaseSpec) -> Result<bool, kube::Error> {
        let parameters =
            PostParams { field_manager: Some(lvs_crds::names::OPERATOR.to_owned()), ..PostParams::default() };
        let metadata =
            ObjectMeta { name: Some(self.name.clone()), resource_version: over, ..ObjectMeta::default() };
        let new = metadata.resource_version.is_none();
        let lease = Lease { metadata, spec: Some(spec) };
        let written = if new {
            call(self.api.create(&parameters, &lease)).await
        } else {
            call(self.api.replace(&self.name, &parameters, &lease)).await
        };
        match written {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// A call that fails as any other does when no answer comes.
async fn call<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, kube::Error> {
    timeout(CALL_TIMEOUT, request).await.unwrap_or_else(|_| {
        Err(kube::Error::Service(format!("no answer within {} s", CALL_TIMEOUT.as_secs()).into()))
    })
}

fn seen(lease: &Lease) -> Seen {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    Seen {
        record: Record {
            holder: spec.holder_identity.unwrap_or_default(),
            duration: seconds.map_or(LEASE_DURATION, Duration::from_secs),
            transitions: spec.lease_transitions.and_then(|count| u64::try_from(count).ok()).unwrap_or(0),
            renewed: spec.renew_time.map(|time| time.0.to_string()).unwrap_or_default(),
        },
        resource_version: lease.metadata.resource_version.clone().unwrap_or_default(),
    }
}

/// A name that no other process has: the host's (a pod's is its name), and a random number.
fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}_{:016x}", host.trim(), random())
}

/// Between 0 and 1.
fn jitter() -> f64 {
    f64::from(u16::try_from(random() & 0xffff).unwrap_or(0)) / 65_535.0
}

/// The standard library seeds each hasher at random; that is all the randomness needed here.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}
