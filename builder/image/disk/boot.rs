//! What starts the kernel: GRUB, by two ways that meet in one `/boot/grub/grub.cfg`.
//!
//! ```text
//! BIOS   MBR (boot.img) ─▶ BIOS boot partition (core.img, made here, with all modules it needs) ─┐
//!                                                                                                ├▶ root: grub.cfg ─▶ kernel
//! UEFI   EFI/BOOT/BOOTX64.EFI (shim, signed by Microsoft) ─▶ grubx64.efi (signed by Debian) ─────┘
//!                                                            reads EFI/debian/grub.cfg: where the root is
//! ```
//!
//! For a root that GRUB cannot read (erofs), kernel, initramfs and grub.cfg are in the ESP, and both ways meet there.
//!
//! The names in the ESP are compiled into Debian's signed GRUB. There is no `fbx64.efi`: with it, shim would look for boot
//! entries to restore instead of starting GRUB.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::partitions::{Layout, Loader};
use super::{DiskError, Disks, Root, initramfs, sparse, verity};
use crate::rootfs::Rootfs;
use crate::rootfs::entry::Kind;

/// What GRUB needs from BIOS to the kernel; nothing is loaded from the root's `/boot/grub/i386-pc`, which does not exist.
const MODULES: [&str; 15] = [
    "biosdisk",
    "part_gpt",
    "ext2",
    "fat",
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

    /// `grub.cfg`. It offers one thing, at once, and no line of it can be edited at the console: whoever could would be root.
    pub fn configuration(&self, start: &Start) -> String {
        let Self { image, initramfs } = self;
        let (Start { root, more, .. }, arguments) = (start, start.arguments.join(" "));
        format!(
            "# Written by Goldsmith. There is nothing to choose, and nothing that may be edited at the console.\n\
             set superusers=\"\"\n\
             set timeout=0\n\
             if serial --unit=0 --speed=115200; then\n  \
               terminal_input serial console\n  \
               terminal_output serial console\n\
             fi\n\
             menuentry \"Debian\" --unrestricted {{\n  \
               linux /{image} root={root} ro {arguments}\n  \
               initrd /{initramfs}{more}\n\
             }}\n"
        )
    }

    /// Of the kernel: `6.12.117+deb13-cloud-amd64`.
    pub fn version(&self) -> &str {
        self.image.trim_start_matches("boot/vmlinuz-")
    }
}

/// How the kernel is started.
#[derive(Clone, Debug)]
pub(super) struct Start {
    /// `root=`.
    root: String,
    arguments: Vec<String>,
    /// Behind the initramfs.
    more: String,
}

impl Start {
    /// Of `disk`, whose root has the hashes of `tree`, if any.
    pub fn of(disk: &Disks<'_>, tree: Option<&verity::Tree>) -> Self {
        let mut arguments = disk.definition.arguments.clone();
        let root = match tree {
            Some(_) => "/dev/mapper/root".to_owned(),
            None => format!("UUID={}", disk.identity.root()),
        };
        if disk.definition.root == Root::Writable {
            return Self { root, arguments, more: String::new() };
        }
        arguments.push("boot=goldsmith".to_owned());
        arguments.extend(tree.map(|tree| format!("roothash={}", tree.hash)));
        Self { root, arguments, more: format!(" /{INITRAMFS}") }
    }
}

/// Where our part of the initramfs is, below the root or the ESP.
pub(super) const INITRAMFS: &str = "boot/goldsmith.img";

/// What both ways to GRUB are told first: on which file system the rest is.
fn early(disk: &Disks<'_>) -> String {
    let place = match disk.definition.root {
        Root::Verity => {
            let serial = disk.identity.esp_serial();
            format!("{:04X}-{:04X}", serial >> 16, serial & 0xFFFF)
        }
        Root::Writable | Root::ReadOnly => disk.identity.root().to_string(),
    };
    format!("search.fs_uuid {place} root\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n")
}

