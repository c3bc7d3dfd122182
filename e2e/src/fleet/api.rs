//! A real API server outside the guest, as the guest reaches it: with `kubectl`, over the link `mgmt0`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::OPERATOR;
use crate::lab::{Lab, outside};

/// Namespace of the product's own objects.
pub(super) const NAMESPACE: &str = "lvs-system";
/// Key of an [`Access`] in a scenario's arguments.
pub(super) const ARGUMENT: &str = "apiServer";

/// How a guest reaches the API server: what the machine that tests tells it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Access {
    /// The program kubectl.
    pub kubectl: PathBuf,
    /// Text of the user's kubeconfig.
    pub user: String,
    /// Text of the operator's.
    pub operator: String,
    /// Text of each agent's, by node: its token is bound to a pod on that node.
    pub agents: BTreeMap<String, String>,
    /// Port on [`outside::ADDRESS`] that takes an [`Order`].
    pub orders: u16,
}

/// What the guest asks of the machine that tests: one line with its word, answered by one line when it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Stop the API server; its data stay.
    Stop,
    /// Start it again.
    Start,
}

impl Order {
    /// The word of its line.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Start => "start",
        }
    }

    /// The order of a line.
    pub(super) fn read(line: &str) -> Option<Self> {
        [Self::Stop, Self::Start].into_iter().find(|order| order.word() == line.trim())
    }
}

/// What the answer to an order that was carried out says.
pub(super) const DONE: &str = "done";

/// The API server, from inside the guest.
#[derive(Debug)]
pub(super) struct ApiServer {
    access: Access,
    /// Manifests and kubeconfigs, in the guest's memory.
    folder: PathBuf,
}

impl ApiServer {
    pub(super) fn new(access: Access, folder: PathBuf) -> Result<Self> {
        let here = Self { access, folder };
        here.keep("user", &here.access.user)?;
        here.keep("operator", &here.access.operator)?;
        here.access.agents.iter().try_for_each(|(node, text)| here.keep(node, text))?;
        Ok(here)
    }

    /// Where the applied manifests are.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn keep(&self, name: &str, text: &str) -> Result<()> {
        let path = self.kubeconfig(name);
        fs::write(&path, text).with_context(|| format!("write {path}"))
    }

    /// The kubeconfig file of the user, the operator, or a node's agent.
    pub(super) fn kubeconfig(&self, name: &str) -> String {
        super::folder::path(&self.folder.join(format!("{name}.kubeconfig")))
    }

    /// Runs kubectl as the user and returns what it printed. Fails where it fails.
    pub(super) fn kubectl(&self, lab: &Lab, words: &[&str]) -> Result<String> {
        let settings = ["HOME=/run".to_owned(), format!("KUBECONFIG={}", self.kubeconfig("user"))];
        let program = super::folder::path(&self.access.kubectl);
        let command = ["env"].into_iter().chain(settings.iter().map(String::as_str));
        let command = command.chain([program.as_str()]).chain(words.iter().copied());
        let output = lab.host(OPERATOR)?.run(command)?;
        ensure!(output.status.success(), "kubectl {}: {}", words.join(" "), output.stderr.trim());
        // Warnings are what a user sees too.
        ensure!(output.stderr.is_empty(), "kubectl {} warns: {}", words.join(" "), output.stderr.trim());
        Ok(output.stdout)
    }

    /// Applies a manifest that lies in a file, as a user does, and returns what kubectl said.
    pub(super) fn apply(&self, lab: &Lab, file: &str, manifest: &str) -> Result<String> {
        let path = self.folder.join(file);
        fs::write(&path, manifest).with_context(|| format!("write {}", path.display()))?;
        self.kubectl(lab, &["apply", "-f", &super::folder::path(&path)])
    }

    /// Deletes what a manifest that was applied names, and returns what kubectl said.
    pub(super) fn delete(&self, lab: &Lab, file: &str) -> Result<String> {
        self.kubectl(lab, &["delete", "-f", &super::folder::path(&self.folder.join(file))])
    }

    /// The object at a path below `/apis/lvs-operator.io/v1alpha1/`.
    pub(super) fn object(&self, lab: &Lab, path: &str) -> Result<Value> {
        // Without a question for the API's kinds before it.
        let text = self.kubectl(lab, &["get", "--raw", &format!("/apis/lvs-operator.io/v1alpha1/{path}")])?;
        serde_json::from_str(&text).with_context(|| format!("parse {path}"))
    }

    /// The NodePlan of a node and its slices.
    pub(super) fn plan(&self, lab: &Lab, node: &str) -> Result<Vec<Value>> {
        let mut documents = vec![self.object(lab, &format!("nodeplans/{node}"))?];
        let path = format!("nodeplanslices?labelSelector=lvs-operator.io%2Fnode%3D{node}");
        let slices = self.object(lab, &path)?;
        documents.extend(slices["items"].as_array().context("a list has items")?.iter().cloned());
        Ok(documents)
    }

    /// Has the machine that tests do something with the API server, and returns when it is done.
    pub(super) fn order(&self, lab: &Lab, order: Order) -> Result<()> {
        let port = self.access.orders;
        let answer = lab.host(OPERATOR)?.inside(|| ask(port, order))??;
        ensure!(answer.trim() == DONE, "the machine that tests cannot {}: {answer}", order.word());
        Ok(())
    }
}

fn ask(port: u16, order: Order) -> Result<String> {
    let mut stream = TcpStream::connect((outside::ADDRESS, port)).context("reach the machine that tests")?;
    writeln!(stream, "{}", order.word())?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).context("wait for the machine that tests")?;
    Ok(answer)
}
