//! `goldsmith boot`
//!
//! ```text
//! images/NAME/disk.raw ──read-only──┐
//! bundles/HOST/seed.iso ─read-only──┼─▶ QEMU of the toolbox, in the sandbox ─▶ serial console: this terminal, or a file
//! scratch: what the machine writes ─┘   KVM if a machine starts with it, else TCG      └▶ milestones, as progress
//! ```
//!
//! A command (`--exec`) comes into the machine as a systemd unit in SMBIOS strings, as any host may give them to its guests
//! (systemd.exec(5), `ImportCredential=`; smbios-type-11(7)), and speaks on a serial port of its own: not a byte of the
//! image is another one for it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::{Args, ValueEnum};

use super::build::{plan, processors};
use super::shell::Ended;
use super::{Usage, images};
use crate::build::Built;
use crate::progress::{Progress, Step, Total};
use crate::recipe::project::Project;
use crate::rootfs::tree::Workshop;
use crate::sandbox::{Namespace, Sandbox};
use crate::store::Store;

/// Run an image in a virtual machine, from exactly the bytes that ship.
///
/// The disk is only read: what the machine writes is gone when it ends. Its console is this terminal (Ctrl-A X ends it), or,
/// with --exec, only the command's output is shown. There is no network but what the image sees of an empty one.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  goldsmith boot api\n  goldsmith boot db --secure-boot --bundle bundles/db-1\n  \
                        goldsmith boot db --exec 'systemctl --failed'")]
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
    /// Attach what `goldsmith bundle` wrote to this folder.
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// Run this in the machine, as root, once it has booted; then shut it down. The exit code is that of the command.
    #[arg(long, value_name = "COMMAND")]
    exec: Option<String>,
    /// End the machine after so many seconds, with --exec.
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    timeout: u32,
    /// Its memory, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 1536, value_parser = clap::value_parser!(u32).range(256..))]
    memory: u32,
    /// What runs its instructions.
    #[arg(long, value_name = "HOW", default_value = "auto")]
    accelerator: Accelerator,
}

/// `--accelerator`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Accelerator {
    /// KVM where a machine starts with it, which is tried, else TCG.
    Auto,
    /// The processor itself.
    Kvm,
    /// Translated; slow, and everywhere.
    Tcg,
}

/// What starts a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Firmware {
    Bios,
    Uefi,
    SecureBoot,
}

/// Where the machine's own files are for QEMU, and the image's: directories that every Debian system has.
const SCRATCH: &str = "/mnt";
const IMAGE: &str = "/media";

impl Boot {
    pub fn run(self, project: &Project, progress: &Progress, out: &mut dyn Write) -> anyhow::Result<()> {
        images(project, std::slice::from_ref(&self.image))?;
        let plan = plan(project, &self.image)?;
        let folder = project.image(&self.image);
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
        let sandbox = Sandbox::new(namespace, &tree.root).lend(scratch.path(), SCRATCH);
        let sandbox = sandbox.show(folder.canonicalize()?, IMAGE).env("TMPDIR", SCRATCH);
        let sandbox = if Path::new(KVM).exists() { sandbox.lend(KVM, KVM) } else { sandbox };

        let mut arguments = self.machine(accelerator(self.accelerator, &sandbox, scratch.path())?);
        if let Some(bundle) = &self.bundle {
            let seed = bundle.join("seed.iso");
            fs::copy(&seed, scratch.path().join("seed.iso"))
                .with_context(|| format!("cannot read {}", seed.display()))?;
            arguments.extend(words("-drive file=/mnt/seed.iso,format=raw,if=virtio,readonly=on"));
        }
        if self.firmware() != Firmware::Bios {
            let variables = self.firmware().variables();
            fs::copy(tree.root.join(variables), scratch.path().join("variables"))
                .with_context(|| format!("the toolbox has no {variables}"))?;
        }
        match &self.exec {
            None => {
                arguments.extend(words("-serial mon:stdio"));
                let status = sandbox.run_here(&arguments)?;
                anyhow::ensure!(status.success(), "QEMU failed ({status})");
                Ok(())
            }
            Some(command) => {
                arguments.extend(credentials(command));
                let (said, code) = self.exec(&arguments, (&sandbox, scratch.path()), progress)?;
                out.write_all(said.as_bytes())?;
                if code == 0 { Ok(()) } else { Err(Ended(code).into()) }
            }
        }
    }

