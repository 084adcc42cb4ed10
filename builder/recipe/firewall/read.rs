//! From the tables of one file to values, with all that is wrong with each by itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use toml::Spanned;

use super::table::{AcceptTable, Addresses, AllowTable, PortWord};
use super::{Accept, Allow, Destination, LONGEST_DESTINATION, LONGEST_PEER, Period, Ports, Protocol, Rate, Source};
use crate::recipe::file::File;
use crate::recipe::problem::{Problem, Text};
use crate::recipe::source::is_name;

/// iptables' multiport takes so many; a range counts twice.
const MOST_PORTS: usize = 15;

/// iptables takes no bucket that holds more (`XT_HASHLIMIT_BURST_MAX`).
const FASTEST: u32 = 1_000_000;

/// Ports on which databases and caches answer, most of them whoever asks.
const DATABASES: &[(u16, &str)] = &[
    (1433, "SQL Server"),
    (1521, "Oracle"),
    (3306, "MySQL"),
    (5432, "PostgreSQL"),
    (5984, "CouchDB"),
    (6379, "Redis"),
    (9042, "Cassandra"),
    (9200, "Elasticsearch"),
    (11211, "memcached"),
    (27017, "MongoDB"),
    (33060, "MySQL"),
];

/// What is wrong with `[firewall]` in one file, without its parents.
pub fn check(file: &File, text: &Text, problems: &mut Vec<Problem>) {
    let Some(table) = &file.firewall else { return };
    let mut reader = Reader { text, problems };
    for accept in &table.accept {
        reader.accept(accept);
    }
    for allow in &table.egress.allow {
        reader.allow(allow);
    }
    if let Some(new) = &table.limits.new {
        reader.rate(new);
    }
}

