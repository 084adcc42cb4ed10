//! From the text of one file to a [`Fleet`], with everything that is wrong with it by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Range;
use std::path::Path;
use std::sync::LazyLock;

use ipnet::IpNet;
use toml::Spanned;

use super::file::{self, DatabaseTable, File, InstanceTable, Names, NetworkTable};
use super::{Database, Fleet, Instance, Network};
use crate::image::network::Cidr;
use crate::image::ssh_key::SshKey;
use crate::recipe::problem::{Problem, Text, did_you_mean};
use crate::recipe::shape;
use crate::recipe::source::is_name;

/// The shortest prefixes that an instance takes for a peer (`/usr/lib/goldsmith/instance`): shorter ones are everybody.
const SHORTEST: (u8, u8) = (24, 64);
/// Networks that are wider are no private network, but a part of the world.
const WIDEST: (u8, u8) = (8, 32);
/// Names in a database that are the server's own.
const OF_THE_SERVER: [&str; 7] =
    ["mysql", "sys", "information_schema", "performance_schema", "root", "mariadb", "public"];

/// Parses `text`, which stands in the file `file` (`recipes/vpc.toml`: its stem is the fleet's name).
///
/// # Errors
/// Everything that is wrong with it, in the order of the text.
pub fn parse(text: &str, file: &str) -> Result<Fleet, Vec<Problem>> {
    static SCHEMA: LazyLock<serde_json::Value> = LazyLock::new(file::schema);
    let text = Text::new(file, text);
    let name = Path::new(file).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let (file, problems) = shape::read::<File>(&text, &SCHEMA);
    let mut reader = Reader { text: &text, problems };
    let fleet = file.map(|file| reader.fleet(name, &file));
    let mut problems = reader.problems;
    problems.sort_by_key(Problem::line_and_column);
    match fleet {
        Some(fleet) if problems.is_empty() => Ok(fleet),
        _ => Err(problems),
    }
}

