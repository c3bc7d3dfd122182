//! The pipe that is the architecture: manifests, plan, what is left to do. It needs no cluster and no privileges.

#![expect(clippy::unwrap_used, reason = "what helps a test fails it")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A program beside the tests' own, which `cargo build --workspace --bins` makes.
fn program(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_lvs-lab")).with_file_name(name);
    assert!(path.exists(), "{} is not built: run `make build`", path.display());
    path
}

#[test]
fn manifests_become_what_is_left_to_do() {
    let cases = tree().join("e2e/cases");
    for (manifests, case, node) in [
        ("deploy/examples/lvs-notes", "lvs-notes", "director-1"),
        ("e2e/cases/tunnel", "tunnel", "director-1"),
        ("e2e/cases/tunnel", "tunnel", "rs-far"),
        ("e2e/cases/nat", "nat", "director-1"),
        ("e2e/cases/nat", "nat", "rs-3"),
        ("e2e/cases/together", "together", "director-1"),
    ] {
        let golden = std::fs::read_to_string(cases.join(case).join(format!("{node}.diff"))).unwrap();
        assert_eq!(left_to_do(&tree().join(manifests), node), golden, "{case}, {node}");
    }
}

/// What is left to do on a node where nothing has been done yet: whose kernel is empty, where no file says what it has.
fn left_to_do(manifests: &Path, node: &str) -> String {
    let mut plan = Command::new(program("lvs-operator"))
        .args(["plan", "--node", node, "-f"])
        .arg(manifests)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let written = manifests.join(format!("{node}.kernel"));
    let kernel = if written.exists() { written } else { PathBuf::from("empty") };
    let diff = Command::new(program("lvs-node-agent"))
        .args(["diff", "--plan", "-", "--kernel"])
        .arg(kernel)
        .arg("--local")
        .arg(manifests.join(format!("{node}.local.yaml")))
        .stdin(plan.stdout.take().unwrap())
        .output()
        .unwrap();
    assert!(plan.wait().unwrap().success());
    assert!(diff.status.success(), "{}", String::from_utf8_lossy(&diff.stderr));
    String::from_utf8(diff.stdout).unwrap()
}

/// The same plan twice, byte for byte, also from standard input.
#[test]
fn equal_manifests_give_equal_bytes() {
    let example = tree().join("deploy/examples/lvs-notes");
    let plan = |from: &Path, input: Stdio| {
        let output = Command::new(program("lvs-operator"))
            .args(["plan", "--now", "2026-01-31T12:00:00Z", "-f"])
            .arg(from)
            .stdin(input)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let first = plan(&example, Stdio::null());
    assert_eq!(first, plan(&example, Stdio::null()));
    let folder = tempfile::tempdir().unwrap();
    let all = folder.path().join("all.yaml");
    let files = ["nodes.yaml", "virtualservice.yaml", "directorgroup.yaml"];
    let texts = files.map(|file| std::fs::read_to_string(example.join(file)).unwrap());
    std::fs::write(&all, texts.join("\n---\n")).unwrap();
    assert_eq!(first, plan(Path::new("-"), Stdio::from(File::open(&all).unwrap())));
}

/// The brain stands on no client, no runtime, no netlink and no libc.
#[test]
fn the_brain_has_no_hands() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tree = Command::new(cargo)
        .args(["tree", "--locked", "--offline", "-p", "lvs-core", "-e", "normal", "--prefix", "none"])
        .current_dir(tree())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let text = String::from_utf8(tree.stdout).unwrap();
    assert!(text.contains("lvs-core"), "{text}");
    for forbidden in ["kube", "tokio", "netlink", "libc ", "k8s-openapi", "nix "] {
        assert!(!text.contains(forbidden), "lvs-core stands on {forbidden}:\n{text}");
    }
}

#[test]
fn the_example_in_the_readme_is_the_one_in_the_folder() {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let read = |path: &str| std::fs::read_to_string(tree.join(path)).unwrap();
    let specs = |text: &str| -> Vec<serde_json::Value> {
        let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(text).unwrap();
        documents.into_iter().map(|mut document| document["spec"].take()).collect()
    };
    let readme = read("README.md");
    let (_, rest) = readme.split_once("```yaml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let files = ["directorgroup.yaml", "virtualservice.yaml"]
        .map(|file| read(&format!("deploy/examples/lvs-notes/{file}")));
    assert_eq!(specs(example), specs(&files.join("\n---\n")));
}