/// Reads tables of one text, and remembers what is wrong.
pub(super) struct Reader<'a> {
    pub text: &'a Text,
    pub problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    /// One rule, if it means something.
    pub fn accept(&mut self, table: &AcceptTable) -> Option<Accept> {
        let name = self.name(&table.name, "a firewall rule");
        let ports = self.ports(&table.ports);
        let from = match (&table.from, &table.peer) {
            (Some(from), None) => match self.addresses(from, "from")? {
                None => Some(Source::Anywhere),
                Some(networks) => Some(Source::Networks(networks)),
            },
            (None, Some(peer)) => self.known_later(peer, "a peer", LONGEST_PEER).map(Source::Peer),
            (from, _) => {
                self.either(&table.name, from.is_some(), ["from", "peer"]);
                None
            }
        };
        if from == Some(Source::Anywhere)
            && let Some(ports) = &ports
        {
            self.warn_of_databases(table, ports);
        }
        let rate = match &table.rate {
            Some(rate) => Some(self.rate(rate)?),
            None => None,
        };
        if let (Protocol::Udp, Some(connections)) = (table.protocol, &table.connections) {
            let problem =
                Problem::error(format!("`{}` counts connections, which UDP has none of", table.name.get_ref()));
            self.push(problem.help("use `rate` to slow down each source"), connections.span(), "means nothing");
        }
        let connections = table.connections.as_ref().map(|connections| *connections.get_ref());
        Some(Accept { name: name?, protocol: table.protocol, ports: ports?, from: from?, rate, connections })
    }

    /// One rule of the way out, if it means something.
    pub fn allow(&mut self, table: &AllowTable) -> Option<Allow> {
        let name = self.name(&table.name, "a firewall rule");
        let ports = self.ports(&table.ports);
        let to = match (&table.to, &table.instance) {
            (Some(to), None) => match self.addresses(to, "to")? {
                None => Some(Destination::Anywhere),
                Some(networks) => Some(Destination::Networks(networks)),
            },
            (None, Some(name)) => {
                self.known_later(name, "a destination", LONGEST_DESTINATION).map(Destination::Instance)
            }
            (to, _) => {
                self.either(&table.name, to.is_some(), ["to", "instance"]);
                None
            }
        };
        Some(Allow { name: name?, protocol: table.protocol, ports: ports?, to: to? })
    }

    /// `10/minute`.
    pub fn rate(&mut self, written: &Spanned<String>) -> Option<Rate> {
        let rate = parse_rate(written.get_ref());
        let wrong = match rate {
            None => format!("`{}` is not a rate", written.get_ref()),
            Some(Rate { count: 0, .. }) => format!("`{}` lets nobody in", written.get_ref()),
            Some(rate) if rate.count > FASTEST => {
                format!("`{}` is faster than the kernel counts", written.get_ref())
            }
            Some(_) => return rate,
        };
        let help = "write how many in how long: `10/second`, `10/minute`, `10/hour`";
        self.push(Problem::error(wrong).help(help), written.span(), "");
        None
    }

    fn push(&mut self, problem: Problem, span: Range<usize>, label: &str) {
        self.problems.push(problem.at(self.text.at(span), label));
    }

    /// A name of small letters, digits and `-`.
    fn name(&mut self, name: &Spanned<String>, what: &str) -> Option<String> {
        if is_name(name.get_ref()) {
            return Some(name.get_ref().clone());
        }
        let problem = Problem::error(format!("`{}` cannot be the name of {what}", name.get_ref()));
        self.push(problem.help("use small letters, digits and `-`, with no `-` at either end"), name.span(), "");
        None
    }

    /// The name of somebody whose addresses only the instance is told: part of a chain's name.
    fn known_later(&mut self, name: &Spanned<String>, what: &str, longest: usize) -> Option<String> {
        let known = self.name(name, what)?;
        if known.len() <= longest {
            return Some(known);
        }
        let problem = Problem::error(format!("the name `{known}` is too long for {what}"));
        let help =
            format!("use at most {longest} characters: it becomes part of a chain's name, and iptables allows 28");
        self.push(problem.help(help), name.span(), &format!("{} characters", known.len()));
        None
    }

    /// A rule says neither of two keys, or both.
    fn either(&mut self, rule: &Spanned<String>, both: bool, [first, second]: [&str; 2]) {
        let help = format!("write `{first} = \"anywhere\"`, `{first} = [\"10.0.0.0/8\"]` or `{second} = \"NAME\"`");
        let message = match both {
            true => format!("`{}` has both `{first}` and `{second}`", rule.get_ref()),
            false => format!("`{}` has neither `{first}` nor `{second}`", rule.get_ref()),
        };
        self.push(Problem::error(message).help(help), rule.span(), "this rule");
    }

    /// Whether the list at `span` has nothing in it: of one whose elements do not fit the schema, that has been said.
    fn is_written_empty(&self, span: Range<usize>) -> bool {
        let brackets = |letter: char| letter.is_whitespace() || letter == '[' || letter == ']';
        self.text.content.get(span).is_some_and(|list| list.chars().all(brackets))
    }

    /// Ports in order, none twice.
    fn ports(&mut self, list: &Spanned<Vec<Spanned<PortWord>>>) -> Option<Vec<Ports>> {
        if list.get_ref().is_empty() {
            if !self.is_written_empty(list.span()) {
                return None;
            }
            self.push(Problem::error("`ports` is empty").help("list at least one port"), list.span(), "no port");
            return None;
        }
        let before = self.problems.len();
        let mut seen: Vec<(Ports, Range<usize>)> = Vec::new();
        for word in list.get_ref() {
            let ports = match parse_ports(word.get_ref()) {
                Ok(ports) => ports,
                Err((message, help)) => {
                    self.push(Problem::error(message).help(help), word.span(), "");
                    continue;
                }
            };
            match seen.iter().find(|(other, _)| other.meets(ports)) {
                Some((other, span)) => {
                    let shared = ports.first.max(other.first);
                    let problem = Problem::error(format!("the port {shared} is listed twice"));
                    let problem = problem.beside(self.text.at(span.clone()), "first here").help("remove one of them");
                    self.push(problem, word.span(), "again");
                }
                None => seen.push((ports, word.span())),
            }
        }
        let slots: usize = seen.iter().map(|(ports, _)| if ports.first == ports.last { 1 } else { 2 }).sum();
        if slots > MOST_PORTS {
            let problem = Problem::error(format!("{slots} ports are too many for one rule"));
            let help =
                format!("iptables takes {MOST_PORTS} in a rule, and counts a range as two: split it into two rules");
            self.push(problem.help(help), list.span(), "");
        }
        let mut ports: Vec<Ports> = seen.into_iter().map(|(ports, _)| ports).collect();
        ports.sort();
        (self.problems.len() == before).then_some(ports)
    }

    /// Networks in order, disjoint; `Some(None)` is anywhere.
    fn addresses(&mut self, written: &Spanned<Addresses>, key: &str) -> Option<Option<Vec<IpNet>>> {
        let list = match written.get_ref() {
            Addresses::Word(word) if word == "anywhere" => return Some(None),
            Addresses::Word(word) => {
                let problem = Problem::error(format!("`{key}` is neither \"anywhere\" nor a list of networks"));
                let help = match word.parse::<IpNet>().is_ok() || word.parse::<IpAddr>().is_ok() {
                    true if word.ends_with("/0") => format!("write `{key} = \"anywhere\"`, if that is meant"),
                    true => format!("write `{key} = [\"{word}\"]`"),
                    false => format!("write `{key} = \"anywhere\"` or `{key} = [\"10.0.0.0/8\"]`"),
                };
                self.push(problem.help(help), written.span(), "");
                return None;
            }
            Addresses::List(list) => list,
        };
        if list.is_empty() {
            if !self.is_written_empty(written.span()) {
                return None;
            }
            let problem = Problem::error(format!("`{key}` is an empty list, which is nobody"));
            self.push(problem.help("list a network, or remove the rule"), written.span(), "");
            return None;
        }
        let before = self.problems.len();
        let mut seen: Vec<(IpNet, Range<usize>)> = Vec::new();
        for word in list {
            let network = match parse_network(word.get_ref(), key) {
                Ok(network) => network,
                Err((message, help)) => {
                    self.push(Problem::error(message).help(help), word.span(), "");
                    continue;
                }
            };
            let meets = |other: &IpNet| other.contains(&network) || network.contains(other);
            match seen.iter().find(|(other, _)| meets(other)) {
                Some((other, span)) => {
                    let problem = Problem::error(format!("{network} and {other} overlap"));
                    let problem = problem.beside(self.text.at(span.clone()), "the other");
                    self.push(problem.help("keep the wider one, if that is meant"), word.span(), "");
                }
                None => seen.push((network, word.span())),
            }
        }
        let mut networks: Vec<IpNet> = seen.into_iter().map(|(network, _)| network).collect();
        networks.sort();
        (self.problems.len() == before).then_some(Some(networks))
    }

    /// The whole world may ask a database.
    fn warn_of_databases(&mut self, table: &AcceptTable, ports: &[Ports]) {
        for (port, database) in DATABASES {
            if ports.iter().any(|range| range.covers(Ports { first: *port, last: *port })) {
                let message = format!("`{}` opens port {port} ({database}) to the whole world", table.name.get_ref());
                let help = "name who needs it instead: `peer = \"NAME\"`, or `from` with a list of networks";
                self.push(Problem::warning(message).help(help), table.ports.span(), "a database");
            }
        }
    }
}

