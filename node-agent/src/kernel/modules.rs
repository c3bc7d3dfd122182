//! Which IPVS modules the kernel has or can load.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use lvs_core::names::SchedulerName;

/// The modules' names begin so: `ip_vs_wlc` is the scheduler `wlc`.
const PREFIX: &str = "ip_vs_";

/// What the kernel has or can load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Available {
    /// Whether IPVS itself is among it.
    pub(super) ipvs: bool,
    /// The schedulers; `None` where only the loaded modules could be seen, so that the others are not known.
    pub(super) schedulers: Option<BTreeSet<SchedulerName>>,
}

/// Reads the lists of modules, and the long one of them only when it has changed.
#[derive(Debug)]
pub(super) struct Modules {
    folder: PathBuf,
    installed: Option<Installed>,
}

/// The list of installed modules as it was at one time.
#[derive(Clone, Debug)]
struct Installed {
    version: (SystemTime, u64),
    names: BTreeSet<String>,
}

impl Modules {
    /// For the running kernel, whose release is given.
    pub(super) fn of(release: &str) -> Self {
        Self { folder: Path::new("/lib/modules").join(release), installed: None }
    }

    /// What there is now.
    pub(super) fn available(&mut self) -> Available {
        // Without /proc/modules the kernel has no modules: all that it has is built in.
        let loaded = fs::read_to_string("/proc/modules").unwrap_or_default();
        match self.installed() {
            Ok(installed) => available(loaded_names(&loaded), Some(installed)),
            Err(error) => {
                tracing::debug!(folder = %self.folder.display(), %error, "the installed modules cannot be read");
                self.installed = None;
                available(loaded_names(&loaded), None)
            }
        }
    }

    fn installed(&mut self) -> io::Result<&BTreeSet<String>> {
        let list = self.folder.join("modules.dep");
        let metadata = fs::metadata(&list)?;
        let version = (metadata.modified()?, metadata.len());
        let known = self.installed.take().filter(|installed| installed.version == version);
        let installed = if let Some(installed) = known {
            installed
        } else {
            let mut names = file_names(&fs::read_to_string(list)?);
            // Of kernels that have no module built in there is no such list.
            let built_in = fs::read_to_string(self.folder.join("modules.builtin")).unwrap_or_default();
            names.extend(file_names(&built_in));
            Installed { version, names }
        };
        Ok(&self.installed.insert(installed).names)
    }
}

/// The first word of each line of /proc/modules.
fn loaded_names(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.split_ascii_whitespace().next())
}

/// The IPVS modules of a list of files such as `kernel/net/netfilter/ipvs/ip_vs_wlc.ko.xz: …`.
fn file_names(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| line.split(':').next()?.rsplit('/').next()?.split_once(".ko"))
        .map(|(name, _)| name.replace('-', "_"))
        .filter(|name| name.starts_with("ip_vs"))
        .collect()
}

fn available<'a>(
    loaded: impl Iterator<Item = &'a str>,
    installed: Option<&'a BTreeSet<String>>,
) -> Available {
    let names: BTreeSet<&str> = loaded.chain(installed.into_iter().flatten().map(String::as_str)).collect();
    Available {
        ipvs: names.contains("ip_vs"),
        schedulers: installed.map(|_| names.iter().filter_map(|name| scheduler(name)).collect()),
    }
}

/// The scheduler in a module; none for the helper of FTP and for persistence engines.
fn scheduler(module: &str) -> Option<SchedulerName> {
    let name = module.strip_prefix(PREFIX)?;
    if name == "ftp" || name.starts_with("pe_") { None } else { name.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEPENDENCIES: &str = "kernel/net/netfilter/ipvs/ip_vs.ko: kernel/net/netfilter/nf_conntrack.ko\n\
        kernel/net/netfilter/ipvs/ip_vs_rr.ko.xz: kernel/net/netfilter/ipvs/ip_vs.ko\n\
        kernel/net/netfilter/ipvs/ip_vs_ftp.ko.zst:\n\
        kernel/net/netfilter/ipvs/ip_vs_pe_sip.ko:\n\
        kernel/net/bridge/bridge.ko:\n";

    fn names(available: &Available) -> Vec<&str> {
        available.schedulers.iter().flatten().map(SchedulerName::as_str).collect()
    }

    #[test]
    fn schedulers_are_those_loaded_and_those_installed() {
        let installed = file_names(DEPENDENCIES);
        let loaded = loaded_names("ip_vs_wlc 16384 0 - Live 0x0\nip_vs 200704 2 ip_vs_wlc, Live 0x0\n");
        let available = available(loaded, Some(&installed));
        assert_eq!(names(&available), ["rr", "wlc"]);
        assert!(available.ipvs);
    }

    #[test]
    fn what_is_installed_may_be_unknown() {
        let nothing = available(loaded_names(""), None);
        assert_eq!(nothing, Available { ipvs: false, schedulers: None });
        assert!(available(loaded_names("ip_vs 200704 0 - Live 0x0\n"), None).ipvs);
    }

    #[test]
    fn the_long_list_is_read_again_only_when_it_changed() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("modules.dep");
        let mut modules = Modules { folder: folder.path().to_owned(), installed: None };
        assert!(modules.installed().is_err());
        fs::write(&list, DEPENDENCIES).unwrap();
        assert!(modules.installed().unwrap().contains("ip_vs_rr"));
        fs::write(folder.path().join("modules.builtin"), "kernel/net/netfilter/ipvs/ip_vs_mh.ko\n").unwrap();
        assert!(!modules.installed().unwrap().contains("ip_vs_mh"));
        fs::write(&list, "kernel/net/netfilter/ipvs/ip_vs_sh.ko:\n").unwrap();
        let names: Vec<_> = modules.installed().unwrap().iter().map(String::as_str).collect();
        assert_eq!(names, ["ip_vs_mh", "ip_vs_sh"]);
    }
}
