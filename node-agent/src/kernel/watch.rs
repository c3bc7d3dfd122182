//! Hears of changes to links, addresses and routes as they happen.
//!
//! IPVS tells nothing of the kind, and neither does a changed ARP setting: those are found by looking.

use std::io;

use nix::errno::Errno;

use super::error::Error;

// linux/rtnetlink.h
const GROUPS: [u32; 5] =
    [RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE];
const RTNLGRP_LINK: u32 = 1;
const RTNLGRP_IPV4_IFADDR: u32 = 5;
const RTNLGRP_IPV4_ROUTE: u32 = 7;
const RTNLGRP_IPV6_IFADDR: u32 = 9;
const RTNLGRP_IPV6_ROUTE: u32 = 11;

/// Changes of the network namespace in which it was opened. From then on none is missed.
#[derive(Debug)]
pub struct Watch {
    socket: netlink_sys::Socket,
}

impl Watch {
    /// Subscribes. What changed before is not told.
    ///
    /// # Errors
    /// When the kernel gives no socket or no subscription.
    pub fn open() -> Result<Self, Error> {
        let subscribe = || -> io::Result<netlink_sys::Socket> {
            let mut socket = netlink_sys::Socket::new(netlink_sys::protocols::NETLINK_ROUTE)?;
            socket.bind_auto()?;
            for group in GROUPS {
                socket.add_membership(group)?;
            }
            Ok(socket)
        };
        let socket =
            subscribe().map_err(|source| Error::io("subscribing to changes of the network", source))?;
        Ok(Self { socket })
    }

    /// Blocks until something changed. Several changes at once count as one, and so do lost messages: what changed
    /// is to be read anyway.
    ///
    /// # Errors
    /// When the socket fails; it is then of no more use.
    pub fn changed(&mut self) -> Result<(), Error> {
        // What a message says is not looked at, so that its first bytes are enough.
        let mut message = [0_u8; 16];
        let mut flags = 0;
        loop {
            match self.socket.recv(&mut &mut message[..], flags) {
                // Something has come: what else is there is taken too, without waiting.
                Ok(_) => flags = libc::MSG_DONTWAIT,
                Err(error) => match error.raw_os_error().map(Errno::from_raw) {
                    Some(Errno::EINTR) => {}
                    Some(Errno::ENOBUFS) => flags = libc::MSG_DONTWAIT,
                    Some(Errno::EAGAIN) => return Ok(()),
                    _ => return Err(Error::io("hearing of changes of the network", error)),
                },
            }
        }
    }

    /// Calls `tell` for each change, on a thread of its own, until `tell` says false or the socket fails.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn spawn(mut self, mut tell: impl FnMut() -> bool + Send + 'static) -> Result<(), Error> {
        let hear = move || {
            loop {
                match self.changed() {
                    Ok(()) if tell() => {}
                    Ok(()) => return,
                    Err(error) => {
                        tracing::error!(%error, "changes of the network are no longer heard of, only looked for");
                        return;
                    }
                }
            }
        };
        std::thread::Builder::new()
            .name("network-watch".to_owned())
            .spawn(hear)
            .map(|_| ())
            .map_err(|source| Error::io("starting the thread that hears of changes of the network", source))
    }
}
