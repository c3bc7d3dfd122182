use netlink_packet_core::{
    DecodeError, Emitable, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, ParseableParametrized,
};
use netlink_packet_generic::{GenlFamily, GenlHeader};

use crate::attribute::{attributes, required};
use crate::daemon::DaemonAttributes;
use crate::destination::wire::DestinationAttributes;
use crate::service::wire::ServiceAttributes;
use crate::writer::Writer;
use crate::{
    Command, Daemon, DaemonState, Destination, DestinationIdentity, FAMILY_NAME, FAMILY_VERSION,
    MessageHeader, Nest, Service, ServiceIdentity, Timeouts,
};

/// Something that is asked of the kernel.
///
/// All of it, reading included, needs `CAP_NET_ADMIN` in the initial user namespace; else the answer is EPERM. The
/// kernel fills no extended error text for most refusals, so that the errors named below are all that it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Adds a service. EEXIST if there is one of this identity; ENOENT for an unknown scheduler or engine.
    NewService(Service),
    /// Changes all of a service but its identity. ESRCH if there is none.
    SetService(Service),
    /// Removes a service with its destinations. ESRCH if there is none.
    DelService(ServiceIdentity),
    /// Asks for one service. ESRCH if there is none.
    GetService(ServiceIdentity),
    /// Asks for every service of the network namespace; a dump, which changes made meanwhile disturb: entries may
    /// be missing or come twice.
    GetServices,
    /// Adds a destination to a service. ESRCH if there is no such service, EEXIST if it has the destination.
    NewDest(ServiceIdentity, Destination),
    /// Changes all of a destination but its identity. ESRCH if there is no such service, ENOENT if it has no such
    /// destination.
    SetDest(ServiceIdentity, Destination),
    /// Removes a destination. Errors as [`Self::SetDest`].
    DelDest(ServiceIdentity, DestinationIdentity),
    /// Asks for the destinations of one service; a dump. It is empty too where there is no such service.
    GetDests(ServiceIdentity),
    /// Starts a synchronisation daemon. EEXIST if one of this state runs.
    NewDaemon(Daemon),
    /// Stops a synchronisation daemon. ESRCH if none of this state runs. Right after a start the kernel may send
    /// no answer at all.
    DelDaemon(DaemonState),
    /// Asks for the running synchronisation daemons; a dump.
    GetDaemons,
    /// Sets the connection timeouts of the network namespace.
    SetConfig(Timeouts),
    /// Asks for the connection timeouts.
    GetConfig,
    /// Asks for version and table size.
    GetInfo,
    /// Zeroes the counters of one service, or of all.
    Zero(Option<ServiceIdentity>),
    /// Removes every service of the network namespace, whoever made it.
    Flush,
}

/// What precedes a request on the wire, as far as the sender chooses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestHeader {
    /// The family's present id, as the kernel resolved [`FAMILY_NAME`] to it. It changes with the module's reload.
    pub family_id: u16,
    /// Comes back in every answer to this request.
    pub sequence: u32,
    /// Whether success is acknowledged too. Errors always come, and a dump always ends with a message of its own.
    pub acknowledge: bool,
}

// IPVS_CMD_ATTR_*; the timeouts follow at 4.
pub(crate) const SERVICE: u16 = 1;
pub(crate) const DEST: u16 = 2;
pub(crate) const DAEMON: u16 = 3;

impl Request {
    /// Appends the whole message to `buffer`, flags included: `NLM_F_REQUEST`, without which the kernel ignores a
    /// message, and `NLM_F_DUMP` where the request is a dump. Allocates only where `buffer` has to grow.
    ///
    /// The length is a multiple of four, so that the next request may follow: the kernel carries out all messages
    /// of one send in order, and an error stops none of the later ones. A batch holds one dump at most; a second
    /// one is refused with EBUSY.
    pub fn encode(&self, header: RequestHeader, buffer: &mut Vec<u8>) {
        let header = MessageHeader {
            message_type: header.family_id,
            flags: self.flags() | if header.acknowledge { NLM_F_ACK } else { 0 },
            sequence: header.sequence,
            port: 0,
        };
        Writer::request(buffer).message(header, self.command(), |writer| self.write(writer));
    }

    /// The flags that the kernel needs in this message's header: `NLM_F_REQUEST`, and `NLM_F_DUMP` for a dump.
    #[must_use]
    pub fn flags(&self) -> u16 {
        match self {
            Self::GetServices | Self::GetDests(_) | Self::GetDaemons => NLM_F_REQUEST | NLM_F_DUMP,
            _ => NLM_F_REQUEST,
        }
    }

    /// The command that asks for this.
    #[must_use]
    pub fn command(&self) -> Command {
        match self {
            Self::NewService(_) => Command::NewService,
            Self::SetService(_) => Command::SetService,
            Self::DelService(_) => Command::DelService,
            Self::GetService(_) | Self::GetServices => Command::GetService,
            Self::NewDest(..) => Command::NewDest,
            Self::SetDest(..) => Command::SetDest,
            Self::DelDest(..) => Command::DelDest,
            Self::GetDests(_) => Command::GetDest,
            Self::NewDaemon(_) => Command::NewDaemon,
            Self::DelDaemon(_) => Command::DelDaemon,
            Self::GetDaemons => Command::GetDaemon,
            Self::SetConfig(_) => Command::SetConfig,
            Self::GetConfig => Command::GetConfig,
            Self::GetInfo => Command::GetInfo,
            Self::Zero(_) => Command::Zero,
            Self::Flush => Command::Flush,
        }
    }

