//! Frames on a link of a host: a packet(7) socket, and a capture that runs beside the scenario.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::{RcvBuf, ReceiveTimeout};
use nix::sys::socket::{
    AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, setsockopt, socket,
};
use nix::sys::time::TimeVal;

use super::Host;
use super::frame::Mac;

/// A frame that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When, by the monotonic clock.
    pub at: Instant,
    /// Whether the host itself sent it.
    pub outgoing: bool,
    /// All of it, from the destination's hardware address on.
    pub bytes: Vec<u8>,
}

/// A socket that sends and receives whole frames on one link.
#[derive(Debug)]
pub struct PacketSocket {
    socket: OwnedFd,
    mac: Mac,
}

impl PacketSocket {
    /// Opens it on `link` in the calling thread's namespaces; it receives every frame of the link, sent ones too.
    ///
    /// Fails without the right to, or where there is no such link.
    pub fn open(link: &str) -> Result<Self> {
        let everything = SockProtocol::EthAll;
        let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, everything)
            .context("open a packet socket")?;
        setsockopt(&socket, RcvBuf, &(4 << 20)).context("enlarge the receive buffer")?;
        setsockopt(&socket, ReceiveTimeout, &TimeVal::new(0, 2_000)).context("set the receive timeout")?;
        bind(&socket, link).with_context(|| format!("bind a packet socket to {link}"))?;
        let path = format!("/sys/class/net/{link}/address");
        let mac = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        Ok(Self { socket, mac: mac.trim().to_owned().try_into()? })
    }

    /// The link's hardware address.
    #[must_use]
    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// Sends one frame. Fails where the link is down.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        nix::unistd::write(&self.socket, frame).map(drop).context("send a frame")
    }

    /// A frame that has come already; unlike [`Self::receive`] it ends also where frames keep coming.
    ///
    /// Fails where the link is gone.
    pub fn take_received(&self) -> Result<Option<Seen>> {
        let mut waiting = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waiting, PollTimeout::ZERO) {
            Ok(0) | Err(Errno::EINTR) => Ok(None),
            Ok(_) => self.receive(),
            Err(error) => Err(error).context("look for a frame"),
        }
    }

    /// The next frame; nothing where none comes for 2 ms. Fails where the link is gone.
    pub fn receive(&self) -> Result<Option<Seen>> {
        let mut buffer = [0; 2048];
        match recvfrom::<LinkAddr>(self.socket.as_raw_fd(), &mut buffer) {
            Ok((length, from)) => {
                // PACKET_OUTGOING of packet(7).
                let outgoing = from.is_some_and(|from| from.pkttype() == 4);
                Ok(Some(Seen { at: Instant::now(), outgoing, bytes: buffer[..length].to_vec() }))
            }
            // A link that is down says so once, and receives again when it is up.
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ENETDOWN) => Ok(None),
            Err(error) => Err(error).context("receive a frame"),
        }
    }
}

fn bind(socket: &OwnedFd, link: &str) -> Result<()> {
    let index = if_nametoindex(link).context("find the link")?;
    let address = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET)?,
        sll_protocol: u16::try_from(libc::ETH_P_ALL)?.to_be(),
        sll_ifindex: i32::try_from(index)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = libc::socklen_t::try_from(size_of_val(&address))?;
    // SAFETY: the pointer is to a sockaddr_ll that outlives the call, and the length is that of a sockaddr_ll.
    #[allow(unsafe_code, reason = "no safe binding makes a link-layer address")]
    let code = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    if code == 0 { Ok(()) } else { bail!(std::io::Error::last_os_error()) }
}

/// Work that goes on beside the scenario until it is stopped.
#[derive(Debug)]
pub struct Background<T> {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Result<T>>>>,
}

impl<T: Send + 'static> Background<T> {
    /// Starts `job` in the host's namespaces; it has to return soon after the flag says so.
    ///
    /// Fails where the namespaces cannot be kept for it.
    pub fn start(host: &Host, job: impl FnOnce(&AtomicBool) -> Result<T> + Send + 'static) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let thread = host.namespace().beside(move || job(&flag))?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Stops it and takes what it found. Fails where it failed.
    pub fn stop(mut self) -> Result<T> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("it is stopped only once")?;
        thread.join().map_err(|_| anyhow!("work beside the scenario panicked"))??
    }
}

impl<T> Drop for Background<T> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Captures the frames on a link that `wanted` picks, until it is stopped; it returns when it sees the link.
///
/// Fails where the socket cannot be opened.
pub fn capture(host: &Host, link: &str, wanted: fn(&[u8]) -> bool) -> Result<Background<Vec<Seen>>> {
    let socket = host.inside(|| PacketSocket::open(link))??;
    Background::start(host, move |stop| {
        let mut seen = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            seen.extend(socket.receive()?.filter(|frame| wanted(&frame.bytes)));
        }
        // What was queued when the stop came belongs to the time before it.
        while let Some(frame) = socket.take_received()? {
            seen.extend(Some(frame).filter(|frame| wanted(&frame.bytes)));
        }
        Ok(seen)
    })
}

/// How long the kernel is given to deliver what is under way before a [`Background`] is stopped.
pub const SETTLE: Duration = Duration::from_millis(200);
