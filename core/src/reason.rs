//! Why something is as it is: the reasons of conditions, verdicts and reports.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A reason, in the CamelCase that conditions use. What it is about, and what to do, stands in the message.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// The reason as it stands in a condition.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

reasons! {
    /// The specification is valid and in force.
    Accepted,
    /// A field of the object cannot be read; the message names it.
    InvalidSpec,
    /// No pool of any DirectorGroup holds the VIP.
    VipNotInPool,
    /// More than one pool holds the VIP.
    VipInSeveralPools,
    /// Another VirtualService has the same VIP, protocol and port.
    PortConflict,
    /// Another VirtualService has the same firewall mark.
    MarkConflict,
    /// Every mark for services whose ports are scheduled together is in use.
    MarksExhausted,
    /// The VIP is an address of a node, of a gateway or of the API server.
    AddressOfNode,
    /// A foreign real server's address belongs to a Node: `nodeName` is the way to say that.
    ForeignAddressIsNode,
    /// A foreign real server's address is a VIP: what is sent there comes back to a director.
    RealServerIsVip,
    /// The DirectorGroup does not allow this real server.
    RealServerNotAllowed,
    /// A file of the folder does not parse, so nothing is concluded from an object's absence.
    IncompleteSnapshot,

    /// Every reference was found.
    Resolved,
    /// A real server's node does not exist.
    NodeNotFound,
    /// A selector matches no node.
    NoNodeMatches,
    /// The DirectorGroup selects no node.
    NoDirector,
    /// Two entries name the same node; the first by name counts.
    DuplicateRealServer,
    /// The real server has no address of the VIP's family on the VIP's network.
    NoRealServerAddress,

    /// Every node has acknowledged the present revision.
    Programmed,
    /// A node has not yet reported the present revision.
    Pending,
    /// A node does not answer: it is not ready, and its agent has not reported the present revision.
    NodeUnreachable,
    /// The node's kernel has no such scheduler and cannot load one.
    SchedulerMissing,
    /// The node's kernel has no IPVS, and it could not be loaded.
    IpvsMissing,
    /// The agent lacks a capability (`CAP_NET_ADMIN` or `CAP_NET_RAW`).
    NotPermitted,
    /// The agent is too old for what the service requires.
    FeatureMissing,
    /// A slice of the plan is missing or of another hash: nothing is removed until it is whole.
    IncompletePlan,
    /// The plan's epoch is lower than one already seen.
    StalePlan,
    /// Somebody else's IPVS entry or address stands where ours would; it is left alone.
    ForeignEntry,
    /// An entry of ours was taken away by somebody else.
    ForeignChange,
    /// Somebody else writes to the node's IPVS table too; the message names who it is likely to be.
    SecondWriter,
    /// Somebody else has emptied the node's IPVS table.
    TableFlushed,
    /// ARP settings of `all` make it impossible to hide or to attract the VIP.
    ArpSettingConflict,
    /// Hiding ARP would silence an address that is not ours.
    AddressSilenced,
    /// A stranger answers for the VIP.
    AddressInUse,
    /// The uplink that the pool or the node names does not exist.
    UnknownInterface,
    /// No link leads to the VIP's network.
    NoUplink,
    /// The way to the real server goes through a gateway: by direct routing the packet would come back.
    RealServerBehindGateway,
    /// The node's kernel has no such tunnel and cannot load it; the message names the module.
    TunnelMissing,
    /// The node's kernel has no packet rules (nftables) of the kind that is needed; the message names the modules.
    PacketRulesMissing,
    /// No route of the real server's node leads by the VIP's holder, so its replies to masqueraded packets would not.
    NoReturnPath,
    /// The director forwards no IPv6 packets of others, so it would drop the replies of a masqueraded real server.
    Ipv6ForwardingOff,
    /// A real server is to redirect packets that it has to hand on as a director.
    RedirectionOnDirector,
    /// Two services want tunnels at one address of a node that exclude each other.
    TunnelConflict,
    /// The kernel refused an operation; the message has its error.
    KernelRefused,
    /// The node's `/proc/sys/net` can only be read by the agent; the message says how to let it write there.
    SysctlNotWritable,
    /// The node's kernel has no such sysctl.
    SysctlMissing,
    /// Two DirectorGroups want different node-wide settings on one node; the older one wins.
    NodeSettingConflict,

    /// Traffic flows.
    Ready,
    /// No real server is admitted yet.
    NoRealServer,
    /// The holder does not hold the VIP yet.
    HolderPending,
    /// The holder does not answer and nobody vouches that its boot is over, so the VIP does not move.
    HolderUnreachable,
    /// The VIP is moving to another director.
    HolderMoving,
    /// Not proved: there are no proofs yet.
    ProofsAbsent,

    /// A real server gets connections.
    Serving,
    /// A real server gets connections, and no agent vouches for it.
    Unverified,
    /// A real server gets no new connections.
    Quiesced,
    /// A real server is on its way out: no director sends to it any more.
    Leaving,
    /// A real server waits for its report.
    AwaitingReport,
    /// A real server's node has rebooted and not reported since.
    Rebooted,
}

impl Reason {
    /// Whether it is about a director as a whole and no service waits for it, so that its DirectorGroup alone says it.
    #[must_use]
    pub fn is_of_group(self) -> bool {
        use Reason::{SecondWriter, SysctlMissing, SysctlNotWritable, TableFlushed};
        matches!(self, SecondWriter | SysctlMissing | SysctlNotWritable | TableFlushed)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}