    fn firmware(&self) -> Firmware {
        match (self.uefi, self.secure_boot) {
            (_, true) => Firmware::SecureBoot,
            (true, _) => Firmware::Uefi,
            _ => Firmware::Bios,
        }
    }

    /// QEMU's arguments, but for consoles. A machine as clouds have them: virtio, and nothing that they have not.
    fn machine(&self, accelerator: &str) -> Vec<String> {
        let smp = processors().clamp(1, 4);
        let mut all = words(&format!(
            "qemu-system-x86_64 {accelerator} -smp {smp} -m {} -nodefaults -display none -no-reboot \
             -device virtio-rng-pci -drive file=/media/disk.raw,format=raw,if=virtio,snapshot=on \
             -netdev user,id=net,restrict=on -device virtio-net-pci,netdev=net,romfile=",
            self.memory
        ));
        all.extend(words(self.firmware().arguments()));
        all
    }

    /// Runs the machine to the end of its command; what that said, and its exit code.
    fn exec(
        &self,
        arguments: &[String],
        (sandbox, scratch): (&Sandbox, &Path),
        progress: &Progress,
    ) -> anyhow::Result<(String, u8)> {
        let limit = self.timeout.to_string();
        let mut argv = words("timeout -k 5");
        argv.push(limit);
        argv.extend(arguments.iter().cloned());
        argv.extend(words("-serial file:/mnt/console -serial file:/mnt/output"));
        let step = progress.step("boot", Total::Unknown);
        let (console, output) = (scratch.join("console"), scratch.join("output"));
        let ended = thread::scope(|scope| {
            let machine = scope.spawn(|| sandbox.run(&argv));
            while !machine.is_finished() {
                thread::sleep(Duration::from_millis(200));
                tell(&step, &text(&console));
            }
            machine.join()
        });
        let ended = ended.map_err(|_| anyhow::anyhow!("the thread that ran QEMU ended by itself"))??;
        let said = text(&output).replace('\r', "");
        let Some((said, code)) =
            said.rsplit_once(EXIT).and_then(|(said, code)| Some((said, code.trim().parse().ok()?)))
        else {
            let console = text(&console);
            let last: Vec<&str> = console.lines().rev().take(12).collect::<Vec<_>>().into_iter().rev().collect();
            let why = match ended.status.code() {
                Some(124 | 137) => format!("did not come to the end of the command in {} s", self.timeout),
                _ => format!("ended before the command did ({}) {}", ended.status, ended.text.trim()),
            };
            anyhow::bail!("the machine {why}; last it said:\n{}", last.join("\n"));
        };
        step.done("shut down");
        Ok((said.split_once(BEGIN).map_or(said, |(_, said)| said).to_owned(), code))
    }
}

impl Firmware {
    fn arguments(self) -> &'static str {
        match self {
            Self::Bios => "-machine q35",
            Self::Uefi => {
                "-machine q35 -drive if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd \
                 -drive if=pflash,format=raw,file=/mnt/variables"
            }
            Self::SecureBoot => {
                "-machine q35,smm=on -global driver=cfi.pflash01,property=secure,value=on \
                 -drive if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.ms.fd \
                 -drive if=pflash,format=raw,file=/mnt/variables"
            }
        }
    }

    /// What the firmware remembers at its first start, below the toolbox's root.
    fn variables(self) -> &'static str {
        match self {
            Self::SecureBoot => "usr/share/OVMF/OVMF_VARS_4M.ms.fd",
            _ => "usr/share/OVMF/OVMF_VARS_4M.fd",
        }
    }
}

const KVM: &str = "/dev/kvm";
const WITH_KVM: &str = "-accel kvm -cpu host";
const WITH_TCG: &str = "-accel tcg,thread=multi -cpu max";