/// What a BIOS reads, made of the toolbox's GRUB.
pub(super) fn bios(disk: &Disks<'_>, work: &Path) -> Result<Loader, DiskError> {
    fs::write(work.join("early.cfg"), early(disk))?;
    let image = ["grub-mkimage", "-O", "i386-pc", "-p", "/boot/grub", "-c", "early.cfg", "-o", "core.img"];
    disk.toolbox.run(work, disk.rootfs.epoch(), &[&image[..], &MODULES].concat())?;
    let boot = disk.toolbox.read("usr/lib/grub/i386-pc/boot.img")?;
    let core = fs::read(work.join("core.img"))?;
    for name in ["early.cfg", "core.img"] {
        fs::remove_file(work.join(name))?;
    }
    Ok(Loader { boot, core })
}

/// The ESP, in its place in `work/disk.raw`; with what starts the kernel, if GRUB cannot read the root of this `tree`.
pub(super) fn fill(
    disk: &Disks<'_>,
    layout: &Layout,
    tree: Option<&verity::Tree>,
    work: &Path,
) -> Result<(), DiskError> {
    let run = |argv: &[&str]| disk.toolbox.run(work, disk.rootfs.epoch(), argv);
    let esp = work.join("esp.img");
    File::create_new(&esp)?.set_len(layout.esp.bytes())?;
    fs::write(work.join("file"), early(disk))?;
    let serial = format!("{:08X}", disk.identity.esp_serial());
    // The serial number after `--invariant`, which has one of its own.
    run(&["mkfs.vfat", "--invariant", "-F", "32", "-s", "1", "-n", "ESP", "-i", &serial, "esp.img"])?;
    run(&["mmd", "-i", "esp.img", "::/EFI", "::/EFI/BOOT", "::/EFI/debian"])?;
    for (from, to) in SIGNED {
        run(&["mcopy", "-i", "esp.img", from, to])?;
    }
    run(&["mcopy", "-i", "esp.img", "file", "::/EFI/debian/grub.cfg"])?;
    if let Some(tree) = tree {
        let kernel = Kernel::of(disk.rootfs)?;
        run(&["mmd", "-i", "esp.img", "::/boot", "::/boot/grub"])?;
        let put = |path: &str, from: &mut dyn Read| -> Result<(), DiskError> {
            io::copy(from, &mut File::create(work.join("file"))?)?;
            Ok(run(&["mcopy", "-i", "esp.img", "file", &format!("::/{path}")]).map(drop)?)
        };
        for path in [&kernel.image, &kernel.initramfs] {
            put(path, &mut disk.rootfs.open(path)?)?;
        }
        put(INITRAMFS, &mut initramfs::archive(disk, Some(tree))?.as_slice())?;
        put("boot/grub/grub.cfg", &mut kernel.configuration(&Start::of(disk, Some(tree))).as_bytes())?;
    }
    let raw = File::options().write(true).open(work.join("disk.raw"))?;
    sparse::copy(&File::open(&esp)?, &raw, layout.esp.start_bytes())?;
    fs::remove_file(esp)?;
    Ok(fs::remove_file(work.join("file"))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::example;
    use crate::rootfs::entry::Content;

    #[test]
    fn the_newest_kernel_is_booted_by_the_uuid_of_its_root_and_nothing_can_be_edited() {
        let kernel = Kernel { image: "boot/vmlinuz-6.12".to_owned(), initramfs: "boot/initrd.img-6.12".to_owned() };
        let arguments = ["console=ttyS0", "quiet"].map(str::to_owned).to_vec();
        let text = kernel.configuration(&Start { root: "UUID=1".to_owned(), arguments, more: " /more.img".to_owned() });
        assert!(text.contains("  linux /boot/vmlinuz-6.12 root=UUID=1 ro console=ttyS0 quiet\n"), "{text}");
        assert!(text.contains("  initrd /boot/initrd.img-6.12 /more.img\n"), "{text}");
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
