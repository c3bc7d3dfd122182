//! The IPVS generic netlink family: bytes to messages and back.
//!
//! IPVS (Linux Virtual Server) is programmed through a generic netlink family named [`FAMILY_NAME`]. This crate
//! is that family's wire format and nothing else: it opens no socket, reads no clock, and knows neither plans nor
//! policies. The format is fixed by `include/uapi/linux/ip_vs.h` and `net/netfilter/ipvs/ip_vs_ctl.c` of Linux.
//!
//! # Where to start
//!
//! * [`Request`]: everything that can be asked of the kernel. [`Request::encode`] appends one whole message to a
//!   buffer that is meant to be reused; several messages in one buffer are a batch.
//! * [`Messages`]: walks what a socket received, message by message; [`Message::content`] tells acknowledgements,
//!   errors and the end of a dump from replies.
//! * [`Reply`]: everything that the kernel answers; [`Reply::parse`] reads one.
//! * [`Service`], [`Destination`], [`Daemon`], [`Timeouts`], [`Info`]: the values inside both. A destination is a
//!   *real server* in LVS's words; the kernel's word is used here, as this is the kernel's interface.
//!
//! [`Request`] and [`Reply`] are also payloads of [`netlink_packet_generic::GenlMessage`], as those of the other
//! rust-netlink family crates. That path allocates; [`Request::encode`] and [`Reply::parse`] do not.
//!
//! ```
//! use netlink_packet_ipvs::{Content, Messages, Reply, ReplyBody, Request, RequestHeader};
//!
//! let mut buffer = Vec::new();
//! Request::GetConfig.encode(RequestHeader { family_id: 28, sequence: 1, acknowledge: false }, &mut buffer);
//! assert_eq!(buffer.len(), 20); // to be sent
//!
//! # let received: &[u8] = &[
//! #     0x2c, 0, 0, 0, 28, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 12, 1, 0, 0,
//! #     8, 0, 4, 0, 0x84, 3, 0, 0, 8, 0, 5, 0, 120, 0, 0, 0, 8, 0, 6, 0, 44, 1, 0, 0,
//! # ];
//! for message in Messages::new(received) {
//!     let message = message?;
//!     if let Content::Family(payload) = message.content()?
//!         && let ReplyBody::Config(timeouts) = Reply::parse(payload, None)?.body
//!     {
//!         assert_eq!((message.header.sequence, timeouts.tcp), (1, Some(900)));
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Invariants
//!
//! * No input makes this crate panic.
//! * Numbers that the kernel stores without judging them (a protocol of 300, a forwarding method of 5) are kept.
//! * An attribute that is not known here is kept in [`Reply::unknown`].
//! * Values are resolved only when all attributes of a nest were seen: the address family is a sibling of the
//!   address, and its place is not fixed.

mod address;
mod attribute;
mod command;
mod daemon;
mod destination;
mod framing;
mod info;
mod name;
mod reply;
mod request;
mod service;
mod stats;
mod timeouts;
mod writer;

pub use address::{AddressFamily, Netmask};
pub use attribute::{Nest, UnknownAttribute};
pub use command::{Command, FAMILY_NAME, FAMILY_VERSION};
pub use daemon::{Daemon, DaemonState};
pub use destination::{
    Destination, DestinationEntry, DestinationIdentity, ForwardingMethod, Tunnel, TunnelType,
};
pub use framing::{Acknowledgement, Content, Message, MessageHeader, Messages};
pub use info::Info;
pub use name::{InterfaceName, InvalidName, PersistenceEngineName, SchedulerName};
pub use reply::{Reply, ReplyBody};
pub use request::{Request, RequestHeader};
pub use service::{Service, ServiceEntry, ServiceFlags, ServiceIdentity};
pub use stats::{Stats, Stats32, Stats64};
pub use timeouts::Timeouts;
pub use writer::Padding;
