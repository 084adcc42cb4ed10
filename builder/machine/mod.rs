//! A virtual machine on the bytes that ship, by the toolbox's QEMU, in the sandbox.
//!
//! ```text
//! disk.raw ──read-only──▶ a copy on write in scratch ┐
//! seed.iso ──read-only───────────────────────────────┼▶ QEMU ─▶ serial 1: the console: a terminal, or a file ─▶ milestones
//! firmware of the toolbox, its variables in scratch ─┘   ▲  ─▶ serial 2: what an errand says
//!                                                        └─ monitor: the power button
//! ```
//!
//! A machine as clouds have them: virtio for everything, and nothing that they have not. It knows no recipe and no plan: it
//! runs whatever disk it is given. What the guest writes is gone when it ends. Sources: qemu(1); QEMU's documentation of
//! `-netdev user` and of the monitor.

mod accelerator;
pub mod errand;
mod firmware;
mod milestone;
mod network;
mod running;
pub mod switch;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use accelerator::Accelerator;
pub use firmware::Firmware;
pub use milestone::Milestones;
pub use network::{Cable, Forward, NEIGHBOUR, Network};
pub use running::Running;
pub use switch::Switch;

use crate::progress::Progress;
use crate::sandbox::{Namespace, Sandbox, SandboxError};

/// What a machine is made of.
#[derive(Clone, Debug)]
pub struct Machine {
    /// What starts it.
    pub firmware: Firmware,
    /// What runs its instructions.
    pub accelerator: Accelerator,
    /// How many processors.
    pub processors: usize,
    /// In MiB.
    pub memory: u32,
    /// A raw disk, which is only read.
    pub disk: PathBuf,
    /// How large the disk is for the machine, in GiB, as a cloud makes it larger than its image; none: as it is.
    pub size: Option<u16>,
    /// The volume of cloud-init's NoCloud datasource, if it has one.
    pub seed: Option<PathBuf>,
    /// What it sees of a network.
    pub network: Network,
    /// SMBIOS strings of type 11 (OEM strings): systemd's credentials, for one.
    pub strings: Vec<String>,
    /// More of QEMU's arguments, as they are: SMBIOS tables of a cloud, further devices.
    pub more: Vec<String>,
}

/// What a machine runs on.
#[derive(Clone, Copy, Debug)]
pub struct Host<'a> {
    /// The right to run programs of the toolbox.
    pub namespace: Namespace,
    /// The root of the toolbox's tree.
    pub toolbox: &'a Path,
    /// A directory for what one machine writes.
    pub scratch: &'a Path,
}

/// Why a machine did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// QEMU was not started.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A file of it cannot be read or written.
    #[error("cannot use {}: {cause}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Its disk cannot be made.
    #[error("qemu-img makes no disk for the machine: {0}")]
    Disk(String),
    /// No key can be made.
    #[error("ssh-keygen of the toolbox makes no key: {0}")]
    Key(String),
    /// No port of this machine is free.
    #[error("no port of 127.0.0.1 is free: {0}")]
    Port(io::Error),
    /// It ended before it was to.
    #[error("the machine ended before {awaited} ({status}) {said}; the last that its console said:\n{console}")]
    Ended {
        /// What did not happen.
        awaited: String,
        /// How QEMU ended.
        status: String,
        /// What QEMU itself said.
        said: String,
        /// Some last lines of the console.
        console: String,
    },
    /// Its kernel gave up, and waits for ever.
    #[error("the machine's kernel panicked before {awaited}: {why}\nthe last that its console said:\n{console}")]
    Panicked {
        /// What did not happen.
        awaited: String,
        /// What the kernel says of it.
        why: String,
        /// Some last lines of the console.
        console: String,
    },
    /// It did not get there in time.
    #[error("the machine did not come to {awaited} in {seconds} s; the last that its console said:\n{console}")]
    Late {
        /// What did not happen.
        awaited: String,
        /// The limit.
        seconds: u64,
        /// Some last lines of the console.
        console: String,
    },
    /// It was asked to do something, and could not.
    #[error("the machine could not do `{line}` (exit code {code}): {said}")]
    Refused {
        /// What.
        line: String,
        /// How that ended.
        code: u8,
        /// What that said.
        said: String,
    },
    /// Ctrl-C.
    #[error("interrupted; the machine was shut down")]
    Interrupted,
}

