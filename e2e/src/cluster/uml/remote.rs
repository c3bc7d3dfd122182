//! Commands for a node: one connection, one command, one answer, as JSON. There is no door on the network of a node but
//! this one, and that network is the test's own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

/// Port on which a node takes commands.
const PORT: u16 = 10_200;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    succeeded: bool,
    status: String,
    stdout: String,
    stderr: String,
}

/// Runs a command on the node at `address` and returns what it printed.
///
/// Fails where the node does not answer, or the command does not end with 0. The calling thread must be in the
/// cluster's network.
pub(super) fn ask(address: IpAddr, command: &[&str]) -> Result<String> {
    let spoken = command.join(" ");
    let stream = TcpStream::connect_timeout(&SocketAddr::new(address, PORT), PATIENCE);
    let mut stream = stream.with_context(|| format!("reach the node {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all((serde_json::to_string(command)? + "\n").as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text).with_context(|| format!("no answer from {address} to {spoken}"))?;
    let answer: Answer =
        serde_json::from_str(&text).with_context(|| format!("{address} to {spoken}: {text}"))?;
    ensure!(answer.succeeded, "{spoken} on {address}: {}\n{}{}", answer.status, answer.stdout, answer.stderr);
    Ok(answer.stdout)
}

/// Takes commands on `address` from now on, beside the caller. Fails where the port cannot be bound.
pub(super) fn serve(address: Ipv4Addr) -> Result<JoinHandle<()>> {
    let listener = TcpListener::bind((address, PORT)).context("listen for commands")?;
    Ok(std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                if let Err(error) = answer(stream) {
                    println!("a command came to nothing: {error:#}");
                }
            });
        }
    }))
}

fn answer(mut stream: TcpStream) -> Result<()> {
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    let words: Vec<String> = serde_json::from_str(&line).context("a command is a list of words")?;
    let (program, arguments) = words.split_first().context("a command has at least one word")?;
    let answer = match Command::new(program).args(arguments).output() {
        Ok(output) => Answer {
            succeeded: output.status.success(),
            status: output.status.to_string(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        },
        Err(error) => Answer {
            succeeded: false,
            status: format!("it cannot be started: {error}"),
            stdout: String::new(),
            stderr: String::new(),
        },
    };
    stream.write_all(&serde_json::to_vec(&answer)?).context("write the answer")
}
