//! A release on a real cluster, from `helm install` to nodes as they were before.

use std::path::Path;
use std::time::Instant;

use lvs_e2e::cluster::images::Images;
use lvs_e2e::cluster::scenario;
use lvs_e2e::cluster::uml::UmlCluster;
use lvs_e2e::record::{Record, seed};

#[test]
fn a_release_goes_through_its_life_on_three_nodes() {
    let images = Images::build().unwrap();
    let began = Instant::now();
    let program = Path::new(env!("CARGO_BIN_EXE_lvs-cluster"));
    let ended = UmlCluster::start(program, &images)
        .and_then(|mut cluster| scenario::run(&mut cluster, &mut |line| println!("{line}")));
    Record {
        name: "a release on a cluster".to_owned(),
        rows: vec!["part 8".to_owned()],
        cases: ended.as_ref().map_or(0, Vec::len),
        seconds: began.elapsed().as_secs_f64(),
        seed: seed().unwrap(),
        passed: ended.is_ok(),
    }
    .write()
    .unwrap();
    if let Err(error) = ended {
        panic!("{error:#}");
    }
}