/// The name of a private key in the scratch directory.
pub const KEY: &str = "key";

/// Where the machine's own files are for QEMU, and its disk: directories that every Debian system has.
const SCRATCH: &str = "/mnt";
const DISK: &str = "/media";

impl Host<'_> {
    /// With the scratch directory, and the processor if it is to be had.
    fn sandbox(&self) -> Sandbox {
        let sandbox = Sandbox::new(self.namespace, self.toolbox).lend(self.scratch, SCRATCH).env("TMPDIR", SCRATCH);
        match Path::new(accelerator::DEVICE).exists() {
            true => sandbox.lend(accelerator::DEVICE, accelerator::DEVICE),
            false => sandbox,
        }
    }

    /// A sandbox with the scratch directory, for clients of the toolbox: they reach loopback of this machine, and whatever it does.
    pub fn reaching_loopback(&self) -> Sandbox {
        self.sandbox().with_network()
    }

    /// Makes a key of ssh for one time, as [`KEY`] in the scratch directory; its public half.
    ///
    /// # Errors
    /// The toolbox's ssh-keygen makes none, or there is one.
    pub fn key(&self) -> Result<String, MachineError> {
        let path = format!("{SCRATCH}/{KEY}");
        let argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "for one time", "-f", path.as_str()];
        let made = self.sandbox().run(&argv)?;
        if !made.status.success() {
            return Err(MachineError::Key(made.text.trim().to_owned()));
        }
        Ok(text(&self.scratch.join(KEY).with_extension("pub")).trim().to_owned())
    }
}

impl Machine {
    /// Runs it with its console on this terminal, to its end. Ctrl-A X switches it off.
    ///
    /// # Errors
    /// It cannot be started, or QEMU fails.
    pub fn on_this_terminal(&self, host: &Host<'_>) -> Result<(), MachineError> {
        let (sandbox, mut argv) = self.prepared(host)?;
        argv.extend(words("-serial mon:stdio"));
        let status = sandbox.run_here(&argv)?;
        if status.success() {
            return Ok(());
        }
        let (awaited, said, console) = ("it was switched off".to_owned(), String::new(), String::new());
        Err(MachineError::Ended { awaited, status: status.to_string(), said, console })
    }

    /// Starts it, its console in a file. It is killed after `limit` seconds, if that is not 0.
    ///
    /// # Errors
    /// What it needs is not there.
    pub fn start(&self, host: &Host<'_>, limit: u32, progress: &Progress) -> Result<Running, MachineError> {
        let (sandbox, arguments) = self.prepared(host)?;
        // `timeout` also keeps Ctrl-C of the terminal from QEMU, which would take it for a pulled plug.
        let mut argv = words(&format!("timeout -k 5 {limit}"));
        argv.extend(arguments);
        argv.extend(words("-serial file:/mnt/console"));
        // What the errand says is written down; what it is asked comes by the socket.
        argv.extend(words(
            "-chardev socket,id=errand,path=/mnt/errand,server=on,wait=off,logfile=/mnt/output,logappend=off",
        ));
        argv.extend(words("-serial chardev:errand"));
        argv.extend(words("-monitor unix:/mnt/monitor,server=on,wait=off"));
        Ok(Running::new(sandbox, argv, host.scratch, progress))
    }

    /// Runs `command` in it as root when it has booted; what that said, and its exit code. The machine is shut down then.
    ///
    /// # Errors
    /// It did not come to the command's end in `limit` seconds.
    pub fn run(
        &self,
        host: &Host<'_>,
        (command, limit): (&str, u32),
        progress: &Progress,
    ) -> Result<(String, u8), MachineError> {
        self.clone().with_errand(command).start(host, limit, progress)?.errand(limit)
    }

