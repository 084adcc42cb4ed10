//! What each cloud wants of a disk: its format, and what the kernel must be told there.
//!
//! One disk serves all targets of a recipe: it is told what all of them want together. Where that is the same thing with
//! another value (how long an NVMe disk may take), the longest is right for all.
//!
//! | target | takes | because |
//! |---|---|---|
//! | alibaba | qcow2 | ImportImage: RAW, VHD, QCOW2; the smallest to upload. It asks for the longest NVMe time-out |
//! | aws | raw | the EBS direct API and import-snapshot take it as it is; its guide asks for the longest NVMe time-out |
//! | azure | fixed vhd | the only format; its guide asks for `rootdelay=300` and an NVMe time-out of 240 s |
//! | gcp | disk.raw.tar.gz | the only format; Debian's own image for it has `intel_iommu=off` |
//! | kvm, openstack | qcow2 | |

use std::collections::BTreeSet;

use crate::image::disk::{Definition, Format, Root};
use crate::recipe::{ImageOptions, RootMode, Target};

/// GiB of a disk, if the recipe does not say: a role with its data directory, and room for its log until it grows.
const GIBIBYTES: u16 = 2;

/// For every target: both consoles, and the last one is where the init system writes. The GPT has the root's type, but the
/// root is in fstab: nothing is to be mounted beside it (`systemd.gpt_auto`).
const EVERYWHERE: [&str; 3] = ["console=tty0", "console=ttyS0,115200n8", "systemd.gpt_auto=0"];

/// Where the root cannot be what it must be, the machine starts again after so many seconds: with this argument, neither the
/// kernel nor the initramfs stops with a shell instead.
const RESTART: &str = "panic=10";

/// The disk that a recipe wishes for; none, if it names no target.
pub fn disk(options: &ImageOptions) -> Option<Definition> {
    let targets = &options.targets;
    if targets.is_empty() {
        return None;
    }
    let mut formats: BTreeSet<Format> = targets.iter().map(|target| format(*target)).collect();
    formats.insert(Format::Raw);
    let mut arguments = EVERYWHERE.map(str::to_owned).to_vec();
    if targets.contains(&Target::Azure) {
        arguments.push("rootdelay=300".to_owned());
    }
    if targets.contains(&Target::Gcp) {
        arguments.push("intel_iommu=off".to_owned());
    }
    arguments.extend(nvme_timeout(targets));
    let root = match options.root {
        RootMode::Rw => Root::Writable,
        RootMode::Ro => Root::ReadOnly,
        RootMode::Verity => Root::Verity,
    };
    if root != Root::Writable {
        arguments.push(RESTART.to_owned());
    }
    arguments.extend(options.kernel_arguments.iter().cloned());
    Some(Definition { formats, gibibytes: options.size.unwrap_or(GIBIBYTES), root, arguments })
}

/// What `target` takes.
pub fn format(target: Target) -> Format {
    match target {
        Target::Alibaba | Target::Kvm | Target::Openstack => Format::Qcow2,
        Target::Aws => Format::Raw,
        Target::Azure => Format::Vhd,
        Target::Gcp => Format::GceTar,
    }
}

/// A network disk that is slow for a moment is no broken one: with the default of 30 s, the root becomes read-only.
fn nvme_timeout(targets: &BTreeSet<Target>) -> Option<String> {
    let seconds = match () {
        () if targets.contains(&Target::Alibaba) || targets.contains(&Target::Aws) => u32::MAX,
        () if targets.contains(&Target::Azure) => 240,
        () => return None,
    };
    Some(format!("nvme_core.io_timeout={seconds}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(targets: &[Target]) -> Option<Definition> {
        disk(&ImageOptions { targets: targets.iter().copied().collect(), ..ImageOptions::default() })
    }

    #[test]
    fn without_a_target_there_is_no_disk() {
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn a_disk_is_told_what_all_its_targets_want() {
        let disk = of(&[Target::Azure, Target::Kvm]).unwrap();
        assert_eq!(disk.formats, [Format::Raw, Format::Qcow2, Format::Vhd].into());
        assert_eq!(disk.arguments[3..], ["rootdelay=300", "nvme_core.io_timeout=240"]);
        let disk = of(&[Target::Azure, Target::Alibaba]).unwrap();
        assert_eq!(disk.arguments[3..], ["rootdelay=300", "nvme_core.io_timeout=4294967295"]);
        let disk = of(&[Target::Gcp]).unwrap();
        assert_eq!(disk.formats, [Format::Raw, Format::GceTar].into());
        assert_eq!((disk.gibibytes, &disk.arguments[3..]), (2, &["intel_iommu=off".to_owned()][..]));
    }

    #[test]
    fn the_recipe_has_the_last_word() {
        let options = ImageOptions {
            targets: [Target::Kvm].into(),
            size: Some(4),
            kernel_arguments: vec!["panic=10".to_owned()],
            ..ImageOptions::default()
        };
        let disk = disk(&options).unwrap();
        assert_eq!((disk.gibibytes, disk.arguments.last().map(String::as_str)), (4, Some("panic=10")));
    }
}
