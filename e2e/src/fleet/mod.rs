//! The product in the lab: an operator, and an agent on each node, over a folder that stands in for the API server.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::lab::process::wait_until;
use crate::lab::{Host, HostSpec, Lab, Process, Topology};
use crate::scenarios::Bench;

/// How long anything that the product does by itself may take in the lab before it counts as not done.
/// No behaviour: long enough for a machine that has much else to do.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The host on which the operator runs. It has no network: a folder is all that it needs.
pub const OPERATOR: &str = "operator";

/// A running deployment.
#[derive(Debug)]
pub struct Fleet {
    /// The hosts.
    pub lab: Lab,
    folder: PathBuf,
    operator_program: PathBuf,
    agent_program: PathBuf,
    operator: Option<Process>,
    agents: BTreeMap<String, Process>,
}

impl Fleet {
    /// Hosts without anything running on them yet. Fails where the lab cannot be made or a program is not built.
    pub fn new(bench: &Bench, mut topology: Topology) -> Result<Self> {
        topology.hosts.push(HostSpec {
            name: OPERATOR.to_owned(),
            links: Vec::new(),
            routes: Vec::new(),
            forwards: false,
        });
        let lab = Lab::new(&topology)?;
        let folder = lab.shared_folder("cluster")?;
        Ok(Self {
            lab,
            folder,
            operator_program: bench.binary("lvs-operator")?,
            agent_program: bench.binary("lvs-node-agent")?,
            operator: None,
            agents: BTreeMap::new(),
        })
    }

    /// The folder that stands in for the API server.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A host. Fails where there is none of that name.
    pub fn host(&self, name: &str) -> Result<&Host> {
        self.lab.host(name)
    }

    /// Writes a manifest file as an editor does, whole: other readers never see half of it.
    ///
    /// Fails where it cannot be written.
    pub fn apply(&self, file: &str, manifest: &str) -> Result<()> {
        let draft = self.folder.join(format!(".{file}.draft"));
        fs::write(&draft, manifest).with_context(|| format!("write {}", draft.display()))?;
        fs::rename(&draft, self.folder.join(file)).with_context(|| format!("rename to {file}"))
    }

    /// Removes a manifest file. Fails where there is none.
    pub fn delete(&self, file: &str) -> Result<()> {
        fs::remove_file(self.folder.join(file)).with_context(|| format!("remove {file}"))
    }

    /// Starts the operator. Fails where it cannot be started.
    pub fn start_operator(&mut self) -> Result<()> {
        let folder = self.folder.display().to_string();
        let program = self.operator_program.display().to_string();
        let command = [program.as_str(), "run", "--folder", &folder];
        self.operator = Some(self.lab.host(OPERATOR)?.spawn(command, &[])?);
        Ok(())
    }

    /// Kills the operator with SIGKILL. Fails where it does not run.
    pub fn kill_operator(&mut self) -> Result<()> {
        self.operator.take().context("the operator does not run")?.kill().map(drop)
    }

    /// Starts the agent of a node, with more variables in its environment. Fails where it cannot be started.
    pub fn start_agent(&mut self, node: &str, environment: &[(&str, &str)]) -> Result<()> {
        self.start_other_agent(&self.agent_program.clone(), node, environment)
    }

    /// Starts another build of the agent on a node. Fails where it cannot be started.
    pub fn start_other_agent(
        &mut self,
        program: &Path,
        node: &str,
        environment: &[(&str, &str)],
    ) -> Result<()> {
        let folder = self.folder.display().to_string();
        let program = program.display().to_string();
        let command = [program.as_str(), "run", "--folder", &folder, "--node", node];
        let agent = self.lab.host(node)?.spawn(command, environment)?;
        self.agents.insert(node.to_owned(), agent);
        Ok(())
    }

    /// Starts the agents of nodes. Fails where one cannot be started.
    pub fn start_agents(&mut self, nodes: &[&str]) -> Result<()> {
        nodes.iter().try_for_each(|node| self.start_agent(node, &[]))
    }

    /// The running agent of a node. Fails where none was started.
    pub fn agent(&mut self, node: &str) -> Result<&mut Process> {
        self.agents.get_mut(node).with_context(|| format!("no agent runs on {node}"))
    }

