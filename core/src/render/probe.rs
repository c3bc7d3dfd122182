//! What the last probe of a VIP allows.

use std::net::IpAddr;

use crate::local::{Probe, ProbeOutcome};
use crate::node_report::Trouble;
use crate::reason::Reason;
use crate::time::Monotonic;

/// How long the outcome of a probe counts before the VIP is on the uplink, in milliseconds; also the time between
/// probes of a VIP that cannot be attracted.
const COUNTS_FOR: u64 = 5000;

/// What is to be done with a VIP that the plan lets this node hold.
#[derive(Debug)]
pub(super) enum Judgement {
    /// Hold it and announce it. Where it is not on the uplink yet, that is to be asked again at the given moment.
    Attract(Option<Monotonic>),
    /// Leave the uplink as it is and probe now.
    Probe,
    /// Leave the uplink as it is; a probe failed, and the next is due at the given moment or now.
    Failed(Trouble, Option<Monotonic>),
    /// Take it off the uplink; somebody else has it, and the next probe is due at the given moment or now.
    Refuse(Trouble, Option<Monotonic>),
}

/// Judges by the last probe of a VIP, and whether the VIP is on the uplink already.
pub(super) fn judge(vip: IpAddr, probe: Option<&Probe>, on_uplink: bool, now: Monotonic) -> Judgement {
    let Some(probe) = probe else { return Judgement::Probe };
    let expires = probe.at + COUNTS_FOR;
    let later = (now < expires).then_some(expires);
    match &probe.outcome {
        ProbeOutcome::Clean if on_uplink => Judgement::Attract(None),
        ProbeOutcome::Clean if later.is_some() => Judgement::Attract(later),
        ProbeOutcome::Clean => Judgement::Probe,
        ProbeOutcome::InUse { mac } => {
            let message =
                format!("VIP {vip} is in use by {mac}: free it there; it is probed again every 5 seconds");
            Judgement::Refuse(Trouble::new(Reason::AddressInUse, message), later)
        }
        ProbeOutcome::NotPermitted { message } => {
            let message = format!("VIP {vip} cannot be probed: {message}; the agent needs CAP_NET_RAW");
            Judgement::Failed(Trouble::new(Reason::NotPermitted, message), later)
        }
        ProbeOutcome::Failed { message } => {
            let message = format!("VIP {vip} cannot be probed: {message}");
            Judgement::Failed(Trouble::new(Reason::KernelRefused, message), later)
        }
    }
}
