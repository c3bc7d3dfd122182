//! One agent per network namespace.
//!
//! The lock is a listening socket in the abstract namespace of Unix sockets (unix(7)). Abstract names belong to a
//! network namespace, as the kernel state that an agent changes does, and they vanish with their process, so that a
//! killed agent never locks its successor out.

use std::io;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

/// The abstract name that an agent binds.
pub const NAME: &str = "lvs-node-agent";

/// The lock; it is held for as long as this value lives.
#[derive(Debug)]
pub struct Lock {
    _socket: UnixListener,
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another agent has it.
    #[error(
        "another lvs-node-agent runs in this network namespace{}: it holds the abstract socket @{NAME}. \
         Stop that one first",
        .pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    Held {
        /// Its process, as far as that is visible from here.
        pid: Option<i32>,
    },
    /// The socket could not be made.
    #[error("the lock @{NAME} could not be taken")]
    Socket(#[source] io::Error),
}

impl Lock {
    /// Takes the lock of this network namespace.
    ///
    /// # Errors
    /// [`LockError::Held`] where another agent has it.
    pub fn take() -> Result<Self, LockError> {
        Self::take_named(NAME)
    }

    fn take_named(name: &str) -> Result<Self, LockError> {
        let address = SocketAddr::from_abstract_name(name).map_err(LockError::Socket)?;
        match UnixListener::bind_addr(&address) {
            Ok(socket) => Ok(Self { _socket: socket }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                Err(LockError::Held { pid: holder(&address) })
            }
            Err(error) => Err(LockError::Socket(error)),
        }
    }
}

/// The process that listens at `address`. A process of another PID namespace shows as 0.
fn holder(address: &SocketAddr) -> Option<i32> {
    let stream = UnixStream::connect_addr(address).ok()?;
    let credentials = getsockopt(&stream.as_fd(), PeerCredentials).ok()?;
    Some(credentials.pid()).filter(|pid| *pid > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_agent_is_told_who_holds_the_lock_until_that_one_ends() {
        let name = format!("lvs-node-agent test {}", std::process::id());
        let first = Lock::take_named(&name).unwrap();
        let error = Lock::take_named(&name).unwrap_err();
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(matches!(error, LockError::Held { pid: Some(pid) } if pid == own), "{error:?}");
        assert!(error.to_string().contains(&format!("(process {own})")), "{error}");
        drop(first);
        Lock::take_named(&name).unwrap();
    }
}
