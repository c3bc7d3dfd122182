//! What a user meets at a real API server with our definitions and roles, exactly as `deploy/` ships them; and the
//! scenarios in the lab that need one.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use lvs_e2e::cluster::tool::in_tree;
use lvs_e2e::control_plane::{ControlPlane, Identity, NodeObject, Settings};
use lvs_e2e::fleet::Site;
use lvs_e2e::lab::Launch;
use serde_json::json;

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
    Site::start().unwrap().run(launch).unwrap();
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

#[test]
fn fields_are_explained_and_columns_shown() {
    let plane = installed();
    for (field, word) in [
        ("vs.spec.persistence.timeoutSeconds", "econds"),
        ("vs.spec.scheduler", "wlc"),
        ("vs.spec.realServers.weight", "weight"),
        ("directorgroup.spec.timeouts.tcpSeconds", "econds"),
        ("directorgroup.spec.pools.addresses", "address"),
    ] {
        let field = field.replacen("vs.", "virtualservice.", 1);
        let text = plane.kubectl(&["explain", &field], "").unwrap();
        let description = text.split_once("DESCRIPTION:").expect("a description").1;
        assert!(description.contains(word) && !description.contains("<empty>"), "{field}: {text}");
    }
    for file in ["directorgroup.yaml", "virtualservice.yaml"] {
        let text = std::fs::read_to_string(in_tree("deploy/examples/lvs-notes").join(file)).unwrap();
        plane.kubectl(&["apply", "-f", "-"], &text).unwrap();
    }
    for (kind, columns) in [
        ("lvs", "NAME VIPS PORTS HOLDERS REAL-SERVERS READY AGE"),
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
    let patch = |user: &Identity, words: &[&str], patch: &str| {
        let words = [&["patch"], words, &["--type=merge", "-p", patch]].concat();
        plane.kubectl_output(user, &words, "", DEADLINE).unwrap()
    };
    let own = ["nodeplan", "rs-1", "--subresource=status"];
    let report = r#"{"status":{"agentVersion":"0.1.0","bootId":"b","clean":true,"epoch":1}}"#;
    // The server's own loops hear of roles and policies a little later; a refusal is then the policy's.
    let mut output = patch(&agent, &own, report);
    for _ in 0..100 {
        if output.status.success()
            && !patch(&unbound, &own, &report.replace("true", "false")).status.success()
        {
            break;
        }
        output = patch(&agent, &own, report);
    }
    assert!(output.status.success(), "its own report: {}", said(&output));
    for (user, words, body, sentence) in [
        (
            &agent,
            &["nodeplan", "director-1", "--subresource=status"][..],
            report,
            "may not write the report of director-1",
        ),
        (
            &agent,
            &["nodeplanslice", "director-1.0", "--subresource=status"],
            r#"{"status":{"bootId":"b","services":{}}}"#,
            "may not write the report of director-1",
        ),
        (&unbound, &own, &report.replace("true", "false"), "names no node"),
        (&agent, &["nodeplan", "rs-1"], r#"{"spec":{"epoch":9}}"#, "orbidden"),
        (&agent, &["node", "rs-1"], r#"{"metadata":{"labels":{"lvs":"director"}}}"#, "orbidden"),
    ] {
        let output = patch(user, words, body);
        let text = said(&output);
        assert!(!output.status.success() && text.contains(sentence), "{words:?}: {text}");
    }
}
