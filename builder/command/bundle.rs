//! `goldsmith bundle`

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use ipnet::IpNet;
use serde::Serialize;

use super::fleet::Loaded;
use super::{Usage, print_json};
use crate::epoch::Epoch;
use crate::fleet::Material;
use crate::image::cloud_init::{ISO, Instance, LINE, Seed, VFAT};
use crate::image::network::{Cidr, Network};
use crate::image::ssh_key::SshKey;
use crate::recipe::problem::did_you_mean;
use crate::recipe::project::{Mistakes, Project};

/// Write what each instance of a fleet is told when it first starts: its name, address, keys, peers, certificate.
///
/// For each there is a folder with cloud-init's NoCloud files (meta-data, network-config, user-data, vendor-data), with the same
/// on a volume to attach to the machine (seed.iso, or as a disk seed.vfat), and on one line for the user-data field of a cloud
/// (cloud-user-data). Secrets are in these and in vendor-data, and in no other. The same fleet, locks and secrets give the same bytes.
///
/// Without a fleet, --name and the options below it describe one instance.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  goldsmith bundle                   # every instance of recipes/vpc.toml\n  \
                        goldsmith bundle db-1\n  goldsmith bundle --name api-1 --ssh-key ~/.ssh/id_ed25519.pub\n  \
                        goldsmith bundle --name db-1 --ssh-key ops.pub --address 10.0.1.5/24 --gateway 10.0.1.1 --dns 10.0.0.2 \\\n    \
                        --peer api=10.0.1.4")]
pub struct Bundle {
    /// Which. Default: all of the fleet.
    #[arg(value_name = "INSTANCE", conflicts_with = "name")]
    instances: Vec<String>,
    /// Of which fleet. Default: the only one.
    #[arg(long, value_name = "FLEET", conflicts_with = "name")]
    fleet: Option<String>,
    /// The host name of an instance of no fleet.
    #[arg(long, value_name = "HOST", requires = "ssh_key")]
    name: Option<String>,
    /// Its id for cloud-init, which sets an instance up anew when it changes. Default: made from everything else.
    #[arg(long, value_name = "ID", requires = "name")]
    instance_id: Option<String>,
    /// A public key that may log in, or a file of such keys. Can be given several times.
    #[arg(long, value_name = "FILE|KEY", requires = "name", value_parser = keys)]
    ssh_key: Vec<Keys>,
    /// Its address and prefix length (`10.0.1.5/24`). Default: by DHCP.
    #[arg(long, value_name = "CIDR", requires = "gateway", requires = "name")]
    address: Option<Cidr>,
    /// The way out of its network.
    #[arg(long, value_name = "IP", requires = "address")]
    gateway: Option<IpAddr>,
    /// A name server. Can be given several times.
    #[arg(long, value_name = "IP", requires = "address")]
    dns: Vec<IpAddr>,
    /// Where a peer of the image is: the ports that the image has for it are open from there, and from nowhere else. Can be
    /// given several times, also for one peer. Default: its ports stay shut.
    #[arg(long, value_name = "NAME=IP", value_parser = peer, requires = "name")]
    peer: Vec<(String, IpAddr)>,
    /// The date of everything on the volume, in seconds since 1970 (UTC).
    #[arg(long, value_name = "SECONDS", env = "SOURCE_DATE_EPOCH", default_value_t = 0)]
    epoch: i64,
    /// The folder to write. Default: bundles/HOST; of a fleet, that in which the folders of its instances are: bundles.
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Print what was written as JSON.
    #[arg(long)]
    json: bool,
}

/// `api=10.0.0.10`.
fn peer(text: &str) -> Result<(String, IpAddr), String> {
    let wrong = || format!("`{text}` is not a peer: write its name and its address, as in api=10.0.0.10");
    let (name, address) = text.split_once('=').ok_or_else(wrong)?;
    let is_name =
        (1..=22).contains(&name.len()) && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if !is_name {
        return Err(format!("`{name}` is not the name of a peer: small letters, digits and `-`, at most 22"));
    }
    Ok((name.to_owned(), address.parse().map_err(|_| wrong())?))
}

/// The keys of one `--ssh-key`.
#[derive(Clone, Debug)]
struct Keys(Vec<SshKey>);

/// A key itself, or the file in which keys stand.
fn keys(text: &str) -> Result<Keys, String> {
    let is_key = text.trim().contains(char::is_whitespace) && !Path::new(text).exists();
    let lines = match is_key {
        true => text.to_owned(),
        false => fs::read_to_string(text).map_err(|why| format!("cannot read {text}: {why}"))?,
    };
    let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let keys =
        lines.map(|line| line.parse::<SshKey>().map_err(|why| why.to_string())).collect::<Result<Vec<_>, _>>()?;
    match keys.is_empty() {
        true => Err(format!("there is no key in {text}")),
        false => Ok(Keys(keys)),
    }
}

impl Bundle {
    pub fn run(self, folder: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
        let (epoch, json) = (Epoch(self.epoch), self.json);
        let written = match self.name {
            None => self.write_fleet(&Project::find(folder)?, epoch)?,
            Some(_) => vec![self.write_one(folder, epoch)?],
        };
        if json {
            return match written.as_slice() {
                [one] => print_json(out, one),
                all => print_json(out, &all),
            };
        }
        for Written { folder, name, instance_id, .. } in written {
            writeln!(out, "{}: {name} ({instance_id})", folder.display())?;
        }
        Ok(())
    }

