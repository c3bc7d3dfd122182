//! Answers probes and scrapes: `/healthz`, `/readyz`, `/metrics`.

use std::convert::Infallible;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Connections at once; a scraper and two probes need three.
const MOST_CONNECTIONS: usize = 32;
/// From the first byte of a request to the last of its head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection lives no longer than this, so that an idle one makes room.
const CONNECTION_TIMEOUT: Duration = Duration::from_mins(1);
/// The planner beats at least once per resync; a silence of several is a hang.
const SILENCE: i64 = 15 * 60;

/// What the loop tells of itself.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Whether all that the plan needs has been read completely once.
    pub(crate) ready: AtomicBool,
    /// Whether this replica writes.
    pub(crate) leads: AtomicBool,
    /// When the loop last went round, in seconds since 1970-01-01.
    pub(crate) beat: AtomicI64,
    /// Plans made.
    pub(crate) plans: AtomicU64,
    /// Objects or files written, by success.
    pub(crate) writes: AtomicU64,
    /// Writes that failed.
    pub(crate) failures: AtomicU64,
    /// Services with a manifest.
    pub(crate) services: AtomicU64,
    /// Services whose specification is not in force.
    pub(crate) refused: AtomicU64,
    /// Nodes with a plan.
    pub(crate) nodes: AtomicU64,
}

impl Health {
    fn alive(&self, now: i64) -> bool {
        let beat = self.beat.load(Ordering::Relaxed);
        beat == 0 || now - beat < SILENCE
    }

    /// The metrics in Prometheus's text format 0.0.4.
    fn metrics(&self) -> String {
        let flag = |flag: &AtomicBool| u64::from(flag.load(Ordering::Relaxed));
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let rows = [
            (
                "lvs_operator_ready",
                "gauge",
                "1 once everything that a plan needs was read",
                flag(&self.ready),
            ),
            ("lvs_operator_leader", "gauge", "1 where this replica writes", flag(&self.leads)),
            ("lvs_operator_plans_total", "counter", "Plans made", count(&self.plans)),
            ("lvs_operator_writes_total", "counter", "Objects written", count(&self.writes)),
            ("lvs_operator_write_failures_total", "counter", "Writes that failed", count(&self.failures)),
            ("lvs_operator_services", "gauge", "VirtualServices", count(&self.services)),
            (
                "lvs_operator_services_refused",
                "gauge",
                "VirtualServices that are not accepted",
                count(&self.refused),
            ),
            ("lvs_operator_nodes", "gauge", "Nodes with a plan", count(&self.nodes)),
        ];
        let mut text = String::new();
        for (name, kind, help, value) in rows {
            // Writing to a String cannot fail.
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
        }
        text
    }

    fn answer(&self, method: &Method, path: &str, now: i64) -> (StatusCode, String) {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return (StatusCode::METHOD_NOT_ALLOWED, "GET only\n".to_owned());
        }
        let verdict = |good: bool, what: &str| {
            let failed = || (StatusCode::SERVICE_UNAVAILABLE, format!("{what}\n"));
            if good { (StatusCode::OK, "ok\n".to_owned()) } else { failed() }
        };
        match path {
            "/healthz" => verdict(self.alive(now), "the loop has not gone round for a long time"),
            "/readyz" => verdict(self.ready.load(Ordering::Relaxed), "not everything has been read yet"),
            "/metrics" => (StatusCode::OK, self.metrics()),
            _ => (StatusCode::NOT_FOUND, "there are /healthz, /readyz and /metrics\n".to_owned()),
        }
    }
}

/// Starts to answer. An address that cannot be bound is an error.
pub(crate) async fn serve(address: SocketAddr, health: Arc<Health>) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await;
    let listener = listener
        .with_context(|| format!("cannot answer probes on {address}: choose another --bind-address"))?;
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    tokio::spawn(async move {
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let health = Arc::clone(&health);
                    tokio::spawn(async move {
                        let _ = tokio::time::timeout(CONNECTION_TIMEOUT, converse(stream, health)).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot take a connection");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    });
    Ok(())
}

async fn converse(stream: TcpStream, health: Arc<Health>) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let (status, body) =
            health.answer(request.method(), request.uri().path(), crate::clock::now().0 / 1000);
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        let kind = hyper::header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), answer).await {
        tracing::debug!(%error, "a probe's connection broke");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(health: &Health, path: &str, now: i64) -> StatusCode {
        health.answer(&Method::GET, path, now).0
    }

    #[test]
    fn readiness_and_liveness_are_two_things() {
        let health = Health::default();
        assert_eq!(status(&health, "/readyz", 0), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(status(&health, "/healthz", 0), StatusCode::OK);
        health.ready.store(true, Ordering::Relaxed);
        health.beat.store(1000, Ordering::Relaxed);
        assert_eq!(status(&health, "/readyz", 1000), StatusCode::OK);
        assert_eq!(status(&health, "/healthz", 1000 + SILENCE), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(status(&health, "/", 1000), StatusCode::NOT_FOUND);
        assert_eq!(health.answer(&Method::POST, "/healthz", 1000).0, StatusCode::METHOD_NOT_ALLOWED);
    }

    #[test]
    fn metrics_say_what_they_are() {
        let health = Health::default();
        health.writes.store(7, Ordering::Relaxed);
        let text = health.metrics();
        assert!(
            text.contains("# TYPE lvs_operator_writes_total counter\nlvs_operator_writes_total 7\n"),
            "{text}"
        );
    }
}
