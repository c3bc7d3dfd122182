//! A control plane with the product's manifests, operators as processes, and agents played by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use kube::api::{ListParams, ObjectList, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use lvs_core::names::{BootId, NodeName, ServiceName};
use lvs_core::node_plan::{NodePlan as Plan, PlannedService, PlannedVip};
use lvs_core::node_report::{NodeReport, ServiceReport, VipReport};
use lvs_crds::{NodePlan, NodePlanSlice, names};
use lvs_e2e::cluster::tool::in_tree;
use lvs_e2e::control_plane::{ControlPlane, Identity, NodeObject, Settings};
use serde_json::Value;

/// Longer than anything here takes on a slow machine; waiting ends as soon as what is waited for is there.
const PATIENCE: Duration = Duration::from_mins(2);
/// Where the operator runs.
pub(crate) const NAMESPACE: &str = "lvs-system";
/// Of every node of these tests.
pub(crate) const BOOT: &str = "7d4b3f0e-0000-4000-8000-000000000001";
/// A director and two real servers.
pub(crate) const NODES: [(&str, &str); 3] =
    [("director-1", "192.168.10.20"), ("rs-1", "192.168.10.10"), ("rs-2", "192.168.10.11")];

/// Everything.
pub(crate) struct Bench {
    pub(crate) plane: ControlPlane,
    runtime: tokio::runtime::Runtime,
    operator: Identity,
    agents: BTreeMap<&'static str, Identity>,
    running: Vec<Operator>,
    folder: tempfile::TempDir,
}

/// An operator that runs.
struct Operator {
    name: &'static str,
    process: Child,
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The program under test lies beside the lab's, which Cargo names.
fn program() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_lvs-lab")).with_file_name("lvs-operator");
    assert!(path.exists(), "{} is not built: cargo build -p lvs-operator", path.display());
    path
}

impl Bench {
    /// A control plane without our definitions, and the identities of the programs.
    pub(crate) fn bare() -> Self {
        let plane = ControlPlane::start(&Settings::default()).unwrap();
        let operator = plane.service_account(NAMESPACE, "lvs-operator").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        Self { plane, runtime, operator, agents: BTreeMap::new(), running: Vec::new(), folder }
    }

    /// The same with everything installed, the nodes, a group and the service `shop/web`.
    pub(crate) fn new() -> Self {
        let mut bench = Self::bare();
        bench.install();
        bench
    }

    /// Installs what the manifests of `deploy/` install, and makes the world that they work on.
    pub(crate) fn install(&mut self) {
        let manifests = self.kubectl(&["kustomize", &in_tree("deploy").display().to_string()]);
        self.apply(&manifests);
        self.kubectl(&["wait", "crd", "--all", "--for=condition=Established", "--timeout=60s"]);
        for (name, address) in NODES {
            let director = BTreeMap::from([("lvs", "director")]);
            let labels = if name.starts_with("director") { director } else { BTreeMap::new() };
            let addresses = vec![address.parse().unwrap()];
            self.plane.put_node(&NodeObject { name, labels, addresses, boot_id: BOOT, ready: true }).unwrap();
            self.agents.insert(name, self.plane.agent(NAMESPACE, "lvs-node-agent", name).unwrap());
        }
        self.kubectl(&["create", "namespace", "shop"]);
        self.apply(GROUP);
        self.apply(&service("web", "192.168.10.40"));
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        self.plane.kubectl(arguments, "").unwrap()
    }

