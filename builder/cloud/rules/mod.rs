//! The table: every rule of an import that can be looked at beforehand.
//!
//! Sources, in short: *Alibaba* is "Alibaba Cloud image specification (Linux)", "Check whether an image meets the import
//! requirements" and the API reference of ImportImage; *AWS* the EC2 and VM Import/Export user guides; *Azure* "Prepare Linux
//! for imaging in Azure"; *GCE* "Import an operating system image: requirements"; *OpenStack* the virtual machine image guide.

mod configuration;
mod disk;
mod kernel;

use super::{Rule, Subject};
use crate::recipe::Target::{self, Alibaba, Aws, Azure, Gcp};
use crate::verify::check::Finding;

/// All rules.
pub const RULES: &[Rule] = &[
    Rule {
        id: "target",
        title: "the recipe names the target, so that its disk is made",
        source: "[image] targets",
        targets: &Target::ALL,
        look: |subject| Some(target(subject)),
    },
    Rule {
        id: "disk-format",
        title: "the disk is in the format that the target takes, and whole",
        source: "Alibaba: ImportImage; AWS: import-snapshot; Azure: fixed VHD; GCE: disk.raw in a tar; OpenStack: disk formats",
        targets: &Target::ALL,
        look: disk::format,
    },
    Rule {
        id: "disk-size",
        title: "the disk is as large as the target counts, and not larger than it takes",
        source: "GCE: multiples of 1 GiB; Azure: of 1 MiB, at most 1023 GiB; Alibaba: DiskImageSize 1 to 2048",
        targets: &[Alibaba, Azure, Gcp],
        look: disk::size,
    },
    Rule {
        id: "disk-root-last",
        title: "the last partition is a file system that grows with the disk: the root, or the state of a root that never does",
        source: "Alibaba: image specification; cloud-init: growpart",
        targets: &Target::ALL,
        look: disk::root_last,
    },
    Rule {
        id: "disk-boot-modes",
        title: "it boots from BIOS and from UEFI: the hand-off says so to the target",
        source: "Alibaba: instance boot mode; AWS: boot modes of an AMI; Azure: generations 1 and 2",
        targets: &Target::ALL,
        look: disk::boot_modes,
    },
    Rule {
        id: "disk-file-system",
        title: "the root is an ext4 that the importer can read: without 64bit, project and quota",
        source: "Alibaba: instructions for importing images",
        targets: &[Alibaba],
        look: disk::file_system,
    },
    Rule {
        id: "no-swap-no-lvm",
        title: "there is neither swap nor a logical volume",
        source: "Alibaba: image specification; Azure: no swap on the OS disk; no LVM recommended",
        targets: &[Alibaba, Azure],
        look: disk::no_swap_no_lvm,
    },
    Rule {
        id: "fstab-by-uuid",
        title: "/etc/fstab names file systems by what they are, not by the device of the day",
        source: "Alibaba: sersi, Fstab; Azure: UUID in fstab",
        targets: &Target::ALL,
        look: configuration::fstab,
    },
    Rule {
        id: "boot-by-uuid",
        title: "the kernel is told its root by UUID alone",
        source: "Alibaba: sersi, GRUB; Azure: rootdelay and UUID",
        targets: &Target::ALL,
        look: kernel::by_uuid,
    },
    Rule {
        id: "serial-console",
        title: "the console is the first serial port, where the target shows it",
        source: "GCE: console=ttyS0; Azure: console=ttyS0; AWS: EC2 serial console; OpenStack: console log",
        targets: &Target::ALL,
        look: kernel::console,
    },
    Rule {
        id: "nvme-timeout",
        title: "a slow NVMe disk is waited for",
        source: "Alibaba: io_timeout of NVMe disks; AWS: I/O operation time-out (the longest); Azure: 240 s",
        targets: &[Alibaba, Aws, Azure],
        look: kernel::nvme,
    },
    Rule {
        id: "root-delay",
        title: "the kernel waits for its root",
        source: "Azure: rootdelay=300",
        targets: &[Azure],
        look: kernel::root_delay,
    },
    Rule {
        id: "boot-drivers",
        title: "the drivers of the target's disks are in the initramfs or in the kernel",
        source: "Alibaba: sersi, Virtio and NVMe; AWS: NVMe and Xen; Azure: Hyper-V; GCE: VirtIO-SCSI and NVMe",
        targets: &Target::ALL,
        look: kernel::boot_drivers,
    },
    Rule {
        id: "running-drivers",
        title: "the drivers of the target's network and of its media are there, and not forbidden",
        source: "Alibaba: virtio; AWS: ENA; Azure: netvsc, udf; GCE: VirtIO-Net and gVNIC; OpenStack: config drive",
        targets: &Target::ALL,
        look: kernel::running_drivers,
    },
    Rule {
        id: "dhcp",
        title: "addresses come by DHCP",
        source: "Alibaba: sersi, DHCP; Azure and GCE: requirements",
        targets: &Target::ALL,
        look: configuration::dhcp,
    },
    Rule {
        id: "datasource",
        title: "cloud-init asks the target, and finds it listed in one line",
        source: "cloud-init: ds-identify reads datasource_list line by line",
        targets: &Target::ALL,
        look: configuration::datasource,
    },
    Rule {
        id: "distribution",
        title: "/etc/issue and /etc/os-release say which distribution it is",
        source: "Alibaba: instructions for importing images; image check, GUESTOS.Platform",
        targets: &[Alibaba],
        look: configuration::distribution,
    },
    Rule {
        id: "clock",
        title: "the hardware clock is in UTC",
        source: "Alibaba: image check, GUESTOS.RtcTimeMode",
        targets: &[Alibaba],
        look: configuration::clock,
    },
    Rule {
        id: "no-foreign-agent",
        title: "no agent of another hypervisor runs",
        source: "Alibaba: instructions for importing images (qemu-ga)",
        targets: &[Alibaba],
        look: configuration::agents,
    },
    Rule {
        id: "metadata-root-only",
        title: "only root reaches the metadata service",
        source: "AWS and Alibaba on instance metadata; the hand-off asks for tokens too",
        targets: &Target::ALL,
        look: configuration::metadata,
    },
];

fn target(subject: &Subject<'_>) -> Vec<Finding> {
    let (targets, name) = (&subject.recipe.image.targets, subject.target.name());
    if targets.contains(&subject.target) {
        return Vec::new();
    }
    let named: Vec<_> = targets.iter().map(|target| target.name()).collect();
    let found = if named.is_empty() { "none".to_owned() } else { named.join(", ") };
    vec![Finding::new("[image] targets", found, name, format!("add \"{name}\" to targets in [image]"))]
}
