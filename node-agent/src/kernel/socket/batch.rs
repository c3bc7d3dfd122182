//! Batches: many requests in one send.
//!
//! The kernel carries them out in order, and an error stops none of the later ones. It always reports errors; success
//! is acknowledged for the last request only, which is the end of the batch.

use std::ops::Range;

use netlink_packet_core::NLM_F_ACK;
use netlink_packet_ipvs::{Content, Messages};
use nix::errno::Errno;

use super::{Socket, receive};
use crate::crash_point;
use crate::kernel::error::Cause;

/// Bytes of the longest batch. One send holds a lock of the kernel for its whole length.
const LONGEST_BYTES: usize = 64 * 1024;

/// Requests of the longest batch: so many answers fit into a receive buffer that could not be forced larger.
const LONGEST_REQUESTS: usize = 256;

/// What became of one request of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kernel) enum Answer {
    /// It was carried out.
    Done,
    /// It was refused.
    Refused(Errno),
    /// Its answer is lost, or it was not sent because that of an earlier one is; why. Only reading the kernel again
    /// tells what became of it.
    Unknown(Errno),
}

impl Socket {
    /// Sends `count` requests, at most `longest` in one send, and tells what became of each.
    ///
    /// `encode` writes the whole request of an index with a sequence number, without `NLM_F_ACK`.
    pub(in crate::kernel) fn batches(
        &mut self,
        doing: &'static str,
        count: usize,
        longest: usize,
        encode: &mut dyn FnMut(usize, u32, &mut Vec<u8>),
    ) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(count);
        let longest = longest.clamp(1, LONGEST_REQUESTS);
        while answers.len() < count {
            let batch = self.fill(answers.len()..count, longest, encode);
            crash_point::pass();
            let lost = self.deliver(&batch, &mut answers);
            crash_point::pass();
            if let Err(cause) = lost {
                let error = self.failed(doing, cause);
                tracing::warn!(%error, "the outcome of {} operations is not known", count - batch.first);
                answers.resize(count, Answer::Unknown(error.errno()));
            }
        }
        answers
    }

    /// Writes one batch out of the requests of `indices` that remain.
    fn fill(
        &mut self,
        indices: Range<usize>,
        longest: usize,
        encode: &mut dyn FnMut(usize, u32, &mut Vec<u8>),
    ) -> Batch {
        let mut batch =
            Batch { first: indices.start, count: 0, first_sequence: self.sequence.wrapping_add(1) };
        self.sent.clear();
        let mut last = 0;
        for index in indices.take(longest) {
            let start = self.sent.len();
            let sequence = self.next_sequence();
            encode(index, sequence, &mut self.sent);
            if self.sent.len() > LONGEST_BYTES && batch.count > 0 {
                self.sent.truncate(start);
                self.sequence = self.sequence.wrapping_sub(1);
                break;
            }
            batch.count += 1;
            last = start;
        }
        acknowledge(&mut self.sent, last);
        batch
    }

    /// Sends what [`Self::fill`] wrote, and adds an answer for each request of it. Where it fails, answers may have
    /// been added for the refused ones only.
    fn deliver(&mut self, batch: &Batch, answers: &mut Vec<Answer>) -> Result<(), Cause> {
        self.send()?;
        let mut heard = vec![None; batch.count];
        let outcome = loop {
            if let Err(cause) = receive(&self.kernel, &mut self.received) {
                break Err(cause);
            }
            match batch.hear(&self.received, &mut heard) {
                Ok(true) => break Ok(()),
                Ok(false) => {}
                Err(cause) => break Err(cause),
            }
        };
        let silent = match &outcome {
            Ok(()) => Answer::Done,
            Err(cause) => Answer::Unknown(cause.errno()),
        };
        answers.extend(heard.into_iter().map(|heard| heard.unwrap_or(silent)));
        outcome
    }
}

/// The requests of one send.
struct Batch {
    /// Index of the first request among all.
    first: usize,
    /// How many there are.
    count: usize,
    /// The sequence number of the first; the others follow it.
    first_sequence: u32,
}

impl Batch {
    /// Reads one receive into what was heard of each request; true once the last one's answer has come.
    fn hear(&self, received: &[u8], heard: &mut [Option<Answer>]) -> Result<bool, Cause> {
        for message in Messages::new(received) {
            let message = message.map_err(Cause::Malformed)?;
            let offset = message.header.sequence.wrapping_sub(self.first_sequence);
            let Some(slot) = usize::try_from(offset).ok().and_then(|offset| heard.get_mut(offset)) else {
                continue;
            };
            match message.content().map_err(Cause::Malformed)? {
                Content::Acknowledgement(answer) => {
                    let errno = answer.errno.map(|errno| Errno::from_raw(errno.get()));
                    *slot = Some(errno.map_or(Answer::Done, Answer::Refused));
                }
                Content::Overrun => return Err(Cause::AnswersLost),
                Content::Family(_) | Content::Done { .. } | Content::Noop => {}
            }
        }
        Ok(heard.last().is_some_and(Option::is_some))
    }
}

/// Sets `NLM_F_ACK` in the message that starts at `start`.
fn acknowledge(batch: &mut [u8], start: usize) {
    // `struct nlmsghdr`: 32 bits of length, 16 of type, 16 of flags.
    if let Some(flags) = batch.get_mut(start + 6..start + 8) {
        let asked = u16::from_ne_bytes([flags[0], flags[1]]) | NLM_F_ACK;
        flags.copy_from_slice(&asked.to_ne_bytes());
    }
}