    /// Applies manifests as a user would.
    pub(crate) fn apply(&self, text: &str) {
        self.plane.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "-"], text).unwrap();
    }

    /// A verb of the operator with somebody's rights.
    pub(crate) fn command(verb: &str, identity: &Identity) -> Command {
        let mut command = Command::new(program());
        command.arg(verb).arg("--kubeconfig").arg(&identity.kubeconfig).args(["--namespace", NAMESPACE]);
        command
    }

    /// Starts an operator; its log is known by a name.
    pub(crate) fn start(&mut self, name: &'static str) {
        let log = File::options().create(true).append(true).open(self.log_file(name)).unwrap();
        let process = Self::command("run", &self.operator).stderr(log).spawn().unwrap();
        self.running.push(Operator { name, process });
    }

    /// Kills an operator without a warning.
    pub(crate) fn kill(&mut self, name: &str) {
        self.running.retain(|operator| operator.name != name);
    }

    /// Asks an operator to end.
    pub(crate) fn terminate(&mut self, name: &str) -> ExitStatus {
        let at = self.running.iter().position(|operator| operator.name == name).unwrap();
        let mut operator = self.running.remove(at);
        let process = nix::unistd::Pid::from_raw(i32::try_from(operator.process.id()).unwrap());
        nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGTERM).unwrap();
        operator.process.wait().unwrap()
    }

    fn log_file(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }

    pub(crate) fn log(&self, name: &str) -> String {
        fs::read_to_string(self.log_file(name)).unwrap_or_default()
    }

    /// Waits until a question has an answer.
    pub(crate) fn until<T>(&self, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
            if Instant::now() > end {
                let logs = fs::read_dir(self.folder.path()).unwrap().map(|file| file.unwrap().path());
                let logs: String = logs.map(|path| fs::read_to_string(path).unwrap()).collect();
                panic!("waited in vain for {what}; the operators say:\n{logs}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Plays every agent, round after round, until a question has an answer.
    pub(crate) fn play<T>(&self, what: &str, mut ask: impl FnMut(&Self) -> Option<T>) -> T {
        self.until(what, || {
            for node in self.agents.keys() {
                self.report_success(node);
            }
            ask(self)
        })
    }

    /// Reports what an agent would that has carried out its present plan.
    pub(crate) fn report_success(&self, node: &str) {
        let Some((object, slices, plan)) = self.stored_plan(node) else { return };
        let services = plan.services.iter().map(|(name, part)| (name.clone(), done(part))).collect();
        let mut report = NodeReport { services, ..NodeReport::default() };
        report.node.boot_id = BootId::from(BOOT);
        report.node.epoch = plan.epoch;
        report.node.lineage = plan.lineage;
        report.node.clean = report.services.is_empty();
        let (status, slice_statuses) = lvs_crds::report::split(&NodeName::from(node), &report, &slices);
        let parameters = PatchParams::apply(names::NODE_AGENT).force();
        self.runtime.block_on(async {
            let client = self.agents[node].client().await.unwrap();
            let plans = Api::<NodePlan>::all(client.clone());
            if object.status.as_ref() != Some(&status.status) {
                // An object that has gone meanwhile has no status to take.
                let _ = plans.patch_status(node, &parameters, &Patch::Apply(&status)).await;
            }
            let present: BTreeMap<String, &NodePlanSlice> =
                slices.iter().map(|slice| (slice.name_any(), slice)).collect();
            for slice in &slice_statuses {
                if present[slice.name()].status.as_ref() != Some(&slice.status) {
                    let slices = Api::<NodePlanSlice>::all(client.clone());
                    let _ = slices.patch_status(slice.name(), &parameters, &Patch::Apply(slice)).await;
                }
            }
        });
    }

    /// A node's plan as its agent reads it.
    pub(crate) fn plan(&self, node: &str) -> Option<Plan> {
        self.stored_plan(node).map(|(_, _, plan)| plan)
    }

    fn stored_plan(&self, node: &str) -> Option<(NodePlan, Vec<NodePlanSlice>, Plan)> {
        self.runtime.block_on(async {
            let client = self.agents[node].client().await.unwrap();
            let plan = Api::<NodePlan>::all(client.clone()).get_opt(node).await.unwrap()?;
            let label = format!("{}={node}", names::NODE_LABEL);
            let slices: ObjectList<NodePlanSlice> =
                Api::all(client).list(&ListParams::default().labels(&label)).await.unwrap();
            let (assembled, faults) = lvs_crds::plan::assemble(&plan, &slices.items);
            // Between the writes of a plan's parts an agent sees that it is not whole, and waits.
            faults.is_empty().then_some((plan, slices.items, assembled))
        })
    }

    pub(crate) fn part(&self, node: &str, service: &str) -> Option<PlannedService> {
        self.plan(node)?.services.get(&ServiceName::new("shop", service)).map(|part| (**part).clone())
    }

    /// The names of the nodes that have a plan.
    pub(crate) fn planned_nodes(&self) -> BTreeSet<String> {
        let names = self.kubectl(&["get", "nodeplans", "-o", "name"]);
        names.lines().filter_map(|line| Some(line.split_once('/')?.1.to_owned())).collect()
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.kubectl(&[arguments, &["-o", "json"]].concat())).unwrap()
    }

    /// Whether a condition of a service holds; `None` while it does not, for waiting.
    pub(crate) fn holds(&self, service: &str, kind: &str) -> Option<()> {
        let (status, _) = self.condition(service, kind)?;
        (status == "True").then_some(())
    }

    /// A condition of a service: its status and reason.
    pub(crate) fn condition(&self, service: &str, kind: &str) -> Option<(String, String)> {
        let object = self.json(&["get", "virtualservice", "-n", "shop", service]);
        let conditions = object["status"]["conditions"].as_array()?.clone();
        let condition = conditions.into_iter().find(|condition| condition["type"] == kind)?;
        let text = |field: &str| condition[field].as_str().unwrap().to_owned();
        Some((text("status"), text("reason")))
    }
}

fn done(part: &PlannedService) -> ServiceReport {
    let vip = |duty: &PlannedVip| VipReport {
        bound: duty.accept,
        hidden: true,
        held: duty.attract,
        forwarding: duty.forward,
    };
    ServiceReport {
        counters_zeroed: None,
        revision: part.revision,
        applied: true,
        vips: part.vips.iter().map(|(address, duty)| (*address, vip(duty))).collect(),
        receives: part.receive.clone(),
        redirects: part.redirect.clone(),
        troubles: BTreeSet::new(),
    }
}

const GROUP: &str = "\
apiVersion: lvs-operator.io/v1alpha1
kind: DirectorGroup
metadata: {name: edge}
spec:
  nodeSelector: {matchLabels: {lvs: director}}
  pools: [{name: public, addresses: [192.168.10.40-192.168.10.49]}]
";

/// A service with both real servers.
pub(crate) fn service(name: &str, vip: &str) -> String {
    format!(
        "\
apiVersion: lvs-operator.io/v1alpha1
kind: VirtualService
metadata: {{name: {name}, namespace: shop}}
spec:
  vips: [{{address: {vip}}}]
  ports: [{{port: 80, protocol: TCP}}]
  realServers: [{{name: a, nodeName: rs-1, weight: 1}}, {{name: b, nodeName: rs-2, weight: 1}}]
"
    )
}
