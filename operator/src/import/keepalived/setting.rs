//! The settings of a `virtual_server` block.

use lvs_core::forwarding::Forwarding;
use lvs_core::network::Protocol;

use super::super::block::Block;
use super::super::table::{Scheduling, Table, flag, persistence, prefix_length};
use super::super::tunnel::Tunnel;

/// keepalived's own, where `persistence_timeout` has no number.
const DEFAULT_PERSISTENCE: u32 = 360;

/// What a `virtual_server` block says, before it is known for which VIPs.
pub(super) struct Draft {
    /// How a real server is chosen.
    pub(super) scheduling: Scheduling,
    /// The protocol of all its ports.
    pub(super) protocol: Protocol,
    /// How it forwards; nothing where that cannot be written.
    pub(super) forwarding: Option<Forwarding>,
    /// The prefix length of persistence, which the VIP's family gives its place.
    pub(super) mask: Option<u8>,
}

/// Reads the settings of a `virtual_server` block; what cannot be carried over is noted.
pub(super) fn draft(block: &Block, table: &mut Table) -> Draft {
    let mut draft =
        Draft { scheduling: Scheduling::default(), protocol: Protocol::Tcp, forwarding: None, mask: None };
    for entry in block.children.iter().filter(|entry| entry.word(0) != "real_server") {
        if let Err(why) = setting(&mut draft, entry) {
            table.leave(entry.line, entry.text(), why);
        }
    }
    draft.scheduling.flags.sort_unstable();
    draft
}

/// `lvs_method DR`, `NAT`, or `TUN [type ipip | gue port NUMBER | gre] [nocsum | csum | remcsum]`.
pub(super) fn method(entry: &Block) -> Result<Forwarding, String> {
    let mut words = entry.words.iter().skip(1).map(String::as_str);
    match words.next() {
        Some("DR") => return Ok(Forwarding::DirectRouting),
        Some("NAT") => return Ok(Forwarding::Masquerade),
        Some("TUN") => {}
        _ => return Err("write DR, NAT or TUN".to_owned()),
    }
    let mut tunnel = Tunnel::default();
    while let Some(word) = words.next() {
        match word {
            "type" => tunnel.set_type(words.next().unwrap_or_default())?,
            "port" => tunnel.set_port(words.next().unwrap_or_default())?,
            word if tunnel.set_checksum(word) => {}
            other => return Err(format!("{other} is not known of a tunnel")),
        }
    }
    tunnel.forwarding()
}

fn setting(draft: &mut Draft, entry: &Block) -> Result<(), String> {
    let value = entry.word(1);
    match entry.word(0) {
        "lb_algo" | "lvs_sched" => value.clone_into(&mut draft.scheduling.scheduler),
        "lb_kind" | "lvs_method" => draft.forwarding = Some(method(entry)?),
        "protocol" => {
            draft.protocol =
                value.parse().map_err(|_| format!("{value} is no protocol that IPVS balances"))?;
        }
        "persistence_timeout" => {
            let seconds = if value.is_empty() { Ok(DEFAULT_PERSISTENCE) } else { value.parse() };
            let seconds = seconds.map_err(|_| format!("{value} is no number of seconds"))?;
            let given = draft.scheduling.persistence.get_or_insert_with(|| persistence(seconds));
            given.timeout_seconds = seconds;
        }
        "persistence_granularity" => {
            let length = prefix_length(value, 128).ok_or_else(|| format!("{value} is no netmask"))?;
            draft.mask = Some(length);
        }
        "persistence_engine" if value == "sip" => {
            let given = draft.scheduling.persistence.get_or_insert_with(|| persistence(DEFAULT_PERSISTENCE));
            given.engine = value.parse().ok();
        }
        "ops" => draft.scheduling.one_packet = true,
        name if flag(name).is_some() => draft.scheduling.flags.extend(flag(name)),
        "sorry_server" | "sorry_server_inhibit" | "sorry_server_lvs_method" => {
            return Err("sorry servers are not there yet".to_owned());
        }
        "quorum" | "quorum_up" | "quorum_down" | "hysteresis" | "alpha" | "omega" => {
            return Err("health checks and quorum are not there yet".to_owned());
        }
        "delay_loop" | "delay_before_retry" | "retry" | "connect_timeout" | "warmup" | "virtualhost" => {
            return Err("a setting of health checks, which are not there yet".to_owned());
        }
        _ => return Err("there is nothing for it in a VirtualService".to_owned()),
    }
    Ok(())
}
