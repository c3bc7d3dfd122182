use netlink_packet_ipvs::{
    Command, Daemon, DaemonState, Destination, DestinationIdentity, ForwardingMethod, Messages, Netmask,
    Request, RequestHeader, Service, ServiceFlags, ServiceIdentity, Timeouts, Tunnel, TunnelType,
};

use crate::{bytes, http, ip};

/// Both ways: `request` as the message whose attributes are `attributes`, without acknowledgement.
fn check(request: Request, flags: &str, command: &str, attributes: &str) {
    let attributes = bytes(attributes);
    let length = u32::try_from(attributes.len() + 20).unwrap().to_le_bytes();
    let mut expected = length.to_vec();
    expected.extend(bytes(&format!("1e00 {flags} 2a000000 00000000 {command}010000")));
    expected.extend(&attributes);

    let mut encoded = Vec::new();
    request.encode(RequestHeader { family_id: 30, sequence: 42, acknowledge: false }, &mut encoded);
    assert_eq!(encoded, expected);
    let command = Command::try_from(bytes(command)[0]).unwrap();
    assert_eq!(Request::parse(command, &attributes).unwrap(), request);
}

/// `ipvsadm` 1.31 says "illegal real server address"; the kernel allows it with a tunnel.
#[test]
fn destination_of_another_family_than_its_service() {
    let destination = Destination {
        identity: DestinationIdentity { address: ip("fd00::2"), port: 80 },
        forwarding: ForwardingMethod::Tunnel,
        weight: 1,
        upper_threshold: 0,
        lower_threshold: 0,
        tunnel: Tunnel::default(),
    };
    check(
        Request::NewDest(http(), destination),
        "0100",
        "05",
        "30000180 0600010002000000 0600020006000000 140003000a000001000000000000000000000000 0600040000500000
         60000280 06000b000a000000 14000100fd000000000000000000000000000002 0600020000500000
                  0800030002000000 0800040001000000 05000d0000000000 06000e0000000000 06000f0000000000
                  0800050000000000 0800060000000000",
    );
    // The family counts also where only the identity is sent: without it the kernel would look for 253.0.0.0.
    check(
        Request::DelDest(http(), destination.identity),
        "0100",
        "07",
        "30000180 0600010002000000 0600020006000000 140003000a000001000000000000000000000000 0600040000500000
         28000280 06000b000a000000 14000100fd000000000000000000000000000002 0600020000500000",
    );
}

#[test]
fn flags_are_sets() {
    let both = ServiceFlags::SCHEDULER_1 | ServiceFlags::SCHEDULER_2;
    assert_eq!(both, ServiceFlags(0x18));
    assert!(both.contains(ServiceFlags::SCHEDULER_1) && ServiceFlags::ALL.contains(both));
    assert!(!ServiceFlags::SCHEDULER_1.contains(both));
    assert_eq!(both.without(ServiceFlags::SCHEDULER_1 | ServiceFlags::HASHED), ServiceFlags::SCHEDULER_2);
}

#[test]
fn flags_are_changed_by_mask() {
    let service = Service {
        identity: http(),
        scheduler: "rr".parse().unwrap(),
        flags: ServiceFlags::ONE_PACKET,
        flags_mask: ServiceFlags::ONE_PACKET | ServiceFlags::PERSISTENT,
        timeout: 0,
        netmask: Netmask::single_address(http().family()),
        persistence_engine: None,
    };
    check(
        Request::SetService(service),
        "0100",
        "02",
        "54000180 0600010002000000 0600020006000000 140003000a000001000000000000000000000000 0600040000500000
                  0700060072720000 0c00070004000000 05000000 0800080000000000 08000900ffffffff",
    );
}

