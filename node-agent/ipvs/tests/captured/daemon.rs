use netlink_packet_ipvs::{Daemon, DaemonState, ReplyBody, Request};

use crate::ip;
use crate::transcript::{Step, check};

#[test]
fn daemon_is_started_listed_and_stopped() {
    let daemon = Daemon {
        state: DaemonState::Master,
        interface: "eth0".parse().unwrap(),
        sync_id: 7,
        maximum_length: Some(1400),
        multicast_port: Some(8849),
        multicast_ttl: Some(2),
        multicast_group: Some(ip("224.0.0.82")),
    };
    check(
        include_str!("../captures/daemon.txt"),
        vec![
            (
                "ipvsadm --start-daemon master --mcast-interface eth0 --syncid 7 --sync-maxlen 1400 \
                 --mcast-group 224.0.0.82 --mcast-port 8849 --mcast-ttl 2",
                vec![Step::Asked(Request::NewDaemon(daemon)), Step::Acknowledged],
            ),
            (
                "ipvsadm -L --daemon",
                vec![Step::Asked(Request::GetDaemons), Step::Told(ReplyBody::Daemon(daemon)), Step::Done],
            ),
            // ipvsadm adds an empty interface and the synchronisation id 0.
            (
                "ipvsadm --stop-daemon master",
                vec![
                    Step::AskedWithSurplus(
                        Request::DelDaemon(DaemonState::Master),
                        "0a010000 0c000380 0800010001000000".into(),
                    ),
                    Step::Acknowledged,
                ],
            ),
        ],
    );
}
