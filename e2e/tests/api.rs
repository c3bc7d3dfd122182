//! What a user meets at a real API server with our definitions and roles, exactly as `deploy/` ships them; and the
//! scenarios in the lab that need one.

#![expect(clippy::unwrap_used, reason = "what helps a test fails it")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use lvs_e2e::cluster::tool::in_tree;
use lvs_e2e::control_plane::{ControlPlane, Identity, NodeObject, Settings};
use lvs_e2e::fleet::Site;
use lvs_e2e::lab::Launch;
use lvs_e2e::lab::process::wait_until;
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_mins(1);

#[test]
fn the_demo_goes_through_an_api_server_with_kubectl() {
    scenario("demo-cluster");
}

#[test]
fn traffic_and_agents_do_without_the_api_server() {
    scenario("api-server-away");
}

fn scenario(name: &str) {
    let launch = Launch::new(Path::new(env!("CARGO_BIN_EXE_lvs-lab")), name).unwrap();
    Site::start().unwrap().run(launch.timeout(Duration::from_mins(5))).unwrap();
}

fn installed() -> ControlPlane {
    let plane = ControlPlane::start(&Settings::default()).unwrap();
    let manifests = in_tree("deploy").display().to_string();
    plane.kubectl(&["apply", "--server-side", "-k", &manifests], "").unwrap();
    plane.kubectl(&["wait", "crd", "--all", "--for=condition=Established", "--timeout=60s"], "").unwrap();
    plane
}

fn apply(plane: &ControlPlane, user: &Identity, text: &str) -> Output {
    plane.kubectl_output(user, &["apply", "-f", "-"], text, DEADLINE).unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn definitions_and_examples_are_taken_without_a_warning() {
    let plane = ControlPlane::start(&Settings::default()).unwrap();
    let definitions = in_tree("deploy/crds").display().to_string();
    let output = plane.kubectl_output(plane.admin(), &["apply", "-k", &definitions], "", DEADLINE).unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", said(&output));
    plane.kubectl(&["wait", "crd", "--all", "--for=condition=Established", "--timeout=60s"], "").unwrap();
    for file in ["directorgroup.yaml", "virtualservice.yaml"] {
        let text = std::fs::read_to_string(in_tree("deploy/examples/lvs-notes").join(file)).unwrap();
        let output = apply(&plane, plane.admin(), &text);
        assert!(output.status.success() && output.stderr.is_empty(), "{file}: {}", said(&output));
    }
}

#[test]
fn bad_input_is_refused_with_a_sentence_that_says_what_to_write() {
    let plane = installed();
    let good = std::fs::read_to_string(in_tree("deploy/examples/lvs-notes/virtualservice.yaml")).unwrap();
    let target = "    nodeName: rs-1\n";
    for (from, to, sentence) in [
        ("address: 192.168.10.40", "address: 192.168.10.040", "vips[0].address"),
        ("address: 192.168.10.40", "address: web.example.com", "vips[0].address"),
        ("port: 80", "port: 70000", "ports[0].port"),
        ("protocol: TCP", "protocol: tcp", "supported values"),
        (target, "    nodeName: rs-1\n    addresses: [192.168.10.10]\n", "exactly one of"),
        (target, "", "exactly one of"),
        (target, "    nodeSelector: {}\n", "nodeSelector"),
        ("weight: 1", "weight: -1", "weight"),
        ("timeoutSeconds: 20", "timeoutSeconds: 0", "timeoutSeconds"),
        ("scheduler: rr", "schedular: rr", "unknown field \"spec.schedular\""),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "the example has no {from:?}");
        let output = apply(&plane, plane.admin(), &bad);
        assert!(!output.status.success(), "{to:?} is taken");
        let text = said(&output);
        assert!(text.contains(sentence), "{to:?}: {text}");
        assert!(!text.contains("unrecognized format"), "{text}");
    }
}

/// A definition's fields are published a moment after it is established: the server puts the document
/// together in the background, and until then says that it knows no such resource.
fn explained(plane: &ControlPlane, field: &str) -> String {
    let mut text = Ok(String::new());
    wait_until("the fields are published", DEADLINE, || {
        text = plane.kubectl(&["explain", field], "");
        let unknown = |error: &anyhow::Error| error.to_string().contains("couldn't find resource");
        Ok(!text.as_ref().is_err_and(unknown))
    })
    .and(text)
    .unwrap()
}

