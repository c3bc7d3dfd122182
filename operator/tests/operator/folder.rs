//! The operator on a folder: the whole program, with agents played by hand.

use std::fs;

use crate::world::{NODES, World, operator, service};
use lvs_core::node_plan::StageName;

#[test]
fn a_service_comes_step_by_step_and_goes_step_by_step() {
    let mut world = World::new();
    world.start();
    world.until("the first plans", || world.part("rs-1", "web"));

    // Nothing is forwarded to a real server that has not reported.
    let form = world.until("the director's part", || world.part("director-1", "web")?.form);
    assert!(form.real_servers.values().all(|server| server.stage.name == StageName::Pending), "{form:?}");
    world.until("a status", || world.condition("web", "Ready").filter(|(status, _)| status == "False"));

    // One real server reports: it alone is sent to.
    world.report_success("rs-1");
    let form = world.until("the first real server's admission", || {
        world.report_success("director-1");
        let form = world.part("director-1", "web")?.form?;
        form.real_servers.values().any(|server| server.stage.name == StageName::Serving).then_some(form)
    });
    let serving: Vec<_> =
        form.real_servers.values().filter(|server| server.stage.name == StageName::Serving).collect();
    assert_eq!(serving.iter().map(|server| server.entry.as_str()).collect::<Vec<_>>(), ["a"]);

    world.play("the service to be ready", |world| {
        world.holds("web", "Ready").and(world.holds("web", "Programmed"))
    });
    let status = world.status("shop.web").unwrap();
    assert_eq!(status["summary"]["realServers"], "2/2");
    assert_eq!(status["vips"][0]["holder"], "director-1");

    world.remove("web.yaml");
    world.until("the service's leaving", || {
        world
            .part("director-1", "web")
            .is_none_or(|part| part.vips.values().all(|vip| !vip.attract))
            .then_some(())
    });
    world.play("the service to have left", |world| {
        let nodes = world.planned_nodes();
        nodes.iter().all(|node| world.part(node, "web").is_none()).then_some(())
    });
    world.until("its status to be gone", || world.status("shop.web").is_none().then_some(()));
    let told = |what: &str| world.log().matches(&format!("VirtualService shop/web {what}")).count();
    world.until("the last word of it", || (told("has left every node") > 0).then_some(()));
    assert_eq!(told("is gone from the manifests: it leaves director-1, rs-1, rs-2"), 1, "{}", world.log());
    assert_eq!((told("is gone"), told("has left every node")), (1, 1), "{}", world.log());
    assert_eq!(world.planned_nodes().len(), 3, "every node keeps a plan, so that its agent can report");
}

#[test]
fn an_operator_that_comes_after_another_goes_on_where_that_was() {
    let mut world = World::new();
    world.start();
    world.play("the service to be ready", |world| world.holds("web", "Ready"));
    let before = world.plan("director-1").unwrap().0;
    world.kill();
    world.start();
    let after = world.until("a plan of the new operator", || {
        let plan = world.plan("director-1")?.0;
        (plan.epoch > before.epoch).then_some(plan)
    });
    assert_eq!(after.lineage, before.lineage);
    assert_eq!(after.services, before.services, "a new epoch asks nothing new of the nodes");
    world.play("every node to have the new epoch", |world| {
        let epochs =
            world.planned_nodes().iter().map(|node| world.plan(node).unwrap().0.epoch).collect::<Vec<_>>();
        epochs.iter().all(|epoch| *epoch == after.epoch).then_some(())
    });
    assert_eq!(world.condition("web", "Ready").unwrap().0, "True");
}

#[test]
fn what_has_not_changed_is_not_written() {
    let mut world = World::new();
    world.start();
    world.play("the service to be ready", |world| {
        world.holds("web", "Ready").and(world.holds("web", "Programmed"))
    });
    let before = [world.files("plans"), world.files("status")];
    // A new service, and the operator's answer to it, prove that the loop has gone round.
    world.put("mail.yaml", &service("mail", "192.168.10.41"));
    world.until("the second service's part", || world.part("rs-1", "mail"));
    world.remove("mail.yaml");
    world.play("the second service to have left", |world| {
        let left = world.planned_nodes().iter().all(|node| world.part(node, "mail").is_none());
        (left && world.status("shop.mail").is_none()).then_some(())
    });
    world.play("the first service to be programmed", |world| {
        let now = [world.files("plans"), world.files("status")];
        (now == before).then_some(())
    });
}

#[test]
fn a_manifest_that_cannot_be_read_harms_nobody() {
    let mut world = World::new();
    world.put("mail.yaml", &service("mail", "192.168.10.41"));
    world.start();
    world.play("both services to be ready", |world| {
        world.holds("web", "Ready").and(world.holds("mail", "Ready"))
    });

    // One file is no YAML any more, another has a field of the wrong type.
    world.put("mail.yaml", "apiVersion: lvs-operator.io/v1alpha1\nkind: [\n");
    world.put("news.yaml", &service("news", "192.168.10.42").replace("[{port: 80}]", "[{port: eighty}]"));
    world.until("the complaint", || world.log().contains("mail.yaml:").then_some(()));
    let reason = world.until("the verdict", || world.condition("news", "Accepted"));
    assert_eq!(reason, ("False".to_owned(), "InvalidSpec".to_owned()));
    let status = world.status("shop.news").unwrap().to_string();
    assert!(
        status.contains("line 6, column 18: spec.ports[0].port: "),
        "the condition names the place too: {status}"
    );
    assert!(world.log().contains("news.yaml:6:"), "the place of the mistake is named: {}", world.log());
    let told = world.log().matches("The specification is not accepted").count();
    assert_eq!(told, 0, "conditions that only follow are not told of: {}", world.log());

    // A service that comes meanwhile is served, those that are there stay.
    world.put("blog.yaml", &service("blog", "192.168.10.43"));
    world.play("the new service to be ready", |world| world.holds("blog", "Ready"));
    for (node, name) in [("director-1", "web"), ("director-1", "mail"), ("rs-2", "mail")] {
        assert!(world.part(node, name).is_some_and(|part| !part.vips.is_empty()), "{name} on {node}");
    }

    // The same from a cold start: what the broken file holds is not known, what is planned stays.
    world.kill();
    world.start();
    world.put("wiki.yaml", &service("wiki", "192.168.10.44"));
    world.play("the newest service to be ready", |world| world.holds("wiki", "Ready"));
    assert!(world.part("director-1", "mail").is_some_and(|part| !part.vips.is_empty()));
}

