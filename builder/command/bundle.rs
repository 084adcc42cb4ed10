//! `goldsmith bundle`

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::Args;

use super::print_json;
use crate::epoch::Epoch;
use crate::image::cloud_init::{Instance, Seed};
use crate::image::network::{Cidr, Network};
use crate::image::ssh_key::SshKey;

/// Write what one instance is told when it first starts: its name, address and keys.
///
/// The result is a folder with cloud-init's NoCloud files (meta-data, network-config, user-data, vendor-data) and with the
/// same on a volume, seed.iso, to attach to the machine. The same arguments give the same bytes.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  goldsmith bundle --name api-1 --ssh-key ~/.ssh/id_ed25519.pub\n  \
                        goldsmith bundle --name db-1 --ssh-key ops.pub --address 10.0.1.5/24 --gateway 10.0.1.1 --dns 10.0.0.2 \\\n    \
                        --peer api=10.0.1.4")]
pub struct Bundle {
    /// The instance's host name.
    #[arg(long, value_name = "HOST")]
    name: String,
    /// Its id for cloud-init, which sets an instance up anew when it changes. Default: made from everything else.
    #[arg(long, value_name = "ID")]
    instance_id: Option<String>,
    /// A public key that may log in, or a file of such keys. Can be given several times.
    #[arg(long, value_name = "FILE|KEY", required = true, value_parser = keys)]
    ssh_key: Vec<Keys>,
    /// Its address and prefix length (`10.0.1.5/24`). Default: by DHCP.
    #[arg(long, value_name = "CIDR", requires = "gateway")]
    address: Option<Cidr>,
    /// The way out of its network.
    #[arg(long, value_name = "IP", requires = "address")]
    gateway: Option<IpAddr>,
    /// A name server. Can be given several times.
    #[arg(long, value_name = "IP", requires = "address")]
    dns: Vec<IpAddr>,
    /// Where a peer of the image is: the ports that the image has for it are open from there, and from nowhere else. Can be
    /// given several times, also for one peer. Default: its ports stay shut.
    #[arg(long, value_name = "NAME=IP", value_parser = peer)]
    peer: Vec<(String, IpAddr)>,
    /// The date of everything on the volume, in seconds since 1970 (UTC).
    #[arg(long, value_name = "SECONDS", env = "SOURCE_DATE_EPOCH", default_value_t = 0)]
    epoch: i64,
    /// The folder to write. Default: bundles/HOST.
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
        let network = match (self.address, self.gateway) {
            (Some(address), Some(gateway)) => Network::fixed(address, gateway, self.dns)?,
            _ => Network::Dhcp,
        };
        let keys = self.ssh_key.into_iter().flat_map(|keys| keys.0).collect();
        let mut peers: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        for (name, address) in self.peer {
            peers.entry(name).or_default().push(address);
        }
        let instance = Instance { name: self.name, id: self.instance_id, keys, network, peers };
        let seed = Seed::of(&instance)?;
        let output = folder.join(self.output.unwrap_or_else(|| Path::new("bundles").join(&instance.name)));
        seed.write(&output, Epoch(self.epoch))?;
        if self.json {
            let files: Vec<&str> = seed.files.keys().map(String::as_str).chain(["seed.iso"]).collect();
            let written = serde_json::json!({ "instance_id": seed.instance_id, "folder": output, "files": files });
            return print_json(out, &written);
        }
        Ok(writeln!(out, "{}: {} ({})", output.display(), instance.name, seed.instance_id)?)
    }
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
