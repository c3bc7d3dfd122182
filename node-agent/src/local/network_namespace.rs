//! Which network namespace this is.

use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixDatagram;

/// The cookie of this network namespace (`SO_NETNS_COOKIE`, Linux 5.14): a number that no other namespace of this boot
/// ever has. None where the kernel is too old to tell.
///
/// # Errors
/// Where no socket can be made.
pub fn cookie() -> io::Result<Option<u64>> {
    // Any socket is of the namespace that it was made in, and this one needs neither link nor address.
    let socket = UnixDatagram::unbound()?;
    let mut cookie = 0_u64;
    let mut length = libc::socklen_t::try_from(size_of::<u64>()).map_err(io::Error::other)?;
    // SAFETY: the pointers are to a u64 and to its size, both of which outlive the call; the kernel writes no more than
    // that size.
    #[allow(unsafe_code, reason = "no safe binding knows this option")]
    let code = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if code == 0 {
        return Ok(Some(cookie));
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::ENOPROTOOPT) => Ok(None),
        error => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_has_one_cookie() {
        assert_eq!(cookie().unwrap(), cookie().unwrap());
    }
}
