//! The product in the lab: an operator, and an agent on each node, over a folder that stands in for the API server, or
//! over a real API server outside the guest ([`Site`]).

mod api;
mod folder;
mod site;
mod wait;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::lab::{Host, HostSpec, Lab, Output, Process, Topology};
use crate::scenarios::Bench;

pub use api::{Access, Order};
pub use site::Site;

use api::ApiServer;
use folder::Folder;

/// How long anything that the product does by itself may take in the lab before it counts as not done.
/// No behaviour: long enough for a machine that has much else to do.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The host on which the operator runs. Over a folder it has no network, over an API server the link `mgmt0` alone.
pub const OPERATOR: &str = "operator";

/// A running deployment.
#[derive(Debug)]
pub struct Fleet {
    /// The hosts.
    pub lab: Lab,
    place: Place,
    operator_program: PathBuf,
    agent_program: PathBuf,
    operator: Option<Process>,
    agents: BTreeMap<String, Process>,
}

/// Where manifests, plans and reports are.
#[derive(Debug)]
enum Place {
    Folder(Folder),
    ApiServer(ApiServer),
}

impl Fleet {
    /// Hosts without anything running on them yet, over a folder, or over the API server of the [`Site`] that runs the
    /// scenario. Fails where the lab cannot be made or a program is not built.
    pub fn new(bench: &Bench, mut topology: Topology) -> Result<Self> {
        topology.hosts.push(HostSpec {
            name: OPERATOR.to_owned(),
            links: Vec::new(),
            routes: Vec::new(),
            forwards: false,
        });
        let access: Option<Access> = match bench.request.arguments.get(api::ARGUMENT) {
            Some(value) => {
                Some(serde_json::from_value(value.clone()).context("how to reach the API server")?)
            }
            None => None,
        };
        if let Some(access) = &access {
            let names: Vec<&str> = access.agents.keys().map(String::as_str).chain([OPERATOR]).collect();
            topology = topology.with_management(&names);
        }
        let lab = Lab::new(&topology)?;
        let folder = lab.shared_folder("cluster")?;
        let place = match access {
            Some(access) => Place::ApiServer(ApiServer::new(access, folder)?),
            None => Place::Folder(Folder(folder)),
        };
        Ok(Self {
            lab,
            place,
            operator_program: bench.binary("lvs-operator")?,
            agent_program: bench.binary("lvs-node-agent")?,
            operator: None,
            agents: BTreeMap::new(),
        })
    }

    /// The folder that stands in for the API server; over an API server, the one that holds the applied manifests.
    #[must_use]
    pub fn folder(&self) -> &Path {
        match &self.place {
            Place::Folder(folder) => &folder.0,
            Place::ApiServer(server) => server.folder(),
        }
    }

    /// A host. Fails where there is none of that name.
    pub fn host(&self, name: &str) -> Result<&Host> {
        self.lab.host(name)
    }

    /// Applies a manifest: writes it as an editor does, whole, or has kubectl apply it. Fails where it is refused.
    pub fn apply(&self, file: &str, manifest: &str) -> Result<()> {
        self.apply_aloud(file, manifest).map(drop)
    }

    /// The same, with what kubectl said; over a folder nobody says anything.
    pub fn apply_aloud(&self, file: &str, manifest: &str) -> Result<String> {
        match &self.place {
            Place::Folder(folder) => folder.apply(file, manifest).map(|()| String::new()),
            Place::ApiServer(server) => server.apply(&self.lab, file, manifest),
        }
    }

    /// Deletes what a manifest file that was applied names. Fails where there is none.
    pub fn delete(&self, file: &str) -> Result<()> {
        match &self.place {
            Place::Folder(folder) => folder.delete(file),
            Place::ApiServer(server) => server.delete(&self.lab, file).map(drop),
        }
    }

    /// Whether there is an API server.
    #[must_use]
    pub fn has_api_server(&self) -> bool {
        matches!(self.place, Place::ApiServer(_))
    }

    /// Runs kubectl as the user and returns what it printed. Fails where it fails, and over a folder.
    pub fn kubectl(&self, words: &[&str]) -> Result<String> {
        self.api_server()?.kubectl(&self.lab, words)
    }

    /// Stops or starts the API server, and returns when that is done. Fails where it is not, and over a folder.
    pub fn order(&self, order: Order) -> Result<()> {
        self.api_server()?.order(&self.lab, order)
    }