#[test]
fn a_slip_in_a_manifest_takes_no_service_away() {
    let mut world = World::new();
    world.start();
    world.play("the service to be ready", |world| world.holds("web", "Ready"));
    let text = service("web", "192.168.10.40");
    for (number, (right, wrong, says)) in [
        ("kind: VirtualService", "kind: VirtualServices", "there is no kind \"VirtualServices\""),
        ("lvs-operator.io/", "lvs-operator.oi/", "write lvs-operator.io/v1alpha1"),
        ("lvs-operator.io/v1alpha1", "networking.istio.io/v1", "write apiVersion lvs-operator.io/v1alpha1"),
        ("name: web", "nmae: web", "metadata.name: is missing"),
    ]
    .into_iter()
    .enumerate()
    {
        // Also from a cold start, where nobody remembers what the file held.
        world.kill();
        world.put("web.yaml", &text.replace(right, wrong));
        world.start();
        world.until(says, || world.log().contains(says).then_some(()));
        let (other, vip) = (format!("other-{number}"), format!("192.168.10.{}", 41 + number));
        world.put("other.yaml", &service(&other, &vip));
        world.play("a later service to be ready", |world| world.holds(&other, "Ready"));
        let part = world.part("director-1", "web");
        assert!(part.is_some_and(|part| part.vips.values().all(|vip| vip.attract)), "{wrong}");
    }
}

#[test]
fn nothing_is_decided_while_the_nodes_themselves_cannot_be_read() {
    let mut world = World::new();
    world.start();
    world.play("the service to be ready", |world| world.holds("web", "Ready"));
    world.kill();
    world.put("nodes.yaml", "kind: [\n");
    let before = world.files("plans");
    world.start();
    world.until("the operator to say so", || world.log().contains("plans stay as they are").then_some(()));
    assert_eq!(world.files("plans"), before);
    world.put("nodes.yaml", NODES);
    world.until("the operator to go on", || (world.files("plans") != before).then_some(()));
}

#[test]
fn a_plan_that_was_cut_short_on_disk_stops_the_operator_and_says_how_to_go_on() {
    let mut world = World::new();
    world.start();
    world.play("the service to be ready", |world| world.holds("web", "Ready"));
    world.kill();
    let path = world.path().join("plans/director-1.yaml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, &text[..text.len() / 3]).unwrap();
    fs::write(&path, "apiVersion: lvs-operator.io/v1alpha1\nkind: NodePlan\nmetadata: {name: director-1\n")
        .unwrap();
    world.start();
    world.until("the complaint", || world.log().contains("move it away").then_some(()));
    fs::remove_file(&path).unwrap();
    world.play("the service to be ready again", |world| {
        world.part("director-1", "web")?;
        world.holds("web", "Ready")
    });
}

#[test]
fn a_plan_that_somebody_deletes_or_changes_comes_back_as_it_was() {
    let mut world = World::new();
    world.start();
    world.play("the service to be whole", |world| {
        world.holds("web", "Ready").and(world.holds("web", "Programmed"))
    });
    let before = world.files("plans");
    world.remove("plans/director-1.yaml");
    world.until("the plan to be back", || (world.files("plans") == before).then_some(()));
    let other =
        "apiVersion: lvs-operator.io/v1alpha1\nkind: NodePlan\nmetadata: {name: rs-1}\nspec: {epoch: 1}\n";
    world.put("plans/rs-1.yaml", other);
    world.until("the plan to be right again", || (world.files("plans") == before).then_some(()));
    assert!(world.log().contains("the stored plan of rs-1 is not what was written"), "{}", world.log());
}

#[test]
fn a_folder_has_one_operator_and_it_ends_when_it_is_told_to() {
    let mut world = World::new();
    world.start();
    world.until("the first plans", || world.part("rs-1", "web"));
    let second = operator().arg("run").arg("--folder").arg(world.path()).output().unwrap();
    assert_eq!(second.status.code(), Some(2));
    let error = String::from_utf8(second.stderr).unwrap();
    assert!(error.contains("another operator runs on"), "{error}");
    assert_eq!(world.terminate(), Some(0));
}

#[test]
fn a_way_to_an_api_server_that_leads_nowhere_is_named_and_the_cause_said_once() {
    let output = operator().args(["run", "--kubeconfig", "/nowhere/config"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    let last = error.lines().last().unwrap_or_default();
    assert!(last.starts_with("error: cannot read /nowhere/config"), "{error}");
    assert_eq!(last.matches("No such file").count(), 1, "{error}");

    let output = operator().arg("run").output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("no way to an API server by KUBECONFIG=/nowhere or by the service"), "{error}");
    assert_eq!(error.matches("No such file").count(), 1, "{error}");
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let output = operator().args(["run", "--folder", "/nowhere/at/all"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("/nowhere/at/all is no folder: make it first"), "{error}");
}
