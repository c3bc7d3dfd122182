//! What is read of files, right and wrong ones.

use super::*;

fn of(text: &str) -> Objects {
    read(Path::new("file.yaml"), text)
}

const SERVICE: &str = "apiVersion: lvs-operator.io/v1alpha1\nkind: VirtualService\nmetadata: {name: web}\n";

#[test]
fn kinds_of_others_are_passed_over() {
    let objects = of(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: 7\n",
    );
    assert!(objects.problems.is_empty() && !objects.hides, "{:?}", objects.problems);
    assert_eq!(objects.skipped, ["ConfigMap x in file.yaml", "Deployment in file.yaml"]);
}

#[test]
fn a_spec_that_cannot_be_read_is_a_problem_with_a_place_and_a_service_all_the_same() {
    let objects = of(&format!("# web\n---\n{SERVICE}spec:\n  vips: 7\n"));
    assert_eq!(objects.services.len(), 1);
    assert!(objects.services[0].spec.is_err());
    assert_eq!(objects.problems.len(), 1);
    assert_eq!(objects.problems[0].place.map(|(line, _)| line), Some(7), "{:?}", objects.problems);
    assert!(!objects.hides);
}

#[test]
fn what_is_no_yaml_may_hide_anything() {
    assert!(of("kind: [").hides);
    assert!(of("metadata: {name: x}").hides);
    assert!(of("- apiVersion: x\n- y\n").hides && of("[v1, ConfigMap]").hides && of("words").hides);
    assert!(of("apiVersion: lvs-operator.io/v1\nkind: VirtualService\n").hides);
}

#[test]
fn an_object_of_ours_that_a_slip_makes_another_or_nameless_may_hide_one() {
    for slip in [
        ("VirtualService", "VirtualServices"),
        ("VirtualService", "virtualservice"),
        ("lvs-operator.io", "lvs-operator.oi"),
        ("lvs-operator.io/v1alpha1", "networking.istio.io/v1"),
        ("name: web", "nmae: web"),
        ("name: web", "name: Web"),
        ("{name: web}", "{name: web, namespace: Shop}"),
    ] {
        let objects = of(&SERVICE.replace(slip.0, slip.1));
        assert!(objects.hides && objects.services.is_empty() && objects.skipped.is_empty(), "{slip:?}");
        assert_eq!(objects.problems.len(), 1, "{slip:?}");
    }
}

#[test]
fn a_name_that_leads_out_of_a_folder_is_refused() {
    let objects = of(&SERVICE.replace("web", "../../web"));
    assert!(objects.services.is_empty() && objects.hides);
    assert_eq!(objects.problems.len(), 1);
}

#[test]
fn a_status_alone_is_no_service() {
    let objects = of(&format!("{SERVICE}status: {{}}\n"));
    assert!(objects.services.is_empty());
    assert_eq!(objects.service_statuses.len(), 1);
}

#[test]
fn what_a_file_held_is_kept_while_a_part_of_it_cannot_be_read() {
    let other = SERVICE.replace("web", "mail");
    let mut broken = of(&format!("{SERVICE}spec: {{}}\n---\nkind: [\n"));
    broken.keep(of(&format!("{SERVICE}---\n{other}")));
    let names: Vec<_> =
        broken.services.iter().map(|service| service.metadata.name.clone().unwrap()).collect();
    assert_eq!(names, ["web", "mail"]);
}

#[test]
fn a_list_is_what_is_in_it() {
    let item = r#"{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}}"#;
    let objects =
        of(&format!(r#"{{"apiVersion": "v1", "kind": "List", "items": [{item}, {{"metadata": {{}}}}]}}"#));
    assert_eq!(objects.nodes.len(), 1);
    assert_eq!(objects.problems.len(), 1);
    let problem = &objects.problems[0];
    assert!(problem.message.starts_with("items[1]: there is no kind"), "{problem}");
    assert_eq!(problem.place.map(|(line, _)| line), Some(1), "{problem}");
}
