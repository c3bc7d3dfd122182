use netlink_packet_core::DecodeError;

/// The name under which the kernel registers the family; its id is dynamic and changes when the module is
/// loaded again (`IPVS_GENL_NAME`).
pub const FAMILY_NAME: &str = "IPVS";

/// The version in each message's generic netlink header (`IPVS_GENL_VERSION`). The kernel ignores it.
pub const FAMILY_VERSION: u8 = 1;

/// The family's commands (`enum` of `IPVS_CMD_*` in `linux/ip_vs.h`).
///
/// Requests and replies share the numbers: a reply to `GetService` is a `NewService`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Command {
    /// Adds a service; as a reply, describes one.
    NewService = 1,
    /// Changes a service.
    SetService = 2,
    /// Removes a service with its destinations.
    DelService = 3,
    /// Asks for one service or, as a dump, for all of the network namespace.
    GetService = 4,
    /// Adds a destination; as a reply, describes one.
    NewDest = 5,
    /// Changes a destination.
    SetDest = 6,
    /// Removes a destination.
    DelDest = 7,
    /// Asks for the destinations of one service; a dump only.
    GetDest = 8,
    /// Starts a synchronisation daemon; as a reply, describes one.
    NewDaemon = 9,
    /// Stops a synchronisation daemon.
    DelDaemon = 10,
    /// Asks for the running synchronisation daemons; a dump only.
    GetDaemon = 11,
    /// Sets the connection timeouts; as a reply, tells them.
    SetConfig = 12,
    /// Asks for the connection timeouts.
    GetConfig = 13,
    /// Tells version and table size; a reply only.
    SetInfo = 14,
    /// Asks for version and table size.
    GetInfo = 15,
    /// Zeroes the counters of one service or of all.
    Zero = 16,
    /// Removes every service of the network namespace.
    Flush = 17,
}

impl TryFrom<u8> for Command {
    type Error = DecodeError;

    fn try_from(number: u8) -> Result<Self, DecodeError> {
        Ok(match number {
            1 => Self::NewService,
            2 => Self::SetService,
            3 => Self::DelService,
            4 => Self::GetService,
            5 => Self::NewDest,
            6 => Self::SetDest,
            7 => Self::DelDest,
            8 => Self::GetDest,
            9 => Self::NewDaemon,
            10 => Self::DelDaemon,
            11 => Self::GetDaemon,
            12 => Self::SetConfig,
            13 => Self::GetConfig,
            14 => Self::SetInfo,
            15 => Self::GetInfo,
            16 => Self::Zero,
            17 => Self::Flush,
            _ => return Err(DecodeError::from(format!("unknown IPVS command {number}"))),
        })
    }
}
