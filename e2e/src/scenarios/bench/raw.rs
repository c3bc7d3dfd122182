//! The least that programming a table can cost: its messages, encoded beforehand, sent in batches and acknowledged.
//! It knows nothing of the agent's socket, so that this is a second opinion on it.

use anyhow::{Context as _, Result, bail, ensure};
use lvs_core::ipvs::{DestinationKey, VirtualServerKey};
use lvs_core::kernel::{Kernel, VirtualServer};
use netlink_packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_generic::GenlMessage;
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_packet_ipvs::{
    Content, Destination, DestinationIdentity, FAMILY_NAME, ForwardingMethod, Messages, Netmask, Reply,
    ReplyBody, Request, RequestHeader, Service, ServiceFlags, ServiceIdentity, Tunnel,
};
use netlink_sys::protocols::NETLINK_GENERIC;
use netlink_sys::{Socket, SocketAddr};
use nix::sys::socket::{setsockopt, sockopt};

/// Bytes of a batch: the length that facts showed to be the fastest.
const BATCH: usize = 64 << 10;

/// A socket to the IPVS family.
pub(super) struct Raw {
    socket: Socket,
    family: u16,
    received: Vec<u8>,
}

impl Raw {
    pub(super) fn open() -> Result<Self> {
        let mut socket = Socket::new(NETLINK_GENERIC)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_cap_ack(true)?;
        setsockopt(&socket, sockopt::RcvBufForce, &(8 << 20))?;
        setsockopt(&socket, sockopt::SndBufForce, &(8 << 20))?;
        let mut raw = Self { socket, family: 0, received: Vec::with_capacity(BATCH) };
        raw.family = raw.resolve()?;
        Ok(raw)
    }

    /// The family's number; the kernel loads the module where it is missing.
    fn resolve(&mut self) -> Result<u16> {
        let names = vec![GenlCtrlAttrs::FamilyName(FAMILY_NAME.to_owned())];
        let body = GenlMessage::from_payload(GenlCtrl { cmd: GenlCtrlCmd::GetFamily, nlas: names });
        let mut message = NetlinkMessage::from(body);
        message.header.flags = NLM_F_REQUEST;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        self.receive()?;
        let answer = NetlinkMessage::<GenlMessage<GenlCtrl>>::deserialize(&self.received)?;
        let NetlinkPayload::InnerMessage(answer) = answer.payload else {
            bail!("there is no IPVS: {answer:?}")
        };
        let mut attributes = answer.payload.nlas.into_iter();
        let id =
            attributes.find_map(|nla| if let GenlCtrlAttrs::FamilyId(id) = nla { Some(id) } else { None });
        id.context("the family has no number")
    }

    /// The messages that make a table in an empty kernel, in batches of which the last message asks for an answer.
    pub(super) fn messages(&self, wanted: &Kernel) -> Result<Vec<Vec<u8>>> {
        let mut requests = Vec::new();
        for (key, server) in &wanted.virtual_servers {
            let port = key.port();
            let address = key.vip().context("a service without a VIP")?;
            let identity = ServiceIdentity::Tuple { protocol: 6, address, port };
            requests.push(Request::NewService(service(identity, server)?));
            for (destination, settings) in &server.destinations {
                let identity_of =
                    DestinationIdentity { address: destination.address, port: destination.port };
                let destination = Destination {
                    identity: identity_of,
                    forwarding: ForwardingMethod::DirectRouting,
                    weight: i32::try_from(settings.weight)?,
                    upper_threshold: 0,
                    lower_threshold: 0,
                    tunnel: Tunnel::default(),
                };
                requests.push(Request::NewDest(identity, destination));
            }
        }
        Ok(self.batches(&requests))
    }

    fn batches(&self, requests: &[Request]) -> Vec<Vec<u8>> {
        let (mut batches, mut batch) = (Vec::new(), Vec::with_capacity(BATCH));
        for (index, request) in requests.iter().enumerate() {
            let mut bytes = Vec::new();
            let last = requests.len() == index + 1;
            let sequence = u32::try_from(index).unwrap_or(u32::MAX);
            let header = |acknowledge| RequestHeader { family_id: self.family, sequence, acknowledge };
            request.encode(header(false), &mut bytes);
            let full = batch.len() + 2 * bytes.len() > BATCH;
            if full || last {
                bytes.clear();
                request.encode(header(true), &mut bytes);
            }
            batch.extend_from_slice(&bytes);
            if full || last {
                batches.push(std::mem::take(&mut batch));
            }
        }
        batches
    }

    /// Sends batches and waits for the answer to each.
    pub(super) fn send(&mut self, batches: &[Vec<u8>]) -> Result<()> {
        for batch in batches {
            self.socket.send(batch, 0)?;
            self.receive()?;
            for message in Messages::new(&self.received) {
                let message = message?;
                let Content::Acknowledgement(answer) = message.content()? else { continue };
                ensure!(answer.errno.is_none(), "refused: {answer:?}");
            }
        }
        Ok(())
    }

    /// The weight of one real server, as the kernel has it now; `None` where it has no such real server.
    pub(super) fn weight(
        &mut self,
        service: &VirtualServerKey,
        destination: &DestinationKey,
    ) -> Result<Option<u32>> {
        let address = service.vip().context("a service without a VIP")?;
        let identity = ServiceIdentity::Tuple { protocol: 6, address, port: service.port() };
        let mut question = Vec::new();
        let header = RequestHeader { family_id: self.family, sequence: 0, acknowledge: false };
        Request::GetDests(identity).encode(header, &mut question);
        self.socket.send(&question, 0)?;
        let mut weight = None;
        loop {
            self.receive()?;
            for message in Messages::new(&self.received) {
                match message?.content()? {
                    Content::Family(payload) => {
                        let ReplyBody::Destination(entry) = Reply::parse(payload, None)?.body else {
                            continue;
                        };
                        let DestinationIdentity { address, port } = entry.destination.identity;
                        if (address, port) == (destination.address, destination.port) {
                            weight = Some(u32::try_from(entry.destination.weight)?);
                        }
                    }
                    Content::Done { errno: None, .. } => return Ok(weight),
                    other => bail!("not the real servers of a service: {other:?}"),
                }
            }
        }
    }

    fn receive(&mut self) -> Result<()> {
        self.received.clear();
        self.socket.recv(&mut self.received, 0)?;
        Ok(())
    }
}

fn service(identity: ServiceIdentity, server: &VirtualServer) -> Result<Service> {
    Ok(Service {
        identity,
        scheduler: server.settings.scheduler.as_str().parse().context("a scheduler's name")?,
        flags: ServiceFlags::NONE,
        flags_mask: ServiceFlags::ALL,
        timeout: 0,
        netmask: Netmask::single_address(identity.family()),
        persistence_engine: None,
    })
}
