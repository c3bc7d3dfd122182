//! (d) The agent killed by SIGKILL before and after every change that it makes of kernel or disk, and started again.

mod rounds;

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use serde_json::Value;

use super::edge::witness::Witness;
use super::edge::{VIPS, group, nodes, service, topology, wait_held};
use super::{Bench, KernelNeeds, Scenario, typed};
use crate::fleet::Fleet;
use crate::lab::{Snapshot, traffic};
use rounds::{Rounds, Turn};

/// The scenarios of this module.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "killed-director-create-delete",
        rows: &["d", "c"],
        needs_ipvs: true,
        kernel: KernelNeeds::Common,
        run: director_create,
    },
    Scenario {
        name: "killed-director-edit",
        rows: &["d", "c"],
        needs_ipvs: true,
        kernel: KernelNeeds::Common,
        run: director_edit,
    },
    Scenario {
        name: "killed-director-move",
        rows: &["d", "c"],
        needs_ipvs: true,
        kernel: KernelNeeds::Common,
        run: director_move,
    },
    Scenario {
        name: "killed-real-server-create-delete",
        rows: &["d", "c"],
        needs_ipvs: true,
        kernel: KernelNeeds::Common,
        run: server_create,
    },
    Scenario {
        name: "killed-real-server-edit",
        rows: &["d", "c"],
        needs_ipvs: true,
        kernel: KernelNeeds::Common,
        run: server_edit,
    },
];

const ONE: &str = "director-1";
const TWO: &str = "director-2";
const SERVERS: [&str; 2] = ["rs-1", "rs-2"];

/// How the service is created.
fn whole() -> String {
    service("scheduler: rr", &[("rs-1", 1), ("rs-2", 1)])
}

/// An edit that changes everything that can be changed in place, and takes a real server out.
fn edited() -> String {
    service("scheduler: wrr\n  persistence: {timeoutSeconds: 20}", &[("rs-1", 3)])
}

const CREATE: Turn = Turn {
    name: "create",
    make: |fleet| fleet.apply("service.yaml", &whole()),
    settled: |fleet| fleet.ensure_ready("web"),
    held_by: Some(ONE),
    real_servers: &SERVERS,
};
const DELETE: Turn = Turn {
    name: "delete",
    make: |fleet| fleet.delete("service.yaml"),
    settled: |fleet| [ONE, "rs-1", "rs-2"].iter().try_for_each(|node| fleet.ensure_clean(node)),
    held_by: None,
    real_servers: &[],
};
const EDIT: Turn = Turn {
    name: "edit",
    make: |fleet| fleet.apply("service.yaml", &edited()),
    real_servers: &["rs-1"],
    ..CREATE
};
const EDIT_BACK: Turn = Turn { name: "edit back", ..CREATE };
const MOVE: Turn = Turn {
    name: "move away",
    make: |fleet| fleet.apply("nodes.yaml", &nodes(&[TWO], &[])),
    held_by: Some(TWO),
    ..CREATE
};
const MOVE_BACK: Turn =
    Turn { name: "move here", make: |fleet| fleet.apply("nodes.yaml", &nodes(&[ONE], &[])), ..CREATE };

/// Everything runs, and there is no service yet.
fn begin(bench: &Bench, agents: &[&str]) -> Result<Fleet> {
    let mut fleet = Fleet::new(bench, topology())?;
    fleet.apply("directorgroup.yaml", &group("")?)?;
    fleet.apply("nodes.yaml", &nodes(&[ONE], &[]))?;
    fleet.start_operator()?;
    fleet.start_agents(agents)?;
    Ok(fleet)
}

fn director_create(bench: &mut Bench) -> Result<Value> {
    create_and_delete(bench, ONE)
}

fn server_create(bench: &mut Bench) -> Result<Value> {
    create_and_delete(bench, "rs-2")
}

