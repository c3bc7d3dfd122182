mod run;
mod settings;

use super::*;
use crate::counters::ZeroToken;
use crate::example::{FRESH, NOW, VIP, address, kernel, link, local, plan};
use crate::ipvs::{DestinationKey, Timeouts, VirtualServerKey};
use crate::kernel::{AddressAttributes, ArpSettings, Refusal};
use crate::network::Family;
use crate::reason::Reason;
use crate::render::render;
use crate::sysctl::{IpvsSysctl, Sysctl};

const SERVER: &str = "TCP 192.168.10.40:80";

/// A node with what is wanted of it: at first a holder of the example's service, and nothing there yet.
struct Node {
    wanted: Wanted,
    kernel: Kernel,
    owned: Custody,
}

fn server() -> VirtualServerKey {
    SERVER.parse().unwrap()
}

fn destination(text: &str) -> DestinationKey {
    text.parse().unwrap()
}

fn holder() -> Node {
    let (wanted, _) = render(&plan(), &local(), NOW);
    Node { wanted, kernel: kernel(), owned: Custody::default() }
}

/// A holder on which everything is done.
fn settled() -> Node {
    let mut node = holder();
    node.work();
    node
}

impl Node {
    fn diff(&self) -> (Vec<Phase>, Vec<Hold>) {
        diff(&self.wanted, &self.kernel, &self.owned, &Scope::Everything)
    }

    /// What is left to do, in words.
    fn left(&self) -> Vec<String> {
        self.diff().0.iter().flat_map(|phase| &phase.ops).map(ToString::to_string).collect()
    }

    fn held(&self) -> Vec<(Item, Reason)> {
        self.diff().1.into_iter().map(|hold| (hold.item, hold.trouble.reason)).collect()
    }

    /// Does everything that is left.
    fn work(&mut self) {
        let (phases, _) = self.diff();
        self.follow(&phases);
    }

    fn follow(&mut self, phases: &[Phase]) {
        for phase in phases {
            phase.before.iter().for_each(|record| self.owned.record(record));
            for op in &phase.ops {
                assert_eq!(self.kernel.step(op), Ok(()), "{op}");
            }
            phase.after.iter().for_each(|record| self.owned.record(record));
        }
    }

    /// What the wanted virtual server is, for somebody to have made it himself.
    fn template(&self) -> crate::kernel::VirtualServer {
        self.wanted.virtual_servers[&server()].clone()
    }
}

#[test]
fn coming_goes_from_silence_to_announcing() {
    use PhaseName::{Accept, Attract, Destinations, Hide, VirtualServers};
    let node = holder();
    let (phases, holds) = node.diff();
    assert!(holds.is_empty());
    let names: Vec<PhaseName> = phases.iter().map(|phase| phase.name).collect();
    assert_eq!(names, [Hide, Accept, VirtualServers, Destinations, Attract]);
    assert_eq!(
        node.left(),
        [
            "set ARP of eth0 to arp_ignore 1 arp_announce 2",
            "set ARP of eth1 to arp_ignore 1 arp_announce 2",
            "add address lo 192.168.10.40/32",
            "add virtual server TCP 192.168.10.40:80 rr",
            "add real server 192.168.10.10:80 weight 1 to TCP 192.168.10.40:80",
            "add address eth0 192.168.10.40/32",
        ]
    );
}

#[test]
fn going_goes_from_the_uplink_to_showing() {
    let mut node = settled();
    assert_eq!(node.left(), [""; 0]);
    node.wanted = Wanted { loopback: Some(link("lo")), ..Wanted::default() };
    assert_eq!(
        node.left(),
        [
            "remove address eth0 192.168.10.40/32",
            "remove address lo 192.168.10.40/32",
            "remove virtual server TCP 192.168.10.40:80",
            "set ARP of eth0 to arp_ignore 0 arp_announce 0",
            "set ARP of eth1 to arp_ignore 0 arp_announce 0",
        ]
    );
    node.work();
    assert_eq!((node.kernel, node.owned), (kernel(), Custody::default()));
}

#[test]
fn an_equal_entry_of_somebody_else_is_used_and_never_removed() {
    let mut node = holder();
    let template = node.template();
    node.kernel.virtual_servers.insert(server(), template);
    for on in ["lo", "eth0"] {
        let key = AddressKey::host(link(on), address(VIP));
        node.kernel.addresses.insert(key, AddressAttributes::vip(Family::IPv4));
    }
    let before = node.kernel.clone();
    assert_eq!(node.left().len(), 2, "only ARP is left: {:?}", node.left());
    node.work();
    node.wanted = Wanted::default();
    node.work();
    assert_eq!(node.kernel, before);
}

#[test]
fn a_contrary_entry_is_held_and_keeps_the_vip_off_the_uplink() {
    let mut node = holder();
    let mut theirs = node.template();
    theirs.settings.scheduler = "wlc".parse().unwrap();
    theirs.destinations.clear();
    node.kernel.virtual_servers.insert(server(), theirs.clone());
    let on_uplink = Item::Address("eth0 192.168.10.40/32".parse().unwrap());
    let foreign = Reason::ForeignEntry;
    assert_eq!(node.held(), [(Item::VirtualServer(server()), foreign), (on_uplink, foreign)]);
    let (_, holds) = node.diff();
    assert!(holds[0].trouble.message.contains("wlc, not rr"), "{}", holds[0].trouble.message);
    node.work();
    assert_eq!(node.kernel.virtual_servers[&server()], theirs);
    assert!(!node.kernel.addresses.contains_key(&"eth0 192.168.10.40/32".parse().unwrap()));
}

