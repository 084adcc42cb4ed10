//! `goldsmith boot`
//!
//! ```text
//!                     ┌─ (nothing)  its console is this terminal
//! images/NAME/disk.raw┼─ --exec CMD what the command says, and its exit code; then it is shut down
//!                     └─ --ssh      a session of `ops`, by ssh; then it is shut down
//! ```

mod ssh;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::build::{plan, processors};
use super::shell::Ended;
use super::{Usage, images};
use crate::build::Built;
use crate::cloud::mock::{self, Stage};
use crate::machine::{Accelerator, Cable, Firmware, Forward, Host, Machine, Network, Switch, errand};
use crate::progress::Progress;
use crate::recipe::project::Project;
use crate::rootfs::tree::Workshop;
use crate::sandbox::Namespace;
use crate::store::Store;

/// Run an image in a virtual machine, from exactly the bytes that ship.
///
/// The disk is only read: what the machine writes is gone when it ends. Its console is this terminal (Ctrl-A X switches it
/// off). Nothing leads from it to a network, and nothing to it but --forward and --ssh.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  goldsmith boot api\n  goldsmith boot db --ssh\n  \
                        goldsmith boot db --secure-boot --bundle bundles/db-1 --exec 'systemctl --failed'\n  \
                        goldsmith boot db --cloud alibaba --bundle bundles/db-1 --exec 'cloud-init query cloud_name'\n  \
                        goldsmith boot api --forward 8443:443   # https://localhost:8443/")]
pub struct Boot {
    /// Which. It must be built, and have a target in its recipe.
    #[arg(value_name = "IMAGE")]
    image: String,
    /// Start it from BIOS (SeaBIOS). This is the default.
    #[arg(long, group = "how")]
    bios: bool,
    /// Start it from UEFI (OVMF).
    #[arg(long, group = "how")]
    uefi: bool,
    /// Start it from UEFI, with Secure Boot on and Microsoft's keys.
    #[arg(long, group = "how")]
    secure_boot: bool,
    /// Attach what `goldsmith bundle` wrote to this folder. The machine is 10.0.2.15 of 10.0.2.0/24, by DHCP.
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// Make it find itself on this cloud: by what its firmware says and by the cloud's metadata service, which tells it what is
    /// in the bundle. No volume is attached. The machine is 100.100.100.15 of 100.100.100.0/24.
    #[arg(long, value_name = "CLOUD", requires = "bundle", conflicts_with_all = ["ssh", "network"])]
    cloud: Option<Cloud>,
    /// Run this in the machine, as root, once it has booted; then shut it down. The exit code is that of the command. (By
    /// systemd 256 or later in the image.)
    #[arg(long, value_name = "COMMAND", group = "what")]
    exec: Option<String>,
    /// Log in by ssh once it serves; after the session, shut it down. Without --bundle it is told of a key made for this one
    /// time, and that all its peers are this machine.
    #[arg(long, group = "what")]
    ssh: bool,
    /// The private key for --ssh, if the bundle is yours.
    #[arg(long, value_name = "FILE", requires = "ssh", requires = "bundle")]
    identity: Option<PathBuf>,
    /// Lead a port of 127.0.0.1 to one of the machine. Can be given several times.
    #[arg(long, value_name = "HOST:GUEST")]
    forward: Vec<Forward>,
    /// Put it into a network with every other machine on this computer that is started with the same name, in place of one of
    /// its own; its address is what its bundle says.
    #[arg(long, value_name = "NAME", requires = "bundle", conflicts_with_all = ["forward", "ssh"])]
    network: Option<String>,
    /// Switch the machine off after so many seconds, with --exec; give up to log in, with --ssh.
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    timeout: u32,
    /// Its memory, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 1536, value_parser = clap::value_parser!(u32).range(256..))]
    memory: u32,
    /// How many processors it has; default: as many as this machine, and at most four. (Where they are translated and several
    /// machines run side by side, one each is fastest.)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    processors: Option<u8>,
    /// The size of its disk, in GiB, as a cloud makes it larger than its image. Default: the image's.
    #[arg(long, value_name = "GIB")]
    size: Option<u16>,
    /// Hand it a credential of systemd, as a hypervisor can (systemd.system-credentials(7)). Can be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = credential)]
    credential: Vec<String>,
    /// Where the image was built; default: images/.
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// What runs its instructions.
    #[arg(long, value_name = "HOW", default_value = "auto")]
    accelerator: Wish,
}

/// `--cloud`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Cloud {
    /// Alibaba Cloud ECS, its metadata service in the hardened mode.
    Alibaba,
    /// The same, with a service that gives no tokens: to see that such a one is not believed.
    AlibabaWithoutTokens,
}

/// `--accelerator`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Wish {
    /// KVM where a machine starts with it, which is tried, else TCG.
    Auto,
    /// The processor itself.
    Kvm,
    /// Translated; slow, and everywhere.
    Tcg,
}

/// `NAME=VALUE`, as the string that carries it.
fn credential(text: &str) -> Result<String, &'static str> {
    let (name, value) = text.split_once('=').ok_or("it is NAME=VALUE")?;
    Ok(errand::credential(name, value))
}

