//! Values for people, in the words of `ipvsadm` and `ip`.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use lvs_core::custody::Item;
use lvs_core::ipvs::{ForwardingMethod, VirtualServerKey};
use lvs_core::kernel::{AddressAttributes, ArpSettings, Kernel, VirtualServer};
use lvs_core::local::{Local, ProbeOutcome};

/// A kernel: the IPVS table as `ipvsadm -Ln` prints it, the addresses, the ARP settings.
#[must_use]
pub fn kernel(kernel: &Kernel) -> String {
    let mut text = String::new();
    match kernel.timeouts {
        Some(timeouts) => {
            let _ = writeln!(
                text,
                "IPVS timeouts (tcp tcpfin udp): {} {} {}",
                timeouts.tcp_seconds, timeouts.tcp_fin_seconds, timeouts.udp_seconds
            );
        }
        None => text.push_str("IPVS: not loaded\n"),
    }
    for (key, server) in &kernel.virtual_servers {
        virtual_server(&mut text, key, server);
    }
    text.push_str("Addresses\n");
    for (key, attributes) in &kernel.addresses {
        let _ = writeln!(text, "  {key}{}", attribute_words(*attributes));
    }
    tunnels(&mut text, kernel);
    packet_rules(&mut text, kernel);
    if !kernel.sysctls.is_empty() {
        text.push_str("Sysctls\n");
    }
    for (sysctl, value) in &kernel.sysctls {
        let _ = writeln!(text, "  {sysctl} = {value}");
    }
    text.push_str("ARP settings (arp_ignore arp_announce)\n");
    arp_line(&mut text, "all", kernel.arp_all);
    for (link, settings) in &kernel.arp {
        arp_line(&mut text, link.as_str(), *settings);
    }
    text
}

/// Tunnel devices and ports, where there are any.
fn tunnels(text: &mut String, kernel: &Kernel) {
    if !kernel.tunnels.is_empty() {
        let _ = writeln!(
            text,
            "Tunnels (kind local remote rp_filter; rp_filter of all: {})",
            kernel.rp_filter_all
        );
    }
    let end = |end: Option<IpAddr>| end.map_or_else(|| "any".to_owned(), |address| address.to_string());
    for (link, device) in &kernel.tunnels {
        let state = if device.up { "UP" } else { "DOWN" };
        let (local, remote) = (end(device.local), end(device.remote));
        let checksum = if device.checksum { " checksum" } else { "" };
        let _ = writeln!(
            text,
            "  {link:<15} {state} {} {local} {remote} {}{checksum}",
            device.kind, device.rp_filter
        );
    }
    for port in &kernel.gue_ports {
        let _ = writeln!(text, "GUE at {port}");
    }
    if !kernel.forwarding.is_empty() {
        let _ = writeln!(text, "IPv4 is forwarded from: {}", joined(&kernel.forwarding));
    }
}

/// The rules in our table of nftables, where there are any.
fn packet_rules(text: &mut String, kernel: &Kernel) {
    if !kernel.packet_rules.is_empty() {
        text.push_str("Packet rules (kind protocol destination value)\n");
    }
    for (key, settings) in &kernel.packet_rules {
        let value = if settings.value == 0 { String::new() } else { format!(" {}", settings.value) };
        let reached = if settings.reached { "" } else { " (no packet gets to it)" };
        let _ = writeln!(text, "  {key}{value}{reached}");
    }
}

fn virtual_server(text: &mut String, key: &VirtualServerKey, server: &VirtualServer) {
    let settings = server.settings;
    let _ = write!(text, "{key} {}", settings.scheduler);
    if let Some(persistence) = settings.persistence {
        let _ = write!(text, " persistent {}", persistence.timeout_seconds);
        if persistence.prefix_length != key.family().host_length() {
            let _ = write!(text, " mask /{}", persistence.prefix_length);
        }
    }
    if settings.flags != 0 {
        let _ = write!(text, " flags {:#x}", settings.flags);
    }
    text.push('\n');
    for (destination, settings) in &server.destinations {
        let address = SocketAddr::new(destination.address, destination.port).to_string();
        let _ = writeln!(text, "  -> {address:<28} {:<7} {}", method(settings.method), settings.weight);
    }
}