#[test]
fn an_entry_that_turns_contrary_loses_what_we_put_into_it() {
    let mut node = holder();
    let mut theirs = node.template();
    theirs.destinations.clear();
    node.kernel.virtual_servers.insert(server(), theirs);
    node.work();
    let ours = destination("192.168.10.10:80");
    assert!(node.owned.holds(&Item::Destination(server(), ours)));
    node.kernel.virtual_servers.get_mut(&server()).unwrap().settings.scheduler = "wlc".parse().unwrap();
    node.wanted.virtual_servers.get_mut(&server()).unwrap().destinations.clear();
    node.work();
    assert!(node.kernel.virtual_servers[&server()].destinations.is_empty());
    assert!(!node.owned.holds(&Item::Destination(server(), ours)));
}

#[test]
fn a_contrary_real_server_of_somebody_else_is_held() {
    let mut node = holder();
    let mut theirs = node.template();
    theirs.destinations.get_mut(&destination("192.168.10.10:80")).unwrap().weight = 7;
    node.kernel.virtual_servers.insert(server(), theirs.clone());
    let item = Item::Destination(server(), destination("192.168.10.10:80"));
    assert_eq!(node.held(), [(item, Reason::ForeignEntry)]);
    node.work();
    assert_eq!(node.kernel.virtual_servers[&server()], theirs);
}

#[test]
fn an_adopted_entry_becomes_ours_whole_and_goes_in_the_end() {
    let mut node = holder();
    let mut theirs = node.template();
    theirs.settings.scheduler = "wlc".parse().unwrap();
    let settings = theirs.destinations[&destination("192.168.10.10:80")];
    theirs.destinations = [(destination("192.168.10.99:80"), settings)].into();
    node.kernel.virtual_servers.insert(server(), theirs);
    node.wanted.adopt.insert(server());
    assert_eq!(node.held(), []);
    node.work();
    assert_eq!(node.kernel.virtual_servers[&server()], node.template());
    assert_eq!(node.owned.claim(&Item::VirtualServer(server())), Some(Claim::Adopted));
    assert_eq!(node.left(), [""; 0]);
    node.wanted = Wanted::default();
    node.work();
    assert!(node.kernel.virtual_servers.is_empty() && node.owned.is_clean());
}

#[test]
fn an_entry_of_ours_with_a_real_server_of_somebody_else_stays_with_that_one() {
    let mut node = settled();
    let foreign = destination("192.168.10.99:80");
    let entry = node.kernel.virtual_servers.get_mut(&server()).unwrap();
    let settings = entry.destinations[&destination("192.168.10.10:80")];
    entry.destinations.insert(foreign, settings);
    assert_eq!(node.left(), [""; 0]);
    node.wanted = Wanted { loopback: Some(link("lo")), ..Wanted::default() };
    assert_eq!(node.held(), [(Item::VirtualServer(server()), Reason::ForeignEntry)]);
    node.work();
    let entry = &node.kernel.virtual_servers[&server()];
    assert_eq!(entry.destinations.keys().collect::<Vec<_>>(), [&foreign]);
    assert!(node.diff().0.is_empty() && !node.owned.is_clean());
    node.kernel.virtual_servers.get_mut(&server()).unwrap().destinations.clear();
    node.work();
    assert!(node.kernel.virtual_servers.is_empty() && node.owned.is_clean());
}

#[test]
fn what_somebody_took_away_comes_back_or_is_forgotten() {
    let mut node = settled();
    let done = (node.kernel.clone(), node.owned.clone());
    node.kernel.virtual_servers.clear();
    node.kernel.addresses.remove(&"lo 192.168.10.40/32".parse().unwrap());
    node.work();
    assert_eq!((node.kernel.clone(), node.owned.clone()), done);
    node.kernel.virtual_servers.clear();
    node.kernel.addresses = kernel().addresses;
    node.wanted = Wanted::default();
    let (phases, _) = node.diff();
    assert!(phases.iter().all(|phase| phase.name == PhaseName::Show || phase.ops.is_empty()));
    node.work();
    assert!(node.owned.is_clean());
}

#[test]
fn what_somebody_changed_in_ours_is_changed_back() {
    let mut node = settled();
    let done = node.kernel.clone();
    let entry = node.kernel.virtual_servers.get_mut(&server()).unwrap();
    entry.settings.scheduler = "wlc".parse().unwrap();
    entry.destinations.values_mut().for_each(|settings| settings.weight = 9);
    node.kernel.addresses.get_mut(&"lo 192.168.10.40/32".parse().unwrap()).unwrap().scope = 254;
    assert_eq!(node.left().len(), 3);
    node.work();
    assert_eq!(node.kernel, done);
}

#[test]
fn a_kept_entry_keeps_its_settings_and_its_real_servers_follow() {
    let mut node = settled();
    node.wanted.keep.insert(Item::VirtualServer(server()));
    let entry = node.wanted.virtual_servers.get_mut(&server()).unwrap();
    entry.settings.scheduler = "mh".parse().unwrap();
    entry.destinations.clear();
    assert_eq!(node.left(), ["remove real server 192.168.10.10:80 from TCP 192.168.10.40:80"]);
    node.kernel.virtual_servers.clear();
    node.owned = Custody::default();
    assert!(node.left().iter().all(|op| !op.contains("virtual server")));
}

#[test]
fn nothing_is_taken_away_while_the_plan_is_not_whole() {
    let mut node = settled();
    let done = node.kernel.clone();
    node.wanted = Wanted { keep_everything: true, loopback: Some(link("lo")), ..Wanted::default() };
    assert!(node.diff().0.is_empty());
    let added = "TCP 192.168.10.40:443".parse().unwrap();
    let template = done.virtual_servers[&server()].clone();
    node.wanted.virtual_servers.insert(added, template);
    node.work();
    assert_eq!(node.kernel.virtual_servers.len(), 2);
}
