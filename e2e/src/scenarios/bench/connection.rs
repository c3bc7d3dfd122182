//! Connections through the VIP by direct routing, and through haproxy on the same director. Client, director and real
//! server share the guest's CPU, so that what the two ends cost counts on both sides and the ratios are too small rather
//! than too great.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::row::{Row, Times};
use super::stand::timed;
use super::{Bench, TURNS};
use crate::lab::process::wait_until;
use crate::lab::{Host, Lab, Process, Topology};

const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 10, 40);
const RIP: Ipv4Addr = Ipv4Addr::new(192, 168, 10, 10);
/// The VIP's port by direct routing, which is the real server's.
const ROUTED: u16 = 80;
/// The VIP's port on which haproxy listens.
const PROXIED: u16 = 81;

/// Connections of one turn.
const CONNECTIONS: u32 = 500;
/// Bytes that one connection of one turn brings.
const BYTES: u64 = 256 << 20;
/// Bytes that an end writes or reads at once: great, so that the ends cost little beside the way between them.
const BLOCK: usize = 256 << 10;

/// Fresh connections one after the other, and bytes over one connection, in turn.
pub(super) fn rows(bench: &mut Bench) -> Result<Vec<Row>> {
    bench.show("connections through the VIP, against haproxy …")?;
    let lab = Lab::new(&Topology::lan().only(&["director-1", "rs-1", "client"]))?;
    real_server(lab.host("rs-1")?)?;
    let director = lab.host("director-1")?;
    let _haproxy = set_up(director)?;
    let client = lab.host("client")?;
    let ask_through = |port, bytes, times| client.inside(|| ask(port, bytes, times))?;
    for port in [ROUTED, PROXIED] {
        let name = format!("a connection through {VIP}:{port}");
        wait_until(&name, Duration::from_secs(10), || Ok(ask_through(port, 1, 1).is_ok()))?;
    }
    let [mut connections, mut bytes] = [(); 2].map(|()| [Times::default(), Times::default()]);
    for _ in 0..TURNS {
        for (place, port) in [ROUTED, PROXIED].into_iter().enumerate() {
            connections[place].add(timed(|| ask_through(port, 1, CONNECTIONS))?);
            bytes[place].add(timed(|| ask_through(port, BYTES, 1))?);
        }
    }
    // The handshake's two, the question and the end; and the kernel sums its counters up every two seconds.
    let packets = 4 * TURNS * CONNECTIONS as usize;
    wait_until("the director's table counts every packet", Duration::from_secs(10), || {
        Ok(forwarded(director)? >= packets)
    })?;
    let row = |what: String, [routed, proxied]: &[Times; 2]| {
        Row::faster(format!("{what} through the VIP: direct routing, against haproxy"), routed, proxied)
    };
    Ok(vec![
        row(format!("{CONNECTIONS} connections"), &connections),
        row(format!("{} MiB to the client", BYTES >> 20), &bytes),
    ])
}

/// The VIP without an answer to ARP, and a server that sends as many bytes as it is asked for until the guest ends.
fn real_server(host: &Host) -> Result<()> {
    for (setting, value) in [("arp_ignore", "1"), ("arp_announce", "2")] {
        host.write_file(&format!("/proc/sys/net/ipv4/conf/eth0/{setting}"), value)?;
    }
    host.sh(&format!("ip addr add {VIP}/32 dev lo"))?;
    let listener = host.inside(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, ROUTED)))?.context("listen")?;
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that goes away ends its own connection and nothing else.
            std::thread::spawn(move || stream.and_then(answer));
        }
    });
    Ok(())
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut wanted = [0; 8];
    stream.read_exact(&mut wanted)?;
    let (block, mut left) = (vec![7; BLOCK], u64::from_be_bytes(wanted));
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        stream.write_all(&block[..part])?;
        left -= part as u64;
    }
    Ok(())
}

/// The VIP, announced, and both ways from it to the real server.
fn set_up(host: &Host) -> Result<Process> {
    host.sh(&format!("ip addr add {VIP}/32 dev eth0"))?;
    host.sh(&format!("ipvsadm -A -t {VIP}:{ROUTED} -s wlc"))?;
    host.sh(&format!("ipvsadm -a -t {VIP}:{ROUTED} -r {RIP}:{ROUTED} -g"))?;
    let configuration = format!(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n\
         listen web\n bind {VIP}:{PROXIED}\n server rs-1 {RIP}:{ROUTED}\n"
    );
    host.write_file("/run/haproxy.cfg", &configuration)?;
    let started = host.spawn(["haproxy", "-db", "-f", "/run/haproxy.cfg"], &[]);
    started.context("start haproxy (e2e/setup/packages bench installs it)")
}

/// How many packets the kernel's table has sent on. Connections would be fewer than were asked for: to IPVS one is the same
/// as another from the same port that ended shortly before.
fn forwarded(director: &Host) -> Result<usize> {
    let listing = director.sh(&format!("ipvsadm -Ln --stats --exact -t {VIP}:{ROUTED}"))?;
    let service = format!("{VIP}:{ROUTED}");
    let count = listing.split_whitespace().skip_while(|word| *word != service).nth(2);
    count.context("the service is not listed")?.parse().with_context(|| listing.clone())
}

/// Opens connections, one after the other, and takes so many bytes from each.
fn ask(port: u16, bytes: u64, times: u32) -> Result<()> {
    let mut block = vec![0; BLOCK];
    for _ in 0..times {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::from((VIP, port)), Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.write_all(&bytes.to_be_bytes())?;
        let mut received = 0;
        loop {
            match stream.read(&mut block)? {
                0 => break,
                length => received += length as u64,
            }
        }
        ensure!(received == bytes, "{received} bytes came through port {port} where {bytes} were asked for");
    }
    Ok(())
}