/// `ipvsadm`'s word for a forwarding method.
fn method(method: ForwardingMethod) -> &'static str {
    match method {
        ForwardingMethod::Masquerade => "Masq",
        ForwardingMethod::LocalNode => "Local",
        ForwardingMethod::Tunnel => "Tunnel",
        ForwardingMethod::DirectRouting => "Route",
        ForwardingMethod::Bypass => "Bypass",
        ForwardingMethod::Other(_) => "?",
    }
}

fn attribute_words(attributes: AddressAttributes) -> String {
    let mut words = match attributes.scope {
        0 => " scope global".to_owned(),
        253 => " scope link".to_owned(),
        254 => " scope host".to_owned(),
        other => format!(" scope {other}"),
    };
    if attributes.no_dad {
        words.push_str(" nodad");
    }
    if attributes.preferred_seconds == Some(0) {
        words.push_str(" deprecated");
    }
    if let Some(seconds) = attributes.valid_seconds {
        let _ = write!(words, " valid_lft {seconds}sec");
    }
    words
}

fn arp_line(text: &mut String, link: &str, settings: ArpSettings) {
    let _ = writeln!(text, "  {link:<15} {} {}", settings.ignore, settings.announce);
}

/// Local facts.
#[must_use]
pub fn local(local: &Local) -> String {
    let mut text = format!(
        "Node {} boot {} kernel {} agent {}\n",
        local.node, local.boot_id, local.kernel_release, local.agent_version
    );
    let _ = writeln!(
        text,
        "IPVS {}, schedulers: {}",
        if local.ipvs { "present" } else { "absent" },
        joined(&local.schedulers)
    );
    text.push_str("Links\n");
    for (name, link) in &local.links {
        let state = if link.up { "UP" } else { "DOWN" };
        let mac = link.mac.map(|mac| format!(" {mac}")).unwrap_or_default();
        let _ = writeln!(text, "  {}: {name} {state}{mac} {}", link.index, joined(&link.addresses));
    }
    let _ = writeln!(text, "Default route by: {}", joined(&local.default_links));
    let _ = writeln!(text, "Gateways: {}", joined(&local.gateways));
    let _ = writeln!(text, "API servers: {}", joined(&local.api_servers));
    for (address, path) in &local.paths {
        let gateway = path.gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
        let _ = writeln!(text, "Path to {address}: dev {}{gateway}", path.link);
    }
    for (address, probe) in &local.probes {
        let outcome = match &probe.outcome {
            ProbeOutcome::Clean => "nobody answered".to_owned(),
            ProbeOutcome::InUse { mac } => format!("in use by {mac}"),
            ProbeOutcome::NotPermitted { message } | ProbeOutcome::Failed { message } => {
                format!("failed: {message}")
            }
        };
        let _ = writeln!(text, "Probe of {address}: {outcome}");
    }
    text
}

fn joined<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(" ") }
}

/// An item of custody.
#[must_use]
pub fn item(item: &Item) -> String {
    match item {
        Item::VirtualServer(key) => format!("virtual server {key}"),
        Item::Destination(key, destination) => format!("real server {destination} of {key}"),
        Item::Address(key) => format!("address {key}"),
        Item::Arp(link) => format!("ARP of {link}"),
        Item::Counters(key) => format!("zeroed counters of {key}"),
        Item::Timeouts => "IPVS timeouts".to_owned(),
        Item::Sysctl(sysctl) => format!("sysctl {sysctl}"),
        Item::Tunnel(link) => format!("tunnel device {link}"),
        Item::GuePort(port) => format!("GUE at {port}"),
        Item::PacketRule(key) => format!("packet rule {key}"),
        Item::Forwarding(link) => format!("IPv4 forwarding of {link}"),
    }
}
