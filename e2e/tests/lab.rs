//! The lab tries itself, from the side of the machine that tests.

#![expect(clippy::unwrap_used, reason = "what helps a test fails it")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use lvs_e2e::lab::outside::ADDRESS;
use lvs_e2e::lab::process::wait_until;
use lvs_e2e::lab::{Kernel, KernelNeeds, Launch, Outside};
use lvs_e2e::scenarios::lab_itself::Booted;

const SECOND_KERNEL: KernelNeeds = KernelNeeds::Distribution { cpus: 1 };

fn launch(scenario: &str) -> Launch<'static> {
    Launch::new(Path::new(env!("CARGO_BIN_EXE_lvs-lab")), scenario).unwrap()
}

#[test]
fn a_guest_boots_and_has_ipvs() {
    let report = launch("lab-boots").run().unwrap();
    let booted: Booted = serde_json::from_value(report.value).unwrap();
    assert!(!booted.release.is_empty());
}

#[test]
fn hosts_have_their_own() {
    launch("lab-hosts").run().unwrap();
}

#[test]
fn a_host_reboots() {
    launch("lab-reboot").run().unwrap();
}

#[test]
fn two_hosts_that_answer_for_one_address_are_both_seen() {
    launch("lab-neighbours").run().unwrap();
}

#[test]
fn direct_routing_by_hand_forwards_and_replies_bypass_the_director() {
    launch("lab-direct-routing").run().unwrap();
}

#[test]
fn hosts_reach_a_server_outside_the_guest_each_with_its_own_address() {
    let (outside, port) = outside_that_tells_addresses();
    let report = launch("lab-outside").arguments(port.into()).outside(&outside).run().unwrap();
    assert_eq!(report.value, serde_json::json!(["10.77.0.100", "10.77.0.101"]));
}

#[test]
fn on_the_second_kernel_the_lab_is_the_same() {
    let (outside, port) = outside_that_tells_addresses();
    let launch = launch("lab-all").kernel(SECOND_KERNEL).unwrap();
    launch.arguments(port.into()).outside(&outside).run().unwrap();
}

#[test]
fn the_second_kernel_has_nftables_and_several_cpus() {
    launch("lab-nftables").run().unwrap();
}

/// An outside with a server that tells everybody the address that it sees, and the server's port.
fn outside_that_tells_addresses() -> (Outside, u16) {
    let outside = Outside::new().unwrap();
    let listener = outside.namespace().inside(|| TcpListener::bind((ADDRESS, 0))).unwrap().unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let peer = stream.peer_addr().unwrap();
            stream.write_all(peer.ip().to_string().as_bytes()).unwrap();
        }
    });
    (outside, port)
}

#[test]
fn a_panic_in_the_guest_fails_the_run_and_shows_the_console() {
    let error = launch("lab-panics").arguments("on purpose".into()).run().unwrap_err().to_string();
    assert!(error.contains("scenario lab-panics: panicked: on purpose"), "{error}");
    assert!(error.contains("the console says this before the panic"), "{error}");
    forget(&error);
}

#[test]
fn a_guest_that_hangs_is_ended_with_all_its_processes() {
    for needs in [KernelNeeds::Common, SECOND_KERNEL] {
        let launch = launch("lab-hangs").kernel(needs).unwrap();
        let error = launch.timeout(Duration::from_secs(8)).run().unwrap_err().to_string();
        assert!(error.contains("no verdict after 8 s"), "{error}");
        let folder = forget(&error);
        assert_eq!(processes_of(&folder), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_guest_ends_with_the_program_that_runs_it() {
    for needs in [KernelNeeds::Common, SECOND_KERNEL] {
        ends_with_the_program(Kernel::choose(needs).unwrap());
    }
}

fn ends_with_the_program(kernel: Kernel) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lvs-lab"));
    command.args(["run", "lab-hangs"]).env("LAB", kernel.name()).env("TMPDIR", folder.path());
    command.stdout(Stdio::piped());
    let mut running = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(running.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "hanging\n");
    let folder = folder.path().to_str().unwrap();
    assert!(!processes_of(folder).is_empty());
    running.kill().unwrap();
    running.wait().unwrap();
    let gone = || Ok(processes_of(folder).is_empty());
    wait_until("the guest's processes are gone", Duration::from_secs(10), gone).unwrap();
}

/// The processes that have a folder on their command line, or write to a file in it: those of a guest do so with that of
/// its run.
fn processes_of(folder: &str) -> Vec<PathBuf> {
    let all = std::fs::read_dir("/proc").unwrap().flatten().map(|process| process.path());
    let of_it = |path: &PathBuf| {
        let line = std::fs::read(path.join("cmdline")).unwrap_or_default();
        let errors = std::fs::read_link(path.join("fd/2")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(folder) || errors.starts_with(folder)
    };
    all.filter(of_it).collect()
}

/// Removes the folder of a run that failed on purpose, and returns its path.
fn forget(error: &str) -> String {
    let folder = error.rsplit("all of it is kept in ").next().unwrap().trim().to_owned();
    assert!(folder.contains("lvs-lab-"), "{error}");
    std::fs::remove_dir_all(&folder).unwrap();
    folder
}
