//! cloud-init's NoCloud datasource: what one instance is told when it first starts.
//!
//! ```text
//! api-1/
//! ├── meta-data         who it is: instance-id, host name, the public keys that open it
//! ├── network-config    where it is: version 2
//! ├── user-data         what only it can know: its image, its addresses, and those of its peers
//! ├── vendor-data       its secrets, if it has any (without the file, cloud-init waits for it)
//! ├── seed.iso          the four again, on a volume with the label `cidata`: a CD
//! ├── seed.vfat         and a disk, for machines that take no CD
//! └── cloud-user-data   facts and secrets on one line, for the field of a cloud that has no other way to tell an instance
//! ```
//!
//! The keys are in meta-data, not in user-data, since the images are sealed against user-data (`allow_userdata: false`) and
//! against vendor-data: whoever can write them would be root. cloud-init only stores them; `/usr/lib/goldsmith/instance`
//! reads them, as data, and opens to peers what the image has declared for them. Secrets have a file of their own, so that
//! all others can be shown, compared and kept. Neither they nor the instance's id change with a secret.
//!
//! The other files are YAML of the plainest kind, every string quoted as JSON quotes it, so that no reader takes `no` for a
//! boolean or `0644` for a number.

mod facts;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ipnet::IpNet;
use serde::Serialize;

use self::facts::{FACTS, Facts, SECRETS, all_of, facts, hidden, written};
use super::iso9660::{self, Iso9660Error, Volume};
use super::network::Network;
use super::ssh_key::SshKey;
use super::vfat::{self, VfatError};
use crate::digest::Digest;
use crate::epoch::Epoch;

/// The volume's label, by which cloud-init finds it.
pub const LABEL: &str = "cidata";

/// The volume as a CD.
pub const ISO: &str = "seed.iso";
/// The volume as a disk.
pub const VFAT: &str = "seed.vfat";
/// The file for a cloud's user-data field: base64 (RFC 4648), on one line.
pub const LINE: &str = "cloud-user-data";

/// The files of a bundle in which no secret ever is.
pub const PUBLIC: [&str; 3] = ["meta-data", "network-config", "user-data"];

/// One machine, before its first start.
#[derive(Clone, Debug, Default)]
pub struct Instance {
    /// Its host name.
    pub name: String,
    /// What changes when it is to be set up anew; none: made from everything else.
    pub id: Option<String>,
    /// Who may log in.
    pub keys: Vec<SshKey>,
    /// Where it is.
    pub network: Network,
    /// The image that it is told these things for, and no other; none: any.
    pub image: Option<ImageId>,
    /// Its address, if it is known though DHCP gives it.
    pub address: Option<IpAddr>,
    /// Whose address is whose: an image opens ports to a peer by its name.
    pub peers: BTreeMap<String, Vec<IpNet>>,
    /// Where those are whom the image may reach, by its name for them.
    pub egress: BTreeMap<String, Vec<IpNet>>,
    /// Names that no name server knows.
    pub hosts: BTreeMap<String, Vec<IpAddr>>,
    /// The application's database.
    pub database: Option<Database>,
    /// Its certificate, and whom it believes; PEM.
    pub tls: Option<Tls>,
    /// What else nobody may know, by name: `database-password`.
    pub secrets: BTreeMap<String, String>,
}

/// An image, as it knows itself (`/usr/lib/goldsmith/image.json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageId {
    /// Of the recipe.
    pub name: String,
    /// Of all that decides its root file system.
    pub plan: Digest,
}

/// Where a database is, and who one is to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Database {
    /// Its host name, as its certificate has it.
    pub host: String,
    /// TCP.
    pub port: u16,
    /// Of the schema.
    pub name: String,
    /// Of the account.
    pub user: String,
}

/// What an instance shows, and whom it believes; PEM.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Its certificate and key; none: it makes its own.
    pub own: Option<(String, String)>,
    /// Who vouches for those whom it talks to.
    pub ca: Option<String>,
}