    /// The same machine, which runs `command` as root when it has booted. What that says can be read while it runs.
    #[must_use]
    pub fn with_errand(mut self, command: &str) -> Self {
        self.strings.extend(errand::strings(command));
        self
    }

    /// Makes what it writes to, and gives QEMU's arguments, but for consoles.
    fn prepared(&self, host: &Host<'_>) -> Result<(Sandbox, Vec<String>), MachineError> {
        let file = |path: &Path, cause| MachineError::File { path: path.to_owned(), cause };
        let copy =
            |from: &Path, to: &str| fs::copy(from, host.scratch.join(to)).map(drop).map_err(|cause| file(from, cause));
        let disk = self.disk.canonicalize().map_err(|cause| file(&self.disk, cause))?;
        let name = disk.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let sandbox = host.sandbox().show(disk.parent().unwrap_or(Path::new("/")), DISK);
        if let Some(variables) = self.firmware.variables() {
            copy(&host.toolbox.join(variables), "variables")?;
        }
        if let Some(seed) = &self.seed {
            copy(seed, "seed.iso")?;
        }
        let mut create = words("qemu-img create -q -f qcow2 -F raw -b");
        create.extend([format!("{DISK}/{name}"), format!("{SCRATCH}/disk.qcow2")]);
        create.extend(self.size.map(|gibibytes| format!("{gibibytes}G")));
        let made = sandbox.run(&create)?;
        if !made.status.success() {
            return Err(MachineError::Disk(made.text.trim().to_owned()));
        }
        let sandbox = if self.network.forwards.is_empty() { sandbox.with_loopback() } else { sandbox.with_network() };
        let sandbox = match &self.network.cable {
            None => sandbox,
            Some(Cable { switch, .. }) => {
                switch.serve().map_err(|cause| file(switch.directory(), cause))?;
                sandbox.lend(switch.directory(), network::SWITCH)
            }
        };
        Ok((sandbox, self.words()))
    }

    fn words(&self) -> Vec<String> {
        let mut all = words(&format!(
            "qemu-system-x86_64 {} -smp {} -m {} -nodefaults -display none -no-reboot -device virtio-rng-pci \
             -drive file={SCRATCH}/disk.qcow2,format=qcow2,if=virtio,cache=unsafe -device virtio-net-pci,netdev=net,romfile={} \
             -netdev",
            self.accelerator.words(),
            self.processors,
            self.memory,
            self.network.address(),
        ));
        all.push(self.network.word());
        all.extend(words(self.firmware.words()));
        if self.seed.is_some() {
            all.extend(words(&format!("-drive file={SCRATCH}/seed.iso,format=raw,if=virtio,readonly=on")));
        }
        for string in &self.strings {
            // A comma ends a property, and two are one (qemu(1)).
            all.extend(["-smbios".to_owned(), format!("type=11,value={}", string.replace(',', ",,"))]);
        }
        all.extend(self.more.iter().cloned());
        all
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// What is in a file that QEMU writes, as far as it is there.
fn text(file: &Path) -> String {
    fs::read(file).map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_a_string_do_not_end_it_and_further_words_come_last() {
        let machine = Machine {
            firmware: Firmware::Bios,
            accelerator: Accelerator::Tcg,
            processors: 2,
            memory: 512,
            disk: "disk.raw".into(),
            size: None,
            seed: None,
            network: Network::default(),
            strings: vec!["a,b".to_owned()],
            more: words("-smbios type=1,product=ECS"),
        };
        let all = machine.words();
        assert!(all.contains(&"type=11,value=a,,b".to_owned()), "{all:?}");
        assert_eq!(all.last().map(String::as_str), Some("type=1,product=ECS"));
        assert!(!all.iter().any(|word| word.contains(DISK)), "the shipped disk is only the back of a copy: {all:?}");
    }
}
