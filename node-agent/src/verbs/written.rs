//! Kernels, local facts and custody that were written down, read from files instead of from the node.

use std::path::Path;

use anyhow::Context as _;
use lvs_core::custody::Custody;
use lvs_core::ipvs::Timeouts;
use lvs_core::kernel::{AddressAttributes, AddressKey, ArpSettings, Kernel};
use lvs_core::local::Local;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// IPVS's timeouts in a fresh network namespace (`ip_vs_proto_tcp.c`, `ip_vs_proto_udp.c`), in seconds.
const FRESH_TIMEOUTS: Timeouts = Timeouts { tcp_seconds: 900, tcp_fin_seconds: 120, udp_seconds: 300 };

/// A kernel from a file, bare or as `observe -o yaml` prints it; `empty` stands for [`empty`].
///
/// # Errors
/// Where the file cannot be read or is no kernel; the error names the place.
pub fn kernel(path: &Path, local: &Local) -> anyhow::Result<Kernel> {
    if path == Path::new("empty") { Ok(empty(local)) } else { value(path, "kernel") }
}

/// Local facts from a file, bare or as `observe -o yaml` prints them.
///
/// # Errors
/// Where the file cannot be read or holds no local facts; the error names the place.
pub fn local(path: &Path) -> anyhow::Result<Local> {
    value(path, "local")
}

/// Custody from a file, bare or as `observe -o yaml` prints it.
///
/// # Errors
/// Where the file cannot be read or holds no custody; the error names the place.
pub fn custody(path: &Path) -> anyhow::Result<Custody> {
    let value = document(path)?;
    let custody = value.get("custody").cloned().unwrap_or(value);
    serde_json::from_value(custody).with_context(|| format!("{} holds no custody", path.display()))
}

/// A kernel with the links of `local` where nothing has been set up: no IPVS service, the timeouts of a fresh network
/// namespace, ARP settings of 0.
#[must_use]
pub fn empty(local: &Local) -> Kernel {
    let addresses = local.links.iter().flat_map(|(name, link)| {
        link.addresses.iter().map(|prefix| {
            let key = AddressKey { link: *name, address: prefix.address, prefix_length: prefix.length };
            let attributes =
                AddressAttributes { scope: 0, no_dad: false, preferred_seconds: None, valid_seconds: None };
            (key, attributes)
        })
    });
    Kernel {
        timeouts: local.ipvs.then_some(FRESH_TIMEOUTS),
        addresses: addresses.collect(),
        arp: local.links.keys().map(|link| (*link, ArpSettings::default())).collect(),
        arp_all: local.arp_all,
        schedulers: Some(local.schedulers.clone()).filter(|known| !known.is_empty()),
        ..Kernel::default()
    }
}

/// A value of which every field may be left out, under `key` or bare.
fn value<T: DeserializeOwned + Serialize + Default>(path: &Path, key: &str) -> anyhow::Result<T> {
    let document = document(path)?;
    let bare = document.get(key).cloned().unwrap_or(document);
    refuse_unknown_fields::<T>(&bare).with_context(|| path.display().to_string())?;
    serde_json::from_value(bare).with_context(|| format!("{} holds no {key}", path.display()))
}

/// With every field optional any file would read as an empty value; so a field that is none is an error.
fn refuse_unknown_fields<T: Serialize + Default>(value: &Value) -> anyhow::Result<()> {
    let known = serde_json::to_value(T::default())?;
    let (Value::Object(fields), Value::Object(known)) = (value, &known) else {
        anyhow::bail!("a mapping was expected");
    };
    for field in fields.keys() {
        if !known.contains_key(field) {
            let names: Vec<&str> = known.keys().map(String::as_str).collect();
            anyhow::bail!("unknown field {field:?}; known are {}", names.join(", "));
        }
    }
    Ok(())
}

fn document(path: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    serde_saphyr::from_str(&text).with_context(|| format!("{} does not parse", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("written.yaml");
        std::fs::write(&path, content).unwrap();
        (folder, path)
    }

    #[test]
    fn what_observe_prints_reads_back_whole_and_in_parts() {
        let local = Local { node: "director-1".into(), ipvs: true, ..Local::default() };
        let kernel = empty(&local);
        let custody = Custody::default();
        let printed = serde_json::json!({"kernel": kernel, "local": local, "custody": custody});
        let (_folder, path) = file(&serde_saphyr::to_string(&printed).unwrap());
        assert_eq!(super::local(&path).unwrap(), local);
        assert_eq!(super::kernel(&path, &local).unwrap(), kernel);
        assert_eq!(super::custody(&path).unwrap(), custody);
        let (_folder, path) = file(&serde_saphyr::to_string(&kernel).unwrap());
        assert_eq!(super::kernel(&path, &local).unwrap(), kernel);
    }

    #[test]
    fn a_file_of_something_else_is_no_empty_kernel() {
        let (_folder, path) = file("apiVersion: v1\nkind: ConfigMap\n");
        let error = format!("{:#}", kernel(&path, &Local::default()).unwrap_err());
        assert!(
            error.contains("unknown field \"apiVersion\"") && error.contains("virtualServers"),
            "{error}"
        );
    }

    #[test]
    fn an_empty_kernel_has_the_links_and_no_more() {
        let (_folder, path) = file("node: a\nipvs: true\nlinks: {eth0: {addresses: [192.168.10.20/24]}}\n");
        let local = local(&path).unwrap();
        let kernel = kernel(Path::new("empty"), &local).unwrap();
        assert_eq!(kernel.arp.len(), 1);
        assert_eq!(kernel.timeouts, Some(FRESH_TIMEOUTS));
        assert!(kernel.virtual_servers.is_empty());
        assert!(kernel.addresses.contains_key(&"eth0 192.168.10.20/24".parse().unwrap()));
    }
}