/// Without the key.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("own", &self.own.as_ref().map(|(own, _)| own)).field("ca", &self.ca).finish()
    }
}

/// The four files, by name.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed {
    /// Of the instance.
    pub instance_id: String,
    /// `meta-data`, `network-config`, `user-data`, `vendor-data`.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Facts and secrets in one text, for clouds that carry one text.
    pub user_data: String,
    /// Whether `vendor-data`, and so the volume, is for nobody's eyes.
    pub is_secret: bool,
}

/// Without what may be secret.
impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seed").field("instance_id", &self.instance_id).field("is_secret", &self.is_secret).finish()
    }
}

/// Why an instance cannot be, or its seed not be written.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// RFC 1123 §2.1.
    #[error(
        "`{0}` cannot be a host name: use letters, digits and `-`, at most 63, neither beginning nor ending with `-`"
    )]
    BadName(String),
    /// Would break the line that it stands in, or the directory that is named after it.
    #[error("`{0}` cannot be an instance id: use letters, digits, `.`, `_` and `-`, at most 64")]
    BadId(String),
    /// Nobody could log in.
    #[error("no public key opens this instance: give at least one with --ssh-key")]
    NoKeys,
    /// What is at the place of the bundle was not written by this command.
    #[error("{0} holds other things than a bundle: remove it, or choose another folder with --output")]
    NotABundle(String),
    /// The volume.
    #[error(transparent)]
    Iso(#[from] Iso9660Error),
    /// The volume as a disk.
    #[error(transparent)]
    Vfat(#[from] VfatError),
    /// Writing failed.
    #[error("cannot write {path}: {why}")]
    Write {
        /// What.
        path: String,
        /// The system's reason.
        why: io::Error,
    },
}

impl Seed {
    /// What `instance` is to be told.
    ///
    /// # Errors
    /// A name or id that cannot be, or no key.
    pub fn of(instance: &Instance) -> Result<Self, SeedError> {
        if !is_host_name(&instance.name) {
            return Err(SeedError::BadName(instance.name.clone()));
        }
        if instance.keys.is_empty() {
            return Err(SeedError::NoKeys);
        }
        let mut keys: Vec<&SshKey> = instance.keys.iter().collect();
        keys.sort();
        keys.dedup();
        let keys: String = keys.iter().map(|key| format!("  - {}\n", quoted(key.as_str()))).collect();
        let rest = format!("local-hostname: {}\npublic-keys:\n{keys}", quoted(&instance.name));
        let network = network_config(&instance.network);
        let told = facts(instance);
        let facts = written(FACTS, &told);
        // A certificate that is renewed is no reason to set an instance up anew.
        let lasting = written(FACTS, &Facts { tls: BTreeMap::new(), ..told });
        let is_secret = !instance.secrets.is_empty() || instance.tls.as_ref().is_some_and(|tls| tls.own.is_some());
        let hidden = hidden(instance);
        let vendor_data = match is_secret {
            true => written(SECRETS, &hidden),
            false => "#cloud-config\n{}\n".to_owned(),
        };
        let tls = all_of(instance.tls.as_ref());
        let all = Facts { secrets: hidden.secrets, tls, ..self::facts::facts(instance) };
        let user_data = written(FACTS, &all);
        let instance_id = match &instance.id {
            Some(id) if is_id(id) => id.clone(),
            Some(id) => return Err(SeedError::BadId(id.clone())),
            None => format!("i-{}", &Digest::of(format!("{rest}{network}{lasting}").as_bytes()).hex()[..17]),
        };
        let files = [
            ("meta-data", format!("instance-id: {}\n{rest}", quoted(&instance_id))),
            ("network-config", network),
            ("user-data", facts),
            ("vendor-data", vendor_data),
        ];
        let files = files.into_iter().map(|(name, text)| (name.to_owned(), text.into_bytes())).collect();
        Ok(Self { instance_id, files, user_data, is_secret })
    }

    /// Writes the folder `folder` with the four files and `seed.iso`, all of it or nothing; a bundle that is there is
    /// replaced in one step. Every date on the volume is `epoch`.
    ///
    /// # Errors
    /// `folder` holds something else, or writing fails.
    pub fn write(&self, folder: &Path, epoch: Epoch) -> Result<(), SeedError> {
        let failed = |path: &Path| {
            let path = path.display().to_string();
            move |why| SeedError::Write { path, why }
        };
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(failed(parent))?;
        let replaces = self.is_replaceable(folder)?;
        let fresh = tempfile::Builder::new().prefix(".bundle-").tempdir_in(parent).map_err(failed(parent))?;
        let mut iso = Vec::new();
        iso9660::write(&mut iso, &Volume { label: LABEL, epoch, files: &self.files })?;
        let disk = vfat::volume(LABEL, &self.files)?;
        let line = BASE64_STANDARD.encode(&self.user_data).into_bytes();
        let files = self.files.iter().map(|(name, bytes)| (name.as_str(), bytes));
        for (name, bytes) in files.chain([(ISO, &iso), (VFAT, &disk), (LINE, &line)]) {
            let holds_secrets = self.is_secret && !PUBLIC.contains(&name);
            let path = fresh.path().join(name);
            let mut options = fs::OpenOptions::new();
            options.write(true).create_new(true).mode(if holds_secrets { 0o600 } else { 0o644 });
            let written = options.open(&path).and_then(|mut file| file.write_all(bytes));
            written.map_err(failed(&path))?;
        }
        let flags = match replaces {
            true => rustix::fs::RenameFlags::EXCHANGE,
            false => rustix::fs::RenameFlags::NOREPLACE,
        };
        rustix::fs::chmod(fresh.path(), rustix::fs::Mode::from_raw_mode(0o755))
            .and_then(|()| rustix::fs::renameat_with(rustix::fs::CWD, fresh.path(), rustix::fs::CWD, folder, flags))
            .map_err(|why| failed(folder)(why.into()))?;
        // What has been exchanged against the new one lies in the temporary folder now, and goes with it.
        if !replaces {
            let _ = fresh.keep();
        }
        Ok(())
    }

    /// Whether there is a bundle at `folder`, rather than nothing.
    fn is_replaceable(&self, folder: &Path) -> Result<bool, SeedError> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(why) => return Err(SeedError::Write { path: folder.display().to_string(), why }),
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if ![ISO, VFAT, LINE].contains(&name.as_str()) && !self.files.contains_key(&name) {
                return Err(SeedError::NotABundle(folder.display().to_string()));
            }
        }
        Ok(true)
    }
}

