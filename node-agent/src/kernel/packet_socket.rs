//! A socket for whole Ethernet frames on one link (packet(7)).

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use lvs_core::network::MacAddress;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, recv, send, setsockopt, socket, sockopt,
};

use super::frame::{arp, neighbour};

/// Room for the frames that come while others are being looked at; as much of it as the system allows is taken.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;

/// A socket that never blocks.
#[derive(Debug)]
pub(super) struct PacketSocket {
    socket: OwnedFd,
    link: i32,
}

/// Which frames a socket receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Receives {
    /// None: it only sends.
    Nothing,
    /// ARP.
    Arp,
    /// Neighbour solicitations and advertisements.
    NeighbourDiscovery,
}

impl PacketSocket {
    /// Opens a socket on the link with this index. It receives from now on, and nothing from before.
    ///
    /// Fails with EPERM without `CAP_NET_RAW`.
    pub(super) fn open(link: u32, receives: Receives) -> io::Result<Self> {
        // Of protocol 0 it receives nothing until it is bound to a link and a protocol.
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Packet, SockType::Raw, flags, None)?;
        let link = i32::try_from(link).map_err(|_| Errno::ENODEV)?;
        let socket = Self { socket, link };
        if setsockopt(&socket.socket, sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES).is_err() {
            setsockopt(&socket.socket, sockopt::RcvBuf, &RECEIVE_BUFFER_BYTES)?;
        }
        let protocol = match receives {
            Receives::Nothing => 0,
            Receives::Arp => arp::ETHER_TYPE,
            Receives::NeighbourDiscovery => {
                socket.filter(&neighbour_discovery())?;
                neighbour::ETHER_TYPE
            }
        };
        socket.bind(protocol)?;
        Ok(socket)
    }

    /// Has the network device take in frames to a group; ends with the socket.
    pub(super) fn join(&self, group: MacAddress) -> io::Result<()> {
        let mut address = [0; 8];
        address[..6].copy_from_slice(&group.0);
        let membership = libc::packet_mreq {
            mr_ifindex: self.link,
            mr_type: PACKET_MR_MULTICAST,
            mr_alen: 6,
            mr_address: address,
        };
        self.set(libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &membership)
    }

    /// Sends one frame.
    pub(super) fn send(&self, frame: &[u8]) -> io::Result<()> {
        loop {
            match send(self.socket.as_raw_fd(), frame, MsgFlags::empty()) {
                Err(Errno::EINTR) => {}
                sent => return sent.map(|_| ()).map_err(io::Error::from),
            }
        }
    }

    /// The next frame that has come, as much of it as fits; none where there is none yet.
    pub(super) fn receive<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
        loop {
            match recv(self.socket.as_raw_fd(), buffer, MsgFlags::empty()) {
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(None),
                Err(errno) => return Err(errno.into()),
                Ok(length) => return Ok(buffer.get(..length)),
            }
        }
    }

    fn bind(&self, protocol: u16) -> io::Result<()> {
        let address = libc::sockaddr_ll {
            sll_family: AF_PACKET,
            sll_protocol: protocol.to_be(),
            sll_ifindex: self.link,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        // SAFETY: the pointer is to a whole `sockaddr_ll` that outlives the call, and the length is its size.
        #[expect(unsafe_code, reason = "nix has no way to make an address of this family")]
        let done = unsafe {
            libc::bind(self.socket.as_raw_fd(), (&raw const address).cast(), length_of::<libc::sockaddr_ll>())
        };
        Errno::result(done)?;
        Ok(())
    }

    fn filter(&self, program: &[libc::sock_filter]) -> io::Result<()> {
        let length = u16::try_from(program.len()).map_err(|_| Errno::EINVAL)?;
        // The kernel only reads through the pointer.
        let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
        self.set(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
    }

    /// Sets an option whose value is a plain C structure.
    fn set<T>(&self, level: i32, name: i32, value: &T) -> io::Result<()> {
        // SAFETY: the pointer is to a whole `T` that outlives the call, and the length is its size. The kernel copies
        // it, and what `sock_fprog` points to, which its maker borrows until after the call.
        #[expect(unsafe_code, reason = "nix has none of these options")]
        let done = unsafe {
            libc::setsockopt(
                self.socket.as_raw_fd(),
                level,
                name,
                std::ptr::from_ref(value).cast(),
                length_of::<T>(),
            )
        };
        Errno::result(done)?;
        Ok(())
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

// linux/socket.h, linux/if_packet.h
const AF_PACKET: u16 = 17;
const PACKET_MR_MULTICAST: u16 = 0;

/// The size of a structure of a few bytes, as system calls take it.
fn length_of<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).unwrap_or_default()
}

/// A classic BPF program that passes neighbour solicitations and advertisements. Without it a busy link could fill
/// the receive buffer with other packets, and the answer that matters be lost.
fn neighbour_discovery() -> [libc::sock_filter; 7] {
    // In the IPv6 header, and behind it. The Ethernet header has 14 bytes: VLAN tags are taken off before.
    const NEXT_HEADER: u32 = 14 + 6;
    const ICMP_TYPE: u32 = 14 + 40;
    let load = |offset| statement(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, offset);
    let unless =
        |value: u8, skip| statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, skip, u32::from(value));
    let when =
        |value: u8, skip| statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, skip, 0, u32::from(value));
    let pass = |bytes| statement(libc::BPF_RET | libc::BPF_K, 0, 0, bytes);
    [
        load(NEXT_HEADER),
        unless(neighbour::ICMPV6, 4),
        load(ICMP_TYPE),
        when(neighbour::SOLICITATION, 1),
        unless(neighbour::ADVERTISEMENT, 1),
        pass(u32::MAX),
        pass(0),
    ]
}

fn statement(code: u32, jump_true: u8, jump_false: u8, k: u32) -> libc::sock_filter {
    // Codes have 16 bits.
    let code = u16::try_from(code).unwrap_or_default();
    libc::sock_filter { code, jt: jump_true, jf: jump_false, k }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    /// What the program does, by the few instructions that it has.
    fn passes(program: &[libc::sock_filter], frame: &[u8]) -> bool {
        let (mut accumulator, mut next) = (0, 0);
        loop {
            let statement = program[next];
            next += 1;
            match u32::from(statement.code) {
                code if code == libc::BPF_LD | libc::BPF_B | libc::BPF_ABS => {
                    let Some(byte) = frame.get(statement.k as usize) else { return false };
                    accumulator = u32::from(*byte);
                }
                code if code == libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K => {
                    let equal = accumulator == statement.k;
                    next += usize::from(if equal { statement.jt } else { statement.jf });
                }
                _ => return statement.k > 0,
            }
        }
    }

    #[test]
    fn neighbour_discovery_passes_and_nothing_else() {
        let (mac, address) = (MacAddress([2, 0, 0, 0, 0, 1]), Ipv6Addr::LOCALHOST);
        let program = neighbour_discovery();
        let solicitation = neighbour::solicitation(mac, address);
        assert!(passes(&program, &solicitation));
        assert!(passes(&program, &neighbour::advertisement(mac, address)));
        let with = |position: usize, byte| {
            let mut frame = solicitation.clone();
            frame[position] = byte;
            frame
        };
        // TCP, an echo request, a router advertisement.
        assert!(!passes(&program, &with(20, 6)));
        assert!(!passes(&program, &with(54, 128)));
        assert!(!passes(&program, &with(54, 134)));
        assert!(!passes(&program, &solicitation[..40]));
    }
}
