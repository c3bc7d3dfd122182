//! There and back again: two steps that undo each other, each with the agent killed at its first change, at its second,
//! and so on, until a run makes its step without reaching the change at which it would be killed.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::fleet::{Fleet, PATIENCE};
use crate::lab::launch::CRASHING_AGENT;
use crate::lab::traffic;
use crate::scenarios::Bench;
use crate::scenarios::edge::stand::Stand;
use crate::scenarios::edge::{VIPS, mac, witness};

/// One step, and how it is when it is done.
pub(super) struct Turn {
    /// What it is.
    pub(super) name: &'static str,
    /// Makes it, as a user does.
    pub(super) make: fn(&Fleet) -> Result<()>,
    /// Fails while the product does not say that it is done.
    pub(super) settled: fn(&Fleet) -> Result<()>,
    /// Who holds the VIPs after it.
    pub(super) held_by: Option<&'static str>,
    /// The real servers after it; where there are any, connections succeed.
    pub(super) real_servers: &'static [&'static str],
}

/// What the rounds are made with.
pub(super) struct Rounds<'a> {
    bench: &'a mut Bench,
    /// What is tried.
    pub(super) fleet: Fleet,
    /// Who held the VIPs after each step that changed that, from the first on.
    pub(super) holders: Vec<&'static str>,
    killed: &'static str,
    program: PathBuf,
    nodes: Vec<String>,
    goals: BTreeMap<&'static str, Vec<Stand>>,
}

impl<'a> Rounds<'a> {
    /// `killed` is the node whose agent is killed, `nodes` those whose kernels are compared. Nothing is made yet.
    ///
    /// Fails where the agent with crash points is not built.
    pub(super) fn new(
        bench: &'a mut Bench,
        fleet: Fleet,
        killed: &'static str,
        nodes: &[&str],
    ) -> Result<Self> {
        let program = bench.binary(CRASHING_AGENT)?;
        let nodes = nodes.iter().map(ToString::to_string).collect();
        Ok(Self { bench, fleet, holders: Vec::new(), killed, program, nodes, goals: BTreeMap::new() })
    }

    /// Makes both steps in turn until either has been made once without the agent being killed. Ends after `back`.
    ///
    /// The scenario's argument `{"only": N}` repeats point N alone: it is for the person who looks into a failure.
    ///
    /// Fails with the first change after which anything is not as it must be.
    pub(super) fn run(&mut self, there: &Turn, back: &Turn) -> Result<()> {
        let turns = [there, back];
        // Undisturbed first, and twice: what every later round must lead to.
        for turn in turns.into_iter().chain(turns) {
            (turn.make)(&self.fleet)?;
            self.learn(turn)?;
        }
        let only = self.bench.request.arguments["only"].as_u64();
        let mut next = [only.or(Some(1)); 2];
        while next.iter().any(Option::is_some) {
            for (turn, next) in turns.into_iter().zip(&mut next) {
                *next = match *next {
                    Some(number) => {
                        let following = self.killed_at(turn, number).with_context(|| {
                            format!("{}, the agent of {} killed at point {number}", turn.name, self.killed)
                        })?;
                        following.filter(|_| only.is_none())
                    }
                    None => self.undisturbed(turn).map(|()| None)?,
                };
            }
        }
        Ok(())
    }

    /// Waits until a step is done that nobody disturbs, and remembers how every node then stands.
    fn learn(&mut self, turn: &Turn) -> Result<()> {
        let (mut last, end) = (None, Instant::now() + PATIENCE);
        loop {
            sleep(Duration::from_millis(100));
            let settled = (turn.settled)(&self.fleet);
            let stands = self.stands()?;
            let duties = self.ensure_duties(turn, &stands);
            // Twice the same, when the status says so: the status can still be that of before.
            if settled.is_ok() && duties.is_ok() && last.as_ref() == Some(&stands) {
                if let Some(goal) = self.goals.get(turn.name) {
                    ensure!(*goal == stands, "{} leads to {stands:#?} and before to {goal:#?}", turn.name);
                }
                self.goals.insert(turn.name, stands);
                self.note(turn);
                return Ok(());
            }
            last = Some(stands);
            if Instant::now() > end {
                bail!("{} is not done in time: {settled:?} {duties:?}", turn.name);
            }
        }
    }

    fn undisturbed(&mut self, turn: &Turn) -> Result<()> {
        (turn.make)(&self.fleet)?;
        self.converge(turn)
    }

