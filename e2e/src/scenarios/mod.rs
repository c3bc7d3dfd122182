//! What is tried in the lab: plain functions by name.

pub mod api_server_away;
pub mod bench;
pub mod both_families;
pub mod demo;
pub mod edge;
pub mod every_forwarding;
pub mod every_setting;
pub mod foreign;
pub mod killed;
pub mod lab_itself;
pub mod marks;
pub mod node_settings;
pub mod one_answer;
pub mod random_tables;
pub mod recipe;
pub mod second_writer;
pub mod translation;
pub mod troubles;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::Value;

use crate::lab::KernelNeeds;
use crate::lab::request::{RUN, Request};

/// One scenario of the registry.
#[derive(Debug)]
pub struct Scenario {
    /// Its name, as `lvs-lab run` takes it.
    pub name: &'static str,
    /// The rows of the table of `make test` that its cases count for.
    pub rows: &'static [&'static str],
    /// Whether the guest must have IPVS: then it is loaded beforehand, and its absence fails the run.
    pub needs_ipvs: bool,
    /// What it asks of the kernel besides: it decides which one the lab boots.
    pub kernel: KernelNeeds,
    /// What is done, inside the guest; a panic is a failure too. The value returned is its result ([`typed`]).
    pub run: fn(&mut Bench) -> Result<Value>,
}

/// Every scenario there is: each module lists its own.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    [
        bench::SCENARIOS,
        demo::SCENARIOS,
        lab_itself::SCENARIOS,
        recipe::SCENARIOS,
        both_families::SCENARIOS,
        foreign::SCENARIOS,
        random_tables::SCENARIOS,
        every_setting::SCENARIOS,
        every_forwarding::SCENARIOS,
        translation::SCENARIOS,
        marks::SCENARIOS,
        node_settings::SCENARIOS,
        one_answer::SCENARIOS,
        second_writer::SCENARIOS,
        killed::SCENARIOS,
        troubles::SCENARIOS,
    ]
    .into_iter()
    .flatten()
    .chain(on_api_server())
}

/// Those whose hosts reach an API server outside the guest: [`crate::fleet::Site`] runs them.
pub fn on_api_server() -> impl Iterator<Item = &'static Scenario> {
    [demo::ON_API_SERVER, api_server_away::ON_API_SERVER].into_iter().flatten()
}

/// The scenario of that name. Fails where there is none, naming those there are.
pub fn find(name: &str) -> Result<&'static Scenario> {
    all().find(|scenario| scenario.name == name).with_context(|| {
        let names: Vec<_> = all().map(|scenario| scenario.name).collect();
        format!("there is no scenario {name:?}; there are: {}", names.join(", "))
    })
}

/// A scenario's typed result as the value that travels to the machine that tests. Fails where it has no JSON form.
pub fn typed<T: Serialize>(result: T) -> Result<Value> {
    serde_json::to_value(result).context("write the result as JSON")
}

/// What a scenario is given besides the lab that it makes.
#[derive(Debug)]
pub struct Bench {
    /// The run as it was asked for: arguments, seed, whether there is an outside.
    pub request: Request,
    cases: Vec<String>,
    show: std::fs::File,
}

impl Bench {
    /// The bench of a run, in the guest. Fails where the folder of the run is not there.
    pub(crate) fn new(request: Request) -> Result<Self> {
        let path = Path::new(RUN).join("show");
        let show = OpenOptions::new().append(true).open(&path);
        let show = show.with_context(|| format!("open {}", path.display()))?;
        Ok(Self { request, cases: Vec::new(), show })
    }

    /// Counts one case that held.
    pub fn case(&mut self, name: impl Into<String>) {
        self.cases.push(name.into());
    }

    /// Shows a line to the person who watches the run.
    ///
    /// Fails where it cannot be written through to the machine that tests.
    pub fn show(&mut self, line: impl AsRef<str>) -> Result<()> {
        self.show.write_all(format!("{}\n", line.as_ref()).as_bytes())?;
        // Without this the line waits in the guest's memory until the guest ends.
        self.show.sync_data().context("write a shown line through to the machine")
    }

    /// The built program of that name. Fails where it was not beside `lvs-lab`.
    pub fn binary(&self, name: &str) -> Result<PathBuf> {
        let found: &BTreeMap<String, PathBuf> = &self.request.binaries;
        found.get(name).cloned().with_context(|| {
            format!(
                "{name} is not built beside lvs-lab: run `cargo build --workspace --bins` (`make build` does)"
            )
        })
    }

    pub(crate) fn into_cases(self) -> Vec<String> {
        self.cases
    }
}
