//! Of the kernel: what it is told, and which drivers it has before and after its root is there.

use std::collections::BTreeSet;
use std::io;

use super::super::{Subject, initramfs};
use crate::recipe::Target;
use crate::verify::audited::Audited;
use crate::verify::check::Finding;

const ARGUMENTS: &str = "the kernel's arguments";

/// The arguments that the disk tells its kernel; none, if there is to be no disk.
fn arguments<'a>(subject: &'a Subject<'_>) -> Option<&'a [String]> {
    subject.disk.as_ref().map(|disk| disk.arguments.as_slice())
}

/// What the last of the arguments `key=` says: for most of them, that is what counts.
fn last<'a>(arguments: &'a [String], key: &str) -> Option<&'a str> {
    arguments.iter().rev().find_map(|argument| argument.strip_prefix(key)?.strip_prefix('='))
}

pub fn by_uuid(subject: &Subject<'_>) -> Option<Vec<Finding>> {
    let devices = arguments(subject)?.iter().filter(|argument| {
        ["root=", "resume="]
            .iter()
            .any(|key| argument.strip_prefix(key).is_some_and(|value| value.starts_with("/dev/")))
    });
    let mend = "leave it out of kernel_arguments in [image]: the disk says root=UUID=… itself";
    Some(devices.map(|found| Finding::new(ARGUMENTS, found, "no name of a device", mend)).collect())
}

pub fn console(subject: &Subject<'_>) -> Option<Vec<Finding>> {
    let found = last(arguments(subject)?, "console").unwrap_or("none");
    let fits = found == "ttyS0" || found.starts_with("ttyS0,");
    let mend = "no other console= after it in kernel_arguments in [image]";
    Some(if fits { vec![] } else { vec![Finding::new(ARGUMENTS, found, "console=ttyS0 as the last console", mend)] })
}

pub fn nvme(subject: &Subject<'_>) -> Option<Vec<Finding>> {
    let found = last(arguments(subject)?, "nvme_core.io_timeout").unwrap_or("none");
    let least = if subject.target == Target::Azure { 240 } else { u32::MAX };
    let fits = found.parse::<u32>().is_ok_and(|seconds| seconds >= least);
    let wanted = format!("nvme_core.io_timeout={least}");
    let mend = "name the target in [image], and no other time-out in kernel_arguments";
    Some(if fits { vec![] } else { vec![Finding::new(ARGUMENTS, found, wanted, mend)] })
}

pub fn root_delay(subject: &Subject<'_>) -> Option<Vec<Finding>> {
    let found = last(arguments(subject)?, "rootdelay").unwrap_or("none");
    let mend = "name the target in [image]";
    Some(if found == "300" { vec![] } else { vec![Finding::new(ARGUMENTS, found, "rootdelay=300", mend)] })
}

/// What the target's disks need before the root is there.
fn of_disks(target: Target) -> &'static [&'static str] {
    match target {
        Target::Alibaba => &["virtio_pci", "virtio_blk", "nvme", "ext4"],
        Target::Aws => &["nvme", "xen_blkfront", "ext4"],
        Target::Azure => &["hv_vmbus", "hv_storvsc", "sd_mod", "ext4"],
        Target::Gcp => &["virtio_pci", "virtio_scsi", "sd_mod", "nvme", "ext4"],
        Target::Kvm | Target::Openstack => &["virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod", "ahci", "ext4"],
    }
}

/// What the target's network, and the media on which it says who the instance is, need once the root is there.
fn of_the_rest(target: Target) -> &'static [&'static str] {
    match target {
        Target::Alibaba => &["virtio_net"],
        Target::Aws => &["ena"],
        Target::Azure => &["hv_netvsc", "udf"],
        Target::Gcp => &["virtio_net", "gve"],
        Target::Kvm | Target::Openstack => &["virtio_net", "isofs"],
    }
}

pub fn boot_drivers(subject: &Subject<'_>) -> Option<Vec<Finding>> {
    let rootfs = subject.rootfs.as_ref()?;
    let mut findings = Vec::new();
    for version in kernels(rootfs) {
        let path = format!("boot/initrd.img-{version}");
        let inside = match early(rootfs, &path) {
            Ok(inside) => inside,
            Err(error) => {
                findings.push(Finding::new(path, error.to_string(), "an initramfs", "build the image again"));
                continue;
            }
        };
        let built_in = built_in(rootfs, version);
        let missing =
            of_disks(subject.target).iter().filter(|name| !inside.contains(**name) && !built_in.contains(**name));
        let mend = "MODULES=most in etc/initramfs-tools/initramfs.conf (or list it there), and a kernel that has it";
        findings.extend(missing.map(|name| Finding::new(path.as_str(), format!("no {name}"), *name, mend)));
    }
    Some(findings)
}

pub fn running_drivers(subject: &Subject<'_>) -> Option<Vec<Finding>> {
    let rootfs = subject.rootfs.as_ref()?;
    let mut findings = Vec::new();
    for version in kernels(rootfs) {
        let folder = format!("usr/lib/modules/{version}");
        let mut there: BTreeSet<String> = rootfs.below(&folder).filter_map(|(path, _)| module(path)).collect();
        there.extend(built_in(rootfs, version));
        let missing = of_the_rest(subject.target).iter().filter(|name| !there.contains(**name));
        let mend = "a kernel that has it: linux-image-cloud-amd64";
        findings.extend(missing.map(|name| Finding::new(folder.as_str(), format!("no {name}"), *name, mend)));
    }
    let needed = || of_disks(subject.target).iter().chain(of_the_rest(subject.target));
    for (path, text) in ["etc/modprobe.d", "usr/lib/modprobe.d"].iter().flat_map(|folder| rootfs.texts(folder, ".conf"))
    {
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let forbidden = match words[..] {
                ["blacklist", name] => Some(name),
                ["install", name, "/bin/false" | "/bin/true", ..] => Some(name),
                _ => None,
            };
            let forbidden = forbidden.map(|name| name.replace('-', "_"));
            if needed().any(|name| Some(*name) == forbidden.as_deref()) {
                findings.push(Finding::new(path.as_str(), line, "not forbidden", "leave the line out"));
            }
        }
    }
    Some(findings)
}

/// The versions of the kernels; if there is none, the one that is missing.
fn kernels<'a>(rootfs: &Audited<'a>) -> BTreeSet<&'a str> {
    let found: BTreeSet<_> =
        rootfs.names("boot").into_iter().filter_map(|name| name.strip_prefix("vmlinuz-")).collect();
    if found.is_empty() { ["VERSION"].into() } else { found }
}

/// The modules in an initramfs.
fn early(rootfs: &Audited<'_>, path: &str) -> io::Result<BTreeSet<String>> {
    let bytes = rootfs.bytes(path).ok_or_else(|| io::Error::other("there is none"))?;
    Ok(initramfs::paths(&bytes)?.iter().filter_map(|path| module(path)).collect())
}

/// What needs no module: modules.builtin(5).
fn built_in(rootfs: &Audited<'_>, version: &str) -> BTreeSet<String> {
    let list = rootfs.text(&format!("usr/lib/modules/{version}/modules.builtin")).unwrap_or_default();
    list.lines().filter_map(module).collect()
}

/// `…/drivers/block/xen-blkfront.ko.xz` → `xen_blkfront`: to the kernel, both letters are the same.
fn module(path: &str) -> Option<String> {
    let name = path.rsplit('/').next()?;
    let (name, end) = name.split_once(".ko")?;
    matches!(end, "" | ".xz" | ".zst" | ".gz").then(|| name.replace('-', "_"))
}
