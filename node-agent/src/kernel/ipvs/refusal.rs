//! What an error number of IPVS means. ENOENT alone has four meanings, told apart by the command.

use lvs_core::kernel::{Op, Refusal};
use nix::errno::Errno;

use crate::kernel::socket::Answer;

/// The refusal that an answer to this operation is; none where it was carried out.
pub(super) fn of(op: &Op, answer: Answer) -> Option<Refusal> {
    let errno = match answer {
        Answer::Done => return None,
        Answer::Refused(errno) => errno,
        Answer::Unknown(errno) => return Some(Refusal::Other(errno as i32)),
    };
    Some(match (errno, op) {
        (Errno::EEXIST, _) => Refusal::Exists,
        (Errno::ESRCH, _) => Refusal::NoVirtualServer,
        (Errno::ENOENT, Op::AddVirtualServer(..) | Op::SetVirtualServer(..)) => Refusal::NoScheduler,
        (Errno::ENOENT, Op::SetDestination(..) | Op::RemoveDestination(..)) => Refusal::NoDestination,
        // No other command looks for anything but the family.
        (Errno::ENOENT, _) => Refusal::NoIpvs,
        (Errno::ERANGE, _) => Refusal::OutOfRange,
        // Linux 6.12 and later check the upper threshold by itself.
        (Errno::EINVAL, Op::AddDestination(_, _, settings) | Op::SetDestination(_, _, settings))
            if settings.upper_threshold > i32::MAX.unsigned_abs() =>
        {
            Refusal::OutOfRange
        }
        (Errno::EINVAL, Op::AddDestination(..) | Op::SetDestination(..)) => Refusal::InvalidAddress,
        (Errno::EPERM, _) => Refusal::NotPermitted,
        (other, _) => Refusal::Other(other as i32),
    })
}

#[cfg(test)]
mod tests {
    use lvs_core::ipvs::{DestinationSettings, ForwardingMethod, VirtualServerSettings};

    use super::*;

    #[test]
    fn each_error_is_read_by_the_command_that_got_it() {
        let server = "TCP 192.168.10.40:80".parse().unwrap();
        let destination = "192.168.10.10:80".parse().unwrap();
        let settings = VirtualServerSettings {
            scheduler: "rr".parse().unwrap(),
            flags: 0,
            persistence: None,
            persistence_engine: None,
        };
        let mut destination_settings = DestinationSettings {
            method: ForwardingMethod::DirectRouting,
            weight: 1,
            upper_threshold: 0,
            lower_threshold: 0,
            tunnel: None,
        };
        let refused = |op: Op, errno| of(&op, Answer::Refused(errno));
        let add_server = Op::AddVirtualServer(server, settings);
        let add = Op::AddDestination(server, destination, destination_settings);
        let remove = Op::RemoveDestination(server, destination);
        assert_eq!(of(&add, Answer::Done), None);
        assert_eq!(refused(add_server, Errno::EEXIST), Some(Refusal::Exists));
        assert_eq!(refused(add_server, Errno::ENOENT), Some(Refusal::NoScheduler));
        assert_eq!(refused(remove, Errno::ENOENT), Some(Refusal::NoDestination));
        assert_eq!(refused(remove, Errno::ESRCH), Some(Refusal::NoVirtualServer));
        assert_eq!(refused(Op::RemoveVirtualServer(server), Errno::ENOENT), Some(Refusal::NoIpvs));
        assert_eq!(refused(add, Errno::EINVAL), Some(Refusal::InvalidAddress));
        let set = Op::SetDestination(server, destination, destination_settings);
        assert_eq!(refused(set, Errno::EINVAL), Some(Refusal::InvalidAddress));
        assert_eq!(refused(add, Errno::ERANGE), Some(Refusal::OutOfRange));
        assert_eq!(refused(add, Errno::EPERM), Some(Refusal::NotPermitted));
        assert_eq!(refused(add, Errno::EAFNOSUPPORT), Some(Refusal::Other(97)));
        assert_eq!(of(&add, Answer::Unknown(Errno::ENOBUFS)), Some(Refusal::Other(105)));
        destination_settings.upper_threshold = u32::MAX;
        let set = Op::SetDestination(server, destination, destination_settings);
        assert_eq!(refused(set, Errno::EINVAL), Some(Refusal::OutOfRange));
    }
}
