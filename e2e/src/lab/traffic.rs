//! Connections: a server that says who it is and then echoes, and clients that ask from a given address.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::sys::socket::sockopt::{ReceiveTimeout, SendTimeout};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket,
};
use nix::sys::time::TimeVal;
use serde::{Deserialize, Serialize};

use super::packet::Background;
use super::process::{Process, wait_until};
use super::{Host, host};
use crate::scenarios::Bench;

/// Verb of `lvs-lab` that leads to [`serve`].
pub const SERVE: &str = "serve";

/// Starts the server on a host, on all its addresses, and returns when it listens.
///
/// Fails where the port is taken.
pub fn start_server(bench: &Bench, host: &Host, port: u16) -> Result<Process> {
    let program = bench.binary("lvs-lab")?;
    let mut server = host.spawn([program.as_os_str(), SERVE.as_ref(), port.to_string().as_ref()], &[])?;
    wait_until("the server listens", Duration::from_secs(30), || {
        ensure!(server.ended()?.is_none(), "it ended: {}", server.log()?);
        Ok(host.inside(|| TcpStream::connect(("127.0.0.1", port)))?.is_ok())
    })?;
    Ok(server)
}

/// The server: each connection is greeted with a line that holds the host's name, then everything is echoed.
///
/// Fails where the port cannot be bound.
pub fn serve(port: u16) -> Result<()> {
    let name = nix::unistd::gethostname().context("ask for the host name")?.to_string_lossy().into_owned();
    let datagrams = name.clone();
    // Who asks by UDP is answered too; an IPv6 datagram is not.
    std::thread::spawn(move || {
        if let Err(error) = super::datagram::serve(port, &datagrams) {
            eprintln!("datagrams to port {port} are not answered: {error:#}");
        }
    });
    // One socket for both families, as net.ipv6.bindv6only is 0.
    let listener =
        TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).with_context(|| format!("bind port {port}"))?;
    for stream in listener.incoming() {
        let greeting = format!("{name}\n");
        // A client that goes away ends its own connection and nothing else.
        std::thread::spawn(move || stream.and_then(|stream| greet_and_echo(stream, &greeting)));
    }
    Ok(())
}

fn greet_and_echo(mut stream: TcpStream, greeting: &str) -> std::io::Result<()> {
    stream.write_all(greeting.as_bytes())?;
    let mut reader = stream.try_clone()?;
    std::io::copy(&mut reader, &mut stream).map(drop)
}

/// Opens a connection from `from` to `to` and returns it with the name of the server that greeted.
///
/// Fails where it is refused, or no greeting comes within `limit`.
pub fn open(host: &host::Host, from: IpAddr, to: SocketAddr, limit: Duration) -> Result<(TcpStream, String)> {
    host.inside(|| open_here(from, to, limit))?
}

/// The name of the server that greets a fresh connection; the connection is closed again. Fails as [`open`] does.
pub fn ask(host: &Host, from: IpAddr, to: SocketAddr, limit: Duration) -> Result<String> {
    open(host, from, to, limit).map(|(_, name)| name)
}

/// [`open`] from the network namespace of the calling thread. Fails as that does.
pub fn open_here(from: IpAddr, to: SocketAddr, limit: Duration) -> Result<(TcpStream, String)> {
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).context("make a socket")?;
    let limit = TimeVal::new(i64::try_from(limit.as_secs())?, i64::from(limit.subsec_micros()));
    // The send timeout also bounds connect(2): socket(7).
    setsockopt(&socket, SendTimeout, &limit)?;
    setsockopt(&socket, ReceiveTimeout, &limit)?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(from, 0)))
        .with_context(|| format!("bind {from}"))?;
    connect_through(&socket, to).with_context(|| format!("connect {from} to {to}"))?;
    let stream = TcpStream::from(socket);
    let mut name = String::new();
    BufReader::with_capacity(1, &stream)
        .read_line(&mut name)
        .with_context(|| format!("no greeting from {to}"))?;
    ensure!(name.ends_with('\n'), "the connection to {to} ended before the greeting");
    Ok((stream, name.trim().to_owned()))
}

/// A signal, though ignored, ends a connect(2) that has a timeout: signal(7). One that arrives while another thread starts
/// a program does so here. The handshake goes on meanwhile, and the next call waits for the same one.
fn connect_through(socket: &OwnedFd, to: SocketAddr) -> nix::Result<()> {
    loop {
        match connect(socket.as_raw_fd(), &SockaddrStorage::from(to)) {
            Err(Errno::EINTR) => {}
            Err(Errno::EISCONN) => return Ok(()),
            ended => return ended,
        }
    }
}

/// What a long transfer went through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transferred {
    /// The server at the other end.
    pub server: String,
    /// Bytes that came back, each equal to what was sent.
    pub bytes: usize,
    /// The longest time between two echoes, in milliseconds.
    pub longest_gap_milliseconds: u64,
}

/// Sends and awaits the echo of a block over one connection, again and again until it is stopped.
///
/// Stopping fails where the connection was reset, stood still for 30 s, or a byte came back other than it was sent.
pub fn transfer(host: &Host, from: IpAddr, to: SocketAddr) -> Result<Background<Transferred>> {
    let (mut stream, server) = open(host, from, to, Duration::from_secs(30))?;
    Background::start(host, move |stop| {
        let mut done = Transferred { server, bytes: 0, longest_gap_milliseconds: 0 };
        let mut back = [0; 1000];
        for turn in (0..=u8::MAX).cycle() {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let (sent, start) = ([turn; 1000], Instant::now());
            stream.write_all(&sent).with_context(|| format!("send after {} bytes", done.bytes))?;
            stream.read_exact(&mut back).with_context(|| format!("no echo after {} bytes", done.bytes))?;
            ensure!(back == sent, "what came back after {} bytes is not what was sent", done.bytes);
            done.bytes += back.len();
            let gap = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
            done.longest_gap_milliseconds = done.longest_gap_milliseconds.max(gap);
            sleep(Duration::from_millis(5));
        }
        Ok(done)
    })
}

/// Asks for a fresh connection every 20 ms until it is stopped. The name of the server that greeted, or the error, of each.
pub fn ask_on(host: &Host, from: IpAddr, to: SocketAddr) -> Result<Background<Vec<Result<String, String>>>> {
    Background::start(host, move |stop: &AtomicBool| {
        let mut answers = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let answer = open_here(from, to, Duration::from_secs(3));
            answers.push(answer.map(|(_, name)| name).map_err(|error| format!("{error:#}")));
            sleep(Duration::from_millis(20));
        }
        Ok(answers)
    })
}

/// Whether an error of [`open`] says that somebody refused or reset, as against silence.
#[must_use]
pub fn was_refused(error: &anyhow::Error) -> bool {
    let refused = [ErrorKind::ConnectionRefused, ErrorKind::ConnectionReset];
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        let errno = cause.downcast_ref::<Errno>().map(|errno| std::io::Error::from(*errno).kind());
        io.or(errno).is_some_and(|kind| refused.contains(&kind))
    })
}
