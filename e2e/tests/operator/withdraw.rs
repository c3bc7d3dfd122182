//! `withdraw`, as the chart's Job runs it.

use std::process::{Command, Output, Stdio};

use lvs_e2e::cluster::tool::in_tree;

use crate::bench::Bench;

const ACCOUNT: &str = "lvs-operator-withdraw";

/// The verb with the rights of the chart's Job.
fn withdraw(bench: &Bench, timeout: &str) -> Command {
    let manifests = bench.kubectl(&["kustomize", &in_tree("deploy/withdraw").display().to_string()]);
    // Without a kubelet the Job itself would never run; its account and roles are what counts.
    let objects: Vec<serde_json::Value> = serde_saphyr::from_multiple(&manifests).unwrap();
    for object in objects.iter().filter(|object| object["kind"] != "Job") {
        bench.apply(&object.to_string());
    }
    let identity = bench.plane.service_account("lvs-system", ACCOUNT).unwrap();
    let mut command = Bench::command("withdraw", &identity);
    command.arg("--timeout").arg(timeout).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn everything_leaves_the_nodes_and_the_services_stay() {
    let mut bench = Bench::new();
    bench.start("operator");
    bench.play("the service to be ready", |bench| bench.holds("web", "Ready"));

    // Agents that say nothing are waited for, and then named.
    let output = withdraw(&bench, "3s").output().unwrap();
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("director-1") && text.contains("rs-1"), "{text}");
    assert!(bench.part("rs-1", "web").is_some(), "nothing is forgotten that has not left");

    // With agents that answer it ends.
    let mut process = withdraw(&bench, "90s").spawn().unwrap();
    let status = bench.play("withdraw to end", |_| process.try_wait().unwrap());
    let output = process.wait_with_output().unwrap();
    let text = said(&output);
    assert_eq!(status.code(), Some(0), "{text}");
    assert!(text.contains("Every node is as it was found."), "{text}");
    assert!(bench.planned_nodes().is_empty());
    assert_eq!(bench.kubectl(&["get", "nodeplanslices", "-o", "name"]), "");
    assert!(bench.kubectl(&["get", "virtualservices", "-n", "shop", "-o", "name"]).contains("web"));

    // `helm uninstall` then deletes the Deployment, and with it the mark. The operator lives a moment longer.
    bench.kubectl(&["delete", "deployment", "-n", "lvs-system", "lvs-operator"]);
    let merge = r#"{"spec": {"timeouts": {"tcpSeconds": 30, "tcpFinSeconds": 5, "udpSeconds": 60}}}"#;
    bench.kubectl(&["patch", "directorgroup", "edge", "--type=merge", "-p", merge]);
    bench.until("the operator to have looked again", || {
        let group = bench.json(&["get", "directorgroup", "edge"]);
        (group["status"]["observedGeneration"] == group["metadata"]["generation"]).then_some(())
    });
    assert!(bench.planned_nodes().is_empty(), "everything comes back while the release leaves");

    // Where a Deployment has no mark, everything comes back.
    bench.apply(&bench.kubectl(&["kustomize", &in_tree("deploy").display().to_string()]));
    bench.play("the service to be ready again", |bench| {
        bench.part("director-1", "web")?;
        bench.holds("web", "Ready")
    });
}

#[test]
fn a_deployment_that_is_not_there_is_named() {
    let bench = Bench::new();
    let output = withdraw(&bench, "5s").args(["--deployment", "another"]).output().unwrap();
    let text = said(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("another"), "{text}");
}
