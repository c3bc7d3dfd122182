//! Two operators, one of them killed again and again.

use std::time::{Duration, Instant};

use lvs_core::node_plan::NodePlan;
use lvs_e2e::record::{Record, seed};

use crate::bench::{Bench, NAMESPACE, NODES};

/// How often a leader is killed. Each time the other waits for the lease to expire.
const KILLS: usize = 3;

#[test]
fn of_two_operators_one_is_killed_at_random_points_and_plans_stay_right() {
    let began = Instant::now();
    let seed = seed().unwrap();
    let mut random = fastrand::Rng::with_seed(seed);
    println!("seed {seed}");
    let mut bench = Bench::new();
    let names = ["a", "b"];
    for name in names {
        bench.start(name);
    }
    bench.play("the service to be ready", |bench| bench.holds("web", "Ready"));
    // While both live the lease stays where it is: it is looked at every two seconds.
    let before = transitions(&bench);
    std::thread::sleep(Duration::from_secs(7));
    assert_eq!(transitions(&bench), before, "the lease changed hands although its holder lives");
    let mut epoch = highest(&bench);
    for kill in 0..KILLS {
        let weight = kill + 2;
        let patch = format!(r#"[{{"op":"replace","path":"/spec/realServers/0/weight","value":{weight}}}]"#);
        bench.kubectl(&["patch", "virtualservice", "-n", "shop", "web", "--type=json", "-p", &patch]);
        std::thread::sleep(Duration::from_millis(random.u64(0..300)));
        let leader = leader(&bench, names);
        bench.kill(leader);
        bench.start(leader);
        bench.play("the plans of the next leader", |bench| {
            let plan = bench.plan("director-1")?;
            let all = NODES.iter().all(|(node, _)| bench.plan(node).is_some_and(|plan| plan.epoch > epoch));
            (all && weight_of(&plan) == Some(weight)).then_some(())
        });
        bench.play("the service to be whole", |bench| {
            bench.holds("web", "Ready").and(bench.holds("web", "Programmed"))
        });
        let present = highest(&bench);
        assert!(present > epoch, "epochs grow: {epoch}, then {present}");
        epoch = present;
    }
    // A leader that ends in good order hands the lease over at once, and nothing but the epoch changes.
    let before = bench.plan("director-1").unwrap();
    let leader = leader(&bench, names);
    bench.terminate(leader);
    let after = bench.until("the follower's plans", || {
        let plan = bench.plan("director-1")?;
        (plan.epoch > before.epoch).then_some(plan)
    });
    assert_eq!(after.services, before.services);
    let record = Record {
        name: "two operators, killed at random points".to_owned(),
        rows: vec!["i".to_owned()],
        cases: KILLS + 1,
        seconds: began.elapsed().as_secs_f64(),
        seed,
        passed: true,
    };
    record.write().unwrap();
}

fn transitions(bench: &Bench) -> u64 {
    let lease = bench.json(&["get", "lease", "-n", NAMESPACE, "lvs-operator"]);
    lease["spec"]["leaseTransitions"].as_u64().unwrap_or_default()
}

fn highest(bench: &Bench) -> u64 {
    NODES.iter().filter_map(|(node, _)| Some(bench.plan(node)?.epoch)).max().unwrap()
}

fn weight_of(plan: &NodePlan) -> Option<usize> {
    let form = plan.services.values().next()?.form.as_ref()?;
    let server = form.real_servers.values().find(|server| server.entry == "a")?;
    usize::try_from(server.weight).ok()
}

/// Whose log says last that it leads.
fn leader(bench: &Bench, names: [&'static str; 2]) -> &'static str {
    bench.until("a leader", || {
        names.into_iter().find(|name| {
            let log = bench.log(name);
            let last = |word: &str| log.rfind(word);
            let started = last("stands for leader");
            last(" leads transitions")
                .is_some_and(|leads| Some(leads) > started && Some(leads) > last("leads no more"))
        })
    })
}