    /// Makes a step with the agent killed at a point. The next point to be killed at; none where the step was done first.
    fn killed_at(&mut self, turn: &Turn, number: u64) -> Result<Option<u64>> {
        self.fleet.kill_agent(self.killed)?;
        let at = number.to_string();
        let environment = [("LVS_NODE_AGENT_CRASH_AT", at.as_str()), ("LVS_NODE_AGENT_BATCH_SIZE", "1")];
        self.fleet.start_other_agent(&self.program, self.killed, &environment)?;
        (turn.make)(&self.fleet)?;
        let died = self.dies_or_ends(turn)?;
        if died {
            self.safe_when_dead()?;
            self.bench.case(format!("{}: {} killed at point {number}", turn.name, self.killed));
        } else {
            self.bench.show(format!("{}: {} has {} points", turn.name, self.killed, number - 1))?;
            ensure!(
                number > 1,
                "the agent passed no point at all: is it built with the feature crash-points?"
            );
            self.fleet.kill_agent(self.killed)?;
        }
        self.fleet.start_agent(self.killed, &[])?;
        self.converge(turn)?;
        Ok(died.then_some(number + 1))
    }

    /// Whether the agent died by its own SIGKILL before the step was done.
    fn dies_or_ends(&mut self, turn: &Turn) -> Result<bool> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.fleet.agent(self.killed)?.ended()? {
                ensure!(status.signal() == Some(9), "the agent ended with {status}");
                return Ok(true);
            }
            let done = self.done(turn);
            if done.is_ok() {
                // A report may still be under way to the disk.
                sleep(Duration::from_millis(200));
                return Ok(self.fleet.agent(self.killed)?.ended()?.is_some());
            }
            if Instant::now() > end {
                return done.map(|()| false);
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// What must hold in whatever moment the agent dies.
    fn safe_when_dead(&self) -> Result<()> {
        let stand = Stand::of(self.fleet.host(self.killed)?)?;
        stand.ensure_hidden()?;
        let (own, held) = (mac(self.killed)?, stand.held()?);
        for (vip, answers) in witness::answers_now(&self.fleet.lab)? {
            ensure!(answers.len() <= 1, "{answers:?} all answered for {vip}");
            let answers_itself = answers.contains(&own);
            ensure!(
                answers_itself == held.contains(&vip),
                "{vip}: on the uplinks {held:?}, answered by {answers:?}"
            );
        }
        Ok(())
    }

    fn converge(&mut self, turn: &Turn) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while let Err(error) = self.done(turn) {
            if Instant::now() > end {
                return Err(error.context(format!("{} does not converge", turn.name)));
            }
            sleep(Duration::from_millis(20));
        }
        self.note(turn);
        if !turn.real_servers.is_empty() {
            for vip in VIPS {
                self.connects(vip.parse()?).with_context(|| format!("after {}", turn.name))?;
            }
        }
        Ok(())
    }

    /// Fails while a step is not done.
    fn done(&self, turn: &Turn) -> Result<()> {
        (turn.settled)(&self.fleet)?;
        let goal = self.goals.get(turn.name).context("the goal is known")?;
        let stands = self.stands()?;
        for ((node, stand), goal) in self.nodes.iter().zip(&stands).zip(goal) {
            ensure!(stand == goal, "{node} stands at {stand:?}, not at {goal:?}");
        }
        Ok(())
    }

    fn connects(&self, vip: IpAddr) -> Result<()> {
        let from = if vip.is_ipv4() { "192.168.10.102" } else { "fd00:10::102" };
        let client = self.fleet.host("client")?;
        traffic::ask(client, from.parse()?, SocketAddr::new(vip, 80), Duration::from_secs(10)).map(drop)
    }

    fn stands(&self) -> Result<Vec<Stand>> {
        self.nodes.iter().map(|node| Stand::of(self.fleet.host(node)?)).collect()
    }

    /// Fails unless every node has the duties that it is to have after a step, and no other.
    fn ensure_duties(&self, turn: &Turn, stands: &[Stand]) -> Result<()> {
        for (node, stand) in self.nodes.iter().zip(stands) {
            let holds = turn.held_by == Some(node);
            let accepts = holds || turn.real_servers.contains(&node.as_str());
            let per_vip = |wanted: bool| if wanted { VIPS.len() } else { 0 };
            ensure!(stand.held()?.len() == per_vip(holds), "{node} holds {:?}", stand.held()?);
            ensure!(stand.accepted()?.len() == per_vip(accepts), "{node} accepts {:?}", stand.accepted()?);
            // A service and its destinations.
            let entries = per_vip(holds) * (1 + turn.real_servers.len());
            ensure!(stand.ipvs.len() == entries, "{node} has {:?}", stand.ipvs);
        }
        Ok(())
    }

    fn note(&mut self, turn: &Turn) {
        if let Some(holder) = turn.held_by.filter(|holder| self.holders.last() != Some(holder)) {
            self.holders.push(holder);
        }
    }
}
