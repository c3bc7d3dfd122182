//! A service's life, and the operator's.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lvs_e2e::control_plane::ControlPlane;

use crate::bench::{Bench, NODES, service};

/// The versions of everything that the operator has written: they change with each write that changes something.
fn versions(bench: &Bench) -> BTreeMap<String, String> {
    let kinds = "nodeplans,nodeplanslices,virtualservices,directorgroups";
    let list = bench.json(&["get", kinds, "-A"]);
    let text =
        |object: &serde_json::Value, field: &str| object["metadata"][field].as_str().unwrap().to_owned();
    let items = list["items"].as_array().unwrap().iter();
    items
        .map(|item| {
            let kind = item["kind"].as_str().unwrap();
            (format!("{kind} {}", text(item, "name")), text(item, "resourceVersion"))
        })
        .collect()
}

#[test]
fn a_service_comes_stays_and_goes() {
    let mut bench = Bench::new();
    bench.start("operator");
    // Until somebody reports, the versions are those of the operator's own writes, in their order.
    bench.until("a real server's first plan", || bench.part("rs-1", "web"));
    let first = versions(&bench);
    let number = |object: &str| first[object].parse::<u64>().unwrap();
    assert!(number("NodePlanSlice rs-1.0") < number("NodePlan rs-1"), "{first:?}");
    bench.play("the service to be ready", |bench| {
        bench.holds("web", "Ready").and(bench.holds("web", "Programmed"))
    });
    let object = bench.json(&["get", "virtualservice", "-n", "shop", "web"]);
    assert_eq!(object["status"]["observedGeneration"], object["metadata"]["generation"]);
    assert_eq!(object["status"]["summary"]["realServers"], "2/2");
    let kinds: Vec<&str> = object["status"]["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|condition| condition["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["Accepted", "ResolvedRefs", "Programmed", "Proved", "Ready"]);
    bench.until("events of the transitions", || {
        let events = bench.json(&["get", "events.events.k8s.io", "-n", "shop"]);
        let about = events["items"].as_array()?.iter().filter(|event| event["regarding"]["name"] == "web");
        about.filter(|event| event["reason"] == "Ready").count().checked_sub(1)
    });

    // What is not touched by a change is not written: the new service is refused, so it is in nobody's plan.
    let before = versions(&bench);
    bench.apply(&service("stranger", "10.9.9.9"));
    let verdict = bench.until("the verdict", || bench.condition("stranger", "Accepted"));
    assert_eq!(verdict, ("False".to_owned(), "VipNotInPool".to_owned()));
    bench.kubectl(&["delete", "virtualservice", "-n", "shop", "stranger"]);
    assert_eq!(versions(&bench), before);

    bench.kubectl(&["delete", "virtualservice", "-n", "shop", "web"]);
    bench.play("the service to have left every plan", |bench| {
        let left =
            NODES.iter().all(|(node, _)| bench.plan(node).is_some_and(|plan| plan.services.is_empty()));
        left.then_some(())
    });
    bench.until("the slices to be gone", || {
        bench.kubectl(&["get", "nodeplanslices", "-o", "name"]).is_empty().then_some(())
    });
    assert_eq!(
        bench.planned_nodes().len(),
        NODES.len(),
        "every node keeps a plan, so that its agent can report"
    );
}

#[test]
fn what_somebody_else_changes_or_deletes_is_put_right() {
    let mut bench = Bench::new();
    bench.start("operator");
    bench.play("the service to be whole", |bench| {
        bench.holds("web", "Ready").and(bench.holds("web", "Programmed"))
    });
    let before = bench.plan("director-1").unwrap();
    bench.kubectl(&["delete", "nodeplanslice", "director-1.0"]);
    bench.until("the slice to be back", || (bench.plan("director-1")? == before).then_some(()));
    let patch = r#"{"spec":{"epoch":0,"slices":[]}}"#;
    bench.kubectl(&["patch", "nodeplan", "director-1", "--type=merge", "-p", patch]);
    bench.until("the plan to be right again", || {
        let plan = bench.plan("director-1")?;
        (plan.services == before.services && plan.epoch >= before.epoch).then_some(())
    });
    bench.kubectl(&["delete", "node", "rs-2"]);
    bench.until("the plan of the node that is gone to be gone", || {
        (!bench.planned_nodes().contains("rs-2")).then_some(())
    });
    bench.until("its slices to be gone", || {
        let slices = bench.kubectl(&["get", "nodeplanslices", "-o", "name"]);
        (!slices.contains("rs-2")).then_some(())
    });
}

#[test]
fn missing_definitions_are_named_and_waited_for() {
    let mut bench = Bench::bare();
    bench.start("operator");
    bench.until("the sentence that names them", || {
        let log = bench.log("operator");
        let named = |kind: &str| log.contains(&format!("cannot watch {kind}"));
        ["virtualservices", "directorgroups", "nodeplans", "nodeplanslices"]
            .into_iter()
            .all(named)
            .then_some(())
    });
    bench.install();
    bench.play("the service to be ready", |bench| bench.holds("web", "Ready"));
}

#[test]
fn an_api_server_that_comes_back_finds_the_operator_going_on() {
    let mut bench = Bench::new();
    bench.start("operator");
    bench.play("the service to be whole", |bench| {
        bench.holds("web", "Ready").and(bench.holds("web", "Programmed"))
    });
    let before = bench.plan("director-1").unwrap();
    bench.plane.kill_api_server();
    bench.plane.start_api_server().unwrap();
    bench.apply(&service("mail", "192.168.10.41"));
    bench.play("a service that came meanwhile to be ready", |bench| bench.holds("mail", "Ready"));
    let after = bench.plan("director-1").unwrap();
    assert!(after.epoch >= before.epoch);
    for (name, part) in &before.services {
        assert_eq!(after.services.get(name), Some(part), "nothing moves that need not");
    }
}

#[test]
fn the_operator_ends_in_time_whatever_the_api_server_does() {
    let mut bench = Bench::new();
    for (name, prepare) in [
        ("a silent server", ControlPlane::pause_api_server as fn(&mut ControlPlane)),
        ("no server", ControlPlane::stop_api_server),
    ] {
        bench.start(name);
        bench.until("the operator to lead", || bench.log(name).contains("leads").then_some(()));
        prepare(&mut bench.plane);
        let began = Instant::now();
        assert_eq!(bench.terminate(name).code(), Some(0), "{name}");
        assert!(began.elapsed() < Duration::from_secs(15), "{name}: a pod is given 15 s");
        bench.plane.resume_api_server();
    }
    bench.start("from the start without a server");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(bench.terminate("from the start without a server").code(), Some(0));
}
