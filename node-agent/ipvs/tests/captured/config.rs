use netlink_packet_ipvs::{ReplyBody, Request, Timeouts};

use crate::transcript::{Step, check};

#[test]
fn timeouts_are_set_and_listed() {
    let timeouts = |tcp, tcp_fin, udp| Timeouts { tcp: Some(tcp), tcp_fin: Some(tcp_fin), udp: Some(udp) };
    check(
        include_str!("../captures/config.txt"),
        vec![
            (
                "ipvsadm --set 900 120 300",
                vec![Step::Asked(Request::SetConfig(timeouts(900, 120, 300))), Step::Acknowledged],
            ),
            (
                "ipvsadm -L --timeout",
                vec![
                    Step::Asked(Request::GetConfig),
                    Step::Told(ReplyBody::Config(timeouts(900, 120, 300))),
                    Step::Acknowledged,
                ],
            ),
            (
                "ipvsadm --set 0 0 10",
                vec![Step::Asked(Request::SetConfig(timeouts(0, 0, 10))), Step::Acknowledged],
            ),
        ],
    );
}
