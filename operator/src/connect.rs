//! The way to the API server.

use std::time::Duration;

use anyhow::Context;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::arguments::Connection;

/// A call that is answered at all is answered within this time, or a part of the answer is.
const READ_TIMEOUT: Duration = Duration::from_secs(15);
/// A watch is silent for no longer than this: the server sends bookmarks about once a minute.
const WATCH_READ_TIMEOUT: Duration = Duration::from_secs(100);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Two clients of one configuration: a watch lasts, and everything else has to end.
pub(crate) struct Clients {
    /// For calls that end.
    pub(crate) calls: Client,
    /// For watches.
    pub(crate) watches: Client,
}

/// The operator's own objects.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    /// Their namespace.
    pub(crate) namespace: String,
    /// The name of its Deployment.
    pub(crate) deployment: String,
    /// The API server that it is on, for messages.
    pub(crate) server: String,
}

/// Reads the configuration and makes the clients. Nothing is asked of the server yet.
pub(crate) async fn connect(connection: &Connection) -> anyhow::Result<(Clients, Own)> {
    let config = configuration(connection).await?;
    let own = Own {
        namespace: connection.namespace.clone().unwrap_or_else(|| config.default_namespace.clone()),
        deployment: connection.deployment.clone(),
        server: config.cluster_url.to_string(),
    };
    let mut calls = config.clone();
    calls.connect_timeout = Some(CONNECT_TIMEOUT);
    calls.read_timeout = Some(READ_TIMEOUT);
    calls.reset_reader_on_write = true;
    let mut watches = config;
    watches.connect_timeout = Some(CONNECT_TIMEOUT);
    watches.read_timeout = Some(WATCH_READ_TIMEOUT);
    let client = |config| Client::try_from(config).context("cannot make a client of the configuration");
    Ok((Clients { calls: client(calls)?, watches: client(watches)? }, own))
}

async fn configuration(connection: &Connection) -> anyhow::Result<Config> {
    let options = KubeConfigOptions { context: connection.context.clone(), ..KubeConfigOptions::default() };
    if let Some(path) = &connection.kubeconfig {
        let shown = path.display();
        let kubeconfig = Kubeconfig::read_from(path).with_context(|| format!("cannot read {shown}"))?;
        return Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .with_context(|| format!("cannot use {shown}"));
    }
    if connection.context.is_some() {
        return Config::from_kubeconfig(&options)
            .await
            .with_context(|| format!("cannot use {}", default_kubeconfig()));
    }
    Config::infer().await.with_context(|| {
        format!(
            "no way to an API server by {} or by the service account of a pod: give --kubeconfig FILE, run in a \
             cluster, or use run --folder DIR without one",
            default_kubeconfig()
        )
    })
}

/// The kubeconfig that is read where none is named.
fn default_kubeconfig() -> String {
    match std::env::var("KUBECONFIG") {
        Ok(path) if !path.is_empty() => format!("KUBECONFIG={path}"),
        _ => "~/.kube/config".to_owned(),
    }
}