/// The kernel takes a protocol of 300, a forwarding method of 5, a tunnel type of 9 and unnamed flags.
#[test]
fn numbers_without_a_name_are_kept() {
    let identity = ServiceIdentity::Tuple { protocol: 300, address: ip("10.0.0.1"), port: 80 };
    let service = Service {
        identity,
        scheduler: "none".parse().unwrap(),
        flags: ServiceFlags(0x40),
        flags_mask: ServiceFlags::ALL,
        timeout: u32::MAX,
        netmask: Netmask::Ipv4([1, 2, 3, 4].into()),
        persistence_engine: Some("sixteen-bytes-pe".parse().unwrap()),
    };
    check(
        Request::NewService(service),
        "0100",
        "01",
        "70000180 0600010002000000 060002002c010000 140003000a000001000000000000000000000000 0600040000500000
                  090006006e6f6e6500000000 15000b007369787465656e2d62797465732d706500000000
                  0c00070040000000ffffffff 08000800ffffffff 0800090001020304",
    );
    let destination = Destination {
        identity: DestinationIdentity { address: ip("10.0.0.2"), port: 80 },
        forwarding: ForwardingMethod::Other(0x103),
        weight: -1,
        upper_threshold: u32::MAX,
        lower_threshold: 7,
        tunnel: Tunnel { kind: TunnelType::Other(9), port: 258, flags: 0x8001 },
    };
    check(
        Request::SetDest(identity, destination),
        "0100",
        "06",
        "30000180 0600010002000000 060002002c010000 140003000a000001000000000000000000000000 0600040000500000
         60000280 06000b0002000000 140001000a000002000000000000000000000000 0600020000500000
                  0800030003010000 08000400ffffffff 05000d0009000000 06000e0001020000 06000f0001800000
                  08000500ffffffff 0800060007000000",
    );
}

#[test]
fn daemon_with_an_ipv6_group_and_one_with_defaults() {
    let backup = Daemon {
        state: DaemonState::Backup,
        interface: "a-15-byte-name0".parse().unwrap(),
        sync_id: 256,
        maximum_length: None,
        multicast_port: None,
        multicast_ttl: None,
        multicast_group: Some(ip("ff02::51")),
    };
    check(
        Request::NewDaemon(backup),
        "0100",
        "09",
        "3c000380 0800010002000000 14000200612d31352d627974652d6e616d653000
                  0800030000010000 14000600ff020000000000000000000000000051",
    );
    let defaults = Daemon { state: DaemonState::Other(3), multicast_group: None, ..backup };
    check(
        Request::NewDaemon(defaults),
        "0100",
        "09",
        "28000380 0800010003000000 14000200612d31352d627974652d6e616d653000 0800030000010000",
    );
}

#[test]
fn timeouts_that_stay_as_they_are_are_not_sent() {
    let timeouts = Timeouts { tcp_fin: Some(7), ..Timeouts::default() };
    check(Request::SetConfig(timeouts), "0100", "0c", "0800050007000000");
    check(Request::SetConfig(Timeouts::default()), "0100", "0c", "");
}

#[test]
fn dumps_carry_the_dump_flag() {
    check(Request::GetServices, "0103", "04", "");
    check(Request::GetDaemons, "0103", "0b", "");
    check(
        Request::GetDests(http()),
        "0103",
        "08",
        "30000180 0600010002000000 0600020006000000 140003000a000001000000000000000000000000 0600040000500000",
    );
}

/// The kernel takes an IPv4 address of four bytes and flags without a mask, and nests with and without flag.
#[test]
fn shorter_forms_that_the_kernel_takes_are_read() {
    let attributes = bytes(
        "44000100 0600010002000000 0600020006000000 080003000a000001 0600040000500000
                  0700060072720000 0800070001000000 080008003c000000 08000900ffffff00",
    );
    let Request::NewService(service) = Request::parse(Command::NewService, &attributes).unwrap() else {
        panic!("not a new service");
    };
    assert_eq!(service.identity, http());
    assert_eq!((service.flags, service.flags_mask), (ServiceFlags::PERSISTENT, ServiceFlags::NONE));
    assert_eq!(service.netmask, Netmask::Ipv4([255, 255, 255, 0].into()));
}

#[test]
fn batch_is_messages_one_behind_the_other() {
    let destination = DestinationIdentity { address: ip("10.0.0.2"), port: 80 };
    let requests = [
        Request::DelDest(http(), destination),
        Request::DelDaemon(DaemonState::Master),
        Request::Zero(Some(http())),
        Request::GetConfig,
    ];
    let mut batch = Vec::new();
    for (sequence, request) in (1..).zip(requests) {
        let last = sequence == 4;
        request.encode(RequestHeader { family_id: 30, sequence, acknowledge: last }, &mut batch);
        assert_eq!(batch.len() % 4, 0);
    }
    let messages: Vec<_> = Messages::new(&batch).collect::<Result<_, _>>().unwrap();
    let read = messages.iter().map(|message| {
        let command = Command::try_from(message.payload[0]).unwrap();
        (
            message.header.sequence,
            message.header.flags,
            Request::parse(command, &message.payload[4..]).unwrap(),
        )
    });
    let expected = [(1, 1), (2, 1), (3, 1), (4, 5)];
    assert!(read.eq(
        expected.into_iter().zip(requests).map(|((sequence, flags), request)| (sequence, flags, request))
    ));
}
