//! Puts the loop together, over an API server or over a folder.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use kube::Api;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::arguments::Run;
use crate::authority::Authority;
use crate::connect::connect;
use crate::departures::Departures;
use crate::folder::Folder;
use crate::health::{Health, serve};
use crate::lease::{campaign, random};
use crate::memory::Memory;
use crate::observe::Observe;
use crate::observe::api::ApiObserver;
use crate::observe::folder::FolderObserver;
use crate::run::Loop;
use crate::shutdown::Shutdown;
use crate::write::api::ApiWriter;
use crate::write::folder::FolderWriter;
use crate::write::{Place, Write};

/// To give up the lease at the end.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// `run`.
pub(crate) async fn run(arguments: &Run) -> anyhow::Result<ExitCode> {
    let stop = Shutdown::listen()?;
    let health = Arc::new(Health::default());
    if let Some(address) = arguments.bind_address.0 {
        serve(address, Arc::clone(&health)).await?;
    }
    tracing::info!("lvs-operator {}", env!("CARGO_PKG_VERSION"));
    match &arguments.folder {
        Some(folder) => over_folder(folder, health, stop).await?,
        None => over_api(arguments, health, stop).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn over_folder(path: &Path, health: Arc<Health>, stop: Shutdown) -> anyhow::Result<()> {
    let folder = Arc::new(Folder::open(path)?);
    tracing::info!("reads manifests below {}", path.display());
    let round = Loop {
        observe: Observe::Folder(FolderObserver::start(Arc::clone(&folder), lineage())),
        write: Write::new(Place::Folder(FolderWriter::new(folder))),
        authority: Authority::lock(),
        health,
        memory: Memory::default(),
        departures: Departures::default(),
        held: None,
    };
    round.run(stop).await;
    Ok(())
}

/// An id that no other folder has.
fn lineage() -> String {
    format!("folder-{:016x}{:016x}", random(), random())
}

async fn over_api(arguments: &Run, health: Arc<Health>, stop: Shutdown) -> anyhow::Result<()> {
    let (clients, own) = connect(&arguments.connection).await?;
    tracing::info!("the API server is {}", own.server);
    let (sender, term) = watch::channel(None);
    let leases = Api::namespaced(clients.calls.clone(), &own.namespace);
    let campaigning = tokio::spawn(campaign(leases, arguments.lease_name.clone(), sender, stop.clone()));
    let round = Loop {
        observe: Observe::Api(ApiObserver::start(clients.calls.clone(), &clients.watches, &own)),
        write: Write::new(Place::Api(Box::new(ApiWriter::new(clients.calls)))),
        authority: Authority::lease(term),
        health,
        memory: Memory::default(),
        departures: Departures::default(),
        held: None,
    };
    round.run(stop).await;
    // Nothing is written any more, so the lease can go to another.
    if timeout(RELEASE_TIMEOUT, campaigning).await.is_err() {
        tracing::warn!("the lease was not released in time: it expires by itself");
    }
    Ok(())
}