/// `network-config`, version 2.
fn network_config(network: &Network) -> String {
    // With systemd-networkd, cloud-init matches by the key and not by `match` where there is no hardware address: so the
    // key is the pattern. `e*` is every Ethernet device, by whatever scheme it is named.
    let start = "version: 2\nethernets:\n  \"e*\":\n    match:\n      name: \"e*\"\n";
    match network {
        Network::Dhcp => format!("{start}    dhcp4: true\n"),
        Network::Static { address, gateway, dns } => {
            let all = if gateway.is_ipv4() { "0.0.0.0/0" } else { "::/0" };
            let mut text = format!(
                "{start}    dhcp4: false\n    addresses:\n      - {}\n    routes:\n      - to: {}\n        via: {}\n",
                quoted(&address.to_string()),
                quoted(all),
                quoted(&gateway.to_string()),
            );
            if !dns.is_empty() {
                let servers: Vec<String> = dns.iter().map(|server| quoted(&server.to_string())).collect();
                text += &format!("    nameservers:\n      addresses: [{}]\n", servers.join(", "));
            }
            text
        }
    }
}

/// A string as JSON quotes it, which is a string in YAML too, whatever is in it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// RFC 1123 §2.1, one label.
fn is_host_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('-') && !name.ends_with('-')
}

