//! Who is beside the guest: the hosts of the lab, with their addresses, and what a recipe lets each of them reach.
//!
//! ```text
//!                     ┌─ peer NAME    10.0.0.10      2001:db8:a::10   fe80::10     told to the guest, if it is told anything
//! guest 10.0.0.20 ────┼─ neighbour    10.0.0.99      2001:db8:a::99   fe80::99     on the same link, and nobody's peer
//!   2001:db8:a::…     ├─ world        198.51.100.7   2001:db8:7::7    (none)       by way of the router
//!   fe80::…           ├─ router       10.0.0.1                        fe80::1
//!                     └─ attackers    203.0.113.…    2001:db8:bad:…:: by way of the router; of a peer, if a port is open to it
//! ```
//!
//! Addresses of documentation (RFC 5737, RFC 3849) and of private networks; none of them is anybody's here.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::frame::{Ends, Mac};
use crate::verify::claims::{Claims, Opening, Whom};

/// The guest's own address in IPv4.
pub const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 20);
/// The way out.
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// The network on the link, in IPv6.
pub const PREFIX: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 0);
/// The router's address on the link.
pub const ROUTER_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// What reports call it.
    pub name: String,
    /// Of which of the image's peers it is the machine.
    pub peer: Option<String>,
    mac: Mac,
    v4: Ipv4Addr,
    v6: Ipv6Addr,
    local: Option<Ipv6Addr>,
    /// How many addresses it may take after its first, each another source for the guest's limits.
    pub more: u8,
}

/// All of them, beside one image.
#[derive(Clone, Debug)]
pub struct Hosts {
    /// In the order of reports.
    pub all: Vec<Host>,
    open: Vec<Opening>,
    guest: Mac,
}

/// The router's hardware.
pub const ROUTER_MAC: Mac = mac(1);

const fn mac(last: u8) -> Mac {
    [2, 0x67, 0x6f, 0, 0, last]
}

fn local(last: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, u16::from(last))
}

fn on_link(last: u8) -> Ipv6Addr {
    Ipv6Addr::from_bits(PREFIX.to_bits() | u128::from(last))
}

impl Host {
    fn beside(name: &str, last: u8) -> Self {
        let v4 = Ipv4Addr::new(10, 0, 0, last);
        let (name, peer) = (name.to_owned(), None);
        Self { name, peer, mac: mac(last), v4, v6: on_link(last), local: Some(local(last)), more: 0 }
    }

    /// Somebody behind the router.
    fn afar(name: String, v4: Ipv4Addr, v6: Ipv6Addr) -> Self {
        Self { name, peer: None, mac: ROUTER_MAC, v4, v6, local: None, more: 0 }
    }

    /// Its `nth` address for speaking with `guest`, if it has one.
    pub fn address(&self, guest: IpAddr, nth: u8) -> Option<IpAddr> {
        let nth = u32::from(nth.min(self.more));
        match guest {
            IpAddr::V4(_) => Some(Ipv4Addr::from_bits(self.v4.to_bits() + nth).into()),
            IpAddr::V6(guest) if guest.is_unicast_link_local() => self.local.map(IpAddr::from),
            // Another /64 each: limits and bans are for a whole one.
            IpAddr::V6(_) => Some(Ipv6Addr::from_bits(self.v6.to_bits() + (u128::from(nth) << 64)).into()),
        }
    }

    fn has(&self, address: IpAddr) -> bool {
        let own = |nth| [IpAddr::V4(GUEST), IpAddr::V6(PREFIX)].map(|guest| self.address(guest, nth));
        Some(address) == self.local.map(IpAddr::from) || (0..=self.more).flat_map(own).any(|own| own == Some(address))
    }
}

