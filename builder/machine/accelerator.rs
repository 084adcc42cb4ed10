//! What runs a machine's instructions: the processor itself where that works, which is tried.

use std::path::Path;

use super::{Host, MachineError, text, words};

/// What runs a machine's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// The processor itself.
    Kvm,
    /// QEMU, which translates them: slow, and everywhere.
    Tcg,
}

/// The newest processor that QEMU knows, but for what makes it slower where it is translated: string instructions that go byte
/// by byte, which a kernel prefers for pages where a processor says that they are fast, and a fifth level of page tables. A
/// machine boots in five sixths of the time.
const TRANSLATED: &str = "-accel tcg,thread=multi -cpu max,erms=off,fsrm=off,la57=off";

/// Offered by the kernel; perhaps without working.
pub(super) const DEVICE: &str = "/dev/kvm";

impl Accelerator {
    /// KVM if a machine starts with it, else none. Where it is offered and does not work, a machine hangs without a word; with
    /// it, a BIOS says its first line at once.
    ///
    /// # Errors
    /// QEMU cannot be started at all.
    pub fn tried(host: &Host<'_>) -> Result<Self, MachineError> {
        if !Path::new(DEVICE).exists() {
            return Ok(Self::Tcg);
        }
        let tried = format!(
            "timeout -k 1 3 qemu-system-x86_64 {} -m 64 -nodefaults -display none \
             -chardev file,id=said,path=/mnt/tried -device isa-debugcon,iobase=0x402,chardev=said",
            Self::Kvm.words()
        );
        host.sandbox().run(&words(&tried))?;
        let works = text(&host.scratch.join("tried")).contains("SeaBIOS");
        Ok(if works { Self::Kvm } else { Self::Tcg })
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Kvm => "-accel kvm -cpu host",
            Self::Tcg => TRANSLATED,
        }
    }
}
