//! What each instance of a fleet is told: derived from the whole, so that no address is written down twice.
//!
//! | it is told | because |
//! |---|---|
//! | peers, egress | the fleet names them for it; each name is an address |
//! | hosts | it is named with somebody, from either side, or has its database there |
//! | database | its image is one, or a database names it as its peer, or somebody else runs one |
//! | certificate, key | it lays the overlay `tls`: by the fleet's authority, or its owner's |
//! | ca | it has a database to reach |
//! | database-password | it has the database, or reaches it |

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use toml::Spanned;

use super::images::DATABASE_PORT;
use super::secrets::Secrets;
use super::{Fleet, Images, Instance, Role, file, read};
use crate::digest::Digest;
use crate::image::cloud_init::{self, ImageId, Tls};
use crate::image::network::Network;
use crate::image::ssh_key::SshKey;
use crate::recipe::Target;
use crate::recipe::problem::Problem;

/// Everything that a bundle needs and the fleet file does not hold.
#[derive(Clone, Debug)]
pub struct Material<'a> {
    /// The recipes.
    pub images: &'a Images,
    /// What each image knows itself by.
    pub plans: &'a BTreeMap<String, Digest>,
    /// The text of each of [`Fleet::files`].
    pub files: &'a BTreeMap<String, String>,
    /// The fleet's, if it has been given any.
    pub secrets: Option<&'a Secrets>,
}

/// How long what an instance is told may be, for these targets, in bytes before base64; and whose limit that is.
///
/// EC2's user guide; RunInstances of ECS; Compute's "Metadata"; Azure's customData; nova, after base64; our own reader.
pub fn user_data_limit(targets: &BTreeSet<Target>) -> (usize, &'static str) {
    let limit = |target: &Target| match target {
        Target::Aws => 16_384,
        Target::Alibaba => 32_768,
        Target::Openstack => 65_535 / 4 * 3,
        Target::Azure => 65_535,
        Target::Gcp | Target::Kvm => 65_536,
    };
    let strictest = targets.iter().map(|target| (limit(target), super::hand_off::word(*target))).min();
    strictest.unwrap_or((16_384, "aws"))
}

impl Fleet {
    /// The files that the fleet names: of keys, certificates, issuers.
    pub fn files(&self) -> Vec<&Spanned<String>> {
        let mut files: Vec<&Spanned<String>> = Vec::new();
        for instance in self.instances.values() {
            files.extend(instance.keys.iter().filter(|key| read::is_file(key.get_ref())));
            files.extend(instance.certificate.iter().flat_map(|(certificate, key)| [certificate, key]));
        }
        files.extend(self.database.elsewhere.iter().map(|(_, _, ca)| ca));
        files.sort_by_key(|file| file.span().start);
        files.dedup_by_key(|file| file.get_ref().clone());
        files
    }

    /// The names and addresses for which the certificate of the instance `name` stands; none: it shows none of the authority's.
    pub fn names_of(&self, name: &str, images: &Images) -> Option<Vec<String>> {
        let instance = self.instances.get(name)?;
        if instance.certificate.is_some() || !images.shows_certificate(instance.image.get_ref()) {
            return None;
        }
        let address = instance.address.map(|cidr| cidr.address.to_string());
        Some([name.to_owned()].into_iter().chain(address).chain(instance.names.iter().cloned()).collect())
    }

    /// What the instance `name` is told.
    ///
    /// # Errors
    /// What is missing, or does not fit, with its place.
    pub fn told(&self, name: &str, material: &Material<'_>) -> Result<cloud_init::Instance, Vec<Problem>> {
        let Some(instance) = self.instances.get(name) else { return Ok(cloud_init::Instance::default()) };
        let mut problems = Vec::new();
        let keys = self.keys_of(instance, material.files).map_err(|problem| problems.push(*problem));
        let tls = self.tls_of(name, instance, material).map_err(|problem| problems.push(*problem));
        let role = self.role(name, material.images);
        let mut secrets = BTreeMap::new();
        if role != Role::Other {
            match material.secrets {
                Some(known) => drop(secrets.insert("database-password".to_owned(), known.database_password.0.clone())),
                // Of a certificate that it lacks, the same has been said.
                None if !problems.is_empty() => {}
                None => problems.push(self.no_secrets(name, "has the database's password")),
            }
        }
        let (Ok(keys), Ok(tls), true) = (keys, tls, problems.is_empty()) else { return Err(problems) };
        let image = instance.image.get_ref();
        Ok(cloud_init::Instance {
            name: name.to_owned(),
            id: None,
            keys,
            network: self.network_of(instance),
            image: material.plans.get(image).map(|plan| ImageId { name: image.clone(), plan: *plan }),
            address: instance.address.map(|cidr| cidr.address),
            peers: self.places(&instance.peers),
            egress: self.places(&instance.egress),
            hosts: self.hosts_of(name, role),
            database: self.database_for(name, role),
            tls,
            secrets,
        })
    }

    /// What an instance is told is too long for where the fleet runs.
    pub fn too_long(&self, name: &str, user_data: &str) -> Option<Problem> {
        let (limit, whose) = user_data_limit(&self.targets);
        let length = user_data.len();
        let problem = Problem::error(format!("`{name}` is told {length} bytes, and {whose} carries {limit}"));
        let help = "give it fewer peers or a shorter certificate; or say in `targets` where the fleet runs, if that is elsewhere";
        (length > limit).then(|| self.problem_at(name, problem).help(help))
    }

