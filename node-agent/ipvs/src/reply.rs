use netlink_packet_core::{DecodeError, Emitable, ParseableParametrized};
use netlink_packet_generic::{GenlFamily, GenlHeader};

use crate::attribute::attributes;
use crate::daemon::DaemonAttributes;
use crate::destination::wire::DestinationAttributes;
use crate::request::{DAEMON, DEST, SERVICE};
use crate::service::wire::ServiceAttributes;
use crate::writer::{Padding, Writer};
use crate::{
    AddressFamily, Command, Daemon, DestinationEntry, FAMILY_NAME, FAMILY_VERSION, Info, MessageHeader, Nest,
    ServiceEntry, Timeouts, UnknownAttribute,
};

/// Something that the kernel answered; one message of a dump, or the answer to a single question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// What it describes.
    pub body: ReplyBody,
    /// The attributes that this crate does not know, in the order in which they came; nearly always empty.
    pub unknown: Vec<UnknownAttribute>,
}

/// What a reply describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyBody {
    /// Answers `GetService` and `GetServices`.
    Service(ServiceEntry),
    /// Answers `GetDests`.
    Destination(DestinationEntry),
    /// Answers `GetDaemons`.
    Daemon(Daemon),
    /// Answers `GetConfig`.
    Config(Timeouts),
    /// Answers `GetInfo`.
    Info(Info),
}

impl Reply {
    /// Reads a reply from the payload of [`crate::Content::Family`], which starts with the generic netlink header.
    ///
    /// `service_family` is the family of the service whose destinations were asked for. Kernels before 3.18 tell
    /// no family with a destination, which then has its service's.
    ///
    /// # Errors
    /// If the header is cut short, the command is no reply, or an attribute is malformed or missing.
    pub fn parse(payload: &[u8], service_family: Option<AddressFamily>) -> Result<Self, DecodeError> {
        let header = GenlHeader::parse(payload)?;
        let attributes = payload.get(netlink_packet_generic::constants::GENL_HDRLEN..).unwrap_or_default();
        Self::parse_attributes(Command::try_from(header.cmd)?, attributes, service_family)
    }

    fn parse_attributes(
        command: Command,
        message: &[u8],
        service_family: Option<AddressFamily>,
    ) -> Result<Self, DecodeError> {
        let mut unknown = Vec::new();
        let body = match command {
            Command::NewService => {
                let nest = only_nest(message, SERVICE, "IPVS_CMD_ATTR_SERVICE", &mut unknown)?;
                ReplyBody::Service(ServiceAttributes::parse(nest, &mut unknown)?.entry()?)
            }
            Command::NewDest => {
                let nest = only_nest(message, DEST, "IPVS_CMD_ATTR_DEST", &mut unknown)?;
                ReplyBody::Destination(
                    DestinationAttributes::parse(nest, &mut unknown)?.entry(service_family)?,
                )
            }
            Command::NewDaemon => {
                let nest = only_nest(message, DAEMON, "IPVS_CMD_ATTR_DAEMON", &mut unknown)?;
                ReplyBody::Daemon(DaemonAttributes::parse(nest, &mut unknown)?.daemon()?)
            }
            Command::SetConfig => ReplyBody::Config(Timeouts::parse(message, &mut unknown)?),
            Command::SetInfo => ReplyBody::Info(Info::parse(message, &mut unknown)?),
            _ => return Err(DecodeError::from(format!("{command:?} is not the command of a reply"))),
        };
        Ok(Self { body, unknown })
    }

    /// Appends the whole message to `buffer`, as the kernel writes it: the counterpart for a program that stands
    /// in for a kernel.
    pub fn encode(&self, header: MessageHeader, padding: Padding, buffer: &mut Vec<u8>) {
        let mut writer = Writer::reply(buffer, padding);
        writer.message(header, self.command(), |writer| self.write(writer));
    }

    /// The command that tells this.
    #[must_use]
    pub fn command(&self) -> Command {
        match self.body {
            ReplyBody::Service(_) => Command::NewService,
            ReplyBody::Destination(_) => Command::NewDest,
            ReplyBody::Daemon(_) => Command::NewDaemon,
            ReplyBody::Config(_) => Command::SetConfig,
            ReplyBody::Info(_) => Command::SetInfo,
        }
    }

    fn write(&self, writer: &mut Writer<'_>) {
        let unknown = &self.unknown;
        match &self.body {
            ReplyBody::Service(entry) => writer.nest(SERVICE, |writer| entry.write(writer, unknown)),
            ReplyBody::Destination(entry) => writer.nest(DEST, |writer| entry.write(writer, unknown)),
            ReplyBody::Daemon(daemon) => writer.nest(DAEMON, |writer| {
                daemon.write(writer);
                writer.unknown(unknown, Nest::Daemon);
            }),
            ReplyBody::Config(timeouts) => timeouts.write(writer),
            ReplyBody::Info(info) => info.write(writer),
        }
        writer.unknown(unknown, Nest::Message);
    }
}

/// The one nest that this reply is about; what stands beside it is kept.
fn only_nest<'a>(
    message: &'a [u8],
    kind: u16,
    name: &str,
    unknown: &mut Vec<UnknownAttribute>,
) -> Result<&'a [u8], DecodeError> {
    let mut nest = None;
    for attribute in attributes(message, Nest::Message) {
        let attribute = attribute?;
        if attribute.kind == kind {
            nest = Some(attribute.value);
        } else {
            attribute.keep(Nest::Message, unknown);
        }
    }
    crate::attribute::required(nest, name)
}

impl GenlFamily for Reply {
    fn family_name() -> &'static str {
        FAMILY_NAME
    }

    fn command(&self) -> u8 {
        self.command() as u8
    }

    fn version(&self) -> u8 {
        FAMILY_VERSION
    }
}

impl Emitable for Reply {
    fn buffer_len(&self) -> usize {
        let mut bytes = Vec::new();
        self.write(&mut Writer::reply(&mut bytes, Padding::Unpadded));
        bytes.len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        let mut bytes = Vec::new();
        self.write(&mut Writer::reply(&mut bytes, Padding::Unpadded));
        buffer[..bytes.len()].copy_from_slice(&bytes);
    }
}

/// Without knowledge of the service's family: a destination from a kernel before 3.18 is an error here.
impl ParseableParametrized<[u8], GenlHeader> for Reply {
    fn parse_with_param(attributes: &[u8], header: GenlHeader) -> Result<Self, DecodeError> {
        Self::parse_attributes(Command::try_from(header.cmd)?, attributes, None)
    }
}
