//! What starts the kernel: GRUB, by two ways that meet in one `/boot/grub/grub.cfg`.
//!
//! ```text
//! BIOS   MBR (boot.img) ─▶ BIOS boot partition (core.img, made here, with all modules it needs) ─┐
//!                                                                                                ├▶ root: grub.cfg ─▶ kernel
//! UEFI   EFI/BOOT/BOOTX64.EFI (shim, signed by Microsoft) ─▶ grubx64.efi (signed by Debian) ─────┘
//!                                                            reads EFI/debian/grub.cfg: where the root is
//! ```
//!
//! The names in the ESP are compiled into Debian's signed GRUB. There is no `fbx64.efi`: with it, shim would look for boot
//! entries to restore instead of starting GRUB.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom};
use std::path::Path;

use uuid::Uuid;

use super::partitions::{Layout, Loader};
use super::{DiskError, Disks, sparse};
use crate::rootfs::Rootfs;
use crate::rootfs::entry::Kind;

/// What GRUB needs from BIOS to the kernel; nothing is loaded from the root's `/boot/grub/i386-pc`, which does not exist.
const MODULES: [&str; 14] = [
    "biosdisk",
    "part_gpt",
    "ext2",
    "search_fs_uuid",
    "normal",
    "configfile",
    "linux",
    "serial",
    "terminal",
    "echo",
    "test",
    "gzio",
    "minicmd",
    "reboot",
];

/// Files of the ESP: where the toolbox has them, and what they are called there.
const SIGNED: [(&str, &str); 3] = [
    ("/usr/lib/shim/shimx64.efi.signed", "::/EFI/BOOT/BOOTX64.EFI"),
    ("/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed", "::/EFI/BOOT/grubx64.efi"),
    ("/usr/lib/shim/mmx64.efi.signed", "::/EFI/BOOT/mmx64.efi"),
];

/// The kernel that a root file system boots, and its initramfs: paths below the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kernel {
    image: String,
    initramfs: String,
}

impl Kernel {
    /// The last by name, if there are several.
    pub fn of(rootfs: &Rootfs) -> Result<Self, DiskError> {
        let last = |prefix: &'static str| {
            let files = rootfs.entries().iter().filter(|(_, entry)| matches!(entry.kind, Kind::File { .. }));
            let path = files.map(|(path, _)| path).rfind(|path| path.starts_with(prefix));
            path.cloned().ok_or(DiskError::NoKernel(prefix))
        };
        Ok(Self { image: last("boot/vmlinuz-")?, initramfs: last("boot/initrd.img-")? })
    }

    /// `/boot/grub/grub.cfg`. It offers one thing, at once, and no line of it can be edited at the console: whoever could
    /// would be root.
    pub fn configuration(&self, root: Uuid, arguments: &[String]) -> String {
        let Self { image, initramfs } = self;
        let arguments = arguments.join(" ");
        format!(
            "# Written by Goldsmith. There is nothing to choose, and nothing that may be edited at the console.\n\
             set superusers=\"\"\n\
             set timeout=0\n\
             if serial --unit=0 --speed=115200; then\n  \
               terminal_input serial console\n  \
               terminal_output serial console\n\
             fi\n\
             menuentry \"Debian\" --unrestricted {{\n  \
               linux /{image} root=UUID={root} ro {arguments}\n  \
               initrd /{initramfs}\n\
             }}\n"
        )
    }
}

/// What both ways to GRUB are told first: where the root is.
fn early(root: Uuid) -> String {
    format!("search.fs_uuid {root} root\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n")
}

/// What a BIOS reads, made of the toolbox's GRUB.
pub(super) fn bios(disk: &Disks<'_>, work: &Path) -> Result<Loader, DiskError> {
    fs::write(work.join("early.cfg"), early(disk.identity.root()))?;
    let image = ["grub-mkimage", "-O", "i386-pc", "-p", "/boot/grub", "-c", "early.cfg", "-o", "core.img"];
    disk.toolbox.run(work, disk.rootfs.epoch(), &[&image[..], &MODULES].concat())?;
    let boot = disk.toolbox.read("usr/lib/grub/i386-pc/boot.img")?;
    let core = fs::read(work.join("core.img"))?;
    for name in ["early.cfg", "core.img"] {
        fs::remove_file(work.join(name))?;
    }
    Ok(Loader { boot, core })
}

/// The ESP, in its place in `work/disk.raw`.
pub(super) fn fill(disk: &Disks<'_>, layout: &Layout, work: &Path) -> Result<(), DiskError> {
    let run = |argv: &[&str]| disk.toolbox.run(work, disk.rootfs.epoch(), argv);
    let esp = work.join("esp.img");
    File::create_new(&esp)?.set_len(layout.esp.bytes())?;
    fs::write(work.join("grub.cfg"), early(disk.identity.root()))?;
    let serial = format!("{:08X}", disk.identity.esp_serial());
    // The serial number after `--invariant`, which has one of its own.
    run(&["mkfs.vfat", "--invariant", "-F", "32", "-s", "1", "-n", "ESP", "-i", &serial, "esp.img"])?;
    run(&["mmd", "-i", "esp.img", "::/EFI", "::/EFI/BOOT", "::/EFI/debian"])?;
    for (from, to) in SIGNED {
        run(&["mcopy", "-i", "esp.img", from, to])?;
    }
    run(&["mcopy", "-i", "esp.img", "grub.cfg", "::/EFI/debian/grub.cfg"])?;
    let mut raw = File::options().write(true).open(work.join("disk.raw"))?;
    raw.seek(SeekFrom::Start(layout.esp.start_bytes()))?;
    sparse::copy(&File::open(&esp)?, &raw, layout.esp.start_bytes())?;
    fs::remove_file(esp)?;
    Ok(fs::remove_file(work.join("grub.cfg"))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::example;
    use crate::rootfs::entry::Content;

    #[test]
    fn the_newest_kernel_is_booted_by_the_uuid_of_its_root_and_nothing_can_be_edited() {
        let kernel = Kernel { image: "boot/vmlinuz-6.12".to_owned(), initramfs: "boot/initrd.img-6.12".to_owned() };
        let text = kernel.configuration(Uuid::nil(), &["console=ttyS0".to_owned(), "quiet".to_owned()]);
        assert!(text.contains(
            "  linux /boot/vmlinuz-6.12 root=UUID=00000000-0000-0000-0000-000000000000 ro console=ttyS0 quiet\n"
        ));
        assert!(text.contains("\nset superusers=\"\"\n") && text.contains("\nset timeout=0\n"), "{text}");
    }

    #[test]
    fn without_a_kernel_there_is_no_disk() {
        let error = Kernel::of(&example::rootfs()).unwrap_err();
        assert!(error.to_string().starts_with("the root file system has no boot/vmlinuz-"), "{error}");
        let with = example::with_file("boot/vmlinuz-6", b"k", Content::Bytes(b"k".as_slice().into()));
        assert!(Kernel::of(&with).unwrap_err().to_string().contains("boot/initrd.img-"));
    }
}