impl Boot {
    pub fn run(self, project: &Project, progress: &Progress, out: &mut dyn Write) -> anyhow::Result<()> {
        images(project, std::slice::from_ref(&self.image))?;
        let plan = plan(project, &self.image)?;
        let folder = self.output.as_ref().map_or_else(|| project.image(&self.image), |output| output.join(&self.image));
        let Some(toolbox) = &plan.toolbox else {
            let message = format!("{} has no disk: its recipe names no target", self.image);
            return Err(Usage { message, help: Some("say `targets = [\"kvm\"]` in [image]".to_owned()) }.into());
        };
        if Built::still_there(&plan, &folder).is_none() {
            let message = format!("what recipe and lock say is not in {}", folder.display());
            return Err(Usage { message, help: Some(format!("`goldsmith build {}` builds it", self.image)) }.into());
        }
        let namespace = Namespace::enter()?;
        let store = Store::open_default()?.reporting(progress);
        let scratch = store.scratch()?;
        let workshop = Workshop { namespace, store, progress: progress.clone(), jobs: processors(), keep: false };
        let tree = workshop.tree(toolbox)?;
        let host = Host { namespace, toolbox: &tree.root, scratch: scratch.path() };
        let cable = self.network.as_deref().map(|name| cable(name, self.bundle.as_deref(), &workshop.store));
        let cable = cable.transpose()?;
        let (seed, stage) = self.told(scratch.path())?;
        let machine = Machine {
            firmware: self.firmware(),
            accelerator: self.accelerator.found(&host)?,
            processors: self.processors.map_or_else(|| processors().clamp(1, 4), usize::from),
            memory: self.memory,
            disk: folder.join("disk.raw"),
            size: self.size,
            seed,
            network: Network { forwards: self.forward, more: stage.network, cable },
            strings: self.credential,
            more: stage.more,
        };
        match (self.exec, self.ssh) {
            (Some(command), _) => {
                let (said, code) = machine.run(&host, (&command, self.timeout), progress)?;
                out.write_all(said.as_bytes())?;
                if code == 0 { Ok(()) } else { Err(Ended(code).into()) }
            }
            (None, true) => {
                let peers = plan.recipe.firewall.iter().flat_map(|firewall| firewall.peers().into_keys());
                let peers = peers.map(str::to_owned).collect();
                let way_in = ssh::WayIn::new(&host, self.identity.as_deref(), machine.seed.is_some(), peers)?;
                way_in.session(machine, (&host, self.timeout), progress)
            }
            (None, false) => Ok(machine.on_this_terminal(&host)?),
        }
    }

    /// How the machine is told what is in the bundle: by a volume, or by a cloud.
    fn told(&self, scratch: &Path) -> anyhow::Result<(Option<PathBuf>, Stage)> {
        match (&self.bundle, self.cloud) {
            (Some(bundle), Some(cloud)) => {
                let stage = mock::alibaba(bundle, scratch, cloud == Cloud::Alibaba);
                Ok((None, stage.with_context(|| format!("cannot serve {}", bundle.display()))?))
            }
            (bundle, _) => Ok((bundle.as_ref().map(|bundle| bundle.join("seed.iso")), Stage::default())),
        }
    }

    fn firmware(&self) -> Firmware {
        match (self.uefi, self.secure_boot) {
            (_, true) => Firmware::SecureBoot,
            (true, _) => Firmware::Uefi,
            _ => Firmware::Bios,
        }
    }
}

/// The place of the machine with this bundle in the network `name` of this user.
fn cable(name: &str, bundle: Option<&Path>, store: &Store) -> anyhow::Result<Cable> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        let message = format!("`{name}` cannot be the name of a network");
        return Err(Usage { message, help: Some("use letters, digits and `-`".to_owned()) }.into());
    }
    let bundle = bundle.map(Path::canonicalize).transpose()?.unwrap_or_default();
    Ok(Cable::new(Switch::new(&store.root().join("networks"), name), &bundle.to_string_lossy()))
}

impl Wish {
    fn found(self, host: &Host<'_>) -> anyhow::Result<Accelerator> {
        match (self, Accelerator::tried(host)?) {
            (Self::Kvm, Accelerator::Tcg) => {
                anyhow::bail!("no machine starts with KVM here\nhelp: --accelerator tcg needs none")
            }
            (Self::Tcg, _) => Ok(Accelerator::Tcg),
            (_, found) => Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        boot: Boot,
    }

    fn parsed(arguments: &[&str]) -> Result<Boot, clap::Error> {
        Line::try_parse_from([&["boot", "api"], arguments].concat()).map(|line| line.boot)
    }

    #[test]
    fn a_machine_starts_from_one_firmware() {
        assert_eq!(parsed(&[]).unwrap().firmware(), Firmware::Bios);
        assert_eq!(parsed(&["--uefi"]).unwrap().firmware(), Firmware::Uefi);
        assert_eq!(parsed(&["--secure-boot"]).unwrap().firmware(), Firmware::SecureBoot);
        assert!(parsed(&["--bios", "--uefi"]).is_err());
    }

    #[test]
    fn a_cloud_tells_what_is_in_a_bundle_and_so_needs_one() {
        assert_eq!(parsed(&["--cloud", "alibaba", "--bundle", "b"]).unwrap().cloud, Some(Cloud::Alibaba));
        assert!(parsed(&["--cloud", "alibaba"]).is_err());
    }

    #[test]
    fn a_command_and_a_session_exclude_each_other_and_a_private_key_needs_its_bundle() {
        assert!(parsed(&["--ssh", "--exec", "true"]).is_err());
        assert!(parsed(&["--ssh", "--identity", "key"]).is_err());
        assert!(parsed(&["--ssh", "--identity", "key", "--bundle", "bundles/api-1"]).is_ok());
    }
}
