//! Of the disk: what the recipe says of it, and what was written.

use super::super::{Partition, Role, Root, Subject, Written};
use crate::image::disk::Format;
use crate::plan::target;
use crate::recipe::Target;
use crate::verify::check::Finding;

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

pub fn format(subject: &Subject<'_>) -> Option<Vec<Finding>> {
    let (disk, format) = (subject.written.as_ref()?, target::format(subject.target));
    let finding = |found: &str| Finding::new(format.file_name(), found, "as the target takes it", BUILD);
    Some(match disk.formats.get(&format) {
        None => vec![finding("there is no such file")],
        Some(wrong) => wrong.iter().map(|wrong| finding(wrong)).collect(),
    })
}

/// What a target counts in, and the most that it takes, in bytes.
fn limits(target: Target) -> (u64, u64) {
    match target {
        Target::Azure => (MIB, 1023 * GIB),
        _ => (GIB, 2048 * GIB),
    }
}

pub fn size(subject: &Subject<'_>) -> Option<Vec<Finding>> {
    let (unit, most) = limits(subject.target);
    let wished = subject.disk.as_ref().map(|disk| ("[image] size", u64::from(disk.gibibytes) * GIB));
    let written = subject.written.as_ref().map(|disk| (Format::Raw.file_name(), disk.bytes));
    let sizes: Vec<_> = wished.into_iter().chain(written).collect();
    let wrong = sizes.iter().filter(|(_, bytes)| bytes % unit != 0 || *bytes > most || *bytes == 0);
    let wanted = || format!("a multiple of {unit} bytes, at most {} GiB", most / GIB);
    let findings =
        wrong.map(|(what, bytes)| Finding::new(*what, format!("{bytes} bytes"), wanted(), "size in [image]"));
    (!sizes.is_empty()).then(|| findings.collect())
}

pub fn root_last(subject: &Subject<'_>) -> Option<Vec<Finding>> {
    let disk = subject.written.as_ref()?;
    let last = disk.partitions.iter().max_by_key(|partition| partition.first);
    Some(match last {
        Some(Partition { role: Role::Linux, .. }) => Vec::new(),
        other => vec![Finding::new("the last partition", what(other), "a file system of Linux", BUILD)],
    })
}

fn what(partition: Option<&Partition>) -> String {
    partition.map_or_else(|| "none".to_owned(), |partition| format!("{:?}", partition.role))
}

pub fn boot_modes(subject: &Subject<'_>) -> Option<Vec<Finding>> {
    let disk = subject.written.as_ref()?;
    let parts = [
        (disk.boot_sector, "the first sector", "a boot sector, for BIOS"),
        (disk.has(Role::BiosBoot), "the partition table", "a BIOS boot partition"),
        (disk.has(Role::Esp), "the partition table", "an EFI system partition"),
    ];
    let missing = parts.into_iter().filter(|(there, ..)| !there);
    Some(missing.map(|(_, place, wanted)| Finding::new(place, "none", wanted, BUILD)).collect())
}

/// `s_feature_incompat`: block numbers of 64 bits.
const BITS_64: u32 = 0x80;
/// `s_feature_ro_compat`: quotas, and those of projects.
const QUOTAS: u32 = 0x100 | 0x2000;

pub fn file_system(subject: &Subject<'_>) -> Option<Vec<Finding>> {
    let finding = |found: &str| {
        let mend =
            "root = \"rw\" or \"ro\" in [image]; a root of another kind is imported as `Others Linux`, unchecked";
        vec![Finding::new("the root", found, "ext4 without 64bit, project and quota", mend)]
    };
    Some(match subject.written.as_ref()?.root {
        Root::Other => finding("no ext4"),
        Root::Ext4 { incompatible, .. } if incompatible & BITS_64 != 0 => finding("ext4 with 64bit"),
        Root::Ext4 { read_only, .. } if read_only & QUOTAS != 0 => finding("ext4 with quotas"),
        Root::Ext4 { .. } => Vec::new(),
    })
}

pub fn no_swap_no_lvm(subject: &Subject<'_>) -> Option<Vec<Finding>> {
    if subject.written.is_none() && subject.rootfs.is_none() {
        return None;
    }
    let partitions = subject.written.iter().flat_map(|Written { partitions, .. }| partitions);
    let partitions = partitions.filter(|partition| matches!(partition.role, Role::Swap | Role::Lvm));
    let mut findings: Vec<_> = partitions
        .map(|partition| Finding::new("the partition table", what(Some(partition)), "neither swap nor LVM", BUILD))
        .collect();
    if let Some(rootfs) = &subject.rootfs {
        let table = rootfs.text("etc/fstab").unwrap_or_default();
        let fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let swap =
            fields.filter(|fields| !fields.is_empty() && !fields[0].starts_with('#') && fields.get(2) == Some(&"swap"));
        findings
            .extend(swap.map(|fields| Finding::new("etc/fstab", fields.join(" "), "no swap", "leave the line out")));
        let units = ["etc/systemd/system", "usr/lib/systemd/system"].map(|folder| (folder, rootfs.names(folder)));
        for (folder, name) in units.iter().flat_map(|(folder, names)| names.iter().map(move |name| (folder, name))) {
            if name.ends_with(".swap") {
                findings.push(Finding::new(format!("{folder}/{name}"), "a swap unit", "none", "leave it out"));
            }
        }
    }
    Some(findings)
}

const BUILD: &str = "build the image again, with the target in its recipe";
