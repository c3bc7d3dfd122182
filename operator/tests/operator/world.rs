//! A folder with an operator that runs on it, and agents played by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use lvs_core::names::{BootId, NodeName, ServiceName};
use lvs_core::node_plan::{NodePlan as Plan, PlannedService};
use lvs_core::node_report::{NodeReport, ServiceReport, VipReport};
use lvs_crds::{NodePlan, NodePlanSlice};
use serde_json::Value;
use tempfile::TempDir;

/// Longer than anything here takes on a slow machine; waiting ends as soon as what is waited for is there.
const PATIENCE: Duration = Duration::from_mins(1);

/// The program under test.
pub(crate) fn operator() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lvs-operator"));
    command.env_remove("LVS_LOG").env_remove("LVS_BIND_ADDRESS").env("KUBECONFIG", "/nowhere");
    command
}

/// A director and two real servers, a group, and one service on them.
pub(crate) const NODES: &str = "\
apiVersion: v1
kind: Node
metadata: {name: director-1, labels: {lvs: director}}
status: {addresses: [{type: InternalIP, address: 192.168.10.20}]}
---
apiVersion: v1
kind: Node
metadata: {name: rs-1}
status: {addresses: [{type: InternalIP, address: 192.168.10.10}]}
---
apiVersion: v1
kind: Node
metadata: {name: rs-2}
status: {addresses: [{type: InternalIP, address: 192.168.10.11}]}
";

/// The group whose pool holds the VIPs.
pub(crate) const GROUP: &str = "\
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
  ports: [{{port: 80}}]
  realServers: [{{name: a, nodeName: rs-1, weight: 1}}, {{name: b, nodeName: rs-2, weight: 1}}]
"
    )
}

/// The folder and what runs on it.
pub(crate) struct World {
    folder: TempDir,
    operator: Option<Child>,
}

