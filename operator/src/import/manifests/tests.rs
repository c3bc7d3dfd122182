use super::super::ipvsadm;
use super::*;

fn naming() -> Naming {
    Naming {
        namespace: "default".to_owned(),
        group: "imported".to_owned(),
        nodes: BTreeMap::new(),
        mark_vips: BTreeMap::new(),
    }
}

#[test]
fn virtual_servers_that_differ_in_the_port_alone_are_one_service() {
    let mut table = ipvsadm::read(
        "-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.1.1:80 -g -w 1\n\
         -A -t 10.0.0.1:443 -s rr\n-a -t 10.0.0.1:443 -r 10.0.1.1:443 -g -w 1\n\
         -A -t 10.0.0.1:22 -s wlc\n",
    );
    let manifests = manifests(&mut table, &naming());
    let names: Vec<&str> =
        manifests.iter().filter_map(|manifest| manifest["metadata"]["name"].as_str()).collect();
    assert_eq!(names, ["imported", "tcp-10-0-0-1-22", "tcp-10-0-0-1-80"]);
    assert_eq!(manifests[2]["spec"]["ports"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_mark_is_one_service_for_the_vips_that_are_named() {
    let dump = "-A -f 7 -s rr -p 30\n-a -f 7 -r 10.0.1.1:0 -g -w 1\n-A -f 7 -6 -s rr -p 30 -M 64\n\
                -a -f 7 -6 -r [fd00::9]:0 -g -w 1\n-A -f 8 -s rr\n";
    let mut table = ipvsadm::read(dump);
    assert_eq!(table.left, []);
    let mark_vips = [(7, ["10.0.0.1", "fd00::1"].map(|vip| vip.parse().unwrap()).into())].into();
    let made = manifests(&mut table, &Naming { mark_vips, ..naming() });
    let [_, service] = &made[..] else { panic!("{made:?}") };
    assert_eq!(
        (&service["spec"]["firewallMark"], &service["metadata"]["name"]),
        (&json!(7), &json!("mark-7"))
    );
    assert_eq!(service["spec"]["realServers"].as_array().map(Vec::len), Some(2));
    assert_eq!(service["spec"]["persistence"], json!({"timeoutSeconds": 30, "ipv6PrefixLength": 64}));
    let [left] = &table.left[..] else { panic!("{:?}", table.left) };
    assert!(left.line == 5 && left.why.contains("--mark-vip 8=VIP"), "{left:?}");
}

#[test]
fn a_tunnel_is_what_the_operator_takes() {
    for tunnel in ["ipip", "gue --tun-port 6080 --tun-csum", "gre --tun-nocsum"] {
        let mut table = ipvsadm::read(&format!(
            "-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.1.1:80 -i -w 1 --tun-type {tunnel}\n"
        ));
        let manifests = manifests(&mut table, &naming());
        assert_eq!(table.left, []);
        assert_eq!(manifests[1]["spec"]["realServers"][0]["forwarding"]["method"], "Tunnel");
    }
}

#[test]
fn a_masqueraded_real_server_is_what_the_operator_takes_and_keeps_its_port() {
    let mut table = ipvsadm::read(
        "-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.1.1:8080 -m -w 1\n\
         -a -t 10.0.0.1:80 -r 10.0.1.1:80 -m -w 1\n\
         -A -t 10.0.0.1:443 -s rr\n-a -t 10.0.0.1:443 -r 10.0.1.1:8080 -m -w 1\n",
    );
    let manifests = manifests(&mut table, &naming());
    assert_eq!(table.left, []);
    assert_eq!(manifests.len(), 3, "another port is written at the real server, of a service with one port");
    let servers = manifests[1]["spec"]["realServers"].as_array().unwrap();
    let ports: Vec<_> = servers.iter().map(|server| (&server["name"], &server["port"])).collect();
    assert_eq!(ports, [(&json!("rs-10-0-1-1"), &Value::Null), (&json!("rs-10-0-1-1-8080"), &json!(8080))]);
}

#[test]
fn what_the_operator_would_refuse_is_left_with_its_line() {
    for (line, why) in [
        ("-A -t 10.0.0.1:0 -s rr", "needs persistence"),
        ("-A -t 10.0.0.1:53 -s rr -o", "PerPacket is for UDP"),
        ("-A -t 10.0.0.1:53 -s rr -p 10 --pe sip", "reads UDP only"),
        ("-A -t 10.0.0.1:53 -s rr -b sh-port", "flag of scheduler sh"),
        ("-A -t 10.0.0.1:53 -s rr -p 0", "write 1 to"),
    ] {
        let mut table = ipvsadm::read(&format!("# first\n{line}\n"));
        assert!(table.left.is_empty(), "{line}: {:?}", table.left);
        assert!(manifests(&mut table, &naming()).is_empty(), "{line}");
        let [left] = &table.left[..] else { panic!("{line}: {:?}", table.left) };
        assert!(left.line == 2 && left.why.contains(why), "{line}: {left:?}");
    }
}
