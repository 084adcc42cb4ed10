//! What people write: `recipes/NAME.toml`.
//!
//! ```text
//! recipes/base.toml ─┐ parse: text → Source          fold: parents first,
//! recipes/api.toml ──┴─▶ (shape.rs, source.rs,   ──▶ each only adds (fold.rs) ──▶ Recipe ──▶ lock::resolve
//!                         accounts.rs, archive.rs)                                  └─▶ wish_digest: what the lock answers
//! ```
//!
//! Everything here is a pure function of text but [`project`], which reads the folders. Every mistake is a
//! [`Problem`](problem::Problem) with a file, a line, a column and what to do; all of them are found, not the first.

mod accounts;
mod archive;
pub mod exception;
pub mod fail2ban;
pub mod file;
pub mod firewall;
pub mod fold;
pub mod function;
pub mod problem;
pub mod project;
pub mod shape;
pub mod source;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::arch::Arch;
use crate::debian::filter::PathFilter;
use crate::digest::Digest;

/// A recipe with its parents folded in: everything said, nothing inherited any more.
#[derive(Clone, Debug, Serialize)]
pub struct Recipe {
    /// The file's stem: `api`.
    pub name: String,
    /// One line for people and for `org.opencontainers.image.description`.
    pub description: String,
    /// Of the image.
    pub arch: Arch,
    /// Where packages come from, in order.
    pub archives: Vec<Archive>,
    /// Asked for: (relation text as in `Depends`, which recipe says so).
    pub packages: Vec<Wanted>,
    /// Whether Recommends are followed.
    pub recommends: bool,
    /// What of packages is left out.
    pub filter: PathFilter,
    /// Overlays, in the order in which they are laid.
    pub overlays: Vec<String>,
    /// Fixed ids of system users (and of their groups of the same name).
    pub users: BTreeMap<String, u32>,
    /// Fixed ids of groups that belong to no user of that name.
    pub groups: BTreeMap<String, u32>,
    /// Shapes of the artifacts.
    pub image: ImageOptions,
    /// Who may reach the image, and whom it may reach. None: nobody speaks of it, and no rules are made.
    pub firewall: Option<firewall::Firewall>,
    /// What an audit finds and the recipe stands by; parents' first.
    pub exceptions: Vec<exception::Exception>,
    /// Who is banned, and by which lines of which log.
    pub fail2ban: fail2ban::Fail2ban,
    /// What it is for; parents' first.
    pub functions: Vec<function::Function>,
}

/// One archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Archive {
    /// Name in the lock.
    pub name: String,
    /// `debian`, `debian-security` (found through the mirror rule), or a URL.
    pub uri: String,
    /// `trixie-security`.
    pub suite: String,
    /// `main` …
    pub components: Vec<String>,
    /// Path of an OpenPGP keyring in the project; none: the Debian keyring that ships with Goldsmith.
    pub keyring: Option<String>,
    /// Pin priority, apt_preferences(5).
    pub priority: i32,
    /// Only these packages come from here; empty: any.
    pub only: Vec<String>,
}

/// A package asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Wanted {
    /// `apache2`, `default-mysql-server | mariadb-server`, `php (>= 8)`.
    pub relation: String,
    /// Name of the recipe that says it.
    pub by: String,
}

/// `[image]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImageOptions {
    /// Layers are compressed so.
    pub compression: Compression,
    /// Where a disk of it is to start; none: no disk is made.
    pub targets: BTreeSet<Target>,
    /// How large the disk is, in GiB; none: as large as it must be.
    pub size: Option<u16>,
    /// What of the disk a running machine may write.
    pub root: RootMode,
    /// Told to the kernel after what the targets want.
    pub kernel_arguments: Vec<String>,
}

/// A cloud or a hypervisor: it takes disks in one format, and wants some kernel arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// Alibaba Cloud ECS: qcow2.
    Alibaba,
    /// Amazon EC2: raw, for the EBS direct API or import-snapshot.
    Aws,
    /// Microsoft Azure: fixed VHD.
    Azure,
    /// Google Compute Engine: disk.raw in a tar.gz.
    Gcp,
    /// QEMU, libvirt: qcow2.
    Kvm,
    /// OpenStack Glance: qcow2.
    Openstack,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Alibaba, Self::Aws, Self::Azure, Self::Gcp, Self::Kvm, Self::Openstack];

    /// As recipes say it: `alibaba`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alibaba => "alibaba",
            Self::Aws => "aws",
            Self::Azure => "azure",
            Self::Gcp => "gcp",
            Self::Kvm => "kvm",
            Self::Openstack => "openstack",
        }
    }
}

/// What of the disk a running machine may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RootMode {
    /// All of it: ext4, which grows into the disk. Every importer knows it.
    #[default]
    Rw,
    /// Its state: the root is mounted read-only, what is written below /etc is gone at the next start, and /var and /home
    /// are on a partition of their own, which grows into the disk.
    Ro,
    /// As `ro`, and every block of the root that is read is compared with a hash (dm-verity): where it differs, the machine
    /// stops.
    Verity,
}

/// How the layers of the OCI image are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Smaller and faster; needs an engine from 2022 on.
    #[default]
    Zstd,
    /// For every engine.
    Gzip,
}

impl Recipe {
    /// The digest of what the resolver is asked: architecture, archives in order, packages (a set, each with who asks, since
    /// the lock repeats that), recommends. A lock that was made for another wish is not an answer to this one.
    ///
    /// Overlays, accounts and shapes are not in it: they change the image, but not the packages.
    pub fn wish_digest(&self) -> Digest {
        #[derive(Serialize)]
        struct Wish<'a> {
            format: u32,
            arch: Arch,
            archives: &'a [Archive],
            packages: Vec<&'a Wanted>,
            recommends: bool,
        }
        let mut packages: Vec<&Wanted> = self.packages.iter().collect();
        packages.sort();
        let wish = Wish { format: 1, arch: self.arch, archives: &self.archives, packages, recommends: self.recommends };
        // Plain structs of strings, numbers and lists, in the order of their fields: writing them cannot fail.
        Digest::of(&serde_json::to_vec(&wish).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(packages: &[&str]) -> Recipe {
        Recipe {
            name: "api".into(),
            description: String::new(),
            arch: Arch::Amd64,
            archives: vec![],
            packages: packages.iter().map(|name| Wanted { relation: (*name).into(), by: "api".into() }).collect(),
            recommends: false,
            filter: PathFilter::default(),
            overlays: vec![],
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
            image: ImageOptions::default(),
            firewall: None,
            exceptions: vec![],
            fail2ban: fail2ban::Fail2ban::default(),
            functions: vec![],
        }
    }

    #[test]
    fn a_target_is_called_as_recipes_say_it() {
        for target in Target::ALL {
            assert_eq!(serde_json::to_value(target).unwrap(), target.name());
        }
    }

    #[test]
    fn the_order_of_packages_is_no_part_of_the_wish_and_their_names_are() {
        assert_eq!(recipe(&["a", "b"]).wish_digest(), recipe(&["b", "a"]).wish_digest());
        assert_ne!(recipe(&["a", "b"]).wish_digest(), recipe(&["a"]).wish_digest());
    }

    #[test]
    fn overlays_and_accounts_are_no_part_of_the_wish_and_recommends_are() {
        let plain = recipe(&["a"]);
        let mut other = plain.clone();
        other.overlays.push("base".into());
        other.users.insert("mysql".into(), 200);
        assert_eq!(plain.wish_digest(), other.wish_digest());
        other.recommends = true;
        assert_ne!(plain.wish_digest(), other.wish_digest());
    }
}
