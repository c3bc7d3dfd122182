//! The control plane itself, through the doors that other tests use.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;

use super::process::{Process, command};
use super::{ControlPlane, NodeObject, Settings};

const DEADLINE: Duration = Duration::from_secs(30);

fn config_map(name: &str, value: &str) -> ConfigMap {
    let mut object = ConfigMap::default();
    object.metadata.name = Some(name.to_owned());
    object.data = Some(BTreeMap::from([("value".to_owned(), value.to_owned())]));
    object
}

/// The Node of a director at 192.0.2.11, as a kubelet would have written it.
fn director() -> NodeObject<'static> {
    NodeObject {
        name: "director-1",
        labels: BTreeMap::from([("lvs", "director")]),
        addresses: vec!["192.0.2.11".parse().unwrap()],
        boot_id: "7d4b3f0e-0000-4000-8000-000000000001",
        ready: true,
    }
}

#[tokio::test]
async fn data_and_port_survive_a_stop_and_a_crash_of_the_api_server() {
    let mut cluster = ControlPlane::start(&Settings::default()).unwrap();
    let url = cluster.url();
    cluster.kubectl(&["create", "namespace", "web"], "").unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(cluster.admin().client().await.unwrap(), "web");
    maps.create(&PostParams::default(), &config_map("kept", "before")).await.unwrap();

    cluster.stop_api_server();
    maps.get("kept").await.expect_err("a stopped server answers nobody");
    cluster.start_api_server().unwrap();
    assert_eq!(cluster.url(), url);
    let kept = maps.get("kept").await.expect("the old client reaches the new server");
    assert_eq!(kept.data.unwrap()["value"], "before");

    cluster.kill_api_server();
    maps.get("kept").await.expect_err("a killed server answers nobody");
    cluster.start_api_server().unwrap();
    let read =
        cluster.kubectl(&["get", "configmap", "kept", "-n", "web", "-o", "jsonpath={.data.value}"], "");
    assert_eq!(read.unwrap(), "before");
}

#[test]
fn role_based_access_control_refuses_a_token_until_a_role_allows_it() {
    let cluster = ControlPlane::start(&Settings::default()).unwrap();
    let operator = cluster.service_account("lvs-system", "lvs-operator").unwrap();
    let whoami = ["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"];
    assert_eq!(cluster.kubectl_as(&operator, &whoami, "").unwrap(), operator.user);

    let list = ["get", "configmaps", "-n", "lvs-system"];
    let refused = cluster.kubectl_output(&operator, &list, "", DEADLINE).unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("Forbidden") && said.contains(&operator.user),
        "{said}"
    );

    let role = ["create", "role", "read", "-n", "lvs-system", "--verb=list", "--resource=configmaps"];
    cluster.kubectl(&role, "").unwrap();
    let account = "--serviceaccount=lvs-system:lvs-operator";
    cluster
        .kubectl(&["create", "rolebinding", "read", "-n", "lvs-system", "--role=read", account], "")
        .unwrap();
    // The authorizer hears of the binding by a watch of its own.
    let allowed =
        std::iter::repeat_with(|| cluster.kubectl_as(&operator, &list, "")).take(100).find(Result::is_ok);
    assert!(allowed.is_some(), "the role allows it");
}

#[test]
fn the_token_of_an_agent_names_its_node() {
    let cluster = ControlPlane::start(&Settings::default()).unwrap();
    cluster.put_node(&director()).unwrap();
    let agent = cluster.agent("lvs-system", "lvs-node-agent", "director-1").unwrap();
    let asked = cluster.kubectl_as(&agent, &["auth", "whoami", "-o", "json"], "").unwrap();
    let answer: serde_json::Value = serde_json::from_str(&asked).unwrap();
    let info = &answer["status"]["userInfo"];
    assert_eq!(info["username"], "system:serviceaccount:lvs-system:lvs-node-agent");
    assert_eq!(info["extra"]["authentication.kubernetes.io/node-name"][0], "director-1", "{info}");
    let uid = cluster.kubectl(&["get", "node", "director-1", "-o", "jsonpath={.metadata.uid}"], "").unwrap();
    assert_eq!(info["extra"]["authentication.kubernetes.io/node-uid"][0], uid, "{info}");
    // Asking again (the agent's host was rebooted) finds the pod that there is.
    cluster.agent("lvs-system", "lvs-node-agent", "director-1").unwrap();
}

