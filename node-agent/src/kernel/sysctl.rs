//! Sysctls: read from `/proc/sys/net`, and written there or where the host's own is mounted, because in most containers
//! `/proc/sys` can only be read. Both are those of the thread's network namespace.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use lvs_core::kernel::Refusal;
use lvs_core::sysctl::{IpvsSysctl, Sysctl};
use netlink_packet_core::DecodeError;
use nix::errno::Errno;

use super::arp_settings::find;
use super::error::Error;
use super::rtnetlink::u32;

/// Where the kernel shows the settings.
pub const SYSCTLS: &str = "/proc/sys/net";

// linux/socket.h, linux/if_link.h, linux/ipv6.h
const AF_INET6: u16 = 10;
const IFLA_INET6_CONF: u16 = 2;
/// The first of `DEVCONF_*`.
const FORWARDING: usize = 0;

/// IPVS's settings and those of `all`, as far as the kernel has them.
pub(super) fn read() -> Result<BTreeMap<Sysctl, i32>, Error> {
    let mut found = BTreeMap::new();
    // Before the module is loaded there is no folder of IPVS's.
    let loaded = Path::new(SYSCTLS).join("ipv4/vs").exists();
    let ipvs = IpvsSysctl::ALL.iter().filter(|_| loaded).map(|ipvs| Sysctl::Ipvs(*ipvs));
    for sysctl in ipvs.chain([Sysctl::Ipv6ForwardingAll]) {
        if let Some(value) = value(sysctl).map_err(|source| Error::io("reading a sysctl", source))? {
            found.insert(sysctl, sysctl.standing_for(value));
        }
    }
    Ok(found)
}

fn value(sysctl: Sysctl) -> io::Result<Option<i32>> {
    match std::fs::read_to_string(Path::new(SYSCTLS).join(sysctl.path())) {
        // What does not read as a number is no setting that core knows.
        Ok(text) => Ok(text.trim().parse().ok()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A link's own `forwarding` of IPv6, in its `IFLA_AF_SPEC`; none where the link takes no part in IPv6.
pub(super) fn ipv6_forwarding(af_spec: &[u8]) -> Result<Option<i32>, DecodeError> {
    let Some(inet6) = find(af_spec, AF_INET6)? else { return Ok(None) };
    let Some(conf) = find(inet6, IFLA_INET6_CONF)? else { return Ok(None) };
    let value = conf.get(FORWARDING * 4..FORWARDING * 4 + 4).map(u32).transpose()?;
    Ok(value.map(u32::cast_signed))
}

/// Sets a sysctl in a folder that stands for [`SYSCTLS`].
pub(super) fn set(folder: &Path, sysctl: Sysctl, value: i32) -> Result<(), Error> {
    let path: PathBuf = folder.join(sysctl.path());
    let write = || {
        use io::Write as _;
        std::fs::OpenOptions::new().write(true).open(path)?.write_all(value.to_string().as_bytes())
    };
    write().map_err(|source| Error::io("setting a sysctl", source))
}

/// What an error of [`set`] means to core.
pub(super) fn refusal(errno: Errno) -> Refusal {
    match errno {
        Errno::EROFS | Errno::EACCES | Errno::EPERM => Refusal::NotWritable,
        Errno::ENOENT => Refusal::NoSysctl,
        other => Refusal::Other(other as i32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sysctl_is_written_in_the_folder_that_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let sysctl = Sysctl::Ipvs(IpvsSysctl::EstNice);
        let errno = |result: Result<(), Error>| refusal(result.unwrap_err().errno());
        assert_eq!(errno(set(folder.path(), sysctl, -5)), Refusal::NoSysctl);
        let file = folder.path().join("ipv4/vs/est_nice");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "").unwrap();
        set(folder.path(), sysctl, -5).unwrap();
        assert_eq!(std::fs::read_to_string(file).unwrap(), "-5");
    }

    #[test]
    fn what_can_only_be_read_is_told_apart() {
        assert_eq!(refusal(Errno::EROFS), Refusal::NotWritable);
        assert_eq!(refusal(Errno::EACCES), Refusal::NotWritable);
        assert_eq!(refusal(Errno::EINVAL), Refusal::Other(22));
    }

    #[test]
    fn a_links_forwarding_stands_first_among_its_ipv6_settings() {
        // IFLA_AF_SPEC { AF_INET6 { IFLA_INET6_FLAGS, IFLA_INET6_CONF { forwarding 1, hop limit 64 } } }
        let spec = b"\x18\0\x0a\0\x08\0\x01\0\0\0\0\x80\x0c\0\x02\0\x01\0\0\0\x40\0\0\0";
        assert_eq!(ipv6_forwarding(spec).unwrap(), Some(1));
        assert_eq!(ipv6_forwarding(b"").unwrap(), None);
    }
}