    fn api_server(&self) -> Result<&ApiServer> {
        match &self.place {
            Place::ApiServer(server) => Ok(server),
            Place::Folder(_) => bail!("this scenario needs an API server"),
        }
    }

    /// Starts the operator. Fails where it cannot be started.
    pub fn start_operator(&mut self) -> Result<()> {
        let command = self.command(&self.operator_program);
        self.operator = Some(self.spawn(OPERATOR, OPERATOR, command, &[])?);
        Ok(())
    }

    /// The command of a program's verb `run`.
    fn command(&self, program: &Path) -> Vec<String> {
        let mut command = vec![folder::path(program), "run".to_owned()];
        if let Place::Folder(folder) = &self.place {
            command.extend(folder.options());
        }
        command
    }

    /// Starts a command on a host, with the rights that `identity` has.
    fn spawn(
        &self,
        host: &str,
        identity: &str,
        command: Vec<String>,
        environment: &[(&str, &str)],
    ) -> Result<Process> {
        let mut environment = environment.to_vec();
        let kubeconfig;
        if let Place::ApiServer(server) = &self.place {
            kubeconfig = server.kubeconfig(identity);
            environment.push(("KUBECONFIG", &kubeconfig));
        }
        // As the DaemonSet and the Deployment say it.
        environment.push(if identity == OPERATOR {
            ("POD_NAMESPACE", api::NAMESPACE)
        } else {
            ("NODE_NAME", identity)
        });
        self.lab.host(host)?.spawn(command, &environment)
    }

    /// The running operator. Fails where it does not run.
    pub fn operator(&self) -> Result<&Process> {
        self.operator.as_ref().context("the operator does not run")
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
        let agent = self.spawn(node, node, self.command(program), environment)?;
        self.agents.insert(node.to_owned(), agent);
        Ok(())
    }

    /// Starts the agent of a node through another program that becomes it: `["setpriv", …]`.
    ///
    /// Fails where that program cannot be started.
    pub fn start_agent_through(&mut self, node: &str, program: &[&str]) -> Result<()> {
        let command = program.iter().map(|word| (*word).to_owned()).chain(self.command(&self.agent_program));
        let agent = self.spawn(node, node, command.collect(), &[])?;
        self.agents.insert(node.to_owned(), agent);
        Ok(())
    }

    /// Runs another agent of a node to its end, with the first one beside it. Fails where it cannot be started.
    pub fn run_second_agent(&self, node: &str) -> Result<Output> {
        let mut command = self.command(&self.agent_program);
        command.extend(["--node".to_owned(), node.to_owned()]);
        self.lab.host(node)?.run(command)
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

    /// A document that the product has written, below the folder. Fails where it is not there or cannot be read, and
    /// over an API server.
    pub fn documents(&self, path: &str) -> Result<Vec<Value>> {
        match &self.place {
            Place::Folder(folder) => folder.documents(path),
            Place::ApiServer(_) => bail!("with an API server there is no {path}"),
        }
    }

    /// The NodePlan of a node and its slices. Fails where there is none.
    pub fn plan(&self, node: &str) -> Result<Vec<Value>> {
        match &self.place {
            Place::Folder(folder) => folder.documents(&format!("plans/{node}.yaml")),
            Place::ApiServer(server) => server.plan(&self.lab, node),
        }
    }

    /// The same objects with what the node's agent reports. Fails where there is none.
    pub fn report(&self, node: &str) -> Result<Vec<Value>> {
        match &self.place {
            Place::Folder(folder) => folder.documents(&format!("reports/{node}.yaml")),
            Place::ApiServer(server) => server.plan(&self.lab, node),
        }
    }

    /// A VirtualService of namespace `default` with its status. Fails where there is none.
    pub fn service(&self, name: &str) -> Result<Vec<Value>> {
        match &self.place {
            Place::Folder(folder) => folder.documents(&format!("status/default.{name}.yaml")),
            Place::ApiServer(server) => {
                let object =
                    server.object(&self.lab, &format!("namespaces/default/virtualservices/{name}"))?;
                Ok(vec![object])
            }
        }
    }
}

/// The text of a file of `deploy/examples/lvs-notes`. Fails where it cannot be read.
pub fn example(file: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples/lvs-notes").join(file);
    std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
}