/// What can be a directory below `/var/lib/cloud/instances/`.
fn is_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&id.len()) && id.bytes().all(plain) && !id.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ops \"x\"";

    fn instance() -> Instance {
        let (keys, network) = (vec![KEY.parse().unwrap()], Network::Dhcp);
        Instance { name: "api-1".into(), keys, network, ..Instance::default() }
    }

    fn text(seed: &Seed, name: &str) -> String {
        String::from_utf8(seed.files[name].clone()).unwrap()
    }

    #[test]
    fn meta_data_says_who_it_is_and_who_may_come_in() {
        let seed = Seed::of(&instance()).unwrap();
        let expected = format!(
            "instance-id: \"{}\"\nlocal-hostname: \"api-1\"\npublic-keys:\n  - \"{}\"\n",
            seed.instance_id,
            KEY.replace('"', "\\\"")
        );
        assert_eq!(text(&seed, "meta-data"), expected);
        assert_eq!(seed.instance_id.len(), 19);
    }

    #[test]
    fn a_fixed_address_is_written_with_its_route_and_name_servers() {
        let gateway = "10.0.1.1".parse().unwrap();
        let network = Network::fixed("10.0.1.5/24".parse().unwrap(), gateway, vec!["10.0.0.2".parse().unwrap()]);
        let seed = Seed::of(&Instance { network: network.unwrap(), ..instance() }).unwrap();
        assert_eq!(
            text(&seed, "network-config"),
            "version: 2\nethernets:\n  \"e*\":\n    match:\n      name: \"e*\"\n    dhcp4: false\n    addresses:\n      \
             - \"10.0.1.5/24\"\n    routes:\n      - to: \"0.0.0.0/0\"\n        via: \"10.0.1.1\"\n    nameservers:\n      \
             addresses: [\"10.0.0.2\"]\n"
        );
    }

    #[test]
    fn the_instance_id_changes_with_what_the_instance_is_told_unless_it_is_given() {
        let first = Seed::of(&instance()).unwrap();
        assert_eq!(first, Seed::of(&instance()).unwrap());
        let renamed = Seed::of(&Instance { name: "api-2".into(), ..instance() }).unwrap();
        assert_ne!(first.instance_id, renamed.instance_id);
        let given = Seed::of(&Instance { id: Some("i-7".into()), ..instance() }).unwrap();
        assert_eq!(given.instance_id, "i-7");
    }

    #[test]
    fn names_ids_and_instances_without_keys_are_refused() {
        let error = |instance: Instance| Seed::of(&instance).unwrap_err().to_string();
        assert!(error(Instance { name: "api_1".into(), ..instance() }).contains("cannot be a host name"));
        assert!(error(Instance { id: Some("../x".into()), ..instance() }).contains("cannot be an instance id"));
        assert!(error(Instance { keys: vec![], ..instance() }).contains("no public key"));
    }

    #[test]
    fn a_bundle_is_written_whole_and_again_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out/api-1");
        let seed = Seed::of(&instance()).unwrap();
        let listing = || {
            let entries = fs::read_dir(&target).unwrap().map(|entry| entry.unwrap());
            let pairs = entries.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap()));
            pairs.collect::<BTreeMap<_, _>>()
        };
        seed.write(&target, Epoch(1_795_000_000)).unwrap();
        let first = listing();
        assert_eq!(first.len(), 7);
        seed.write(&target, Epoch(1_795_000_000)).unwrap();
        assert_eq!(listing(), first);
        assert_eq!(fs::read_dir(folder.path().join("out")).unwrap().count(), 1, "something was left beside it");
    }

    #[test]
    fn a_folder_with_other_things_in_it_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.txt"), "x").unwrap();
        let error = Seed::of(&instance()).unwrap().write(folder.path(), Epoch(0)).unwrap_err();
        assert!(matches!(error, SeedError::NotABundle(_)));
        assert!(folder.path().join("thesis.txt").exists());
    }
}