fn create_and_delete(bench: &mut Bench, killed: &'static str) -> Result<Value> {
    let agents = [ONE, "rs-1", "rs-2"];
    let fleet = begin(bench, &agents)?;
    let _servers = servers(bench, &fleet)?;
    let found = agents.iter().map(|node| Snapshot::of(fleet.host(node)?)).collect::<Result<Vec<_>>>()?;
    let watch = Witness::start(&fleet.lab)?;
    let mut rounds = Rounds::new(bench, fleet, killed, &agents)?;
    rounds.run(&CREATE, &DELETE)?;
    for (node, found) in agents.iter().zip(found) {
        let differences = found.differences(&Snapshot::of(rounds.fleet.host(node)?)?);
        ensure!(differences.is_empty(), "{node} is not as it was found: {differences:#?}");
    }
    watch.stop(&[ONE])?;
    bench.case("every node is as it was found; never another answer than the holder's");
    typed(())
}

fn director_edit(bench: &mut Bench) -> Result<Value> {
    edit(bench, ONE)
}

fn server_edit(bench: &mut Bench) -> Result<Value> {
    edit(bench, "rs-2")
}

fn edit(bench: &mut Bench, killed: &'static str) -> Result<Value> {
    let agents = [ONE, "rs-1", "rs-2"];
    let fleet = begin(bench, &agents)?;
    let _servers = servers(bench, &fleet)?;
    (CREATE.make)(&fleet)?;
    wait_held(&fleet, ONE)?;
    let watch = Witness::start(&fleet.lab)?;
    let transfers = VIPS.iter().map(|vip| transfer_from_rs_1(&fleet, vip)).collect::<Result<Vec<_>>>()?;
    let mut rounds = Rounds::new(bench, fleet, killed, &agents)?;
    rounds.run(&EDIT, &EDIT_BACK)?;
    for transfer in transfers {
        let done = transfer.stop()?;
        ensure!(done.server == "rs-1" && done.bytes > 0, "the transfer was another: {done:?}");
    }
    watch.stop(&[ONE])?;
    bench.case("no byte lost by the transfers; never another answer than the holder's");
    typed(())
}

fn director_move(bench: &mut Bench) -> Result<Value> {
    let agents = [ONE, TWO, "rs-1", "rs-2"];
    let fleet = begin(bench, &agents)?;
    let _servers = servers(bench, &fleet)?;
    (CREATE.make)(&fleet)?;
    wait_held(&fleet, ONE)?;
    let watch = Witness::start(&fleet.lab)?;
    moved_connection_is_reset(&fleet)?;
    bench.case("a move resets a connection");
    let mut rounds = Rounds::new(bench, fleet, ONE, &agents)?;
    rounds.run(&MOVE, &MOVE_BACK)?;
    // There and back for the connection, then by the rounds.
    let mut holders = vec![ONE, TWO, ONE];
    holders.extend(&rounds.holders);
    watch.stop(&holders)?;
    bench.case("never another answer than the present holder's");
    typed(())
}

/// A connection of the time before a move ends with a reset, as connections are not synchronised.
fn moved_connection_is_reset(fleet: &Fleet) -> Result<()> {
    let to = SocketAddr::new(VIPS[0].parse()?, 80);
    let (mut stream, _) =
        traffic::open(fleet.host("client")?, "192.168.10.101".parse()?, to, Duration::from_secs(30))?;
    (MOVE.make)(fleet)?;
    wait_held(fleet, TWO)?;
    let mut byte = [0];
    let ended = stream.write_all(b"x").and_then(|()| stream.read_exact(&mut byte));
    let Err(error) = ended else { bail!("a connection went on after its director had gone") };
    ensure!(traffic::was_refused(&error.into()), "the connection did not end with a reset");
    (MOVE_BACK.make)(fleet)?;
    wait_held(fleet, ONE)
}

fn servers(bench: &Bench, fleet: &Fleet) -> Result<Vec<crate::lab::Process>> {
    SERVERS.iter().map(|name| traffic::start_server(bench, fleet.host(name)?, 80)).collect()
}

/// A long transfer to a VIP that rs-1 serves.
fn transfer_from_rs_1(
    fleet: &Fleet,
    vip: &str,
) -> Result<crate::lab::packet::Background<traffic::Transferred>> {
    let to = SocketAddr::new(vip.parse()?, 80);
    let from: IpAddr = if to.is_ipv4() { "192.168.10.101" } else { "fd00:10::101" }.parse()?;
    let client = fleet.host("client")?;
    // Round robin without persistence: the next connection goes to the other one.
    while traffic::ask(client, from, to, Duration::from_secs(10))? == "rs-1" {}
    traffic::transfer(client, from, to)
}
