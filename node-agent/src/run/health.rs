//! `/healthz` and `/readyz` for a kubelet's probes, on loopback.
//!
//! Healthy: the kernel thread has come round within [`STUCK`]. Ready: it has once seen the kernel as a plan wants it,
//! or has no plan to follow and could observe the kernel. Neither reads the kernel or waits for anything.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// After this long without a round the kernel thread counts as stuck. One round is seconds at most.
const STUCK: Duration = Duration::from_mins(1);
/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the kernel thread tells of itself.
#[derive(Debug)]
pub struct Health {
    started: Instant,
    last_round: AtomicU64,
    ready: AtomicBool,
}

impl Default for Health {
    fn default() -> Self {
        Self { started: Instant::now(), last_round: AtomicU64::new(0), ready: AtomicBool::new(false) }
    }
}

impl Health {
    /// The kernel thread has come round; `ready` says whether it saw what it wanted to see.
    pub fn came_round(&self, ready: bool) {
        let seconds = self.started.elapsed().as_secs();
        self.last_round.store(seconds, Ordering::Relaxed);
        if ready {
            self.ready.store(true, Ordering::Relaxed);
        }
    }

    fn healthy(&self) -> bool {
        let since = self.started.elapsed().as_secs().saturating_sub(self.last_round.load(Ordering::Relaxed));
        since < STUCK.as_secs()
    }

    /// The status line and body for a request's first line.
    fn answer(&self, request: &[u8]) -> (&'static str, &'static str) {
        let good = match request {
            _ if request.starts_with(b"GET /healthz ") => self.healthy(),
            _ if request.starts_with(b"GET /readyz ") => self.healthy() && self.ready.load(Ordering::Relaxed),
            _ => return ("404 Not Found", "ask /healthz or /readyz\n"),
        };
        if good { ("200 OK", "ok\n") } else { ("503 Service Unavailable", "no\n") }
    }
}

/// Answers on `address` until the process ends.
///
/// # Errors
/// Where the address is not loopback or cannot be bound.
pub async fn serve(address: SocketAddr, health: std::sync::Arc<Health>) -> anyhow::Result<()> {
    anyhow::ensure!(address.ip().is_loopback(), "--health {address}: only a loopback address is served");
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| anyhow::anyhow!("--health {address}: the address cannot be bound: {error}"))?;
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let health = health.clone();
                    tokio::spawn(tokio::time::timeout(
                        PATIENCE,
                        async move { converse(stream, &health).await },
                    ));
                }
                // Out of descriptors, most likely: others will be free again.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    });
    Ok(())
}

/// Reads one request and answers it. A client that goes away gets no answer.
async fn converse(mut stream: TcpStream, health: &Health) {
    let mut request = [0; 512];
    let mut length = 0;
    while !request[..length].windows(2).any(|pair| pair == b"\r\n") && length < request.len() {
        match stream.read(&mut request[length..]).await {
            Ok(0) | Err(_) => return,
            Ok(more) => length += more,
        }
    }
    let (status, body) = health.answer(&request[..length]);
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_comes_with_the_first_good_round_and_stays() {
        let health = Health::default();
        assert_eq!(health.answer(b"GET /healthz HTTP/1.1\r\n").0, "200 OK");
        assert_eq!(health.answer(b"GET /readyz HTTP/1.1\r\n").0, "503 Service Unavailable");
        health.came_round(true);
        health.came_round(false);
        assert_eq!(health.answer(b"GET /readyz HTTP/1.1\r\n").0, "200 OK");
        assert_eq!(health.answer(b"GET /secrets HTTP/1.1\r\n").0, "404 Not Found");
        assert_eq!(health.answer(b"").0, "404 Not Found");
    }

    #[tokio::test]
    async fn only_loopback_is_served() {
        let error = serve("0.0.0.0:0".parse().unwrap(), std::sync::Arc::default()).await.unwrap_err();
        assert!(error.to_string().contains("only a loopback address"), "{error}");
    }
}
