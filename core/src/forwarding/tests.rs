use super::*;

fn all() -> Vec<Forwarding> {
    let gue = |checksum| Encapsulation::Gue { port: 6080, checksum };
    let tunnels = [
        Encapsulation::Ipip,
        gue(GueChecksum::Absent),
        gue(GueChecksum::Udp),
        gue(GueChecksum::Remote),
        Encapsulation::Gre { checksum: false },
        Encapsulation::Gre { checksum: true },
    ];
    let others = [Forwarding::DirectRouting, Forwarding::Masquerade, Forwarding::FullNat];
    tunnels.into_iter().map(Forwarding::Tunnel).chain(others).collect()
}

#[test]
fn a_method_reads_back_what_it_writes() {
    for forwarding in all() {
        let text = serde_json::to_string(&forwarding).unwrap();
        assert_eq!(serde_json::from_str::<Forwarding>(&text).unwrap(), forwarding, "{text}");
    }
    let text = r#"{"method":"Tunnel","tunnel":{"type":"GUE","port":6080,"checksum":"Remote"}}"#;
    let read: Forwarding = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
}

#[test]
fn each_has_settings_of_its_own_in_the_kernel() {
    // But for full NAT, which is masquerading to IPVS.
    let settings: BTreeSet<_> = all().into_iter().map(Forwarding::settings).collect();
    assert_eq!(settings.len(), all().len() - 1);
    assert_eq!(Forwarding::FullNat.settings(), Forwarding::Masquerade.settings());
}

#[test]
fn only_a_tunnel_reaches_the_other_family() {
    let (v4, v6): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap());
    let tunnel = Forwarding::Tunnel(Encapsulation::Ipip);
    for (forwarding, addresses, wanted) in [
        (Forwarding::DirectRouting, vec![v4], None),
        (Forwarding::DirectRouting, vec![v4, v6], Some(v6)),
        (Forwarding::Masquerade, vec![v4], None),
        (tunnel, vec![v4], Some(v4)),
        (tunnel, vec![v4, v6], Some(v6)),
        (tunnel, vec![], None),
    ] {
        assert_eq!(forwarding.address(&addresses, Family::IPv6), wanted);
    }
    let both = tunnel.receptions(&[v4], [Family::IPv4, Family::IPv6]);
    assert_eq!(
        both.iter().map(|reception| reception.carries).collect::<Vec<_>>(),
        [Family::IPv4, Family::IPv6]
    );
}