impl World {
    /// A folder with nodes, a group and the service `shop/web`.
    pub(crate) fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap(), operator: None };
        world.put("nodes.yaml", NODES);
        world.put("group.yaml", GROUP);
        world.put("web.yaml", &service("web", "192.168.10.40"));
        world
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file as an editor would, whole.
    pub(crate) fn put(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.path().join(name)).unwrap();
    }

    pub(crate) fn start(&mut self) {
        assert!(self.operator.is_none(), "it runs already");
        let log = fs::File::options().create(true).append(true).open(self.path().join("log.txt")).unwrap();
        let child = operator().arg("run").arg("--folder").arg(self.path()).stderr(log).spawn().unwrap();
        self.operator = Some(child);
    }

    /// Kills the operator without a warning.
    pub(crate) fn kill(&mut self) {
        let mut operator = self.operator.take().unwrap();
        operator.kill().unwrap();
        operator.wait().unwrap();
    }

    /// Asks the operator to end, and returns its exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        let mut operator = self.operator.take().unwrap();
        let process = nix::unistd::Pid::from_raw(i32::try_from(operator.id()).unwrap());
        nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGTERM).unwrap();
        operator.wait().unwrap().code()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path().join("log.txt")).unwrap_or_default()
    }

    /// Waits until a question has an answer.
    pub(crate) fn until<T>(&self, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
            assert!(Instant::now() < end, "waited in vain for {what}; the log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Plays every agent, round after round, until a question has an answer.
    pub(crate) fn play<T>(&self, what: &str, mut ask: impl FnMut(&Self) -> Option<T>) -> T {
        self.until(what, || {
            for node in self.planned_nodes() {
                self.report_success(&node);
            }
            ask(self)
        })
    }

    /// The nodes that have a plan.
    pub(crate) fn planned_nodes(&self) -> BTreeSet<String> {
        let Ok(entries) = fs::read_dir(self.path().join("plans")) else { return BTreeSet::new() };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter_map(|name| Some(name.strip_suffix(".yaml")?.to_owned())).collect()
    }

    /// A node's plan as its agent would read it.
    pub(crate) fn plan(&self, node: &str) -> Option<(Plan, Vec<NodePlanSlice>)> {
        let text = fs::read_to_string(self.path().join(format!("plans/{node}.yaml"))).ok()?;
        Some(assemble(&text))
    }

    pub(crate) fn part(&self, node: &str, service: &str) -> Option<PlannedService> {
        self.plan(node)?.0.services.get(&ServiceName::new("shop", service)).map(|part| (**part).clone())
    }

    /// Reports what an agent would that has carried out its present plan.
    pub(crate) fn report_success(&self, node: &str) {
        let Some((plan, slices)) = self.plan(node) else { return };
        let services = plan.services.iter().map(|(name, part)| (name.clone(), done(part))).collect();
        let mut report = NodeReport { services, ..NodeReport::default() };
        report.node.boot_id = BootId::from("boot-1");
        report.node.epoch = plan.epoch;
        report.node.lineage = plan.lineage;
        report.node.clean = report.services.is_empty();
        self.report(node, &report, &slices);
    }

    /// Writes a report, where it is another than before.
    pub(crate) fn report(&self, node: &str, report: &NodeReport, slices: &[NodePlanSlice]) {
        let (plan, slices) = lvs_crds::report::split(&NodeName::from(node), report, slices);
        let mut text = serde_saphyr::to_string(&serde_json::to_value(&plan).unwrap()).unwrap();
        for slice in &slices {
            text.push_str("\n---\n");
            text.push_str(&serde_saphyr::to_string(&serde_json::to_value(slice).unwrap()).unwrap());
        }
        let name = format!("reports/{node}.yaml");
        if fs::read_to_string(self.path().join(&name)).ok().as_ref() != Some(&text) {
            self.put(&name, &text);
        }
    }

    /// A condition of a service: its status and reason.
    pub(crate) fn condition(&self, service: &str, kind: &str) -> Option<(String, String)> {
        let status = self.status(&format!("shop.{service}"))?;
        let conditions = status["conditions"].as_array()?.clone();
        let condition = conditions.into_iter().find(|condition| condition["type"] == kind)?;
        let text = |field: &str| condition[field].as_str().unwrap().to_owned();
        Some((text("status"), text("reason")))
    }

    /// The status in a file of the folder `status`.
    pub(crate) fn status(&self, file: &str) -> Option<Value> {
        let text = fs::read_to_string(self.path().join(format!("status/{file}.yaml"))).ok()?;
        Some(serde_saphyr::from_str::<Value>(&text).unwrap()["status"].take())
    }

    /// Whether a condition holds; `None` while it does not, for waiting.
    pub(crate) fn holds(&self, service: &str, kind: &str) -> Option<()> {
        (self.condition(service, kind)?.0 == "True").then_some(())
    }

    /// The files of a folder with their content.
    pub(crate) fn files(&self, folder: &str) -> BTreeMap<PathBuf, String> {
        let entries = fs::read_dir(self.path().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut operator) = self.operator.take() {
            let _ = operator.kill();
            let _ = operator.wait();
        }
    }
}

/// A plan from the documents of one node.
pub(crate) fn assemble(text: &str) -> (Plan, Vec<NodePlanSlice>) {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    let (plans, slices): (Vec<Value>, Vec<Value>) =
        documents.into_iter().partition(|document| document["kind"] == "NodePlan");
    assert_eq!(plans.len(), 1, "{text}");
    let plan: NodePlan = serde_json::from_value(plans[0].clone()).unwrap();
    let slices: Vec<NodePlanSlice> =
        slices.into_iter().map(|slice| serde_json::from_value(slice).unwrap()).collect();
    let (assembled, faults) = lvs_crds::plan::assemble(&plan, &slices);
    assert_eq!(faults, [], "{text}");
    (assembled, slices)
}

fn done(part: &PlannedService) -> ServiceReport {
    let vip = |duty: &lvs_core::node_plan::PlannedVip| VipReport {
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

/// Runs a command to its end with a text as its stdin.
pub(crate) fn with_stdin(command: &mut Command, text: &str) -> Output {
    use std::io::Write;
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that refuses its arguments may have gone before it has read.
    let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
    child.wait_with_output().unwrap()
}
