//! Operations on the table, whatever number the family has while they are sent.

use lvs_core::kernel::{Op, Refusal};
use netlink_packet_ipvs::Request;
use nix::errno::Errno;

use super::{IpvsModule, encode, family, refusal, translate};
use crate::kernel::error::Error;
use crate::kernel::socket::{Answer, Socket};

/// Where requests go.
pub(super) trait Receiver {
    /// The family's present number, after loading IPVS where it is missing; none where the kernel has no IPVS.
    fn resolve(&mut self) -> Result<Option<u16>, Error>;

    /// Sends `count` requests under a number of the family, and yields an answer to each.
    fn send(&mut self, family: u16, count: usize, request: &dyn Fn(usize) -> Option<Request>) -> Vec<Answer>;
}

/// The kernel, by a generic netlink socket; at most `longest` requests go in one send.
pub(super) struct Kernel<'a> {
    pub(super) socket: &'a mut Socket,
    pub(super) longest: usize,
}

impl Receiver for Kernel<'_> {
    fn resolve(&mut self) -> Result<Option<u16>, Error> {
        family::resolve(self.socket, IpvsModule::Load)
    }

    fn send(&mut self, family: u16, count: usize, request: &dyn Fn(usize) -> Option<Request>) -> Vec<Answer> {
        self.socket.batches("changing the IPVS table", count, self.longest, &mut |index, sequence, buffer| {
            if let Some(request) = request(index) {
                encode(&request, family, sequence, false, buffer);
            }
        })
    }
}

/// Carries out operations in their order and tells which were refused, by their place, in ascending order.
pub(super) fn carry_out(receiver: &mut impl Receiver, ops: &[Op]) -> Vec<(usize, Refusal)> {
    // Made once to see that it can be, and again when it is sent: keeping it costs more than making it.
    let can = |place: &usize| translate::request(&ops[*place]).is_some();
    let (mut places, not): (Vec<usize>, Vec<usize>) = (0..ops.len()).partition(can);
    let mut refusals: Vec<_> =
        not.into_iter().map(|place| (place, Refusal::Other(Errno::EINVAL as i32))).collect();
    let mut family = match receiver.resolve() {
        Ok(family) => family,
        Err(error) => return refuse_all(ops, &error),
    };
    // Twice at most: where the module was loaded anew meanwhile, its family has another number.
    for last in [false, true] {
        let Some(number) = family else { break };
        let answers = receiver.send(number, places.len(), &|index| translate::request(&ops[places[index]]));
        let missing = answers.contains(&Answer::Refused(Errno::ENOENT));
        family = if missing { receiver.resolve().unwrap_or(family) } else { family };
        let again = family != Some(number) && !last;
        let mut left = Vec::new();
        for (place, answer) in places.into_iter().zip(answers) {
            match refusal::of(&ops[place], answer) {
                Some(_) if again && answer == Answer::Refused(Errno::ENOENT) => left.push(place),
                Some(refusal) => refusals.push((place, refusal)),
                None => {}
            }
        }
        places = left;
        if places.is_empty() {
            break;
        }
    }
    // What is left was never taken by any IPVS.
    refusals.extend(places.into_iter().map(|place| (place, Refusal::NoIpvs)));
    refusals.sort_unstable_by_key(|(place, _)| *place);
    refusals
}

fn refuse_all(ops: &[Op], error: &Error) -> Vec<(usize, Refusal)> {
    tracing::warn!(%error, "IPVS operations could not be sent");
    let refusal =
        if error.is_not_permitted() { Refusal::NotPermitted } else { Refusal::Other(error.errno() as i32) };
    (0..ops.len()).map(|index| (index, refusal)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel whose family has these numbers, one after the other; it takes requests under the last one only.
    struct Reloading {
        numbers: Vec<Option<u16>>,
        resolved: usize,
        /// Those of the last send that were taken.
        taken: Vec<usize>,
        /// Whether a destination that is asked for exists.
        destinations: bool,
    }

    impl Receiver for Reloading {
        fn resolve(&mut self) -> Result<Option<u16>, Error> {
            let number = self.numbers[self.resolved.min(self.numbers.len() - 1)];
            self.resolved += 1;
            Ok(number)
        }

        fn send(
            &mut self,
            family: u16,
            count: usize,
            request: &dyn Fn(usize) -> Option<Request>,
        ) -> Vec<Answer> {
            let current = self.numbers.last() == Some(&Some(family));
            let mut answers = Vec::new();
            for index in 0..count {
                let missing = matches!(request(index), Some(Request::DelDest(..))) && !self.destinations;
                answers.push(if !current || missing { Answer::Refused(Errno::ENOENT) } else { Answer::Done });
                self.taken.extend(current.then_some(index));
            }
            answers
        }
    }

    fn sent(numbers: &[Option<u16>], destinations: bool) -> (Vec<usize>, Vec<(usize, Refusal)>) {
        let server = "TCP 192.168.10.40:80".parse().unwrap();
        let ops = [
            Op::RemoveDestination(server, "192.168.10.10:80".parse().unwrap()),
            Op::RemoveVirtualServer(server),
        ];
        let mut kernel =
            Reloading { numbers: numbers.to_vec(), resolved: 0, taken: Vec::new(), destinations };
        let refusals = carry_out(&mut kernel, &ops);
        (kernel.taken, refusals)
    }

    #[test]
    fn a_module_that_was_loaded_anew_gets_the_requests_under_its_new_number() {
        assert_eq!(sent(&[Some(29), Some(31)], true), (vec![0, 1], vec![]));
    }

    #[test]
    fn a_destination_that_is_missing_is_no_missing_family() {
        assert_eq!(sent(&[Some(29)], false), (vec![0, 1], vec![(0, Refusal::NoDestination)]));
        // Even where both are true in turn.
        assert_eq!(sent(&[Some(29), Some(31)], false), (vec![0, 1], vec![(0, Refusal::NoDestination)]));
    }

    #[test]
    fn without_ipvs_nothing_is_sent() {
        let refused = vec![(0, Refusal::NoIpvs), (1, Refusal::NoIpvs)];
        assert_eq!(sent(&[None], true), (vec![], refused.clone()));
        // Unloaded, and not to be had any more.
        assert_eq!(sent(&[Some(29), None], true), (vec![], refused));
    }
}
