//! Why the kernel could not be read, or a packet not be sent.

use std::fmt;
use std::io;

use netlink_packet_core::DecodeError;
use nix::errno::Errno;

/// Why the kernel could not be read, or a packet not be sent; what was being done, and what went wrong.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {cause}{}", hint(cause))]
pub struct Error {
    /// What was being done, as in "reading the links".
    pub doing: &'static str,
    /// What went wrong.
    pub cause: Cause,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// A system call failed.
    #[error(transparent)]
    Io(io::Error),
    /// The kernel refused the request; what it said besides the error, where it said something.
    #[error("{}{}", .errno.desc(), explained(.text.as_deref()))]
    Refused {
        /// The error.
        errno: Errno,
        /// The text of the extended acknowledgement.
        text: Option<String>,
    },
    /// No answer came in time. Whether the request was carried out is not known.
    #[error("the kernel gave no answer")]
    NoAnswer,
    /// Answers were lost because too many came at once. Which requests were carried out is not known.
    #[error("answers of the kernel were lost")]
    AnswersLost,
    /// An answer was longer than the buffer for it.
    #[error("an answer of the kernel was longer than {0} bytes")]
    Truncated(usize),
    /// What was read changed while it was read, each time that it was tried.
    #[error("it changed each time while it was being read")]
    Changing,
    /// An answer does not read as what it should be.
    #[error("an answer of the kernel does not read: {0}")]
    Malformed(DecodeError),
    /// There is no such link.
    #[error("there is no link {0}")]
    NoLink(String),
}

impl Error {
    /// A system call that failed.
    pub(super) fn io(doing: &'static str, source: impl Into<io::Error>) -> Self {
        Self { doing, cause: Cause::Io(source.into()) }
    }

    /// The error number that stands for this, for [`lvs_core::kernel::Refusal::Other`].
    #[must_use]
    pub fn errno(&self) -> Errno {
        self.cause.errno()
    }

    /// Whether a capability is missing.
    #[must_use]
    pub fn is_not_permitted(&self) -> bool {
        matches!(self.errno(), Errno::EPERM | Errno::EACCES)
    }
}

impl Cause {
    pub(super) fn errno(&self) -> Errno {
        match self {
            Self::Io(source) => source.raw_os_error().map_or(Errno::EIO, Errno::from_raw),
            Self::Refused { errno, .. } => *errno,
            Self::NoAnswer => Errno::ETIMEDOUT,
            Self::AnswersLost => Errno::ENOBUFS,
            Self::Truncated(_) => Errno::EMSGSIZE,
            Self::Changing => Errno::EAGAIN,
            Self::Malformed(_) => Errno::EBADMSG,
            Self::NoLink(_) => Errno::ENODEV,
        }
    }

    /// A receive that failed, by its error number: a time-out and an overflow have their own meaning.
    pub(super) fn received(source: io::Error) -> Self {
        match source.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EAGAIN) => Self::NoAnswer,
            Some(Errno::ENOBUFS) => Self::AnswersLost,
            _ => Self::Io(source),
        }
    }
}

/// What a missing capability is called.
struct Hint(bool);

impl fmt::Display for Hint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 {
            formatter.write_str(
                " (the agent needs CAP_NET_ADMIN and CAP_NET_RAW, in the initial user namespace)",
            )?;
        }
        Ok(())
    }
}

fn hint(cause: &Cause) -> Hint {
    Hint(matches!(cause.errno(), Errno::EPERM | Errno::EACCES))
}

fn explained(text: Option<&str>) -> String {
    text.map(|text| format!(" ({text})")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_was_done_what_went_wrong_and_what_is_missing() {
        let refused = Error {
            doing: "reading the IPVS table",
            cause: Cause::Refused { errno: Errno::EPERM, text: None },
        };
        assert_eq!(
            refused.to_string(),
            "reading the IPVS table: Operation not permitted (the agent needs CAP_NET_ADMIN and CAP_NET_RAW, in the \
             initial user namespace)"
        );
        assert!(refused.is_not_permitted());
        let cause = Cause::Refused { errno: Errno::EINVAL, text: Some("Invalid prefix".to_owned()) };
        let explained = Error { doing: "adding an address", cause };
        assert_eq!(explained.to_string(), "adding an address: Invalid argument (Invalid prefix)");
    }

    #[test]
    fn a_time_out_and_an_overflow_are_told_apart() {
        let errno = |number| Cause::received(io::Error::from_raw_os_error(number));
        assert!(matches!(errno(libc::EAGAIN), Cause::NoAnswer));
        assert!(matches!(errno(libc::ENOBUFS), Cause::AnswersLost));
        assert!(matches!(errno(libc::EBADF), Cause::Io(_)));
    }
}
