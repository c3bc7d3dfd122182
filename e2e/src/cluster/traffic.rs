//! Clients outside, and what became of their connections.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};

use super::Cluster;
use crate::lab::traffic::open_here;

/// How long one step of a connection may take. A lost packet costs TCP up to some seconds, a lost connection all of it.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two steps of a client.
const PACE: Duration = Duration::from_millis(20);

/// Asks once from each client and returns the servers that answered, each with its number of answers.
///
/// Fails where one gets no answer.
pub fn ask_all<C: Cluster>(cluster: &C) -> Result<BTreeMap<String, usize>> {
    let site = cluster.site();
    cluster.outside(|| {
        let mut servers = BTreeMap::new();
        for client in &site.clients {
            let (_, server) = open_here(*client, site.service, PATIENCE)?;
            *servers.entry(server).or_insert(0) += 1;
        }
        Ok(servers)
    })?
}

/// Clients that are at work beside the test: half of them each keep one connection busy, the others open one after another.
#[derive(Debug)]
pub struct Traffic {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Result<Served>>>,
}

/// What clients got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Connections that were opened and greeted.
    pub connections: usize,
    /// Blocks that came back over kept connections.
    pub echoes: usize,
    /// The servers that greeted.
    pub servers: BTreeSet<String>,
}

impl Traffic {
    /// Sets the clients to work. Fails where a kept connection cannot be opened.
    pub fn start<C: Cluster>(cluster: &C) -> Result<Self> {
        let site = cluster.site();
        let stop = Arc::new(AtomicBool::new(false));
        let clients = cluster.outside(|| {
            let mut clients = Vec::new();
            for (place, client) in site.clients.iter().copied().enumerate() {
                let (stop, service) = (Arc::clone(&stop), site.service);
                // A thread is born into the namespace of the one that starts it.
                clients.push(match place % 2 {
                    0 => std::thread::spawn(move || keep(client, service, &stop)),
                    _ => std::thread::spawn(move || repeat(client, service, &stop)),
                });
            }
            clients
        })?;
        Ok(Self { stop, clients })
    }

    /// Stops the clients. Fails where one of them lost a connection or was not let in.
    pub fn stop(self) -> Result<Served> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Served::default();
        for client in self.clients {
            let served = client.join().map_err(|_| anyhow!("a client panicked"))??;
            all.connections += served.connections;
            all.echoes += served.echoes;
            all.servers.extend(served.servers);
        }
        Ok(all)
    }
}

fn keep(client: IpAddr, service: SocketAddr, stop: &AtomicBool) -> Result<Served> {
    let (mut stream, server) = open_here(client, service, PATIENCE)?;
    let mut echoes = 0;
    let mut back = [0; 100];
    while !stop.load(Ordering::Relaxed) {
        let block = [u8::try_from(echoes % 251)?; 100];
        let turn = stream.write_all(&block).and_then(|()| stream.read_exact(&mut back));
        turn.with_context(|| format!("{client} lost its connection to {server} after {echoes} echoes"))?;
        ensure!(back == block, "{client}: what came back from {server} is not what was sent");
        echoes += 1;
        sleep(PACE);
    }
    Ok(Served { connections: 1, echoes, servers: [server].into() })
}

fn repeat(client: IpAddr, service: SocketAddr, stop: &AtomicBool) -> Result<Served> {
    let mut served = Served::default();
    while !stop.load(Ordering::Relaxed) {
        let opened = open_here(client, service, PATIENCE);
        let (_, greeted) =
            opened.with_context(|| format!("connection {} of {client}", served.connections + 1))?;
        served.connections += 1;
        served.servers.insert(greeted);
        sleep(PACE);
    }
    Ok(served)
}