/// Reads tables of one text, and remembers what is wrong.
struct Reader<'a> {
    text: &'a Text,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn push(&mut self, problem: Problem, span: Range<usize>, label: &str) {
        self.problems.push(problem.at(self.text.at(span), label));
    }

    /// All of the file; what is wrong is left out of it.
    fn fleet(&mut self, name: String, file: &File) -> Fleet {
        let networks = self.networks(&file.network);
        let mut outside = BTreeMap::new();
        for (name, table) in &file.outside {
            self.name(name, "machines outside", 22);
            if let Some((own, _)) = file.instance.get_key_value(name.get_ref().as_str()) {
                let problem = Problem::error(format!("`{}` is an instance and a machine outside", name.get_ref()));
                let problem = problem.beside(self.text.at(own.span()), "the instance").help("rename one of them");
                self.push(problem, name.span(), "");
            }
            outside.insert(name.get_ref().clone(), self.outside(&table.addresses));
        }
        let mut instances = BTreeMap::new();
        for (name, table) in &file.instance {
            self.name(name, "an instance", 63);
            let network = self.network_of(name, table, &networks);
            let instance = self.instance((name, table), network, !file.keys.is_empty());
            if let (Some(address), Some((network, _))) = (&table.address, network)
                && file.network.get(network.as_str()).is_some_and(|table| table.gateway.is_none() && !table.dhcp)
            {
                let problem =
                    Problem::error(format!("`{}` has no way out: `{network}` has no gateway", name.get_ref()));
                let help = format!("add `gateway` to [network.{network}]; or `dhcp = true`, if it gives out addresses");
                self.push(problem.help(help), address.span(), "");
            }
            instances.insert(name.get_ref().clone(), instance);
        }
        if file.instance.is_empty() && self.problems.is_empty() {
            let problem = Problem::error("the fleet has no instance").help("add [instance.NAME] with its `image`");
            self.push(problem, 0..0, "");
        }
        self.keys(&file.keys);
        for instance in instances.values_mut() {
            // The fleet's come first; one that is said again is one key all the same.
            instance.keys.splice(0..0, file.keys.iter().cloned());
        }
        self.addresses_once(&file.instance);
        for (name, table) in &file.instance {
            for who in [&table.peers, &table.egress] {
                self.resolve(name.get_ref(), who, file);
            }
        }
        self.repeats(&file.targets);
        Fleet {
            name,
            description: file.description.as_ref().map(|text| text.get_ref().clone()).unwrap_or_default(),
            text: self.text.clone(),
            targets: file.targets.iter().map(|target| *target.get_ref()).collect(),
            networks,
            instances,
            outside,
            database: self.database(&file.database),
        }
    }

    /// A name of small letters, digits and `-`.
    fn name(&mut self, name: &Spanned<String>, what: &str, longest: usize) {
        if is_name(name.get_ref()) && name.get_ref().len() <= longest {
            return;
        }
        let problem = Problem::error(format!("`{}` cannot be the name of {what}", name.get_ref()));
        let help = format!("use small letters, digits and `-`, at most {longest}, with no `-` at either end");
        self.push(problem.help(help), name.span(), "");
    }

    fn networks(&mut self, tables: &BTreeMap<Spanned<String>, NetworkTable>) -> BTreeMap<String, Network> {
        let mut networks: BTreeMap<String, Network> = BTreeMap::new();
        let mut ranges: Vec<(IpNet, Range<usize>)> = Vec::new();
        for (name, table) in tables {
            self.name(name, "a network", 32);
            let Some(range) = self.range(&table.range) else { continue };
            let meets = |other: &IpNet| other.contains(&range) || range.contains(other);
            if let Some((other, span)) = ranges.iter().find(|(other, _)| meets(other)) {
                let problem = Problem::error(format!("{range} and {other} overlap"));
                let problem = problem.beside(self.text.at(span.clone()), "the other");
                self.push(problem.help("give each network addresses of its own"), table.range.span(), "");
            }
            ranges.push((range, table.range.span()));
            let gateway = table.gateway.as_ref().and_then(|gateway| self.gateway(gateway, range));
            let dns = table.dns.iter().filter_map(|server| self.address(server)).collect();
            networks.insert(name.get_ref().clone(), Network { range, gateway, dns, dhcp: table.dhcp });
        }
        networks
    }

    /// `10.0.0.0/24`: a network as it would be printed, and not half the world.
    fn range(&mut self, written: &Spanned<String>) -> Option<IpNet> {
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

    fn gateway(&mut self, written: &Spanned<String>, range: IpNet) -> Option<IpAddr> {
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
    fn address(&mut self, written: &Spanned<String>) -> Option<IpAddr> {
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
    fn outside(&mut self, list: &[Spanned<String>]) -> Vec<IpNet> {
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

    /// The network that an instance says, or the only one.
    fn network_of<'n>(
        &mut self,
        name: &Spanned<String>,
        table: &InstanceTable,
        networks: &'n BTreeMap<String, Network>,
    ) -> Option<(&'n String, &'n Network)> {
        let known = || networks.keys().map(String::as_str);
        match &table.network {
            Some(said) => {
                if let Some(found) = networks.get_key_value(said.get_ref()) {
                    return Some(found);
                }
                let problem = Problem::error(format!("there is no network `{}`", said.get_ref()));
                let help = format!("add [network.{}]", said.get_ref());
                let problem = problem.help(help).maybe_help(did_you_mean(said.get_ref(), known()));
                self.push(problem, said.span(), "unknown network");
            }
            None if networks.len() == 1 => return networks.iter().next(),
            None if networks.is_empty() && !self.problems.is_empty() => {}
            None => {
                let problem = Problem::error(format!("`{}` does not say in which network it is", name.get_ref()));
                let help = match networks.is_empty() {
                    true => "add [network.NAME] with its `range`".to_owned(),
                    false => format!("add `network`, one of {}", known().collect::<Vec<_>>().join(", ")),
                };
                self.push(problem.help(help), name.span(), "");
            }
        }
        None
    }

    fn instance(
        &mut self,
        (name, table): (&Spanned<String>, &InstanceTable),
        network: Option<(&String, &Network)>,
        has_keys: bool,
    ) -> Instance {
        if !has_keys && table.keys.is_empty() {
            let problem = Problem::error(format!("no key opens `{}`: nobody could log in", name.get_ref()));
            self.push(problem.help("add `keys = [\"ops.pub\"]` at the top of the file"), name.span(), "");
        }
        self.keys(&table.keys);
        for host in &table.names {
            if !is_host(host.get_ref()) {
                let problem = Problem::error(format!("`{}` is no host name", host.get_ref()));
                self.push(problem.help("write it as `api.example.org`, in small letters"), host.span(), "");
            }
        }
        let certificate = match (&table.certificate, &table.key) {
            (Some(certificate), Some(key)) => {
                self.inside(certificate);
                self.inside(key);
                Some((certificate.clone(), key.clone()))
            }
            (None, None) => None,
            (Some(one), None) | (None, Some(one)) => {
                let problem = Problem::error("a certificate and its key belong together").help("give both, or neither");
                self.push(problem, one.span(), "alone");
                None
            }
        };
        let address = match (&table.address, network) {
            (Some(address), Some((network_name, network))) => self.address_in(address, (network_name, network)),
            _ => None,
        };
        Instance {
            name: name.span(),
            image: table.image.clone(),
            network: network.map(|(name, _)| name.clone()).unwrap_or_default(),
            address,
            peers: table.peers.clone(),
            egress: table.egress.clone(),
            keys: table.keys.clone(),
            names: table.names.iter().map(|host| host.get_ref().clone()).collect(),
            certificate,
        }
    }

    /// The address of an instance, which its network must have room for.
    fn address_in(&mut self, written: &Spanned<String>, (network_name, network): (&String, &Network)) -> Option<Cidr> {
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
    fn addresses_once(&mut self, instances: &BTreeMap<Spanned<String>, InstanceTable>) {
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

    /// Whoever is named is there, is somebody else, and can be found.
    fn resolve(&mut self, own: &str, who: &Names, file: &File) {
        for list in who.values() {
            let mut seen: BTreeSet<&str> = BTreeSet::new();
            for name in list {
                let said = name.get_ref().as_str();
                let instance = file.instance.get_key_value(said);
                let problem = match instance {
                    None if file.outside.contains_key(said) => None,
                    None => {
                        let known = file.instance.keys().chain(file.outside.keys()).map(|name| name.get_ref().as_str());
                        let problem = Problem::error(format!("there is no instance `{said}`"));
                        let help = format!("add [instance.{said}], or [outside.{said}] if it is not the fleet's");
                        Some(problem.help(help).maybe_help(did_you_mean(said, known)))
                    }
                    Some(_) if said == own => Some(
                        Problem::error(format!("`{said}` names itself"))
                            .help("a machine reaches itself anyway: remove it"),
                    ),
                    Some((place, table)) if table.address.is_none() => {
                        let problem = Problem::error(format!("`{said}` has no address: nothing can be opened to it"));
                        let problem = problem.beside(self.text.at(place.span()), "has no `address`");
                        Some(problem.help(format!("add `address` to [instance.{said}]")))
                    }
                    Some(_) => None,
                };
                let again = (!seen.insert(said)).then(|| Problem::error(format!("`{said}` is listed twice")));
                if let Some(problem) = problem.or(again.map(|problem| problem.help("remove one of them"))) {
                    self.push(problem, name.span(), "");
                }
            }
        }
    }

    /// Keys are good ones; files of keys are the project's.
    fn keys(&mut self, keys: &[Spanned<String>]) {
        for key in keys {
            match is_file(key.get_ref()) {
                true => self.inside(key),
                false => {
                    if let Err(why) = key.get_ref().parse::<SshKey>() {
                        self.push(Problem::error(why.to_string()), key.span(), "no key that opens a door");
                    }
                }
            }
        }
    }

    /// A file that whoever has the project has too.
    fn inside(&mut self, path: &Spanned<String>) {
        let plain = |part: std::path::Component<'_>| matches!(part, std::path::Component::Normal(_));
        let written = Path::new(path.get_ref());
        if path.get_ref().is_empty() || !written.components().all(plain) {
            let problem = Problem::error(format!("the file `{}` is not inside the project", path.get_ref()));
            self.push(problem.help("copy it there, and write its path without `/` before it"), path.span(), "");
        }
    }

    fn repeats(&mut self, targets: &[Spanned<crate::recipe::Target>]) {
        let mut seen = BTreeSet::new();
        for target in targets {
            if !seen.insert(*target.get_ref()) {
                self.push(
                    Problem::error("a target is listed twice").help("remove one of them"),
                    target.span(),
                    "again",
                );
            }
        }
    }

    fn database(&mut self, table: &DatabaseTable) -> Database {
        let mut word = |said: &Option<Spanned<String>>, what: &str| {
            let Some(said) = said else { return "app".to_owned() };
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            let value = said.get_ref();
            let own = OF_THE_SERVER.contains(&value.to_ascii_lowercase().as_str());
            if own || !(1..=64).contains(&value.len()) || !value.bytes().all(plain) {
                let problem = Problem::error(format!("`{value}` cannot be the {what} of the application"));
                let help = "use letters, digits and `_`, at most 64, and no name of the server's own";
                self.push(problem.help(help), said.span(), "");
            }
            value.clone()
        };
        let (name, user) = (word(&table.name, "schema"), word(&table.user, "user"));
        let addresses: Vec<IpAddr> = table.addresses.iter().filter_map(|written| self.address(written)).collect();
        let elsewhere = match (&table.host, &table.ca) {
            (Some(host), _) if !is_host(host.get_ref()) => {
                let problem = Problem::error(format!("`{}` is no host name", host.get_ref()));
                self.push(problem.help("write it as its certificate has it, in small letters"), host.span(), "");
                None
            }
            (Some(host), Some(ca)) => {
                self.inside(ca);
                Some((host.get_ref().clone(), addresses, ca.clone()))
            }
            (Some(host), None) => {
                let problem = Problem::error(format!("nobody vouches for `{}`", host.get_ref()));
                self.push(problem.help("add `ca`, the file (PEM) that its operator publishes"), host.span(), "no `ca`");
                None
            }
            (None, Some(alone)) => {
                let problem = Problem::error("`ca` is for a database elsewhere, and there is no `host`");
                self.push(
                    problem.help("add `host`, or remove `ca`: the fleet has its own authority"),
                    alone.span(),
                    "",
                );
                None
            }
            (None, None) => None,
        };
        Database { name, user, elsewhere }
    }
}

/// Whether `said` is a file of keys, and not a key itself.
pub(super) fn is_file(said: &str) -> bool {
    !said.trim().contains(char::is_whitespace)
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

/// RFC 1123 §2.1, in small letters.
fn is_host(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(|label| is_name(label) && label.len() <= 63) && name != "localhost"
}

#[cfg(test)]
mod tests;
