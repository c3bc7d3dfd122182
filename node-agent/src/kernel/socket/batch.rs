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
            let indices = answers.len()..count;
            let batch = Batch::fill(&mut self.sent, &mut self.sequence, indices, longest, encode);
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

    /// Sends what [`Batch::fill`] wrote, and adds an answer for each request of it. Where it fails, answers may have
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
pub(super) struct Batch {
    /// Index of the first request among all.
    first: usize,
    /// How many there are.
    count: usize,
    /// The sequence number of the first; the others follow it.
    first_sequence: u32,
}

impl Batch {
    /// Writes so many requests, however long they get, and asks for an acknowledgement of the last.
    pub(super) fn fill_whole(
        bytes: &mut Vec<u8>,
        sequence: &mut u32,
        count: usize,
        encode: &mut dyn FnMut(usize, u32, &mut Vec<u8>),
    ) -> Self {
        let batch = Self { first: 0, count, first_sequence: sequence.wrapping_add(1) };
        bytes.clear();
        let mut last = 0;
        for index in 0..count {
            last = bytes.len();
            *sequence = sequence.wrapping_add(1);
            encode(index, *sequence, bytes);
        }
        acknowledge(bytes, last);
        batch
    }

    /// Writes as many of the requests of `indices` as fit, and asks for an acknowledgement of the last. `sequence` is
    /// the last number that was used, before and after.
    fn fill(
        bytes: &mut Vec<u8>,
        sequence: &mut u32,
        indices: Range<usize>,
        longest: usize,
        encode: &mut dyn FnMut(usize, u32, &mut Vec<u8>),
    ) -> Self {
        let mut batch = Self { first: indices.start, count: 0, first_sequence: sequence.wrapping_add(1) };
        bytes.clear();
        let mut last = 0;
        for index in indices.take(longest) {
            let start = bytes.len();
            encode(index, sequence.wrapping_add(1), bytes);
            if bytes.len() > LONGEST_BYTES && batch.count > 0 {
                bytes.truncate(start);
                break;
            }
            *sequence = sequence.wrapping_add(1);
            batch.count += 1;
            last = start;
        }
        acknowledge(bytes, last);
        batch
    }

    /// Reads one receive into what was heard of each request; true once the last one's answer has come.
    pub(super) fn hear(&self, received: &[u8], heard: &mut [Option<Answer>]) -> Result<bool, Cause> {
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

#[cfg(test)]
mod tests {
    use netlink_packet_core::{NLM_F_REQUEST, NLMSG_ERROR};

    use super::*;
    use crate::kernel::rtnetlink::{Bytes, message};

    /// Fills a batch of requests that are `size` bytes long, behind the sequence number 2^32 − 2.
    fn filled(indices: Range<usize>, longest: usize, size: usize) -> (Batch, Vec<u8>) {
        let (mut bytes, mut sequence) = (vec![1, 2, 3], u32::MAX - 1);
        let body = vec![0; size - 16];
        let batch = Batch::fill(&mut bytes, &mut sequence, indices, longest, &mut |_, sequence, bytes| {
            message(31, NLM_F_REQUEST, sequence, &[&Bytes(&body)], bytes);
        });
        assert_eq!(sequence.wrapping_sub(u32::MAX - 1) as usize, batch.count);
        (batch, bytes)
    }

    fn headers(bytes: &[u8]) -> Vec<(u32, u16)> {
        Messages::new(bytes)
            .map(|message| message.unwrap().header)
            .map(|head| (head.sequence, head.flags))
            .collect()
    }

    #[test]
    fn the_last_request_of_a_batch_and_no_other_asks_for_an_acknowledgement() {
        let (batch, bytes) = filled(4..9, 3, 20);
        assert_eq!((batch.first, batch.count), (4, 3));
        let asked = NLM_F_REQUEST | NLM_F_ACK;
        assert_eq!(headers(&bytes), [(u32::MAX, NLM_F_REQUEST), (0, NLM_F_REQUEST), (1, asked)]);
    }

    #[test]
    fn a_batch_is_never_longer_than_64_kib_but_never_empty() {
        let (batch, bytes) = filled(0..500, 256, 1024);
        assert_eq!((batch.count, bytes.len()), (64, LONGEST_BYTES));
        assert_eq!(filled(0..2, 256, 2 * LONGEST_BYTES).0.count, 1);
    }

    /// `struct nlmsgerr` with a capped request, as the kernel sends it.
    fn answer(sequence: u32, errno: Errno) -> Vec<u8> {
        let mut body = (-(errno as i32)).to_ne_bytes().to_vec();
        message(31, NLM_F_REQUEST, sequence, &[], &mut body);
        let mut bytes = Vec::new();
        message(NLMSG_ERROR, netlink_packet_core::NLM_F_CAPPED, sequence, &[&Bytes(&body)], &mut bytes);
        bytes
    }

    #[test]
    fn answers_are_matched_by_their_sequence_numbers() {
        let batch = Batch { first: 0, count: 3, first_sequence: u32::MAX };
        let mut heard = vec![None; 3];
        // A late answer of the batch before, and a refusal.
        let early = [answer(u32::MAX - 1, Errno::EPERM), answer(0, Errno::EEXIST)].concat();
        assert!(!batch.hear(&early, &mut heard).unwrap());
        assert!(batch.hear(&answer(1, Errno::UnknownErrno), &mut heard).unwrap());
        assert_eq!(heard, [None, Some(Answer::Refused(Errno::EEXIST)), Some(Answer::Done)]);
    }
}
