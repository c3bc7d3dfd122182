//! Who answers for the VIPs, asked from the clients' side every 10 ms for as long as a scenario wants.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{mac, vips};
use crate::lab::neighbour::{self, Answers};
use crate::lab::packet::{self, Background, Seen};
use crate::lab::topology::LAN;
use crate::lab::{HostSpec, Lab, LinkSpec, Mac, frame};

const NAME: &str = "witness";

/// A host that does nothing else. Its many addresses take turns: an answer names the address that asked, and it is a
/// long time until that asks again, so that an answer that comes late is not taken for one to the next question.
pub(super) fn host() -> HostSpec {
    let addresses = (141..=160).flat_map(|n| [format!("192.168.10.{n}/24"), format!("fd00:10::{n}/64")]);
    let link = LinkSpec { name: "eth0".to_owned(), network: LAN.to_owned(), addresses: addresses.collect() };
    HostSpec { name: NAME.to_owned(), links: vec![link], routes: Vec::new(), forwards: false }
}

/// Asks for every VIP until it is stopped.
#[derive(Debug)]
pub struct Witness {
    asking: Vec<(IpAddr, Background<Answers>)>,
}

impl Witness {
    /// Starts asking from the host of the topology that is there for it. Fails where a socket cannot be opened.
    pub fn start(lab: &Lab) -> Result<Self> {
        let host = lab.host(NAME)?;
        let ask = |vip: IpAddr| {
            let senders = (141..=159).map(|n| match vip {
                IpAddr::V4(_) => format!("192.168.10.{n}").parse(),
                IpAddr::V6(_) => format!("fd00:10::{n}").parse(),
            });
            Ok((vip, neighbour::ask_as(host, "eth0", &senders.collect::<Result<Vec<_>, _>>()?, vip)?))
        };
        Ok(Self { asking: vips()?.into_iter().map(ask).collect::<Result<_>>()? })
    }

    /// Stops asking. Returns how many questions there were.
    ///
    /// Fails unless these nodes, one after the other, were the only ones that ever answered or otherwise claimed a VIP,
    /// none of them before the one before it had fallen silent for good, and no question got two answers.
    pub fn stop(self, holders: &[&str]) -> Result<usize> {
        let holders = holders.iter().map(|node| mac(node)).collect::<Result<Vec<_>>>()?;
        let mut questions = 0;
        for (vip, asking) in self.asking {
            let found = asking.stop()?;
            let twice = found.answered_twice();
            ensure!(twice.is_empty(), "these questions for {vip} got two answers: {twice:?}");
            let heard = found.heard;
            ensure!(
                heard == holders,
                "{vip} was answered for by {heard:?} one after the other, not {holders:?}"
            );
            questions += found.asked.len();
        }
        ensure!(questions > 0, "nobody was asked");
        Ok(questions)
    }
}

/// Who answers for each VIP at this moment: all are asked at once, and answers awaited for 100 ms.
///
/// Fails where that cannot be asked.
pub fn answers_now(lab: &Lab) -> Result<Vec<(IpAddr, BTreeSet<Mac>)>> {
    let host = lab.host(NAME)?;
    let ask = |vip: IpAddr| {
        // An address that the long-lasting questions do not come from.
        let sender = if vip.is_ipv4() { "192.168.10.160" } else { "fd00:10::160" };
        Ok((vip, neighbour::ask_as(host, "eth0", &[sender.parse()?], vip)?))
    };
    let asking: Vec<_> = vips()?.into_iter().map(ask).collect::<Result<_>>()?;
    std::thread::sleep(Duration::from_millis(50));
    let found = asking.into_iter().map(|(vip, asking)| {
        let found = asking.stop()?;
        Ok((vip, found.answers.iter().map(|answer| answer.mac).collect()))
    });
    found.collect()
}

/// Captures what the witness hears of the VIPs: probes, answers, announcements. Fails where the socket cannot be opened.
pub fn probes(lab: &Lab) -> Result<Background<Vec<Seen>>> {
    packet::capture(lab.host(NAME)?, "eth0", |bytes| {
        frame::claim(bytes).is_some() || frame::probe(bytes).is_some()
    })
}

/// Per VIP: how many probes came from `holder` before it claimed the VIP for the first time.
///
/// Fails where it never did, or the capture failed.
pub fn probes_before_the_first_claim(
    seen: Background<Vec<Seen>>,
    holder: Mac,
) -> Result<Vec<(IpAddr, usize)>> {
    let frames = seen.stop()?;
    let count = |vip: IpAddr| {
        let claims = |bytes: &[u8]| {
            frame::claim(bytes).is_some_and(|claim| (claim.address, claim.mac) == (vip, holder))
        };
        let first = frames.iter().position(|seen| claims(&seen.bytes));
        let first = first.with_context(|| format!("{holder} never claimed {vip}"))?;
        let probes = frames[..first].iter().filter(|seen| frame::probe(&seen.bytes) == Some((holder, vip)));
        Ok((vip, probes.count()))
    };
    vips()?.into_iter().map(count).collect()
}
