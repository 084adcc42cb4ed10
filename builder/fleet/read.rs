//! From the text of one file to a [`Fleet`], with everything that is wrong with it by itself.

mod address;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Range;
use std::path::Path;
use std::sync::LazyLock;

use ipnet::IpNet;
use toml::Spanned;

use super::file::{self, DatabaseTable, File, InstanceTable, Names, NetworkTable};
use super::{Database, Fleet, Instance, Network};
use crate::image::ssh_key::SshKey;
use crate::recipe::problem::{Problem, Text, did_you_mean};
use crate::recipe::shape;
use crate::recipe::source::is_name;

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

/// RFC 1123 §2.1, in small letters.
fn is_host(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(|label| is_name(label) && label.len() <= 63) && name != "localhost"
}

#[cfg(test)]
mod tests;
