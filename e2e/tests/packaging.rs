//! The chart, the manifests made of it, and what the API server lets the programs do by them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what helps a test fails it")]

use std::path::PathBuf;
use std::process::Command;

use lvs_e2e::cluster::tool::{self, in_tree};
use lvs_e2e::control_plane::{ControlPlane, Identity, NodeObject, Settings};
use serde_json::{Value, json};

/// The node whose agent tries what it may not.
const NODE: &str = "director-1";

fn helm(arguments: &[&str]) -> anyhow::Result<String> {
    tool::run(Command::new(tool::helm().unwrap()).args(arguments), "")
}

fn chart() -> String {
    in_tree("charts/lvs-operator").display().to_string()
}

/// The objects that the chart renders with these values.
fn objects(values: &[&str]) -> Vec<Value> {
    let chart = chart();
    let sets: Vec<&str> = values.iter().flat_map(|value| ["--set", value]).collect();
    let text =
        helm(&[&["template", "lvs-operator", &chart, "-n", "lvs-system"], &sets[..]].concat()).unwrap();
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    objects.into_iter().filter(|object| !object.is_null()).collect()
}

fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("there is no {kind} {name}"))
}

#[test]
fn what_is_generated_is_up_to_date() {
    tool::run(Command::new(in_tree("deploy/render")).arg("--check"), "").unwrap();
}

#[test]
fn helm_lints_the_chart_and_refuses_values_that_it_does_not_know() {
    let chart = chart();
    helm(&["lint", "--strict", &chart]).unwrap();
    let refused =
        ["agnet.log=debug", "agent.port=0", "operator.image.pullPolicy=Sometimes", "agent.maxUnavailable=0"];
    for value in refused {
        helm(&["template", "x", &chart, "--set", value]).expect_err(value);
    }
    helm(&["template", "x", &chart, "--set", "global.anything=1", "--set", "agent.maxUnavailable=25%"])
        .unwrap();
}

#[test]
fn definitions_are_kept_or_left_out_as_asked() {
    let definitions = |values: &[&str]| -> Vec<Value> {
        objects(values).into_iter().filter(|object| object["kind"] == "CustomResourceDefinition").collect()
    };
    let policy = |object: &Value| object["metadata"]["annotations"]["helm.sh/resource-policy"].clone();
    let kept = definitions(&[]);
    assert_eq!(kept.len(), 4);
    assert!(kept.iter().all(|object| policy(object) == "keep"));
    assert!(definitions(&["crds.keep=false"]).iter().all(|object| policy(object).is_null()));
    assert!(definitions(&["crds.install=false"]).is_empty());
}