/// Tries KVM, unless it is not to be: where it is offered and does not work, a machine hangs without a word. With it, a BIOS
/// says its first line at once.
fn accelerator(wish: Accelerator, sandbox: &Sandbox, scratch: &Path) -> anyhow::Result<&'static str> {
    if wish == Accelerator::Tcg {
        return Ok(WITH_TCG);
    }
    let mut works = false;
    if Path::new(KVM).exists() {
        let tried = format!(
            "timeout -k 1 3 qemu-system-x86_64 {WITH_KVM} -m 64 -nodefaults -display none \
             -chardev file,id=said,path=/mnt/tried -device isa-debugcon,iobase=0x402,chardev=said"
        );
        sandbox.run(&words(&tried))?;
        works = text(&scratch.join("tried")).contains("SeaBIOS");
    }
    match (works, wish) {
        (true, _) => Ok(WITH_KVM),
        (false, Accelerator::Kvm) => {
            anyhow::bail!("no machine starts with KVM here\nhelp: --accelerator tcg needs none")
        }
        (false, _) => Ok(WITH_TCG),
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// What is in a file that QEMU writes, as far as it is there.
fn text(file: &Path) -> String {
    fs::read(file).map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// What a console says on the way, and what that means; the last one counts.
const MILESTONES: [(&str, &str); 5] = [
    ("Linux version", "the kernel runs"),
    ("Run /init as init process", "initramfs"),
    ("Welcome to", "systemd runs"),
    ("Reached target", "services start"),
    ("login: ", "login prompt; waiting for the command"),
];

fn tell(step: &Step, console: &str) {
    if let Some((_, means)) = MILESTONES.iter().rfind(|(said, _)| console.contains(said)) {
        step.now(means);
    }
}

/// Around what the command says.
const BEGIN: &str = "@@BEGIN\n";
const EXIT: &str = "@@EXIT ";

/// A unit that runs `command` when the machine has booted, and shuts it down.
fn credentials(command: &str) -> Vec<String> {
    let script = format!(
        "exec >/dev/ttyS1 2>&1\nstty -F /dev/ttyS1 raw\nprintf '@@BEGIN\\n'\nsystemctl is-system-running --wait >/dev/null\n\
         cd /\n(\n{command}\n)\necho \"@@EXIT $?\"\nsystemctl poweroff\n"
    );
    let script = BASE64_STANDARD.encode(script);
    let unit = format!(
        "[Unit]\nDefaultDependencies=no\nAfter=sysinit.target\n[Service]\nEnvironment=PATH=/usr/sbin:/usr/bin:/sbin:/bin\n\
         ExecStart=/bin/sh -c \"echo {script} | base64 -d | sh\"\n"
    );
    let strings = [
        ("systemd.extra-unit.goldsmith-exec.service", unit.as_str()),
        ("systemd.unit-dropin.multi-user.target~goldsmith", "[Unit]\nWants=goldsmith-exec.service\n"),
    ];
    let string = |(name, value): (&str, &str)| {
        let value = BASE64_STANDARD.encode(value);
        ["-smbios".to_owned(), format!("type=11,value=io.systemd.credential.binary:{name}={value}")]
    };
    strings.into_iter().flat_map(string).collect()
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

    fn parsed(arguments: &[&str]) -> Boot {
        Line::try_parse_from([&["boot", "api"], arguments].concat()).unwrap().boot
    }

    #[test]
    fn a_machine_starts_from_one_firmware() {
        assert_eq!(parsed(&[]).firmware(), Firmware::Bios);
        assert_eq!(parsed(&["--uefi"]).firmware(), Firmware::Uefi);
        assert_eq!(parsed(&["--secure-boot"]).firmware(), Firmware::SecureBoot);
        assert!(Line::try_parse_from(["boot", "api", "--bios", "--uefi"]).is_err());
    }

    #[test]
    fn the_shipped_disk_is_only_read() {
        let arguments = parsed(&[]).machine(WITH_TCG);
        assert!(arguments.contains(&"file=/media/disk.raw,format=raw,if=virtio,snapshot=on".to_owned()));
    }

    #[test]
    fn a_command_with_any_letters_is_words_of_base64() {
        let arguments = credentials("echo \"a, b\"; exit 3");
        assert_eq!(arguments.len(), 4);
        assert!(!arguments.iter().any(|word| word.contains("exit 3") || word.contains(' ')));
    }
}
