//! `plan -f`: the decision over files, through the binary.

use std::fs;
use std::process::Output;

use crate::world::{GROUP, NODES, World, assemble, operator, service, with_stdin};
use lvs_core::names::ServiceName;
use lvs_core::node_plan::StageName;

fn plan(arguments: &[&str], stdin: &str) -> (i32, String, String) {
    let Output { status, stdout, stderr } = with_stdin(operator().arg("plan").args(arguments), stdin);
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn manifests() -> String {
    format!("{NODES}---\n{GROUP}---\n{}", service("web", "192.168.10.40"))
}

#[test]
fn without_plans_every_agent_is_supposed_to_have_succeeded() {
    let (code, text, said) = plan(&["-f", "-", "--node", "director-1"], &manifests());
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("supposes that every agent has done as it is told"), "{said}");
    let (plan, _) = assemble(&text);
    let part = &plan.services[&ServiceName::new("shop", "web")];
    assert!(part.vips.values().all(|vip| vip.attract && vip.forward), "{part:?}");
    let servers = &part.form.as_ref().unwrap().real_servers;
    assert_eq!(servers.len(), 2);
    assert!(servers.values().all(|server| server.stage.name == StageName::Serving), "{servers:?}");
}

#[test]
fn the_same_input_gives_the_same_bytes_whatever_its_order() {
    let reversed =
        manifests().split("---\n").collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("---\n");
    let one = plan(&["-f", "-"], &manifests()).1;
    assert_eq!(one, plan(&["-f", "-"], &manifests()).1);
    assert_eq!(one, plan(&["-f", "-"], &reversed).1);
    let kinds: Vec<&str> = one.lines().filter_map(|line| line.strip_prefix("kind: ")).collect();
    assert_eq!(kinds.len(), 6, "{one}");
    assert_eq!(kinds[..2], ["NodePlan", "NodePlanSlice"]);
    let json = plan(&["-f", "-", "-o", "json"], &manifests()).1;
    let list: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((list["kind"].as_str(), list["items"].as_array().unwrap().len()), (Some("List"), 6));
}

#[test]
fn a_list_from_kubectl_reads_like_its_documents() {
    let items: Vec<serde_json::Value> = serde_saphyr::from_multiple(&manifests()).unwrap();
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    assert_eq!(plan(&["-f", "-"], &list).1, plan(&["-f", "-"], &manifests()).1);
}

#[test]
fn plans_among_the_input_are_the_previous_ones_and_their_status_the_reports() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("all.yaml"), manifests()).unwrap();
    let arguments = ["-f", folder.path().to_str().unwrap()];
    let (_, settled, _) = plan(&arguments, "");
    // A plan of nothing but an epoch, and no reports: the director has to wait.
    let first = "apiVersion: lvs-operator.io/v1alpha1\nkind: NodePlan\nmetadata: {name: director-1}\nspec: {epoch: 7}\n";
    fs::write(folder.path().join("plan.yaml"), first).unwrap();
    let (code, text, said) = plan(&[&arguments[..], &["--node", "director-1"]].concat(), "");
    assert_eq!(code, 0, "{said}");
    assert!(!said.contains("supposes"), "{said}");
    let (next, _) = assemble(&text);
    assert_eq!(next.epoch, 7);
    assert!(next.services.values().all(|part| part.vips.values().all(|vip| !vip.attract)), "{text}");
    assert!(settled.contains("attract: true"), "{settled}");
}

#[test]
fn the_folder_of_a_running_operator_can_be_asked_what_comes_next() {
    let mut world = World::new();
    world.start();
    world.play("the service to be ready", |world| {
        world.holds("web", "Ready").and(world.holds("web", "Programmed"))
    });
    let (code, text, said) = plan(&["-f", world.path().to_str().unwrap(), "--node", "director-1"], "");
    assert_eq!((code, said.as_str()), (0, ""));
    assert_eq!(assemble(&text).0, world.plan("director-1").unwrap().0, "nothing is left to be decided");
}

#[test]
fn what_is_refused_is_said_and_counts_in_the_exit_code() {
    let stranger = service("mail", "10.0.0.1");
    let (code, text, said) = plan(&["-f", "-"], &format!("{}---\n{stranger}", manifests()));
    assert_eq!(code, 1);
    assert!(said.contains("error: VirtualService shop/mail: Accepted is False (VipNotInPool):"), "{said}");
    assert!(text.contains("shop/web"), "the other service is planned all the same");

    let (code, text, said) = plan(&["-f", "-"], &format!("{}---\nkind: [\n", manifests()));
    assert_eq!(code, 1);
    assert!(said.contains("error: -:"), "{said}");
    assert!(text.contains("shop/web"));

    let misspelt = manifests().replace("weight: 1", "wieght: 1");
    let (code, _, said) = plan(&["-f", "-"], &misspelt);
    assert_eq!(code, 1);
    assert!(said.contains("unknown field") && said.contains("wieght"), "{said}");
}

