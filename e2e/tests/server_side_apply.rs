//! Server-side apply of what our programs write, as a real API server does it.

use lvs_e2e::cluster::tool::in_tree;
use lvs_e2e::control_plane::{ControlPlane, Settings};
use serde_json::{Value, json};

#[test]
fn a_plan_whose_last_entries_go_is_written() {
    let plane = ControlPlane::start(&Settings::default()).unwrap();
    let definitions = in_tree("deploy/crds").display().to_string();
    plane.kubectl(&["apply", "--server-side", "-k", &definitions], "").unwrap();
    plane.kubectl(&["wait", "crd", "--all", "--for=condition=Established", "--timeout=60s"], "").unwrap();
    let apply = |kind: &str, name: &str, spec: Value| {
        let object = json!({
            "apiVersion": "lvs-operator.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
        });
        let words = ["apply", "--server-side", "--field-manager=lvs-operator", "-o", "json", "-f", "-"];
        let stored: Value =
            serde_json::from_str(&plane.kubectl(&words, &object.to_string()).unwrap()).unwrap();
        stored["spec"].clone()
    };
    // Field by field the server would make null of a map whose entries were all ours and are all gone.
    let timeouts = json!({"timeouts": {"tcpSeconds": 30, "tcpFinSeconds": 5, "udpSeconds": 60}});
    for settings in [timeouts, json!({})] {
        let spec = json!({"epoch": 1, "serviceCount": 0, "settings": settings, "slices": []});
        assert_eq!(apply("NodePlan", "director-1", spec.clone()), spec);
    }
}
