//! The verbs that need no privileges, through the binary: plans and nodes from files.
#![expect(clippy::unwrap_used, reason = "the whole crate is tests")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What a command printed and how it ended.
struct Ended {
    stdout: String,
    stderr: String,
    code: i32,
}

fn agent(arguments: &[&str], stdin: &str) -> Ended {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lvs-node-agent"))
        .args(arguments)
        .env_remove("NODE_NAME")
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A verb that needs no plan from standard input closes it.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    Ended {
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
        code: status.code().unwrap(),
    }
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn golden(name: &str) -> String {
    std::fs::read_to_string(here("tests/golden").join(name)).unwrap()
}

fn local() -> String {
    here("../deploy/examples/lvs-notes/director-1.local.yaml").to_str().unwrap().to_owned()
}

/// A file of this content.
fn file(folder: &tempfile::TempDir, name: &str, content: &str) -> String {
    let path = folder.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

const DIFF: [&str; 6] = ["diff", "--plan", "-", "--kernel", "empty", "--local"];

fn diff(plan: &str, more: &[&str]) -> Ended {
    let local = local();
    let arguments: Vec<&str> = DIFF.into_iter().chain([local.as_str()]).chain(more.iter().copied()).collect();
    agent(&arguments, plan)
}

#[test]
fn the_notes_recipe_is_this_list_of_operations() {
    let ended = diff(&golden("lvs-notes.plan.yaml"), &[]);
    assert_eq!((ended.stderr.as_str(), ended.code), ("", 0));
    assert_eq!(ended.stdout, golden("lvs-notes.diff.txt"));
}

#[test]
fn yaml_and_json_hold_the_same_exact_values() {
    let plan = golden("lvs-notes.plan.yaml");
    let yaml: serde_json::Value = serde_saphyr::from_str(&diff(&plan, &["-o", "yaml"]).stdout).unwrap();
    let json: serde_json::Value = serde_json::from_str(&diff(&plan, &["-o", "json"]).stdout).unwrap();
    assert_eq!(yaml, json);
    let phases: Vec<lvs_core::wanted::PhaseName> = json["phases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|phase| serde_json::from_value(phase["name"].clone()).unwrap())
        .collect();
    assert!(phases.is_sorted() && phases.len() > 4, "{phases:?}");
}

#[test]
fn a_folder_gives_the_same_as_the_file_in_it() {
    let folder = tempfile::tempdir().unwrap();
    file(&folder, "plans/director-1.yaml", &golden("lvs-notes.plan.yaml"));
    let path = folder.path().to_str().unwrap();
    let ended = agent(&["diff", "--folder", path, "--kernel", "empty", "--local", &local()], "");
    assert_eq!((ended.stdout, ended.stderr), (golden("lvs-notes.diff.txt"), String::new()));
}

#[test]
fn a_dry_run_leads_to_the_table_of_the_notes_and_from_there_nothing_is_left_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let plan = file(&folder, "plan.yaml", &golden("lvs-notes.plan.yaml"));
    let local = local();
    let apply = ["apply", "--dry-run", "--plan", &plan, "--kernel", "empty", "--local", &local];
    let ended = agent(&apply, "");
    assert_eq!((ended.stderr.as_str(), ended.code), ("", 0));
    let table = "TCP 192.168.10.40:80 rr persistent 20\n  \
                 -> 192.168.10.10:80             Route   1\n  \
                 -> 192.168.10.11:80             Route   1\n";
    assert!(ended.stdout.contains(table), "{}", ended.stdout);
    assert!(ended.stdout.contains("IPVS timeouts (tcp tcpfin udp): 30 5 60"), "{}", ended.stdout);
    let json = agent(&[&apply[..], &["-o", "json"]].concat(), "").stdout;
    let applied: serde_json::Value = serde_json::from_str(&json).unwrap();
    let kernel = file(&folder, "kernel.json", &applied["endState"].to_string());
    let again = agent(&["diff", "--plan", &plan, "--kernel", &kernel, "--local", &local], "");
    assert_eq!(again.stdout, "nothing to do\n");
}

#[test]
fn of_several_plans_the_named_one_is_taken_and_without_a_name_they_are_listed() {
    let one = golden("lvs-notes.plan.yaml");
    let both = format!("{one}---\n{}", one.replace("director-1", "director-2"));
    // The local facts are those of director-1.
    assert_eq!(diff(&both, &[]).stdout, golden("lvs-notes.diff.txt"));
    let ended = diff(&both, &["--node", "director-3"]);
    assert_eq!(ended.code, 2);
    assert!(
        ended.stderr.contains("no NodePlan director-3; it holds director-1, director-2"),
        "{}",
        ended.stderr
    );
    let folder = tempfile::tempdir().unwrap();
    let nobody = std::fs::read_to_string(local()).unwrap().replace("node: director-1\n", "");
    let nobody = file(&folder, "local.yaml", &nobody);
    let ended = agent(&[&DIFF[..], &[&nobody]].concat(), &both);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("say --node with one of director-1, director-2"), "{}", ended.stderr);
}

#[test]
fn on_a_plan_with_a_missing_slice_nothing_of_ours_is_removed() {
    let plan = golden("lvs-notes.plan.yaml");
    let without_slices = plan.split("---\n").find(|part| part.contains("kind: NodePlan\n")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let custody = file(&folder, "custody.yaml", "- - address: lo 192.168.10.77/32\n  - created\n");
    let kernel = "addresses: {lo 192.168.10.77/32: {}}\narp: {lo: {ignore: 0, announce: 0}}\n";
    let kernel = file(&folder, "kernel.yaml", kernel);
    let arguments = ["diff", "--plan", "-", "--kernel", &kernel, "--local", &local(), "--custody", &custody];
    let incomplete = agent(&arguments, without_slices);
    assert!(incomplete.stdout.contains("IncompletePlan"), "{}", incomplete.stdout);
    assert!(!incomplete.stdout.contains("remove address"), "{}", incomplete.stdout);
    assert!(incomplete.stderr.contains("director-1.0 is missing"), "{}", incomplete.stderr);
    // The whole plan does remove it, so the file above can be told apart from one that asks for nothing.
    let whole = agent(&arguments, &plan);
    assert!(whole.stdout.contains("remove address lo 192.168.10.77/32"), "{}", whole.stdout);
}

#[test]
fn what_does_not_parse_is_named_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    file(&folder, "plans/director-1.yaml", "kind: NodePlan\nmetadata: [\n");
    let path = folder.path().to_str().unwrap();
    let ended = agent(&["diff", "--folder", path, "--kernel", "empty", "--local", &local()], "");
    assert_eq!(ended.code, 2);
    assert!(
        ended.stderr.contains("plans/director-1.yaml") && ended.stderr.contains("line "),
        "{}",
        ended.stderr
    );
    for plan in ["", "kind: ConfigMap\n", "{{{{", "kind: NodePlan\nmetadata: {name: x}\nspec: {epoch: -1}\n"]
    {
        let ended = diff(plan, &[]);
        assert_eq!(ended.code, 2, "{plan:?}: {}", ended.stderr);
        assert!(ended.stderr.contains('-'), "{}", ended.stderr);
    }
}

#[test]
fn nothing_is_applied_to_a_node_that_is_only_written_down() {
    let local = local();
    let ended = agent(&["apply", "--plan", "-", "--kernel", "empty", "--local", &local], "");
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("add --dry-run"), "{}", ended.stderr);
}

#[test]
fn a_folder_that_is_not_there_is_said_at_once() {
    for verb in ["run", "diff", "apply"] {
        let ended = agent(&[verb, "--folder", "/nowhere/at/all", "--node", "director-1"], "");
        assert_eq!(ended.code, 2, "{verb}");
        assert!(ended.stderr.contains("/nowhere/at/all is no folder"), "{verb}: {}", ended.stderr);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let ended = agent(&["diff", "--folder", path, "--node", "rs-9"], "");
    assert!(ended.stderr.contains("plans/rs-9.yaml"), "the file that is missed: {}", ended.stderr);
}

#[test]
fn a_plan_is_carried_out_on_its_own_node_only() {
    let plan = golden("lvs-notes.plan.yaml");
    // Without a folder for custody nothing is ever done, should this not be refused.
    let ended = agent(&["apply", "--plan", "-", "--run-dir", "/dev/null/custody"], &plan);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("add --node director-1"), "{}", ended.stderr);
    let ended = diff(&plan.replace("director-1", "rs-1"), &["--node", "rs-1"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("the facts of node director-1"), "{}", ended.stderr);
}
