//! A session in a machine, by the toolbox's ssh: with the key of the bundle that was given, or with both made for one time.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::super::{Usage, shell};
use crate::epoch::Epoch;
use crate::image::cloud_init::{Instance, Seed};
use crate::image::ssh_key::SshKey;
use crate::machine::{Forward, Host, KEY, Machine, NEIGHBOUR};
use crate::progress::Progress;
use crate::sandbox::Sandbox;

/// What opens a machine.
pub(super) struct WayIn {
    /// The private key, in the scratch directory.
    key: PathBuf,
    /// The bundle's volume, if it was made for this one time.
    seed: Option<PathBuf>,
}

/// The machine's own user (overlays/base: 99-goldsmith.cfg).
const USER: &str = "ops";

impl WayIn {
    /// The key `identity` of a bundle that is somebody's; without a bundle, a key and a bundle for this one time, in which
    /// all `peers` of the image are this machine.
    pub(super) fn new(
        host: &Host<'_>,
        identity: Option<&Path>,
        has_bundle: bool,
        peers: BTreeSet<String>,
    ) -> anyhow::Result<Self> {
        let key = host.scratch.join(KEY);
        match (identity, has_bundle) {
            (Some(identity), _) => {
                let private = fs::read(identity).with_context(|| format!("cannot read {}", identity.display()))?;
                write_private(&key, &private)?;
                Ok(Self { key, seed: None })
            }
            (None, true) => {
                let message = "which private key belongs to the bundle?".to_owned();
                let help = "--identity FILE names it; without --bundle, a key is made for this one time".to_owned();
                Err(Usage { message, help: Some(help) }.into())
            }
            (None, false) => {
                let public = host.key()?;
                let instance = Instance {
                    name: "goldsmith-boot".to_owned(),
                    keys: vec![public.parse::<SshKey>()?],
                    peers: peers.into_iter().map(|peer| (peer, vec![IpAddr::from(NEIGHBOUR).into()])).collect(),
                    ..Instance::default()
                };
                let bundle = host.scratch.join("bundle");
                Seed::of(&instance)?.write(&bundle, Epoch(0))?;
                Ok(Self { key, seed: Some(bundle.join("seed.iso")) })
            }
        }
    }

    /// Boots `machine`, which must serve in `limit` seconds, logs in on this terminal, and shuts the machine down. The exit code
    /// is that of the session.
    pub(super) fn session(
        self,
        mut machine: Machine,
        (host, limit): (&Host<'_>, u32),
        progress: &Progress,
    ) -> anyhow::Result<()> {
        let forward = Forward::to(22)?;
        machine.network.forwards.push(forward);
        machine.seed = self.seed.or(machine.seed);
        debug_assert!(self.key.starts_with(host.scratch), "programs of the toolbox see nothing else");
        let mut running = machine.start(host, 0, progress)?;
        running.until("serving", limit)?;
        let port = forward.host.to_string();
        let asked = run(host, &ssh(&port, &["true"]))?;
        if !asked.0 {
            running.shut_down()?;
            anyhow::bail!(
                "nobody gets in by ssh: {}\nhelp: the image opens port 22 to those whom its recipe names, as far as its bundle says \
                 who they are; this machine is {NEIGHBOUR}",
                asked.1.trim()
            );
        }
        progress.message(&format!("boot: {}; ssh as {USER}", running.milestones()));
        let status = sandbox(host).env("TERM", shell::terminal()).run_here(&ssh(&port, &[]))?;
        running.shut_down()?;
        match status.code() {
            Some(0) => Ok(()),
            code => Err(shell::Ended(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)).into()),
        }
    }
}

/// ssh(1) to the machine. Its host key is as old as the machine, so there is none to compare with.
fn ssh<'a>(port: &'a str, command: &[&'a str]) -> Vec<&'a str> {
    let mut argv = vec!["ssh", "-F", "none", "-p", port, "-i", "/mnt/key", "-o", "IdentitiesOnly=yes"];
    for option in ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "ConnectTimeout=60"] {
        argv.extend(["-o", option]);
    }
    argv.extend(["-o", "BatchMode=yes", "-l", USER, "127.0.0.1"]);
    argv.extend(command);
    argv
}

fn sandbox(host: &Host<'_>) -> Sandbox {
    Sandbox::new(host.namespace, host.toolbox).lend(host.scratch, "/mnt").with_network()
}

/// Whether a program of the toolbox succeeded, and what it said.
fn run(host: &Host<'_>, argv: &[&str]) -> anyhow::Result<(bool, String)> {
    let output = sandbox(host).run(argv)?;
    Ok((output.status.success(), output.text))
}

fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    Ok(std::io::Write::write_all(&mut file, bytes)?)
}
