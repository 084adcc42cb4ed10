//! Addresses and networks of a fleet: each one machine's, each in its place, and none the whole world's.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;

use ipnet::IpNet;
use toml::Spanned;

use super::Reader;
use crate::fleet::Network;
use crate::fleet::file::InstanceTable;
use crate::image::network::Cidr;
use crate::recipe::problem::Problem;

/// The shortest prefixes that an instance takes for a peer (`/usr/lib/goldsmith/instance`): shorter ones are everybody.
const SHORTEST: (u8, u8) = (24, 64);
/// Networks that are wider are no private network, but a part of the world.
const WIDEST: (u8, u8) = (8, 32);
impl Reader<'_> {
    /// `10.0.0.0/24`: a network as it would be printed, and not half the world.
    pub(super) fn range(&mut self, written: &Spanned<String>) -> Option<IpNet> {
        let wrong = match written.get_ref().parse::<IpNet>() {
            Err(_) => Problem::error(format!("`{}` is not a network", written.get_ref()))
                .help("write its first address and how many bits are fixed: `10.0.0.0/24`"),
            Ok(range) if range.trunc() != range => Problem::error(format!("`{range}` has bits beside its prefix"))
                .help(format!("write `{}`", range.trunc())),
            Ok(range) if is_wider(range, WIDEST) => Problem::error(format!("`{range}` is no private network"))
                .help("a fleet's network is at most a /8 of IPv4, or a /32 of IPv6"),
            Ok(range) => return Some(range),
        };
        self.push(wrong, written.span(), "");
        None
    }

    pub(super) fn gateway(&mut self, written: &Spanned<String>, range: IpNet) -> Option<IpAddr> {
        let gateway = self.address(written)?;
        // A link-local gateway is on the link whatever the range (RFC 4861).
        let on_link = matches!(gateway, IpAddr::V6(gateway) if gateway.is_unicast_link_local());
        if on_link || range.contains(&gateway) {
            return Some(gateway);
        }
        let problem = Problem::error(format!("the gateway {gateway} is not in {range}"));
        self.push(problem.help("give an address of the network"), written.span(), "outside");
        None
    }

    /// One address, that a machine can have.
    pub(super) fn address(&mut self, written: &Spanned<String>) -> Option<IpAddr> {
        let wrong = match written.get_ref().parse::<IpAddr>() {
            Err(_) => Problem::error(format!("`{}` is not an address", written.get_ref()))
                .help("write it without a prefix: `10.0.0.10`"),
            Ok(address) if address.is_unspecified() || address.is_multicast() || address.is_loopback() => {
                Problem::error(format!("{address} is nobody's address")).help("write the address of one machine")
            }
            Ok(address) => return Some(address),
        };
        self.push(wrong, written.span(), "");
        None
    }

    /// Who is not of the fleet: few enough to be somebody.
    pub(super) fn outside(&mut self, list: &[Spanned<String>]) -> Vec<IpNet> {
        let mut found: Vec<IpNet> = Vec::new();
        for written in list {
            let text = written.get_ref();
            let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            let wrong = match network {
                Err(_) => Problem::error(format!("`{text}` is neither an address nor a network"))
                    .help("write `10.1.0.5` or `10.1.0.0/24`"),
                Ok(network) if is_wider(network, SHORTEST) => {
                    let who = if network.prefix_len() == 0 { "the whole world" } else { "too many to be a peer" };
                    Problem::error(format!("`{text}` is {who}"))
                        .help("name the machines: a /24 (IPv6: a /64) is the most. What is for everybody stands in the recipe")
                }
                Ok(network) if network.trunc() != network => {
                    Problem::error(format!("`{text}` has bits beside its prefix"))
                        .help(format!("write `{}`", network.trunc()))
                }
                Ok(network) if is_nobody(network.addr()) => {
                    Problem::error(format!("`{text}` is nobody's address")).help("write the address of a machine")
                }
                Ok(network) if found.contains(&network) => {
                    Problem::error(format!("`{text}` is listed twice")).help("remove one of them")
                }
                Ok(network) => {
                    found.push(network);
                    continue;
                }
            };
            self.push(wrong, written.span(), "");
        }
        found
    }

    /// The address of an instance, which its network must have room for.
    pub(super) fn address_in(
        &mut self,
        written: &Spanned<String>,
        (network_name, network): (&String, &Network),
    ) -> Option<Cidr> {
        let address = self.address(written)?;
        if !network.range.contains(&address) {
            let problem =
                Problem::error(format!("{address} is not in {}, the network `{network_name}`", network.range));
            let host = network.range.hosts().nth(9);
            let problem = problem.maybe_help(host.map(|host| format!("give it one such as {host}")));
            self.push(problem, written.span(), "outside");
            return None;
        }
        if network.gateway == Some(address) {
            let problem = Problem::error(format!("{address} is the gateway of `{network_name}`"));
            self.push(problem.help("give the instance another address"), written.span(), "taken");
            return None;
        }
        match format!("{address}/{}", network.range.prefix_len()).parse() {
            Ok(cidr) => Some(cidr),
            Err(why) => {
                let problem = Problem::error(format!("{why}")).help("give it the address of a host");
                self.push(problem, written.span(), "");
                None
            }
        }
    }

    /// No address is two instances'.
    pub(super) fn addresses_once(&mut self, instances: &BTreeMap<Spanned<String>, InstanceTable>) {
        let mut seen: BTreeMap<IpAddr, (&str, Range<usize>)> = BTreeMap::new();
        let written = instances.iter().filter_map(|(name, table)| Some((name, table.address.as_ref()?)));
        // In the order of the text, so that the second is the one that is told.
        let mut written: Vec<_> = written.collect();
        written.sort_by_key(|(_, address)| address.span().start);
        for (name, address) in written {
            let Ok(parsed) = address.get_ref().parse::<IpAddr>() else { continue };
            match seen.get(&parsed) {
                Some((other, span)) => {
                    let problem =
                        Problem::error(format!("{parsed} is the address of `{other}` and of `{}`", name.get_ref()));
                    let problem = problem.beside(self.text.at(span.clone()), "first here");
                    self.push(problem.help("give each an address of its own"), address.span(), "again");
                }
                None => drop(seen.insert(parsed, (name.get_ref(), address.span()))),
            }
        }
    }
}

/// Whether a network is wider than the prefixes (IPv4, IPv6) allow.
fn is_wider(network: IpNet, (v4, v6): (u8, u8)) -> bool {
    network.prefix_len() < if network.addr().is_ipv4() { v4 } else { v6 }
}

/// Whether no machine can come from there.
fn is_nobody(address: IpAddr) -> bool {
    let reserved = matches!(address, IpAddr::V4(address) if address.octets()[0] == 0 || address.octets()[0] >= 240);
    address.is_unspecified() || address.is_multicast() || address.is_loopback() || reserved
}
