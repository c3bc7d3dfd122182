//! Dumps: everything of one kind, in many messages.

use netlink_packet_core::{DecodeError, NLM_F_DUMP_INTR};
use netlink_packet_ipvs::{Content, Messages};
use nix::errno::Errno;

use super::{Encode, Parse, Socket, receive, refused};
use crate::kernel::error::{Cause, Error};

/// How often a dump is begun anew because the kernel said that something changed during it.
const ATTEMPTS: usize = 8;

impl Socket {
    /// Sends one dump request and parses each of its messages; what parses to `None` is left out.
    pub(in crate::kernel) fn dump<T>(
        &mut self,
        doing: &'static str,
        encode: Encode<'_>,
        parse: Parse<'_, Option<T>>,
    ) -> Result<Vec<T>, Error> {
        for _ in 0..ATTEMPTS {
            match self.dump_once(encode, parse) {
                Ok(Dump { interrupted: true, .. }) => {}
                Ok(dump) => return dump.entries.map_err(|error| self.failed(doing, Cause::Malformed(error))),
                Err(cause) => return Err(self.failed(doing, cause)),
            }
        }
        Err(Error { doing, cause: Cause::Changing })
    }

    fn dump_once<T>(&mut self, encode: Encode<'_>, parse: Parse<'_, Option<T>>) -> Result<Dump<T>, Cause> {
        let sequence = self.next_sequence();
        self.sent.clear();
        encode(sequence, &mut self.sent);
        self.send()?;
        let mut dump = Dump { entries: Ok(Vec::new()), interrupted: false };
        loop {
            receive(&self.kernel, &mut self.received)?;
            for message in Messages::new(&self.received) {
                let message = message.map_err(Cause::Malformed)?;
                if message.header.sequence != sequence {
                    continue;
                }
                dump.interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
                match message.content().map_err(Cause::Malformed)? {
                    Content::Family(payload) => dump.add(parse(message.header.message_type, payload)),
                    Content::Done { errno: None, .. } => return Ok(dump),
                    Content::Done { errno: Some(errno), text } => {
                        let text = text.map(str::to_owned);
                        return Err(Cause::Refused { errno: Errno::from_raw(errno.get()), text });
                    }
                    Content::Acknowledgement(answer) => {
                        if let Some(cause) = refused(&answer) {
                            return Err(cause);
                        }
                    }
                    Content::Overrun => return Err(Cause::AnswersLost),
                    Content::Noop => {}
                }
            }
        }
    }
}

/// A dump on its way in. One message that does not parse spoils it, but it is still read to its end: until then the
/// kernel refuses the next dump on this socket.
struct Dump<T> {
    entries: Result<Vec<T>, DecodeError>,
    interrupted: bool,
}

impl<T> Dump<T> {
    fn add(&mut self, parsed: Result<Option<T>, DecodeError>) {
        if let Ok(entries) = &mut self.entries {
            match parsed {
                Ok(entry) => entries.extend(entry),
                Err(error) => self.entries = Err(error),
            }
        }
    }
}