/// What is wrong, and what to do.
type Wrong = (String, String);

fn parse_rate(text: &str) -> Option<Rate> {
    let (count, per) = text.split_once('/')?;
    let per = match per {
        "second" => Period::Second,
        "minute" => Period::Minute,
        "hour" => Period::Hour,
        _ => return None,
    };
    plain_number(count).map(|count| Rate { count, per })
}

fn parse_ports(word: &PortWord) -> Result<Ports, Wrong> {
    let text = match word {
        PortWord::Number(number) => {
            let port = u16::try_from(*number).ok().filter(|port| *port != 0);
            let wrong = || (format!("{number} is not a port"), "ports are from 1 to 65535".to_owned());
            return port.map(|port| Ports { first: port, last: port }).ok_or_else(wrong);
        }
        PortWord::Text(text) => text,
    };
    if let Some(number) = plain_number::<u16>(text) {
        return Err((format!("`{text}` is a string"), format!("write the number without quotes: {number}")));
    }
    let bounds = text.split_once('-').and_then(|(first, last)| Some((plain_number(first)?, plain_number(last)?)));
    match bounds {
        Some((0, _)) => Err((format!("`{text}` begins with port 0"), "ports are from 1 to 65535".to_owned())),
        Some((first, last)) if first < last => Ok(Ports { first, last }),
        Some((first, last)) => {
            Err((format!("`{text}` is no range of ports"), format!("write the lower one first: \"{last}-{first}\"")))
        }
        None => {
            let help =
                "write a number, or a range as \"8000-8010\"; names mean what /etc/services says, and may be missing";
            Err((format!("`{text}` is neither a port nor a range of ports"), help.to_owned()))
        }
    }
}