#[test]
fn fields_are_explained_and_columns_shown() {
    let plane = installed();
    for (field, word) in [
        ("vs.spec.persistence.timeoutSeconds", "econds"),
        ("vs.spec.scheduler", "wlc"),
        ("vs.spec.realServers.weight", "weight"),
        ("directorgroup.spec.timeouts.tcpSeconds", "econds"),
        ("directorgroup.spec.pools.addresses", "192.168.10.64/28"),
    ] {
        let field = field.replacen("vs.", "virtualservice.", 1);
        let text = explained(&plane, &field);
        let description = text.split_once("DESCRIPTION:").expect("a description").1;
        assert!(description.contains(word) && !description.contains("<empty>"), "{field}: {text}");
    }
    for file in ["directorgroup.yaml", "virtualservice.yaml"] {
        let text = std::fs::read_to_string(in_tree("deploy/examples/lvs-notes").join(file)).unwrap();
        plane.kubectl(&["apply", "-f", "-"], &text).unwrap();
    }
    for (kind, columns) in [
        ("lvs", "NAME VIPS PORTS HOLDERS REAL-SERVERS ACCEPTED READY AGE"),
        ("directorgroups", "NAME DIRECTORS VIPS READY AGE"),
    ] {
        let text = plane.kubectl(&["get", kind], "").unwrap();
        let head: Vec<&str> = text.lines().next().unwrap_or_default().split_whitespace().collect();
        assert_eq!(head.join(" "), columns);
    }
    assert!(plane.kubectl(&["get", "lvs-operator", "-o", "name"], "").unwrap().contains("/web"));
}

#[test]
fn an_agent_writes_its_own_report_and_nothing_else() {
    let plane = installed();
    for name in ["director-1", "rs-1"] {
        let (labels, addresses) = (BTreeMap::new(), vec!["192.0.2.1".parse().unwrap()]);
        plane.put_node(&NodeObject { name, labels, addresses, boot_id: "b", ready: true }).unwrap();
        for object in [
            json!({"apiVersion": "lvs-operator.io/v1alpha1", "kind": "NodePlan", "metadata": {"name": name},
                "spec": {"epoch": 1, "serviceCount": 0, "settings": {}, "slices": []}}),
            json!({"apiVersion": "lvs-operator.io/v1alpha1", "kind": "NodePlanSlice",
                "metadata": {"name": format!("{name}.0")}, "spec": {"nodeName": name, "services": {}}}),
        ] {
            plane.kubectl(&["apply", "-f", "-"], &object.to_string()).unwrap();
        }
    }
    let agent = plane.agent("lvs-system", "lvs-node-agent", "rs-1").unwrap();
    let unbound = plane.service_account("lvs-system", "lvs-node-agent").unwrap();
    // As the agents write: `kubectl patch` would ask for the report before, which no agent may.
    let write = |user: &Identity, kind: &str, name: &str, part: Value| {
        let mut object =
            json!({"apiVersion": "lvs-operator.io/v1alpha1", "kind": kind, "metadata": {"name": name}});
        let mut words = vec!["apply", "--server-side", "--force-conflicts", "--field-manager=lvs-node-agent"];
        if part.get("status").is_some() {
            words.push("--subresource=status");
        }
        object.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
        plane
            .kubectl_output(user, &[&words[..], &["-f", "-"]].concat(), &object.to_string(), DEADLINE)
            .unwrap()
    };
    let report =
        |clean: bool| json!({"status": {"agentVersion": "0.1.0", "bootId": "b", "clean": clean, "epoch": 1}});
    let slice_report = json!({"status": {"bootId": "b", "services": {}}});
    // The server's own loops hear of roles and policies a little later.
    let told = |user: &Identity| said(&write(user, "NodePlan", "rs-1", report(false)));
    let in_force = (0..100)
        .any(|_| told(&agent).contains("serverside-applied") && told(&unbound).contains("names no node"));
    assert!(in_force, "{}\n{}", told(&agent), told(&unbound));

    for (kind, name, part) in
        [("NodePlan", "rs-1", report(true)), ("NodePlanSlice", "rs-1.0", slice_report.clone())]
    {
        let output = write(&agent, kind, name, part);
        assert!(output.status.success(), "{name}: {}", said(&output));
    }
    let another = "the agent of rs-1 may not write the report of director-1";
    let own_plan = json!({"spec": {"epoch": 9, "serviceCount": 0, "settings": {}, "slices": []}});
    for (user, kind, name, part, sentence) in [
        (&agent, "NodePlan", "director-1", report(true), another),
        (&agent, "NodePlanSlice", "director-1.0", slice_report, another),
        (&unbound, "NodePlan", "rs-1", report(true), "the agent's token names no node"),
        (&agent, "NodePlan", "rs-1", own_plan, "cannot patch resource"),
    ] {
        let output = write(user, kind, name, part);
        let text = said(&output);
        assert!(!output.status.success() && text.contains(sentence), "{kind} {name}: {text}");
    }
}
