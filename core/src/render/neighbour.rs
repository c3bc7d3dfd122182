//! What is said of others who write to the IPVS table.

use super::Draft;
use crate::neighbour::{Flush, TableWriter};
use crate::node_report::Trouble;
use crate::reason::Reason;

impl Draft<'_> {
    /// Names second writers where this node forwards, and a flush while it is news.
    pub(super) fn neighbours(&mut self) {
        let mut parts = self.plan.services.values();
        if !parts.any(|part| part.vips.values().any(|planned| planned.forward)) {
            return;
        }
        let (local, writers) = (self.local, TableWriter::on(self.local));
        for writer in writers.iter().filter(|writer| writer.is_steady()) {
            let message = format!(
                "{writer} works on the IPVS table of node {} too; its entries are left alone; {}",
                local.node,
                writer.advice()
            );
            self.wanted.node_troubles.insert(Trouble::new(Reason::SecondWriter, message));
        }
        if let Some(flush) = local.flush.filter(|flush| self.now - flush.at < Flush::TOLD) {
            self.ask_again(Some(flush.at + Flush::TOLD));
            self.wanted.node_troubles.insert(flushed(flush, writers.first().copied(), &local.node.0));
        }
    }
}

fn flushed(flush: Flush, writer: Option<TableWriter>, node: &str) -> Trouble {
    let by = match writer {
        Some(writer) => format!("likely by {writer}: {}", writer.advice()),
        None => {
            "by somebody who has left no mark here: look for ipvsadm -C, or for another program of its kind"
                .to_owned()
        }
    };
    let again = match flush.times {
        0 | 1 => String::new(),
        times => format!(" {times} times within some minutes"),
    };
    let message = format!(
        "the IPVS table of node {node} was flushed{again}, with {} virtual servers of ours, {by}. They are set up again; the \
         connections that they had are lost",
        flush.virtual_servers
    );
    Trouble::new(Reason::TableFlushed, message)
}
