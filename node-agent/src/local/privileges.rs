//! What this process may do, said before the kernel refuses it.

use std::path::Path;

use lvs_core::node_report::Trouble;
use lvs_core::reason::Reason;

/// linux/capability.h: changing addresses, links and IPVS.
const CAP_NET_ADMIN: u32 = 12;
/// linux/capability.h: packet sockets, for probes and announcements.
const CAP_NET_RAW: u32 = 13;

/// What is missing of the capabilities that an agent needs.
#[must_use]
pub fn troubles() -> Vec<Trouble> {
    // Where /proc is not there nothing is known, and the kernel's own refusals will say it.
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).unwrap_or_default();
    missing(&status)
}

/// What `/proc/self/status` (proc(5), `CapEff`) says is missing.
fn missing(status: &str) -> Vec<Trouble> {
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|value| u64::from_str_radix(value.trim(), 16).ok());
    let Some(effective) = effective else { return Vec::new() };
    [
        (CAP_NET_ADMIN, "CAP_NET_ADMIN: it can neither read nor change IPVS, addresses and ARP settings"),
        (CAP_NET_RAW, "CAP_NET_RAW: it can neither probe nor announce a VIP, so this node attracts none"),
    ]
    .into_iter()
    .filter(|(capability, _)| effective & (1 << capability) == 0)
    .map(|(_, lack)| {
        Trouble::new(
            Reason::NotPermitted,
            format!("the agent lacks {lack}. Give it to the process or container"),
        )
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_missing_capability_is_named() {
        assert_eq!(missing("Name:\tx\nCapEff:\t000001ffffffffff\n"), []);
        assert_eq!(missing("CapEff:\t0000000000003000\n"), []);
        let named = |status: &str| -> Vec<String> {
            missing(status).into_iter().map(|trouble| trouble.message).collect()
        };
        assert!(named("CapEff:\t0000000000001000\n")[0].contains("CAP_NET_RAW"));
        assert!(named("CapEff:\t0000000000002000\n")[0].contains("CAP_NET_ADMIN"));
        assert_eq!(named("CapEff:\t0000000000000000\n").len(), 2);
    }

    #[test]
    fn an_unreadable_status_accuses_nobody() {
        assert_eq!(missing(""), []);
        assert_eq!(missing("CapEff:\tnonsense\n"), []);
    }
}
