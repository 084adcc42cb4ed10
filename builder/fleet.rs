//! What people write of a private network: `recipes/vpc.toml`, or whatever file of `recipes/` says `purpose = "fleet"`.
//!
//! ```text
//! recipes/vpc.toml ──parse──▶ Fleet ──check──▶ problems        what an instance is told is derived, never repeated:
//!   instance, peers            │ (against the recipes of        who reaches whom, hosts, the database and its users,
//!   by name, addresses         │  the images)                   names in certificates
//!                              ├──told──▶ cloud_init::Instance ──▶ bundles/NAME/
//!                              └──hand_off──▶ Terraform's JSON: networks, security groups, instances
//! secrets/vpc.json ◀──▶ Secrets: authority, keys, password; the only file that is not the same for everybody
//! ```
//!
//! It stands on the floor above recipes, since it is checked against what images declare, and says in the words of
//! [`crate::image::cloud_init`] what an instance is told. Everything here is a pure function of text, but for [`authority`],
//! which draws random numbers.

pub mod authority;
pub mod file;
pub mod hand_off;
mod images;
mod read;
pub mod secrets;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Range;

use ipnet::IpNet;
use toml::Spanned;

pub use images::{Images, Role};
pub use read::parse;
pub use told::{Material, user_data_limit};

use crate::image::network::Cidr;
use crate::recipe::Target;
use crate::recipe::problem::{Place, Problem, Text};

/// A fleet file that is right as far as it goes: every name in it is somebody's.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// The file's stem: `vpc`.
    pub name: String,
    /// One line for people; may be empty.
    pub description: String,
    /// Where spans point.
    text: Text,
    /// Where it runs; none: what fits everywhere.
    pub targets: BTreeSet<Target>,
    /// By name.
    pub networks: BTreeMap<String, Network>,
    /// By host name.
    pub instances: BTreeMap<String, Instance>,
    /// Where machines are that are not the fleet's, by name.
    pub outside: BTreeMap<String, Vec<IpNet>>,
    /// The application's.
    pub database: Database,
}

/// A network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its addresses.
    pub range: IpNet,
    /// The way out.
    pub gateway: Option<IpAddr>,
    /// Name servers.
    pub dns: Vec<IpAddr>,
    /// Whether it gives instances their addresses itself.
    pub dhcp: bool,
}

/// A machine.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Where its name stands.
    name: Range<usize>,
    /// A recipe.
    pub image: Spanned<String>,
    /// One of the fleet's.
    pub network: String,
    /// Its own; none: nobody knows before it starts.
    pub address: Option<Cidr>,
    /// Who the image's peers are: names of [`Fleet::instances`] and [`Fleet::outside`].
    peers: file::Names,
    /// Who the image's destinations are.
    egress: file::Names,
    /// Keys, and files of keys.
    pub keys: Vec<Spanned<String>>,
    /// For which its certificate stands beside its own name.
    pub names: Vec<String>,
    /// Files with a certificate that is not the authority's, and with its key.
    pub certificate: Option<(Spanned<String>, Spanned<String>)>,
}

/// The application's database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// Of the schema.
    pub name: String,
    /// Of the application's account.
    pub user: String,
    /// One that somebody else runs: its host name, where it is if that is said, and the file that vouches for it.
    pub elsewhere: Option<(String, Vec<IpAddr>, Spanned<String>)>,
}

impl Fleet {
    /// The place of `span` in the fleet's file.
    fn at(&self, span: Range<usize>) -> Place {
        self.text.at(span)
    }

    /// The place of a value that the file names: a key, a file.
    pub fn place_of(&self, value: &Spanned<String>) -> Place {
        self.at(value.span())
    }

    /// A problem that stands at the instance `name`.
    pub fn problem_at(&self, name: &str, problem: Problem) -> Problem {
        match self.instances.get(name) {
            Some(instance) => problem.at(self.at(instance.name.clone()), ""),
            None => problem,
        }
    }

    /// The addresses of an instance or of somebody outside.
    fn addresses_of(&self, name: &str) -> Vec<IpNet> {
        match (self.instances.get(name), self.outside.get(name)) {
            (Some(instance), _) => instance.address.iter().map(|cidr| IpNet::from(cidr.address)).collect(),
            (None, Some(networks)) => networks.clone(),
            (None, None) => Vec::new(),
        }
    }
}