    fn write(&self, writer: &mut Writer<'_>) {
        match self {
            Self::NewService(service) | Self::SetService(service) => {
                writer.nest(SERVICE, |writer| service.write(writer));
            }
            Self::DelService(service)
            | Self::GetService(service)
            | Self::GetDests(service)
            | Self::Zero(Some(service)) => writer.nest(SERVICE, |writer| service.write(writer)),
            Self::NewDest(service, destination) | Self::SetDest(service, destination) => {
                writer.nest(SERVICE, |writer| service.write(writer));
                writer.nest(DEST, |writer| destination.write(writer));
            }
            Self::DelDest(service, destination) => {
                writer.nest(SERVICE, |writer| service.write(writer));
                writer.nest(DEST, |writer| destination.write(writer));
            }
            Self::NewDaemon(daemon) => writer.nest(DAEMON, |writer| daemon.write(writer)),
            Self::DelDaemon(state) => writer.nest(DAEMON, |writer| state.write(writer)),
            Self::SetConfig(timeouts) => timeouts.write(writer),
            Self::GetServices
            | Self::GetDaemons
            | Self::GetConfig
            | Self::GetInfo
            | Self::Zero(None)
            | Self::Flush => {}
        }
    }

    /// Reads what follows a request's generic netlink header. As the kernel does, it looks only at the attributes
    /// that the command needs.
    ///
    /// # Errors
    /// If the command is none that can be asked for, or an attribute is malformed or missing.
    pub fn parse(command: Command, attributes: &[u8]) -> Result<Self, DecodeError> {
        let nests = Nests::find(attributes)?;
        Ok(match command {
            Command::NewService => Self::NewService(nests.service()?.service()?),
            Command::SetService => Self::SetService(nests.service()?.service()?),
            Command::DelService => Self::DelService(nests.service()?.identity()?),
            Command::GetService if nests.service.is_none() => Self::GetServices,
            Command::GetService => Self::GetService(nests.service()?.identity()?),
            Command::NewDest => nests.destination().map(|(service, new)| Self::NewDest(service, new))?,
            Command::SetDest => nests.destination().map(|(service, set)| Self::SetDest(service, set))?,
            Command::DelDest => {
                let service = nests.service()?.identity()?;
                let destination = nests.destination_attributes()?.identity(Some(service.family()))?;
                Self::DelDest(service, destination)
            }
            Command::GetDest => Self::GetDests(nests.service()?.identity()?),
            Command::NewDaemon => Self::NewDaemon(nests.daemon()?.daemon()?),
            Command::DelDaemon => Self::DelDaemon(nests.daemon()?.state()?),
            Command::GetDaemon => Self::GetDaemons,
            Command::SetConfig => Self::SetConfig(Timeouts::parse(attributes, &mut Vec::new())?),
            Command::GetConfig => Self::GetConfig,
            Command::GetInfo => Self::GetInfo,
            Command::Zero if nests.service.is_none() => Self::Zero(None),
            Command::Zero => Self::Zero(Some(nests.service()?.identity()?)),
            Command::Flush => Self::Flush,
            Command::SetInfo => return Err(DecodeError::from("IPVS_CMD_SET_INFO is a reply only")),
        })
    }
}

/// The nests of a request, not yet read.
#[derive(Default)]
struct Nests<'a> {
    service: Option<&'a [u8]>,
    destination: Option<&'a [u8]>,
    daemon: Option<&'a [u8]>,
}

impl<'a> Nests<'a> {
    fn find(message: &'a [u8]) -> Result<Self, DecodeError> {
        let mut nests = Self::default();
        for attribute in attributes(message, Nest::Message) {
            let attribute = attribute?;
            match attribute.kind {
                SERVICE => nests.service = Some(attribute.value),
                DEST => nests.destination = Some(attribute.value),
                DAEMON => nests.daemon = Some(attribute.value),
                _ => {}
            }
        }
        Ok(nests)
    }

    fn service(&self) -> Result<ServiceAttributes<'a>, DecodeError> {
        ServiceAttributes::parse(required(self.service, "IPVS_CMD_ATTR_SERVICE")?, &mut Vec::new())
    }

    fn destination_attributes(&self) -> Result<DestinationAttributes<'a>, DecodeError> {
        DestinationAttributes::parse(required(self.destination, "IPVS_CMD_ATTR_DEST")?, &mut Vec::new())
    }

    fn destination(&self) -> Result<(ServiceIdentity, Destination), DecodeError> {
        let service = self.service()?.identity()?;
        let destination = self.destination_attributes()?.destination(Some(service.family()))?;
        Ok((service, destination))
    }

    fn daemon(&self) -> Result<DaemonAttributes, DecodeError> {
        DaemonAttributes::parse(required(self.daemon, "IPVS_CMD_ATTR_DAEMON")?, &mut Vec::new())
    }
}

impl GenlFamily for Request {
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

impl Emitable for Request {
    fn buffer_len(&self) -> usize {
        let mut bytes = Vec::new();
        self.write(&mut Writer::request(&mut bytes));
        bytes.len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        let mut bytes = Vec::new();
        self.write(&mut Writer::request(&mut bytes));
        buffer[..bytes.len()].copy_from_slice(&bytes);
    }
}

impl ParseableParametrized<[u8], GenlHeader> for Request {
    fn parse_with_param(attributes: &[u8], header: GenlHeader) -> Result<Self, DecodeError> {
        Self::parse(Command::try_from(header.cmd)?, attributes)
    }
}