#[test]
fn a_node_object_can_be_written_again_with_another_state() {
    let cluster = ControlPlane::start(&Settings::default()).unwrap();
    let columns = "jsonpath={.metadata.labels.lvs} {.status.addresses[0].address} {.status.conditions[0].status} \
                   {.status.nodeInfo.bootID}";
    let read = || cluster.kubectl(&["get", "node", "director-1", "-o", columns], "").unwrap();
    let mut node = director();
    cluster.put_node(&node).unwrap();
    assert_eq!(read(), format!("director 192.0.2.11 True {}", node.boot_id));
    (node.boot_id, node.ready) = ("7d4b3f0e-0000-4000-8000-000000000002", false);
    cluster.put_node(&node).unwrap();
    assert_eq!(read(), format!("director 192.0.2.11 Unknown {}", node.boot_id));
}

#[test]
fn a_paused_api_server_is_silent_and_goes_on_afterwards() {
    let mut cluster = ControlPlane::start(&Settings::default()).unwrap();
    cluster.pause_api_server();
    let get = ["get", "namespaces", "-o", "name"];
    let silence = cluster.kubectl_output(cluster.admin(), &get, "", Duration::from_secs(3)).unwrap_err();
    assert!(silence.to_string().contains("no answer within 3 s"), "{silence}");
    cluster.resume_api_server();
    assert!(cluster.kubectl(&get, "").unwrap().contains("namespace/default"));
}

#[test]
fn nothing_is_left_after_a_drop() {
    let cluster = ControlPlane::start(&Settings::default()).unwrap();
    let folder = cluster.folder().to_owned();
    let running = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
        let ours = folder.display().to_string();
        lines.filter(|line| String::from_utf8_lossy(line).contains(&ours)).count()
    };
    assert_eq!(running(), 2, "etcd and kube-apiserver name their folder");
    drop(cluster);
    assert_eq!(running(), 0);
    assert!(!folder.exists());
}

#[test]
fn it_serves_a_network_namespace_of_the_tests() {
    let logs = tempfile::tempdir().unwrap();
    let mut host = command(&[], Path::new("unshare"));
    let setup =
        "ip link set lo up && ip address add 192.0.2.1/24 dev lo && echo there && exec sleep infinity";
    host.args(["--net", "sh", "-c", setup]);
    let mut host = Process::start("host", host, logs.path()).unwrap();
    while !host.last_words().contains("there") {
        assert!(host.exited().is_none(), "needs root; {}", host.last_words());
    }
    let namespace = format!("/proc/{}/ns/net", host.id());
    let mut settings = Settings::in_network(Path::new(&namespace), "192.0.2.1".parse().unwrap());
    (settings.bind, settings.port) = (Some("0.0.0.0".parse().unwrap()), Some(443));
    let cluster = ControlPlane::start(&settings).unwrap();
    assert_eq!(cluster.url(), "https://192.0.2.1:443");
    assert!(cluster.kubectl(&["get", "namespaces", "-o", "name"], "").unwrap().contains("namespace/default"));
}

#[test]
fn two_control_planes_know_nothing_of_each_other() {
    let [one, other] = [(); 2].map(|()| ControlPlane::start(&Settings::default()).unwrap());
    one.kubectl(&["create", "namespace", "web"], "").unwrap();
    other.kubectl(&["get", "namespace", "web"], "").unwrap_err();
    let mut stranger = other.admin().clone();
    let text = std::fs::read_to_string(&stranger.kubeconfig).unwrap().replace(&other.url(), &one.url());
    stranger.kubeconfig = other.folder().join("stranger.kubeconfig");
    std::fs::write(&stranger.kubeconfig, text).unwrap();
    let refused = one.kubectl_as(&stranger, &["get", "namespaces"], "").unwrap_err().to_string();
    assert!(refused.contains("certificate"), "{refused}");
}

#[test]
fn controllers_end_namespaces() {
    let mut cluster = ControlPlane::start(&Settings::default()).unwrap();
    cluster.start_controllers().unwrap();
    cluster.kubectl(&["create", "namespace", "web"], "").unwrap();
    cluster.kubectl(&["create", "configmap", "inside", "-n", "web"], "").unwrap();
    cluster.kubectl(&["delete", "namespace", "web", "--timeout=60s"], "").unwrap();
    cluster.kubectl(&["get", "namespace", "web"], "").unwrap_err();
}