impl Hosts {
    /// Beside an image that claims this, whose machine has the hardware address `guest`.
    pub fn of(claims: &Claims, guest: Mac) -> Self {
        let mut all = Vec::new();
        let named = |to: &Whom| if let Whom::Peer(name) = to { Some(name.clone()) } else { None };
        let mut peers: Vec<String> = claims.open.iter().filter_map(|opening| named(&opening.to)).collect();
        peers.sort_unstable();
        peers.dedup();
        // The guest's own address and the neighbour's are nobody's.
        for (name, last) in peers.into_iter().zip((10..=254).filter(|last| ![20, 99].contains(last))) {
            all.push(Host { peer: Some(name.clone()), ..Host::beside(&format!("peer {name}"), last) });
        }
        all.push(Host::beside("neighbour", 99));
        let world = Host::afar(
            "world".to_owned(),
            Ipv4Addr::new(198, 51, 100, 7),
            Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, 7),
        );
        all.push(Host { more: 200, ..world });
        for opening in &claims.open {
            if let Whom::Network(network) = &opening.to {
                let first = network.hosts().nth(6).unwrap_or(network.addr());
                let (v4, v6) = match first {
                    IpAddr::V4(v4) => (v4, Ipv6Addr::new(0x2001, 0xdb8, 8, 0, 0, 0, 0, 7)),
                    IpAddr::V6(v6) => (Ipv4Addr::new(192, 0, 2, 7), v6),
                };
                all.push(Host::afar(format!("in {network}"), v4, v6));
            }
        }
        Self { all, open: claims.open.clone(), guest }
    }

    /// From `host` to the guest's address `guest`; none if it has no address to speak to that one.
    pub fn ends(&self, host: &Host, guest: IpAddr, nth: u8) -> Option<Ends> {
        Some(Ends { from: host.mac, to: self.guest, source: host.address(guest, nth)?, destination: guest })
    }

    /// The `nth` of those who attack by way of the router, and have an address from which the recipe lets them reach this port of
    /// TCP; the guest's address is `guest`. None, if it is open to nobody in that family.
    pub fn attacker(&self, nth: u8, port: u16, guest: IpAddr) -> Option<Ends> {
        let covers = |opening: &&Opening| !opening.udp && (opening.ports.0..=opening.ports.1).contains(&port);
        let is_v6 = guest.is_ipv6();
        let source = self.open.iter().filter(covers).find_map(|opening| match &opening.to {
            Whom::World if is_v6 => Some(IpAddr::from([0x2001, 0xdb8, 0xbad, u16::from(nth), 0, 0, 0, 7])),
            Whom::World => Some(IpAddr::from([203, 0, 113, 1 + nth])),
            Whom::Peer(name) => self.more_of(name, nth).map(|(v4, v6)| if is_v6 { v6.into() } else { v4.into() }),
            Whom::Network(network) => {
                network.hosts().nth(20 + usize::from(nth)).filter(|address| address.is_ipv6() == is_v6)
            }
        })?;
        Some(Ends { from: ROUTER_MAC, to: self.guest, source, destination: guest })
    }

    /// Further addresses of a peer, behind the router.
    fn more_of(&self, peer: &str, nth: u8) -> Option<(Ipv4Addr, Ipv6Addr)> {
        let at = u8::try_from(self.all.iter().position(|host| host.peer.as_deref() == Some(peer))?).ok()?;
        let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0x100 * (1 + u16::from(at)) + u16::from(nth), 0, 0, 0, 7);
        Some((Ipv4Addr::new(10, 1, at, 1 + nth), v6))
    }

    /// Somebody at `source`, behind the router, who has been told to the guest as each of its peers; none, if the recipe lets nobody
    /// there reach this port of TCP.
    pub fn somebody(&self, source: IpAddr, port: u16, guest: IpAddr) -> Option<Ends> {
        let covers = |opening: &&Opening| !opening.udp && (opening.ports.0..=opening.ports.1).contains(&port);
        let may = |opening: &Opening| match &opening.to {
            Whom::World | Whom::Peer(_) => source.is_ipv4() == guest.is_ipv4(),
            Whom::Network(network) => network.contains(&source),
        };
        let reaches = self.open.iter().filter(covers).any(may);
        reaches.then_some(Ends { from: ROUTER_MAC, to: self.guest, source, destination: guest })
    }

    /// The facts that make peers of attackers and of those in `more` too: of attackers on each a network of IPv4, and so many
    /// addresses of IPv6 (a database has no accounts for networks of those).
    pub fn peers_and_attackers(&self, v6: u8, more: &[IpNet]) -> BTreeMap<String, Vec<IpNet>> {
        let mut all = self.peers();
        all.values_mut().for_each(|networks| networks.extend(more));
        for (name, networks) in &mut all {
            let network = self.more_of(name, 0).and_then(|(v4, _)| IpNet::new(v4.into(), 24).ok());
            networks.extend(network.map(|network| network.trunc()));
            networks.extend((0..v6).filter_map(|nth| Some(IpNet::from(IpAddr::from(self.more_of(name, nth)?.1)))));
        }
        all
    }

    /// From the router to the guest, or to everybody.
    pub fn router(&self, guest: IpAddr) -> Ends {
        let source = if guest.is_ipv4() { IpAddr::V4(ROUTER) } else { IpAddr::V6(ROUTER_LOCAL) };
        Ends { from: ROUTER_MAC, to: self.guest, source, destination: guest }
    }

    /// From the router to all on the link.
    pub fn advertisement(&self) -> Vec<u8> {
        let all = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
        let ends = Ends { to: [0x33, 0x33, 0, 0, 0, 1], ..self.router(all.into()) };
        ends.router(PREFIX)
    }

    /// Whose addresses are answered for, and with which hardware: those on the link, and the router's.
    pub fn neighbours(&self) -> BTreeMap<IpAddr, Mac> {
        let mut all = BTreeMap::from([(IpAddr::V4(ROUTER), ROUTER_MAC), (IpAddr::V6(ROUTER_LOCAL), ROUTER_MAC)]);
        for host in self.all.iter() {
            all.extend((0..=host.more).filter_map(|nth| Some((host.address(GUEST.into(), nth)?, host.mac))));
            all.extend((0..=host.more).filter_map(|nth| Some((host.address(PREFIX.into(), nth)?, host.mac))));
            all.extend(host.local.map(|local| (local.into(), host.mac)));
        }
        all
    }

    /// The addresses that the guest is to have: the one that it is told, and those that it makes of its hardware's (RFC 4291,
    /// appendix A) on the link and with the router's prefix.
    pub fn guests(&self) -> [IpAddr; 3] {
        let [a, b, c, d, e, f] = self.guest;
        let own = u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
        let of = |prefix: Ipv6Addr| IpAddr::from(Ipv6Addr::from_bits(prefix.to_bits() | u128::from(own)));
        [GUEST.into(), of(local(0)), of(PREFIX)]
    }

    /// Whether an address is one of the lab's, and so none of the guest's.
    pub fn is_ours(&self, address: IpAddr) -> bool {
        [IpAddr::V4(ROUTER), IpAddr::V6(ROUTER_LOCAL)].contains(&address) || self.who(address).is_some()
    }

    /// Which of them has this address.
    pub fn who(&self, address: IpAddr) -> Option<&Host> {
        self.all.iter().find(|host| host.has(address))
    }

    /// The facts that make peers of those who are to be: their addresses, by the peers' names.
    pub fn peers(&self) -> BTreeMap<String, Vec<IpNet>> {
        let of =
            |host: &Host| Some((host.peer.clone()?, vec![IpAddr::from(host.v4).into(), IpAddr::from(host.v6).into()]));
        self.all.iter().filter_map(of).collect()
    }

    /// Whether the recipe lets `source`, which is an address of `host`, reach this port; of peers, if they are `told`.
    pub fn may(&self, (host, source): (&Host, IpAddr), (udp, port): (bool, u16), told: bool) -> bool {
        let to = |whom: &Whom| match whom {
            Whom::World => true,
            Whom::Network(network) => network.contains(&source),
            // A peer is its addresses, and the one on the link is none of those that are told.
            Whom::Peer(name) => {
                told && host.peer.as_ref() == Some(name) && host.local.map(IpAddr::from) != Some(source)
            }
        };
        let covers = |opening: &Opening| opening.udp == udp && (opening.ports.0..=opening.ports.1).contains(&port);
        self.open.iter().any(|opening| covers(opening) && to(&opening.to))
    }

    /// Every port of TCP that the recipe opens to anybody; of ranges, the ends.
    pub fn ports(&self) -> Vec<u16> {
        let tcp = self.open.iter().filter(|opening| !opening.udp);
        let mut ports: Vec<u16> = tcp.flat_map(|opening| [opening.ports.0, opening.ports.1]).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Hosts {
        let opening = |port, to| Opening { udp: false, ports: (port, port), to };
        let open = vec![
            opening(3306, Whom::Peer("api".to_owned())),
            opening(80, Whom::World),
            opening(9100, Whom::Network("172.20.0.0/24".parse().unwrap())),
        ];
        Hosts::of(&Claims { open, ..Claims::default() }, [0x52, 0x54, 0, 1, 2, 3])
    }

    #[test]
    fn each_may_reach_what_the_recipe_opens_to_it_and_nothing_else() {
        let hosts = hosts();
        let names: Vec<&str> = hosts.all.iter().map(|host| host.name.as_str()).collect();
        assert_eq!(names, ["peer api", "neighbour", "world", "in 172.20.0.0/24"]);
        let may = |name: &str, guest: &str, port, told| {
            let host = hosts.all.iter().find(|host| host.name == name).unwrap();
            let source = host.address(guest.parse().unwrap(), 0).unwrap();
            assert_eq!(hosts.who(source).unwrap().name, name);
            hosts.may((host, source), (false, port), told)
        };
        assert!(may("peer api", "10.0.0.20", 3306, true) && may("peer api", "2001:db8:a::1", 3306, true));
        assert!(!may("peer api", "10.0.0.20", 3306, false), "nobody was told of it");
        assert!(!may("peer api", "fe80::2", 3306, true), "nobody is a peer by its address on the link");
        assert!(!may("neighbour", "10.0.0.20", 3306, true) && !may("world", "10.0.0.20", 3306, true));
        assert!(may("neighbour", "fe80::2", 80, false) && may("world", "2001:db8:a::1", 80, false));
        assert!(may("in 172.20.0.0/24", "10.0.0.20", 9100, false) && !may("world", "10.0.0.20", 9100, true));
    }

    #[test]
    fn the_guest_makes_addresses_of_its_hardwares() {
        let guests = hosts().guests().map(|guest| guest.to_string());
        assert_eq!(guests, ["10.0.0.20", "fe80::5054:ff:fe01:203", "2001:db8:a:0:5054:ff:fe01:203"]);
    }

    #[test]
    fn who_is_behind_the_router_takes_many_addresses_and_none_on_the_link() {
        let hosts = hosts();
        let world = hosts.all.iter().find(|host| host.name == "world").unwrap();
        assert_eq!(world.address("10.0.0.20".parse().unwrap(), 3), Some("198.51.100.10".parse().unwrap()));
        assert_eq!(world.address("2001:db8:a::1".parse().unwrap(), 1), Some("2001:db8:7:1::7".parse().unwrap()));
        assert_eq!(world.address("fe80::2".parse().unwrap(), 0), None);
        let ends = hosts.ends(world, "10.0.0.20".parse().unwrap(), 0).unwrap();
        assert_eq!(ends.from, hosts.router("10.0.0.20".parse().unwrap()).from);
        assert_eq!(hosts.peers()["api"].len(), 2);
    }

    #[test]
    fn attackers_come_from_where_a_port_is_open_and_each_from_an_address_of_his_own() {
        let hosts = hosts();
        let of = |nth, port, guest: &str| {
            hosts.attacker(nth, port, guest.parse().unwrap()).map(|ends| ends.source.to_string())
        };
        let (v4, v6) = ("10.0.0.20", "2001:db8:a::20");
        assert_eq!(of(0, 80, v4).as_deref(), Some("203.0.113.1"));
        assert_eq!(of(3, 80, v6).as_deref(), Some("2001:db8:bad:3::7"));
        assert_eq!(of(2, 3306, v4).as_deref(), Some("10.1.0.3"), "of the peer, to whom alone it is open");
        assert_eq!(of(0, 9100, v4).as_deref(), Some("172.20.0.21"), "of the network");
        assert_eq!((of(0, 9100, v6), of(0, 5432, v4)), (None, None));
        let told = hosts.peers_and_attackers(1, &["192.0.2.1/32".parse().unwrap()]);
        assert!(told["api"].contains(&"10.1.0.0/24".parse().unwrap()), "{told:?}");
        assert!(told["api"].contains(&"2001:db8:bad:100::7/128".parse().unwrap()), "{told:?}");
        assert!(hosts.who("10.1.0.3".parse().unwrap()).is_none(), "what is said to them is judged by whoever attacks");
    }
}
