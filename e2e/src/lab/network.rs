//! The hosts of a topology, made and wired.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::host::Host;
use super::process;
use super::request::LAB;
use super::topology::{HostSpec, LinkSpec, MANAGEMENT, Topology};

/// Hosts wired to switches, which go with this value. The switches are bridges in the namespace of the guest's first process.
#[derive(Debug)]
pub struct Lab {
    hosts: BTreeMap<String, (Host, HostSpec, u32)>,
    ports: BTreeMap<(String, String), String>,
}

impl Lab {
    /// Makes the hosts of a topology and waits until all is up.
    ///
    /// Fails where the kernel refuses a part of it.
    pub fn new(topology: &Topology) -> Result<Self> {
        let mut lab = Self { hosts: BTreeMap::new(), ports: BTreeMap::new() };
        let mut switches: Vec<&str> =
            topology.hosts.iter().flat_map(|host| &host.links).map(|link| link.network.as_str()).collect();
        switches.sort_unstable();
        switches.dedup();
        ip_batch(&switches.iter().fold("link set lo up\n".to_owned(), |lines, name| lines + &switch(name)))?;
        if Path::new("/sys/class/net/vec0").exists() && switches.contains(&MANAGEMENT) {
            ip_batch(&format!("link set vec0 master {MANAGEMENT} up\n"))?;
        }
        for spec in &topology.hosts {
            let host = Host::boot(&spec.name, Path::new(LAB).join("hosts").join(&spec.name), 1)?;
            lab.wire(&host, spec)?;
            lab.hosts.insert(spec.name.clone(), (host, spec.clone(), 1));
        }
        Ok(lab)
    }

    /// The host of that name. Fails where the topology has none.
    pub fn host(&self, name: &str) -> Result<&Host> {
        self.hosts.get(name).map(|(host, _, _)| host).with_context(|| format!("this lab has no host {name}"))
    }

    /// Every host, by name.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.values().map(|(host, _, _)| host)
    }

    /// A folder on a tmpfs that all hosts see under the same path, made where it is not there yet.
    ///
    /// Fails where it cannot be made.
    pub fn shared_folder(&self, name: &str) -> Result<std::path::PathBuf> {
        let path = Path::new(LAB).join("shared").join(name);
        fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(path)
    }

    /// Cuts a host's power and boots it again: no process, no `/run`, a fresh network with the links of its topology, a
    /// new boot id; `/var/lib` is as it was. Between the two `meanwhile` runs, while the host is off.
    ///
    /// Fails where there is no such host or the kernel refuses a part.
    pub fn reboot(&mut self, name: &str, meanwhile: impl FnOnce() -> Result<()>) -> Result<()> {
        let Some((host, spec, boot)) = self.hosts.remove(name) else { bail!("this lab has no host {name}") };
        host.kill_all()?;
        // Its ports go first: the kernel takes a namespace down only some time after the last one has left it.
        let ports =
            spec.links.iter().filter_map(|link| self.ports.remove(&(name.to_owned(), link.name.clone())));
        ip_batch(&ports.fold(String::new(), |lines, port| lines + &format!("link del {port}\n")))?;
        let folder = host.folder().to_owned();
        drop(host);
        meanwhile()?;
        let host = Host::boot(name, folder, boot + 1)?;
        self.wire(&host, &spec)?;
        self.hosts.insert(name.to_owned(), (host, spec, boot + 1));
        Ok(())
    }

    /// Pulls a host's cable out of the switch, or puts it back. Fails where there is no such link.
    pub fn set_cable(&self, host: &str, link: &str, plugged: bool) -> Result<()> {
        let port = self.port(host, link)?;
        ip_batch(&format!("link set {port} {}\n", if plugged { "up" } else { "down" }))
    }

    /// The switch's end of a host's link, for traffic control on it. Fails where there is no such link.
    pub fn port(&self, host: &str, link: &str) -> Result<&str> {
        let port = self.ports.get(&(host.to_owned(), link.to_owned()));
        port.map(String::as_str).with_context(|| format!("{host} has no link {link}"))
    }

    /// Adds a link to a host while it runs. Fails where the kernel refuses.
    pub fn add_link(&mut self, host: &str, link: &LinkSpec) -> Result<()> {
        let Some((found, mut spec, boot)) = self.hosts.remove(host) else {
            bail!("this lab has no host {host}")
        };
        let added = self.plug(&found, std::slice::from_ref(link)).and_then(|lines| {
            spec.links.push(link.clone());
            found.run_with_input(["ip", "-batch", "-"], &lines)?.success().map(drop)
        });
        self.hosts.insert(host.to_owned(), (found, spec, boot));
        added
    }

    fn wire(&mut self, host: &Host, spec: &HostSpec) -> Result<()> {
        let mut lines = "link set lo up\n".to_owned() + &self.plug(host, &spec.links)?;
        for route in &spec.routes {
            writeln!(lines, "route add {route}")?;
        }
        if spec.forwards {
            for switch in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
                host.write_file(&format!("/proc/sys/net/{switch}"), "1")?;
            }
        }
        host.run_with_input(["ip", "-batch", "-"], &lines)?
            .success()
            .with_context(|| format!("wire {}", spec.name))?;
        Ok(())
    }

    /// Makes both ends of each link, and returns the lines that set up the host's ends.
    fn plug(&mut self, host: &Host, links: &[LinkSpec]) -> Result<String> {
        let (mut here, mut there) = (String::new(), String::new());
        for link in links {
            let taken: Vec<&String> = self.ports.values().collect();
            // One more number than there are ports: one of them is free.
            let port = (0..=taken.len()).map(|n| format!("port{n}")).find(|name| !taken.contains(&name));
            let port = port.context("no port is free")?;
            let (name, network, namespace) = (&link.name, &link.network, host.namespace().network_path());
            let mac = link.mac().map(|mac| format!("address {mac} ")).unwrap_or_default();
            writeln!(here, "link add {port} type veth peer name {name} {mac}netns {}", namespace.display())?;
            writeln!(here, "link set {port} alias {}:{name} master {network} up", host.name())?;
            self.ports.insert((host.name().to_owned(), name.clone()), port);
            writeln!(there, "link set {name} up")?;
            for address in &link.addresses {
                let no_dad = if address.contains("::") { " nodad" } else { "" };
                writeln!(there, "addr add {address} dev {name}{no_dad}")?;
            }
        }
        ip_batch(&here)?;
        Ok(there)
    }
}

impl Drop for Lab {
    /// Takes the hosts and their switches away, so that the next lab of the same guest finds nothing of this one.
    fn drop(&mut self) {
        let switches = self.hosts.values().flat_map(|(_, spec, _)| &spec.links).map(|link| &link.network);
        // Each of these may be gone already, and nobody is left to tell.
        let lines = self.ports.values().chain(switches.collect::<BTreeSet<_>>());
        let lines = lines.fold(String::new(), |lines, link| lines + &format!("link del {link}\n"));
        let _ = process::run(&process::words(["ip", "-force", "-batch", "-"]), &lines);
        for (host, ..) in self.hosts.values() {
            let _ = fs::remove_dir_all(host.folder());
        }
    }
}

/// The lines that make a switch: no delay before a port forwards, and multicast to every port.
fn switch(name: &str) -> String {
    format!("link add {name} type bridge forward_delay 0 mcast_snooping 0\nlink set {name} up\n")
}

/// Runs lines of `ip` in the namespace of the switches.
fn ip_batch(lines: &str) -> Result<()> {
    process::run(&process::words(["ip", "-batch", "-"]), lines)?
        .success()
        .map(drop)
        .with_context(|| lines.to_owned())
}
