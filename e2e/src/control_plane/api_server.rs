//! How etcd and kube-apiserver are called.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result, bail};

use super::authority::{Authority, Leaf, service_account_key};
use super::process::{Process, command};
use super::{SERVICE_ADDRESS, Settings, program};

/// The range of Services' cluster addresses, whose first address is [`SERVICE_ADDRESS`].
const SERVICE_RANGE: &str = "10.96.0.0/16";

/// Files in a control plane's folder, all readable by their owner alone.
pub(super) const AUTHORITY_FILE: &str = "authority.crt";
pub(super) const SERVICE_ACCOUNT_KEY_FILE: &str = "service-accounts.key";

/// Starts etcd in `folder`. It listens on Unix sockets there: no port, and no access for anybody else.
pub(super) fn start_etcd(folder: &Path) -> Result<Process> {
    let at = |name: &str| folder.join(name).display().to_string();
    let mut etcd = command(&[], &program("etcd")?);
    etcd.args(["--data-dir", &at("etcd")]);
    etcd.args(["--listen-client-urls", &format!("unix://{}", at("etcd.sock"))]);
    etcd.args(["--listen-peer-urls", &format!("unix://{}", at("etcd-peer.sock"))]);
    // etcd advertises no Unix sockets. Nobody follows what one member alone advertises, and port 0 leads
    // nowhere.
    etcd.args(["--advertise-client-urls", "http://127.0.0.1:0"]);
    // The data ends with the test.
    etcd.args(["--unsafe-no-fsync", "--log-level", "warn"]);
    Process::start("etcd", etcd, folder)
}

/// Starts kube-apiserver on the etcd in `folder`, with the keys that [`write_keys`] wrote there.
pub(super) fn start_server(folder: &Path, settings: &Settings, port: u16) -> Result<Process> {
    let at = |name: &str| folder.join(name).display().to_string();
    let mut server = command(&settings.launcher, &program("kube-apiserver")?);
    for (flag, value) in [
        ("etcd-servers", format!("unix://{}", at("etcd.sock"))),
        ("bind-address", settings.bind.unwrap_or(settings.address).to_string()),
        ("secure-port", port.to_string()),
        // Else it looks for a default route, which a namespace need not have.
        ("advertise-address", settings.address.to_string()),
        ("endpoint-reconciler-type", "none".to_owned()),
        ("service-cluster-ip-range", SERVICE_RANGE.to_owned()),
        ("tls-cert-file", at("server.crt")),
        ("tls-private-key-file", at("server.key")),
        ("client-ca-file", at(AUTHORITY_FILE)),
        ("authorization-mode", "Node,RBAC".to_owned()),
        ("enable-admission-plugins", "NodeRestriction".to_owned()),
        ("allow-privileged", "true".to_owned()),
        ("service-account-issuer", "https://kubernetes.default.svc".to_owned()),
        ("service-account-key-file", at("service-accounts.pub")),
        ("service-account-signing-key-file", at(SERVICE_ACCOUNT_KEY_FILE)),
        ("kubelet-client-certificate", at("kubelet-client.crt")),
        ("kubelet-client-key", at("kubelet-client.key")),
        ("kubelet-preferred-address-types", "InternalIP".to_owned()),
        // There is no kube-proxy that would route a Service's address for it.
        ("enable-aggregator-routing", "true".to_owned()),
    ] {
        server.arg(format!("--{flag}={value}"));
    }
    Process::start("kube-apiserver", server, folder)
}

/// Writes the certificates and keys that [`start_server`] names: they outlive a restart of the server.
pub(super) fn write_keys(folder: &Path, authority: &Authority, address: IpAddr) -> Result<()> {
    let write =
        |name: &str, text: &str| fs::write(folder.join(name), text).with_context(|| format!("write {name}"));
    let names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];
    let addresses = [address, Ipv4Addr::LOCALHOST.into(), SERVICE_ADDRESS.into()];
    let write_leaf = |name: &str, leaf: &Leaf| {
        write(&format!("{name}.crt"), &leaf.certificate)?;
        write(&format!("{name}.key"), &leaf.key)
    };
    write_leaf("server", &authority.server(&names, &addresses)?)?;
    write_leaf(
        "kubelet-client",
        &authority.client("kube-apiserver-kubelet-client", Some("system:masters"))?,
    )?;
    write(AUTHORITY_FILE, &authority.certificate)?;
    let (private, public) = service_account_key()?;
    write(SERVICE_ACCOUNT_KEY_FILE, &private)?;
    write("service-accounts.pub", &public)
}

/// A port that nobody listens on, below the range (32768 and up) from which the kernel takes ports for
/// outgoing connections: there it stays free while the server is stopped.
pub(super) fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    for _ in 0..COUNT {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        // Processes that run side by side begin at different places.
        let port = FIRST + (std::process::id().wrapping_mul(37) + step) % COUNT;
        let port = u16::try_from(port).context("a port below 32000")?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port from {FIRST} on")
}
