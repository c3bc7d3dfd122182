//! Datagrams: a server that says who it is, from the address that it was asked at, and a client that asks.

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::socket::sockopt::Ipv4PacketInfo;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg, setsockopt,
};

use super::Host;

/// Answers every datagram at a port of any IPv4 address with the host's name, for ever. The answer comes from the
/// address that was asked: a socket on the wildcard address would else answer from the RIP, and a client that asked a VIP
/// would not take that for an answer.
///
/// Fails where the port cannot be bound.
pub fn serve(port: u16, name: &str) -> Result<()> {
    let socket =
        UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).with_context(|| format!("bind UDP port {port}"))?;
    setsockopt(&socket, Ipv4PacketInfo, &true).context("ask for the address that was asked")?;
    let mut buffer = [0; 2048];
    let mut space = nix::cmsg_space!(libc::in_pktinfo);
    loop {
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let asked =
            recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty())
                .context("receive a datagram")?;
        let told = asked.cmsgs()?.find_map(|message| match message {
            ControlMessageOwned::Ipv4PacketInfo(info) => Some(info),
            _ => None,
        });
        let (Some(from), Some(told)) = (asked.address, told) else { continue };
        // The address that was asked becomes the answer's source; the kernel chooses the link.
        let answer_from = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: told.ipi_addr, ..told };
        let control = [ControlMessage::Ipv4PacketInfo(&answer_from)];
        // A client that has gone is no reason to stop.
        let _ = sendmsg(
            socket.as_raw_fd(),
            &[IoSlice::new(name.as_bytes())],
            &control,
            MsgFlags::empty(),
            Some(&from),
        );
    }
}

/// Asks `to` from one socket of `from`, `count` times, and returns who answered each.
///
/// Fails where no answer comes within two seconds.
pub fn ask(host: &Host, from: IpAddr, to: SocketAddr, count: usize) -> Result<Vec<String>> {
    host.inside(|| {
        let socket = UdpSocket::bind((from, 0)).with_context(|| format!("bind {from}"))?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        socket.connect(to)?;
        let ask = |_| {
            socket.send(b"who?")?;
            let mut buffer = [0; 256];
            let length = socket.recv(&mut buffer).with_context(|| format!("no answer from {to}"))?;
            Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
        };
        (0..count).map(ask).collect()
    })?
}
