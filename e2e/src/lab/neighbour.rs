//! Who answers for an address, asked from the client's side.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::Host;
use super::frame::{Mac, claim, question};
use super::packet::{Background, PacketSocket, Seen};

/// One answer to one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Which question it answers; the first is 0.
    pub question: usize,
    /// When it came, in milliseconds after the first question.
    pub milliseconds: u64,
    /// Who answered.
    pub mac: Mac,
}

/// All questions and answers of a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// When each question was asked, in milliseconds after the first.
    pub asked: Vec<u64>,
    /// The answers as they came.
    pub answers: Vec<Answer>,
    /// Everybody who answered or claimed it, in order; whoever does so several times in a row is there once.
    pub heard: Vec<Mac>,
    /// Other claims of the address (announcements, questions of somebody who says to have it), with their time.
    pub claims: Vec<(u64, Mac)>,
}

impl Answers {
    /// Everybody who answered or claimed the address otherwise.
    #[must_use]
    pub fn macs(&self) -> BTreeSet<Mac> {
        let claims = self.claims.iter().map(|(_, mac)| *mac);
        self.answers.iter().map(|answer| answer.mac).chain(claims).collect()
    }

    /// The questions that got more than one answer, with who answered.
    #[must_use]
    pub fn answered_twice(&self) -> Vec<(usize, Vec<Mac>)> {
        let to = |question: usize| -> Vec<Mac> {
            let of_it = self.answers.iter().filter(|answer| answer.question == question);
            of_it.map(|answer| answer.mac).collect()
        };
        (0..self.asked.len()).map(|n| (n, to(n))).filter(|(_, macs)| macs.len() > 1).collect()
    }

    /// How many questions got no answer.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        let answered: BTreeSet<usize> = self.answers.iter().map(|answer| answer.question).collect();
        self.asked.len() - answered.len()
    }
}

/// Asks every 10 ms from `link` of a host who has `target`, until it is stopped.
///
/// An answer names the address that asked and nothing else of its question. So each question is asked in the name of
/// another address: a hundred in the target's subnet that nobody in the lab has (.150 to .249; `::a:0` to `::a:63`), with
/// the hardware address of the link. Only after all hundred, a second later, is an address used again.
///
/// Fails where the socket cannot be opened.
pub fn ask(host: &Host, link: &str, target: IpAddr) -> Result<Background<Answers>> {
    ask_as(host, link, &unused(target), target)
}

/// Asks once from `sender` and returns who answers within 100 ms.
///
/// Fails where the socket cannot be opened, or the sender is of another family than the target.
pub fn ask_once(host: &Host, link: &str, sender: IpAddr, target: IpAddr) -> Result<Vec<Mac>> {
    let asking = ask_as(host, link, &[sender], target)?;
    std::thread::sleep(Duration::from_millis(100));
    let found = asking.stop()?;
    Ok(found.answers.iter().filter(|answer| answer.question == 0).map(|answer| answer.mac).collect())
}

/// [`ask`] in the name of these addresses, in turn: for those who ask for one target several times at once.
///
/// Fails as [`ask`] does, and where a sender is of another family than the target.
pub fn ask_as(host: &Host, link: &str, senders: &[IpAddr], target: IpAddr) -> Result<Background<Answers>> {
    let socket = host.inside(|| PacketSocket::open(link))??;
    let ask = |sender: &IpAddr| {
        let frame = question(socket.mac(), *sender, target);
        Ok((*sender, frame.with_context(|| format!("{sender} cannot ask for {target}"))?))
    };
    let questions: Vec<(IpAddr, Vec<u8>)> = senders.iter().map(ask).collect::<Result<_>>()?;
    Background::start(host, move |stop| {
        Asker { socket, questions, target, found: Answers::default() }.run(stop)
    })
}

/// A hundred addresses beside `target` that no host of the lab has.
fn unused(target: IpAddr) -> Vec<IpAddr> {
    match target {
        IpAddr::V4(target) => {
            let [a, b, c, _] = target.octets();
            (150..250).map(|d| Ipv4Addr::new(a, b, c, d).into()).collect()
        }
        IpAddr::V6(target) => {
            let [a, b, c, d, ..] = target.segments();
            (0..100).map(|n| Ipv6Addr::new(a, b, c, d, 0, 0, 0xa, n).into()).collect()
        }
    }
}

struct Asker {
    socket: PacketSocket,
    questions: Vec<(IpAddr, Vec<u8>)>,
    target: IpAddr,
    found: Answers,
}

impl Asker {
    fn run(mut self, stop: &AtomicBool) -> Result<Answers> {
        const EVERY: Duration = Duration::from_millis(10);
        let start = Instant::now();
        let mut next = start;
        while !stop.load(Ordering::Relaxed) {
            self.take(start, self.socket.receive()?);
            if Instant::now() >= next {
                // What has come is read before anything more is asked, and after a pause nothing is caught up on: so
                // an answer is never taken for one to a later question.
                self.take_all(start)?;
                let number = self.found.asked.len();
                self.socket.send(&self.questions[number % self.questions.len()].1)?;
                self.found.asked.push(milliseconds(start.elapsed()));
                next = Instant::now() + EVERY;
            }
        }
        // The last question's answers are under way.
        let end = Instant::now() + super::packet::SETTLE;
        while Instant::now() < end {
            self.take(start, self.socket.receive()?);
        }
        self.take_all(start)?;
        Ok(self.found)
    }

    /// Takes every frame that has come.
    fn take_all(&mut self, start: Instant) -> Result<()> {
        while let Some(seen) = self.socket.take_received()? {
            self.take(start, Some(seen));
        }
        Ok(())
    }

    fn take(&mut self, start: Instant, seen: Option<Seen>) {
        let Some(seen) = seen.filter(|seen| !seen.outgoing) else { return };
        let claim = claim(&seen.bytes).filter(|claim| claim.address == self.target);
        let Some(claim) = claim else { return };
        let at = milliseconds(seen.at.saturating_duration_since(start));
        if self.found.heard.last() != Some(&claim.mac) {
            self.found.heard.push(claim.mac);
        }
        match self.question_of(claim.to).filter(|_| claim.is_answer) {
            Some(question) => self.found.answers.push(Answer { question, milliseconds: at, mac: claim.mac }),
            None => self.found.claims.push((at, claim.mac)),
        }
    }

    /// The latest question that `sender` asked.
    fn question_of(&self, sender: IpAddr) -> Option<usize> {
        let place = self.questions.iter().position(|(asker, _)| *asker == sender)?;
        let count = self.questions.len();
        (0..self.found.asked.len()).rev().find(|number| number % count == place)
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
