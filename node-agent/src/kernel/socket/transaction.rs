//! Transactions of nfnetlink: many requests in one send, of which all are carried out or none.
//!
//! The kernel tries them all, and answers those that it refuses.

use super::batch::{Answer, Batch};
use super::{Socket, receive};
use crate::crash_point;
use crate::kernel::error::Cause;

impl Socket {
    /// Sends `count` requests of which the first begins the transaction, and one more that ends it, and tells what became
    /// of each. Nothing was done where any was refused.
    ///
    /// `encode` writes the whole request of an index, up to and with `count`, with a sequence number, without `NLM_F_ACK`.
    pub(in crate::kernel) fn transaction(
        &mut self,
        doing: &'static str,
        count: usize,
        encode: &mut dyn FnMut(usize, u32, &mut Vec<u8>),
    ) -> Vec<Answer> {
        // The end of a transaction is acknowledged by new kernels only; so it is no part of the batch.
        let batch = Batch::fill_whole(&mut self.sent, &mut self.sequence, count, encode);
        let sequence = self.next_sequence();
        encode(count, sequence, &mut self.sent);
        crash_point::pass();
        let mut heard = vec![None; count];
        let outcome = self.answered(&batch, &mut heard);
        crash_point::pass();
        let silent = match outcome {
            Ok(()) => Answer::Done,
            Err(cause) => Answer::Unknown(self.failed(doing, cause).errno()),
        };
        heard.into_iter().map(|heard| heard.unwrap_or(silent)).collect()
    }

    /// Hears the answers, up to that of the last request, or to one that is about the whole: it names the first.
    fn answered(&self, batch: &Batch, heard: &mut [Option<Answer>]) -> Result<(), Cause> {
        self.send()?;
        let mut received = Vec::with_capacity(super::RECEIVE_BYTES);
        loop {
            receive(&self.kernel, &mut received)?;
            let whole = batch.hear(&received, heard)?;
            if whole || heard.first().is_some_and(Option::is_some) {
                return Ok(());
            }
        }
    }
}