/// Digits and nothing else: `parse` alone would take `+22`.
fn plain_number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn parse_network(text: &str, key: &str) -> Result<IpNet, Wrong> {
    let Ok(network) = text.parse::<IpNet>() else {
        let help = match text.parse::<IpAddr>() {
            Ok(address) => format!("write `{}`, if that one address is meant", IpNet::from(address)),
            Err(_) if text == "anywhere" => format!("write `{key} = \"anywhere\"`, without a list"),
            Err(_) => {
                "write an address and the length of its prefix: `10.0.0.0/8`, `fd00:1::/64`; names are not asked \
                       of anybody"
                    .to_owned()
            }
        };
        return Err((format!("`{text}` is not a network"), help));
    };
    if network.prefix_len() == 0 {
        let help = format!("write `{key} = \"anywhere\"`, which means both IPv4 and IPv6, if that is meant");
        return Err((format!("`{text}` is the whole world of one family"), help));
    }
    if network.trunc() != network {
        let help = format!("write `{}`, or `{}`", network.trunc(), IpNet::from(network.addr()));
        return Err((format!("`{text}` has bits behind its prefix"), help));
    }
    if let Some(why) = nobodys(network) {
        return Err((format!("`{text}` is nobody's address: {why}"), "remove it".to_owned()));
    }
    // The widest that anybody has for himself: 10.0.0.0/8, and fc00::/7. All of IPv6's Internet is 2000::/3.
    let widest = if network.addr().is_ipv4() { 8 } else { 7 };
    if network.prefix_len() < widest {
        let help =
            format!("write `{key} = \"anywhere\"`, if that is meant, or narrower networks (/{widest} or longer)");
        return Err((format!("`{text}` is a great part of the world"), help));
    }
    Ok(network)
}

/// Why no packet from elsewhere has, or reaches, such an address, if none can (RFC 6890).
fn nobodys(network: IpNet) -> Option<&'static str> {
    let v4 = |a, b, length, why| (IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, 0, 0), length)), why);
    let v6 = |address, length, why| (IpNet::V6(Ipv6Net::new_assert(address, length)), why);
    let reserved = [
        v4(0, 0, 8, "it means \"this network\""),
        v4(127, 0, 8, "it is loopback's, which is let in anyway"),
        v4(224, 0, 4, "it is multicast"),
        v6(Ipv6Addr::UNSPECIFIED, 128, "it means none"),
        v6(Ipv6Addr::LOCALHOST, 128, "it is loopback's, which is let in anyway"),
        v6(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped(), 96, "it is IPv4's: write it so"),
        v6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "it is multicast"),
    ];
    reserved.into_iter().find(|(range, _)| range.contains(&network)).map(|(_, why)| why)
}