    /// Kills the agent of a node with SIGKILL. Fails where none runs.
    pub fn kill_agent(&mut self, node: &str) -> Result<()> {
        let mut agent = self.agents.remove(node).with_context(|| format!("no agent runs on {node}"))?;
        agent.kill().map(drop)
    }

    /// Runs a verb of the agent on a node to its end and returns what it printed. Fails where it fails.
    pub fn agent_verb(&self, node: &str, words: &[&str]) -> Result<String> {
        let program = self.agent_program.display().to_string();
        let command = std::iter::once(program.as_str()).chain(words.iter().copied());
        self.lab
            .host(node)?
            .run(command)?
            .success()
            .with_context(|| format!("lvs-node-agent {}", words.join(" ")))
    }

    /// A document that the product has written, below the folder. Fails where it is not there or cannot be read.
    pub fn documents(&self, path: &str) -> Result<Vec<Value>> {
        let path = self.folder.join(path);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let documents =
            serde_saphyr::from_multiple(&text).with_context(|| format!("parse {}", path.display()))?;
        Ok(documents)
    }

    /// A condition of a service in namespace `default`: its status, reason and message.
    ///
    /// Fails where there is no status yet.
    pub fn condition(&self, service: &str, kind: &str) -> Result<(String, String, String)> {
        let documents = self.documents(&format!("status/default.{service}.yaml"))?;
        let mut conditions =
            documents.iter().filter_map(|document| document["status"]["conditions"].as_array()).flatten();
        let found = conditions.find(|condition| condition["type"] == kind);
        let found = found.with_context(|| format!("{service} has no condition {kind} yet"))?;
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        Ok((text("status"), text("reason"), text("message")))
    }

    /// Waits until a service is programmed on every node and ready. Fails, with its conditions, where it is not in time.
    pub fn wait_ready(&self, service: &str) -> Result<()> {
        wait_until(&format!("{service} is programmed and ready"), PATIENCE, || {
            self.ensure_ready(service).map(|()| true)
        })
    }

    /// Fails unless a service's status says that it is programmed on every node and ready.
    pub fn ensure_ready(&self, service: &str) -> Result<()> {
        for kind in ["Programmed", "Ready"] {
            let (status, reason, message) = self.condition(service, kind)?;
            ensure!(status == "True", "{kind} is {status}: {reason}: {message}");
        }
        Ok(())
    }

    /// Waits until a condition of a service has a reason, and returns its message. Fails where it does not in time.
    pub fn wait_reason(&self, service: &str, kind: &str, wanted: &str) -> Result<String> {
        let mut found = String::new();
        wait_until(&format!("{kind} of {service} says {wanted}"), PATIENCE, || {
            let (_, reason, message) = self.condition(service, kind)?;
            ensure!(reason == wanted, "it says {reason}: {message}");
            found = message;
            Ok(true)
        })?;
        Ok(found)
    }

    /// Waits until no plan asks anything of a node and each of these agents says that nothing on its node is ours.
    ///
    /// Fails where that is not so in time.
    pub fn wait_clean(&self, nodes: &[&str]) -> Result<()> {
        for node in nodes {
            wait_until(&format!("{node} is clean"), PATIENCE, || self.ensure_clean(node).map(|()| true))?;
        }
        Ok(())
    }

    /// Fails unless no plan asks anything of a node and its agent says that nothing there is ours.
    pub fn ensure_clean(&self, node: &str) -> Result<()> {
        let plan = self.documents(&format!("plans/{node}.yaml"))?;
        let report = self.documents(&format!("reports/{node}.yaml"))?;
        let slices = plan.iter().filter(|document| document["kind"] == "NodePlanSlice").count();
        let clean = report.iter().any(|document| document["status"]["clean"] == true);
        ensure!(slices == 0, "its plan still has {slices} slices");
        ensure!(clean, "its report does not say clean");
        Ok(())
    }
}

/// The text of a file of `deploy/examples/lvs-notes`. Fails where it cannot be read.
pub fn example(file: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples/lvs-notes").join(file);
    fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
}
