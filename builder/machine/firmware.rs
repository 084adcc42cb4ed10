//! What starts a machine, and where the toolbox has it (Debian's packages `seabios` and `ovmf`).

/// What starts a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// SeaBIOS.
    Bios,
    /// OVMF.
    Uefi,
    /// OVMF with Secure Boot on, and with Microsoft's keys.
    SecureBoot,
}

impl Firmware {
    /// QEMU's words for it. What a UEFI remembers lies in a file of the machine's own, `/mnt/variables`.
    pub(super) fn words(self) -> &'static str {
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

    /// What it remembers at its first start, below the toolbox's root; a BIOS remembers nothing.
    pub(super) fn variables(self) -> Option<&'static str> {
        match self {
            Self::Bios => None,
            Self::Uefi => Some("usr/share/OVMF/OVMF_VARS_4M.fd"),
            Self::SecureBoot => Some("usr/share/OVMF/OVMF_VARS_4M.ms.fd"),
        }
    }
}