#[test]
fn what_is_passed_over_is_named() {
    let others = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n";
    let (code, _, said) = plan(&["-f", "-"], &format!("{}---\n{others}", manifests()));
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("skipped: ConfigMap settings in -\n"), "{said}");

    let (code, _, said) =
        plan(&["-f", "-"], &manifests().replace("kind: VirtualService", "kind: virtualservice"));
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("error: -:23:1: there is no kind \"virtualservice\" in lvs-operator.io"), "{said}");
}

/// What is said of manifests in which a text stands for another, and the exit code.
fn said_of(right: &str, wrong: &str) -> (i32, String) {
    let manifests = manifests();
    assert!(manifests.contains(right), "{right}");
    let (code, _, said) = plan(&["-f", "-"], &manifests.replace(right, wrong));
    (code, said.lines().filter(|line| !line.starts_with("No NodePlans")).collect::<Vec<_>>().join("\n"))
}

#[test]
fn a_slip_is_said_in_one_line_with_its_place_its_field_and_what_to_write() {
    for (right, wrong, expected) in [
        (
            "port: 80",
            "port: 80-90",
            "error: -:28:18: VirtualService shop/web: spec.ports[0].port: \"80-90\" is a text: write a whole number",
        ),
        (
            "port: 80",
            "port: \"80\"",
            "error: -:28:18: VirtualService shop/web: spec.ports[0].port: \"80\" is a text: write it without quotes",
        ),
        (
            "  ports:",
            "  scheduler: 5\n  ports:",
            "error: -:28:14: VirtualService shop/web: spec.scheduler: 5 is a number: write a text, \"5\" with the quotes",
        ),
        (
            "  ports:",
            "  schedular: rr\n  ports:",
            "error: -:28:3: VirtualService shop/web: spec.schedular: unknown field; did you mean scheduler?",
        ),
        ("  ports:", "  vips: []\n  ports:", "error: -:28:3: \"vips\" stands here twice: write it once"),
        (
            "{name: web,",
            "{nmae: web,",
            "error: -:25:11: metadata.name: is missing: write the name of the object",
        ),
    ] {
        let (code, said) = said_of(right, wrong);
        assert_eq!((code, said.as_str()), (1, expected));
    }
}

#[test]
fn a_group_that_is_not_accepted_is_said_before_the_services_that_need_it() {
    let (code, said) = said_of("[192.168.10.40-192.168.10.49]", "[192.168.10.0/33]");
    assert_eq!(code, 1);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].starts_with("error: DirectorGroup edge: Accepted is False (InvalidSpec)"), "{said}");
    assert!(
        lines[1].starts_with("error: VirtualService shop/web: Accepted is False (VipNotInPool)"),
        "{said}"
    );
    assert!(lines[1].contains("edge is not accepted"), "{said}");
}

#[test]
fn what_is_valid_and_hardly_meant_is_a_warning() {
    let servers = "[{name: a, nodeName: rs-1, weight: 1}, {name: b, nodeName: rs-2, weight: 1}]";
    for (right, wrong, expected) in [
        (servers, "[]", "it has no real servers, so no connection is answered"),
        (servers, "[{name: a, nodeName: rs-9}]", "none of its real servers was found"),
        ("  ports:", "  scheduler: wrrr\n  ports:", "Linux is not known to have a scheduler wrrr"),
    ] {
        let (code, said) = said_of(right, wrong);
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("warning: VirtualService shop/web: ") && said.contains(expected), "{said}");
    }
}

#[test]
fn of_two_manifests_of_one_object_both_places_are_named() {
    let twice = format!("{}---\n{}", manifests(), service("web", "192.168.10.41"));
    let (code, text, said) = plan(&["-f", "-"], &twice);
    assert_eq!(code, 1);
    let expected =
        "error: VirtualService shop/web stands at -:23 and at -:31: -:23 counts, take the other out";
    assert!(said.contains(expected), "{said}");
    assert!(text.contains("192.168.10.40") && !text.contains("192.168.10.41"), "{text}");
}

#[test]
fn what_cannot_be_planned_at_all_is_another_exit_code() {
    let (code, text, said) = plan(&["-f", "/nowhere/at/all.yaml"], "");
    assert_eq!((code, text.as_str()), (2, ""));
    assert!(said.contains("cannot read /nowhere/at/all.yaml"), "{said}");
    let (code, text, said) = plan(&["-f", "-", "--node", "director-9"], &manifests());
    assert_eq!((code, text.as_str()), (2, ""));
    assert!(said.contains("there are: director-1, rs-1, rs-2"), "{said}");
    assert_eq!(plan(&[], "").0, 2);
    for nothing in ["", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"] {
        let (code, text, said) = plan(&["-f", "-"], nothing);
        assert_eq!((code, text.as_str()), (2, ""));
        assert!(said.contains("error: no manifest of ours in -: write VirtualServices"), "{said}");
    }
}