    /// The keys themselves, of those that are in files too.
    fn keys_of(&self, instance: &Instance, files: &BTreeMap<String, String>) -> Result<Vec<SshKey>, Box<Problem>> {
        let mut keys = Vec::new();
        for said in &instance.keys {
            let text = files.get(said.get_ref()).unwrap_or(said.get_ref());
            let before = keys.len();
            for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
                let key = line.parse().map_err(|why| {
                    let problem = Problem::error(format!("a line of the file is no key: {why}"));
                    Box::new(problem.at(self.place_of(said), "this file"))
                })?;
                keys.push(key);
            }
            if keys.len() == before {
                let problem = Problem::error(format!("there is no key in {}", said.get_ref()));
                let problem =
                    problem.at(self.place_of(said), "this file").help("write public keys into it, one a line");
                return Err(Box::new(problem));
            }
        }
        Ok(keys)
    }

    /// Whose certificate it shows, and whom it believes.
    fn tls_of(&self, name: &str, instance: &Instance, material: &Material<'_>) -> Result<Option<Tls>, Box<Problem>> {
        let role = self.role(name, material.images);
        let text = |file: &Spanned<String>| material.files.get(file.get_ref()).cloned();
        let ca = match (role, &self.database.elsewhere, material.secrets) {
            (Role::Client(None), Some((_, _, ca)), _) => text(ca),
            (Role::Client(Some(_)), _, Some(secrets)) => Some(secrets.authority.certificate.clone()),
            (Role::Client(Some(_)), _, None) => {
                return Err(self.no_secrets(name, "must know the database's certificate").into());
            }
            _ => None,
        };
        let own = match (&instance.certificate, self.names_of(name, material.images), material.secrets) {
            (Some((certificate, key)), _, _) => text(certificate).zip(text(key)),
            (None, Some(names), Some(secrets)) => match secrets.instances.get(name) {
                Some(pair) if pair.names == names => Some((pair.certificate.clone(), pair.key.0.clone())),
                _ => {
                    let problem = Problem::error(format!("no certificate stands for {}", names.join(", ")));
                    let help = "`goldsmith fleet init` makes those that are missing, and keeps the others";
                    return Err(Box::new(self.problem_at(name, problem).help(help)));
                }
            },
            // The instance makes one itself; nobody of the fleet need know it.
            _ => None,
        };
        Ok((own.is_some() || ca.is_some()).then_some(Tls { own, ca }))
    }

    fn no_secrets(&self, name: &str, why: &str) -> Problem {
        let problem = Problem::error(format!("`{name}` {why}, and there is no secrets/{}.json", self.name));
        self.problem_at(name, problem).help("`goldsmith fleet init` makes it")
    }

    fn network_of(&self, instance: &Instance) -> Network {
        let network = self.networks.get(&instance.network).filter(|network| !network.dhcp);
        match (instance.address, network.and_then(|network| Some((network, network.gateway?)))) {
            (Some(address), Some((network, gateway))) => Network::Static { address, gateway, dns: network.dns.clone() },
            _ => Network::Dhcp,
        }
    }

    /// The addresses of all who are named.
    fn places(&self, names: &file::Names) -> BTreeMap<String, Vec<IpNet>> {
        let places =
            |list: &Vec<Spanned<String>>| list.iter().flat_map(|name| self.addresses_of(name.get_ref())).collect();
        names.iter().map(|(name, list)| (name.get_ref().clone(), places(list))).collect()
    }

    /// The instances that it names or that name it, and its database.
    fn hosts_of(&self, own: &str, role: Role<'_>) -> BTreeMap<String, Vec<IpAddr>> {
        let names = |instance: &Instance| -> BTreeSet<String> {
            let lists = instance.peers.values().chain(instance.egress.values());
            lists.flatten().map(|name| name.get_ref().clone()).collect()
        };
        let named = self.instances.get(own).map(names).unwrap_or_default();
        let mut hosts: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        for (name, instance) in &self.instances {
            let are_named = named.contains(name) || names(instance).contains(own);
            if let (true, Some(address)) = (are_named && name != own, instance.address) {
                hosts.insert(name.clone(), vec![address.address]);
            }
        }
        if let (Role::Client(None), Some((host, addresses, _))) = (role, &self.database.elsewhere)
            && !addresses.is_empty()
        {
            hosts.insert(host.clone(), addresses.clone());
        }
        hosts
    }

    fn database_for(&self, own: &str, role: Role<'_>) -> Option<cloud_init::Database> {
        let host = match (role, &self.database.elsewhere) {
            (Role::Other, _) => return None,
            (Role::Database, _) => own.to_owned(),
            (Role::Client(Some(database)), _) => database.to_owned(),
            (Role::Client(None), elsewhere) => elsewhere.as_ref()?.0.clone(),
        };
        let (name, user) = (self.database.name.clone(), self.database.user.clone());
        Some(cloud_init::Database { host, port: DATABASE_PORT, name, user })
    }
}
