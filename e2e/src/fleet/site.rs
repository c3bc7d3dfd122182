//! On the machine that tests: a control plane beside the guest, with the product's manifests and an identity for each
//! of its programs.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use serde_json::json;

use super::api::{ARGUMENT, Access, DONE, NAMESPACE, Order};
use crate::cluster::tool::in_tree;
use crate::control_plane::{ControlPlane, Identity, NodeObject, Settings, program};
use crate::lab::launch::Report;
use crate::lab::outside::ADDRESS;
use crate::lab::{Launch, Outside, host};

/// The nodes of the example, with their addresses.
const NODES: [(&str, &str); 3] =
    [("director-1", "192.168.10.20"), ("rs-1", "192.168.10.10"), ("rs-2", "192.168.10.11")];

/// A control plane that the hosts of a guest reach. Dropped, it ends.
#[derive(Debug)]
pub struct Site {
    plane: Arc<Mutex<ControlPlane>>,
    access: Access,
    outside: Outside,
}

impl Site {
    /// Starts the control plane, installs what `deploy/` has, and makes the Node objects and the identities.
    ///
    /// Fails without root, where the programs are not built, and where the API server refuses something.
    pub fn start() -> Result<Self> {
        let outside = Outside::new()?;
        let settings = Settings::in_network(&outside.namespace().network_path(), ADDRESS.parse()?);
        let plane = ControlPlane::start(&settings)?;
        let manifests = in_tree("deploy").display().to_string();
        plane.kubectl(&["apply", "--server-side", "-k", &manifests], "")?;
        plane.kubectl(&["wait", "crd", "--all", "--for=condition=Established", "--timeout=60s"], "")?;
        let operator = text(&plane.service_account(NAMESPACE, "lvs-operator")?)?;
        let mut agents = BTreeMap::new();
        for (name, address) in NODES {
            put_node(&plane, name, address)?;
            let agent = plane.agent(NAMESPACE, "lvs-node-agent", name)?;
            agents.insert(name.to_owned(), text(&agent)?);
        }
        let user = text(plane.admin())?;
        let kubectl = program("kubectl")?;
        let plane = Arc::new(Mutex::new(plane));
        let orders = take_orders(&outside, Arc::clone(&plane))?;
        Ok(Self { plane, access: Access { kubectl, user, operator, agents, orders }, outside })
    }

    /// Runs a scenario whose hosts reach this control plane. Fails as [`Launch::run`] does.
    pub fn run(&self, launch: Launch<'_>) -> Result<Report> {
        let arguments = json!({ ARGUMENT: self.access });
        launch.arguments(arguments).outside(&self.outside).run().map_err(|error| {
            let plane = self.plane.lock().unwrap_or_else(PoisonError::into_inner);
            error.context(plane.logs())
        })
    }
}

/// Writes a Node as a kubelet would: the lab's hosts have boot ids that can be told beforehand.
fn put_node(plane: &ControlPlane, name: &str, address: &str) -> Result<()> {
    let labels =
        if name.starts_with("director") { BTreeMap::from([("lvs", "director")]) } else { BTreeMap::new() };
    let boot_id = host::boot_id(name, 1);
    let addresses = vec![address.parse()?];
    plane.put_node(&NodeObject { name, labels, addresses, boot_id: boot_id.trim(), ready: true })
}

fn text(identity: &Identity) -> Result<String> {
    read(&identity.kubeconfig)
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}

/// Takes the guest's orders from now on, and returns the port for them. Only the namespace's own network reaches it.
fn take_orders(outside: &Outside, plane: Arc<Mutex<ControlPlane>>) -> Result<u16> {
    let listener =
        outside.namespace().inside(|| TcpListener::bind((ADDRESS, 0)))?.context("listen for orders")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A guest that goes away in the middle ends its own order and nothing else.
            let _ = answer(stream, &plane);
        }
    });
    Ok(port)
}

fn answer(mut stream: TcpStream, plane: &Mutex<ControlPlane>) -> Result<()> {
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    let mut plane = plane.lock().unwrap_or_else(PoisonError::into_inner);
    let done = match Order::read(&line).with_context(|| format!("there is no order {:?}", line.trim()))? {
        Order::Stop => {
            plane.stop_api_server();
            Ok(())
        }
        Order::Start => plane.start_api_server(),
    };
    let said = done.map_or_else(|error| format!("{error:#}").replace('\n', " "), |()| DONE.to_owned());
    writeln!(stream, "{said}").context("answer the guest")
}