    /// The instances of a fleet that are named, or all: everything is known of each before the first is written.
    fn write_fleet(self, project: &Project, epoch: Epoch) -> anyhow::Result<Vec<Written>> {
        let loaded = Loaded::of(project, self.fleet.as_deref())?;
        let fleet = &loaded.fleet;
        for name in &self.instances {
            if !fleet.instances.contains_key(name) {
                let known = fleet.instances.keys().map(String::as_str);
                let help = did_you_mean(name, known.clone())
                    .unwrap_or_else(|| format!("there are: {}", known.collect::<Vec<_>>().join(", ")));
                let message = format!("there is no instance `{name}` in recipes/{}.toml", fleet.name);
                return Err(Usage { message, help: Some(help) }.into());
            }
        }
        let (plans, files) = (loaded.plans(project)?, loaded.files(project)?);
        let material =
            Material { images: &loaded.images, plans: &plans, files: &files, secrets: loaded.secrets.as_ref() };
        let (mut seeds, mut problems) = (Vec::new(), Vec::new());
        let asked = |name: &&String| self.instances.is_empty() || self.instances.contains(name);
        for name in fleet.instances.keys().filter(asked) {
            match fleet.told(name, &material) {
                Ok(told) => {
                    let seed = Seed::of(&told)?;
                    problems.extend(fleet.too_long(name, &seed.user_data));
                    seeds.push((name, seed));
                }
                // What all of them lack is said once.
                Err(wrong) => problems.extend(wrong),
            }
        }
        if !problems.is_empty() {
            return Err(Mistakes(problems).into());
        }
        let output = self.output.unwrap_or_else(|| PathBuf::from("bundles"));
        let write = |(name, seed): (&String, Seed)| write(&seed, name, project.root().join(&output).join(name), epoch);
        seeds.into_iter().map(write).collect()
    }

    /// The instance that the arguments describe.
    fn write_one(self, folder: &Path, epoch: Epoch) -> anyhow::Result<Written> {
        let network = match (self.address, self.gateway) {
            (Some(address), Some(gateway)) => Network::fixed(address, gateway, self.dns)?,
            _ => Network::Dhcp,
        };
        let keys = self.ssh_key.into_iter().flat_map(|keys| keys.0).collect();
        let mut peers: BTreeMap<String, Vec<IpNet>> = BTreeMap::new();
        for (name, address) in self.peer {
            peers.entry(name).or_default().push(address.into());
        }
        let name = self.name.unwrap_or_default();
        let instance =
            Instance { name: name.clone(), id: self.instance_id, keys, network, peers, ..Instance::default() };
        let output = self.output.unwrap_or_else(|| Path::new("bundles").join(&name));
        write(&Seed::of(&instance)?, &name, folder.join(output), epoch)
    }
}

/// A bundle that was written.
#[derive(Debug, Serialize)]
struct Written {
    instance_id: String,
    folder: PathBuf,
    files: Vec<String>,
    #[serde(skip)]
    name: String,
}

fn write(seed: &Seed, name: &str, folder: PathBuf, epoch: Epoch) -> anyhow::Result<Written> {
    seed.write(&folder, epoch)?;
    let files = seed.files.keys().map(String::as_str).chain([ISO, VFAT, LINE]).map(str::to_owned).collect();
    Ok(Written { instance_id: seed.instance_id.clone(), folder, files, name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ops";

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        bundle: Bundle,
    }

    fn parsed(arguments: &[&str]) -> Result<Bundle, String> {
        let line = Line::try_parse_from([&["bundle", "--name", "api-1"], arguments].concat());
        line.map(|line| line.bundle).map_err(|error| error.to_string())
    }

    #[test]
    fn a_key_is_given_itself_or_by_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ops.pub");
        fs::write(&file, format!("# the operators\n{KEY}\n\n")).unwrap();
        for given in [KEY, file.to_str().unwrap()] {
            assert_eq!(parsed(&["--ssh-key", given]).unwrap().ssh_key[0].0[0].as_str(), KEY);
        }
    }

    #[test]
    fn what_is_no_key_and_an_address_without_a_way_out_are_wrong_usage() {
        assert!(parsed(&["--ssh-key", "/nonexistent.pub"]).unwrap_err().contains("cannot read /nonexistent.pub"));
        assert!(parsed(&[]).unwrap_err().contains("--ssh-key"));
        assert!(parsed(&["--ssh-key", KEY, "--address", "10.0.0.5/24"]).unwrap_err().contains("--gateway"));
        assert!(parsed(&["--ssh-key", KEY, "--dns", "10.0.0.2"]).unwrap_err().contains("--address"));
        assert!(parsed(&["--ssh-key", KEY, "--peer", "10.0.0.2"]).unwrap_err().contains("api=10.0.0.10"));
        assert!(parsed(&["--ssh-key", KEY, "--peer", "API=10.0.0.2"]).unwrap_err().contains("name of a peer"));
    }

    #[test]
    fn the_bundle_lies_where_it_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let mut out = Vec::new();
        parsed(&["--ssh-key", KEY]).unwrap().run(folder.path(), &mut out).unwrap();
        assert!(folder.path().join("bundles/api-1/seed.iso").is_file());
        assert!(String::from_utf8(out).unwrap().contains("api-1 (i-"));
    }
}
