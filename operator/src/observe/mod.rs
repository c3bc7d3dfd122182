//! The only reader. It never writes.

pub(crate) mod api;
mod complaints;
pub(crate) mod folder;

use crate::memory::Memory;
use crate::snapshot::Snapshot;
use crate::write::Written;
use api::ApiObserver;
use folder::FolderObserver;

/// Where everything is read from.
#[derive(Debug)]
pub(crate) enum Observe {
    /// An API server.
    Api(ApiObserver),
    /// A folder.
    Folder(FolderObserver),
}

impl Observe {
    /// What became of a manifest that is not there any more.
    pub(crate) fn gone(&self) -> &'static str {
        match self {
            Self::Api(_) => "was deleted",
            Self::Folder(_) => "is gone from the manifests",
        }
    }

    /// Waits until something may have changed.
    pub(crate) async fn changed(&mut self) {
        match self {
            Self::Api(api) => api.changed().await,
            Self::Folder(folder) => folder.changed().await,
        }
    }

    /// What is there now; `None` while that is not known.
    pub(crate) fn snapshot(&mut self, memory: &Memory) -> Option<Snapshot> {
        match self {
            Self::Api(api) => api.snapshot(memory),
            Self::Folder(folder) => folder.snapshot(memory),
        }
    }

    /// Reads the stored plans anew, past everything that may lag.
    pub(crate) async fn refresh(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Api(api) => api.refresh().await,
            Self::Folder(_) => Ok(()),
        }
    }

    /// Takes in what was just written, as the server handed it back.
    pub(crate) fn written(&mut self, objects: Vec<Written>) {
        match self {
            Self::Api(api) => api.written(objects),
            // A folder shows every write at once.
            Self::Folder(_) => {}
        }
    }
}