#[test]
fn pods_have_the_least_privilege() {
    let objects = objects(&[]);
    let pods =
        [("Deployment", "lvs-operator"), ("DaemonSet", "lvs-node-agent"), ("Job", "lvs-operator-withdraw")];
    for (kind, name) in pods {
        let pod = &find(&objects, kind, name)["spec"]["template"]["spec"];
        let container = &pod["containers"][0]["securityContext"];
        let agent = name == "lvs-node-agent";
        let capabilities = if agent {
            json!({"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]})
        } else {
            json!({"drop": ["ALL"]})
        };
        assert_eq!(container["capabilities"], capabilities, "{name}");
        assert_eq!(container["readOnlyRootFilesystem"], true, "{name}");
        assert_eq!(container["allowPrivilegeEscalation"], false, "{name}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        assert_eq!(pod["hostNetwork"], if agent { json!(true) } else { Value::Null }, "{name}");
        assert_eq!(
            pod["securityContext"]["runAsNonRoot"],
            if agent { Value::Null } else { json!(true) },
            "{name}"
        );
    }
    let secrets_or_everything = |rule: &Value| {
        let words = rule["resources"].as_array().into_iter().chain(rule["verbs"].as_array()).flatten();
        words.into_iter().any(|word| word == "secrets" || word == "*")
    };
    let rules = objects.iter().filter_map(|object| object["rules"].as_array()).flatten();
    assert!(!rules.into_iter().any(secrets_or_everything));
}

/// A control plane with the manifests of `deploy/`, the node and an agent of it.
fn installed() -> (ControlPlane, Identity) {
    let plane = ControlPlane::start(&Settings::default()).unwrap();
    let manifests = plane.kubectl(&["kustomize", &in_tree("deploy").display().to_string()], "").unwrap();
    plane.kubectl(&["apply", "--server-side", "-f", "-"], &manifests).unwrap();
    let definitions = ["wait", "crd", "--all", "--for=condition=Established", "--timeout=60s"];
    plane.kubectl(&definitions, "").unwrap();
    plane
        .put_node(&NodeObject {
            name: NODE,
            labels: [].into(),
            addresses: vec![],
            boot_id: "7d4b3f0e-0000-4000-8000-000000000001",
            ready: true,
        })
        .unwrap();
    let agent = plane.agent("lvs-system", "lvs-node-agent", NODE).unwrap();
    (plane, agent)
}

/// A report of a node as its agent writes it, by server-side apply.
fn report(
    plane: &ControlPlane,
    who: &Identity,
    kind: &str,
    name: &str,
    status: &Value,
) -> anyhow::Result<String> {
    let object = json!({
        "apiVersion": "lvs-operator.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "status": status,
    });
    let apply =
        ["apply", "--server-side", "--subresource=status", "--field-manager=lvs-node-agent", "-f", "-"];
    plane.kubectl_as(who, &apply, &object.to_string())
}

#[test]
fn an_agent_writes_the_reports_of_its_own_node_and_nothing_else() {
    let (plane, agent) = installed();
    let object = |kind: &str, name: &str, spec: Value| {
        json!({
            "apiVersion": "lvs-operator.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
        })
    };
    for node in [NODE, "director-2"] {
        let plan = object("NodePlan", node, json!({"epoch": 1}));
        let slice = object("NodePlanSlice", &format!("{node}.0"), json!({"nodeName": node}));
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [plan, slice]});
        plane.kubectl(&["create", "-f", "-"], &list.to_string()).unwrap();
    }
    let of_node = json!({"epoch": 1, "bootId": "b", "agentVersion": "0.1.0", "clean": true});
    let of_slice = json!({"bootId": "b"});
    let slice = |node: &str| format!("{node}.0");
    // The API server takes a moment to hear of the policy; what it must refuse is asked until it does.
    let refused = |kind: &str, name: &str, status: &Value| {
        let mut answers = std::iter::repeat_with(|| report(&plane, &agent, kind, name, status)).take(100);
        answers.find_map(Result::err).unwrap_or_else(|| panic!("{kind} {name} was written")).to_string()
    };
    let sentence = "the agent of director-1 may not write the report of director-2";
    let said = refused("NodePlan", "director-2", &of_node);
    assert!(said.contains(sentence), "{said}");
    let said = refused("NodePlanSlice", &slice("director-2"), &of_slice);
    assert!(said.contains(sentence), "{said}");

    report(&plane, &agent, "NodePlan", NODE, &of_node).unwrap();
    report(&plane, &agent, "NodePlanSlice", &slice(NODE), &of_slice).unwrap();

    let forbidden = [
        ["delete", "nodeplan", NODE].as_slice(),
        &["patch", "nodeplan", NODE, "--type=merge", "-p", r#"{"spec": {"epoch": 9}}"#],
        &["get", "nodes"],
        &["get", "pods", "-A"],
        &["get", "secrets", "-A"],
        &["get", "virtualservices", "-A"],
    ];
    for arguments in forbidden {
        let said = plane.kubectl_as(&agent, arguments, "").unwrap_err().to_string();
        assert!(said.contains("Forbidden"), "{said}");
    }

    // A token that is bound to no pod names no node.
    let stranger = plane.service_account("lvs-system", "lvs-node-agent").unwrap();
    let said = report(
        &plane,
        &stranger,
        "NodePlan",
        NODE,
        &json!({"epoch": 2, "bootId": "b", "agentVersion": "0", "clean": true}),
    );
    let said = said.unwrap_err().to_string();
    assert!(said.contains("names no node"), "{said}");
}

#[test]
fn the_manifests_lead_to_the_same_objects_as_the_chart() {
    let kubectl = lvs_e2e::control_plane::program("kubectl").unwrap();
    let build = |folder: &str| -> Vec<Value> {
        let folder: PathBuf = in_tree(folder);
        let text = tool::run(Command::new(&kubectl).arg("kustomize").arg(folder), "").unwrap();
        serde_saphyr::from_multiple(&text).unwrap()
    };
    let names = |objects: &[Value]| {
        let name = |object: &Value| format!("{} {}", object["kind"], object["metadata"]["name"]);
        objects.iter().map(name).collect::<std::collections::BTreeSet<String>>()
    };
    let mut by_kubectl = names(&[build("deploy"), build("deploy/withdraw")].concat());
    assert!(by_kubectl.remove(r#""Namespace" "lvs-system""#), "helm makes the namespace by itself");
    assert_eq!(by_kubectl, names(&objects(&[])));
}
