//! A blocking netlink socket of our own, for any protocol.
//!
//! It waits at most [`ANSWER_TIMEOUT`] for an answer, matches answers to requests by their sequence numbers, and
//! notices cut-short and lost answers. After anything that leaves it unclear what is still to come it is replaced by
//! a fresh socket, so that no late answer is ever taken for a new one.

mod batch;
mod dump;
mod transaction;

use std::io;
use std::time::Duration;

use netlink_packet_core::DecodeError;
use netlink_packet_ipvs::{Acknowledgement, Content, Messages};
use netlink_sys::SocketAddr;
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;

pub(super) use batch::Answer;

use super::error::{Cause, Error};
use crate::crash_point;

/// How long to wait for an answer. The kernel answers inside the sending call, so that nothing that will come is
/// waited for; but where its handler ends with EINTR it sends no answer at all.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Room for one receive. The kernel fills at most 32 KiB for a dump, and silently less where the room is smaller.
const RECEIVE_BYTES: usize = 128 * 1024;

/// The receive buffer: an answer to each of a batch's requests takes up to 1 KiB of it.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;

/// The send buffer: a batch, with room for the kernel's accounting.
const SEND_BUFFER_BYTES: usize = 256 << 10;

/// A netlink socket that talks to the kernel only.
#[derive(Debug)]
pub(super) struct Socket {
    protocol: isize,
    kernel: netlink_sys::Socket,
    /// The last number that was used.
    sequence: u32,
    sent: Vec<u8>,
    received: Vec<u8>,
}

/// Writes one whole message with this sequence number to the end of the buffer.
pub(super) type Encode<'a> = &'a dyn Fn(u32, &mut Vec<u8>);

/// Reads one message: its type, and what follows the netlink header.
pub(super) type Parse<'a, T> = &'a mut dyn FnMut(u16, &[u8]) -> Result<T, DecodeError>;

impl Socket {
    /// Opens a socket in the thread's network namespace; `protocol` is one of `netlink_sys::protocols`.
    pub(super) fn open(protocol: isize) -> Result<Self, Error> {
        let kernel = connect(protocol).map_err(|source| Error::io("opening a netlink socket", source))?;
        let received = Vec::with_capacity(RECEIVE_BYTES);
        Ok(Self { protocol, kernel, sequence: 0, sent: Vec::new(), received })
    }

    /// Sends one request, hands each reply to `reply`, and waits for the acknowledgement, which the request must
    /// ask for (`NLM_F_ACK`).
    pub(super) fn ask(
        &mut self,
        doing: &'static str,
        encode: Encode<'_>,
        reply: Parse<'_, ()>,
    ) -> Result<(), Error> {
        self.exchange(encode, reply).map_err(|cause| self.failed(doing, cause))
    }

    /// Sends one request that changes something, and waits for its acknowledgement.
    pub(super) fn change(&mut self, doing: &'static str, encode: Encode<'_>) -> Result<(), Error> {
        crash_point::pass();
        let done = self.ask(doing, encode, &mut |_, _| Ok(()));
        crash_point::pass();
        done
    }

    fn exchange(&mut self, encode: Encode<'_>, reply: Parse<'_, ()>) -> Result<(), Cause> {
        let sequence = self.next_sequence();
        self.sent.clear();
        encode(sequence, &mut self.sent);
        self.send()?;
        let mut read = Ok(());
        loop {
            receive(&self.kernel, &mut self.received)?;
            for message in Messages::new(&self.received) {
                let message = message.map_err(Cause::Malformed)?;
                if message.header.sequence != sequence {
                    continue;
                }
                match message.content().map_err(Cause::Malformed)? {
                    Content::Acknowledgement(answer) => {
                        return refused(&answer).map_or(read.map_err(Cause::Malformed), Err);
                    }
                    Content::Family(payload) if read.is_ok() => {
                        read = reply(message.header.message_type, payload);
                    }
                    Content::Overrun => return Err(Cause::AnswersLost),
                    Content::Family(_) | Content::Done { .. } | Content::Noop => {}
                }
            }
        }
    }

    fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    fn send(&self) -> Result<(), Cause> {
        loop {
            match self.kernel.send(&self.sent, 0) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Cause::Io(error)),
                // A netlink datagram goes as a whole or not at all.
                Ok(_) => return Ok(()),
            }
        }
    }

    /// Names what was being done. A refusal is an answer; after anything else the socket is replaced.
    fn failed(&mut self, doing: &'static str, cause: Cause) -> Error {
        if !matches!(cause, Cause::Refused { .. }) {
            self.renew();
        }
        Error { doing, cause }
    }

    /// Takes a fresh socket, to which no late answer can come. Where none is to be had the old one stays, and every
    /// answer is still matched by its sequence number.
    fn renew(&mut self) {
        match connect(self.protocol) {
            Ok(kernel) => self.kernel = kernel,
            Err(error) => tracing::warn!(%error, "a netlink socket could not be opened again"),
        }
    }
}

/// A socket that hears the kernel only: its peer is port 0.
fn connect(protocol: isize) -> io::Result<netlink_sys::Socket> {
    let mut socket = netlink_sys::Socket::new(protocol)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    // An acknowledgement need not hold the request; both options are older than every kernel that we run on.
    socket.set_cap_ack(true)?;
    socket.set_ext_ack(true)?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(ANSWER_TIMEOUT.as_secs().cast_signed(), 0))?;
    // Beyond the system's limit with CAP_NET_ADMIN, else up to it.
    if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER_BYTES)?;
    }
    if setsockopt(&socket, sockopt::SndBufForce, &SEND_BUFFER_BYTES).is_err() {
        setsockopt(&socket, sockopt::SndBuf, &SEND_BUFFER_BYTES)?;
    }
    Ok(socket)
}

/// One receive, whole.
fn receive(socket: &netlink_sys::Socket, received: &mut Vec<u8>) -> Result<(), Cause> {
    loop {
        received.clear();
        match socket.recv(received, libc::MSG_TRUNC) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Cause::received(error)),
            // MSG_TRUNC tells the length of the datagram, however much of it there was room for.
            Ok(length) if length > received.len() => return Err(Cause::Truncated(received.len())),
            Ok(_) => return Ok(()),
        }
    }
}

/// The refusal that an acknowledgement is, if it is one.
fn refused(answer: &Acknowledgement<'_>) -> Option<Cause> {
    let errno = Errno::from_raw(answer.errno?.get());
    Some(Cause::Refused { errno, text: answer.text.map(str::to_owned) })
}
