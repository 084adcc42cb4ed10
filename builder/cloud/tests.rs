//! An image that keeps every rule of every target; and for each rule, what breaks it.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::digest::Digest;
use crate::epoch::Epoch;
use crate::image::disk::Format;
use crate::plan::target;
use crate::recipe::project::Project;
use crate::recipe::{ImageOptions, Target};
use crate::rootfs::Rootfs;
use crate::rootfs::entry::{Content, Entry, Kind, Origin};
use crate::verify::claims::Claims;

/// All that the rules look at.
struct Image {
    recipe: Recipe,
    disk: Definition,
    files: BTreeMap<String, Vec<u8>>,
    written: Written,
}

const INITRAMFS: [&str; 9] =
    ["virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod", "ahci", "xen-blkfront", "hv_vmbus", "hv_storvsc", "nvme"];
const MODULES: [&str; 6] = ["virtio_net", "ena", "hv_netvsc", "udf", "gve", "isofs"];

impl Image {
    /// This project's `db`, for all targets, with as little in it as the rules look at.
    fn good() -> Self {
        let project = Project::find(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        let mut recipe = project.load("db").unwrap().recipe;
        recipe.image = ImageOptions { targets: Target::ALL.into(), ..ImageOptions::default() };
        let disk = target::disk(&recipe.image).unwrap();
        let computed = crate::overlay::computed::of(&recipe, None);
        let mut files = BTreeMap::new();
        for (path, laid) in &computed.entries {
            if let crate::overlay::LaidKind::File { bytes, .. } = &laid.kind {
                files.insert(path.clone(), bytes.to_vec());
            }
        }
        let early: Vec<String> = INITRAMFS.iter().map(|name| format!("usr/lib/modules/6/{name}.ko.xz")).collect();
        let early: Vec<&str> = early.iter().map(String::as_str).collect();
        let builtin = "kernel/fs/ext4/ext4.ko\n";
        let texts = [
            ("boot/vmlinuz-6", ""),
            ("etc/issue", "Debian GNU/Linux 13 \\n \\l\n"),
            ("etc/os-release", "ID=debian\n"),
            ("etc/fstab", "# nothing\n"),
            ("etc/cloud/cloud.cfg.d/99-goldsmith.cfg", DATASOURCES),
            ("etc/modprobe.d/goldsmith.conf", "install cramfs /bin/false\n"),
            ("usr/bin/cloud-init", "#!"),
            ("usr/lib/systemd/systemd-networkd", ""),
            ("usr/lib/modules/6/modules.builtin", builtin),
            ("var/lib/dpkg/status", "Package: cloud-init\nStatus: install ok installed\n"),
        ];
        files.extend(texts.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())));
        files.insert("boot/initrd.img-6".to_owned(), initramfs::tests::cpio(&early));
        files.extend(MODULES.map(|name| (format!("usr/lib/modules/6/kernel/{name}.ko.xz"), Vec::new())));
        let partition = |role, first| Partition { role, first };
        let partitions =
            vec![partition(Role::BiosBoot, 2048), partition(Role::Esp, 4096), partition(Role::Linux, 135_168)];
        let formats = [Format::Raw, Format::Qcow2, Format::Vhd, Format::GceTar].map(|format| (format, None));
        let root = Root::Ext4 { incompatible: 0x242, read_only: 0x6B };
        let written = Written { bytes: 2 << 30, boot_sector: true, partitions, root, formats: formats.into() };
        Self { recipe, disk, files, written }
    }

    /// The rules that it breaks for `target`.
    fn broken(&self, target: Target) -> Vec<&'static str> {
        let entry = |kind| Entry {
            kind,
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: 0,
            xattrs: BTreeMap::new(),
            origin: Origin::Generated,
        };
        let mut entries = BTreeMap::from([(String::new(), entry(Kind::Directory))]);
        for (path, bytes) in &self.files {
            for (at, _) in path.match_indices('/') {
                entries.entry(path[..at].to_owned()).or_insert_with(|| entry(Kind::Directory));
            }
            let content = Content::Bytes(bytes.clone().into());
            entries.insert(
                path.clone(),
                entry(Kind::File { size: bytes.len() as u64, digest: Digest::of(bytes), content }),
            );
        }
        let rootfs = Rootfs::new(entries, Epoch(0));
        let claims = Claims::of(&self.recipe);
        let judgement = judge(&Subject {
            target,
            recipe: &self.recipe,
            disk: Some(self.disk.clone()),
            rootfs: Some(Audited::new(&rootfs, &claims)),
            written: Some(self.written.clone()),
        });
        assert!(judgement.rules.iter().all(|rule| rule.findings.is_some()), "everything is there to be looked at");
        let broken = judgement.rules.iter().filter(|rule| !rule.findings.as_ref().unwrap().is_empty());
        broken.map(|rule| rule.id).collect()
    }

    fn write(&mut self, path: &str, text: &str) {
        self.files.insert(path.to_owned(), text.as_bytes().to_vec());
    }

    fn swap(&mut self, path: &str, from: &str, to: &str) {
        let text = String::from_utf8(self.files[path].clone()).unwrap();
        assert!(text.contains(from), "{path} has no {from:?}: the mutant would be no mutant");
        self.write(path, &text.replace(from, to));
    }

    fn remove(&mut self, path: &str) {
        assert!(self.files.remove(path).is_some(), "there is no {path}");
    }
}

const DATASOURCES: &str = "datasource_list: [ AliYun, Ec2, GCE, Azure, OpenStack, ConfigDrive, NoCloud ]\n";
const CLOUD: &str = "etc/cloud/cloud.cfg.d/99-goldsmith.cfg";

#[test]
fn a_good_image_keeps_every_rule_of_every_target() {
    let image = Image::good();
    for target in Target::ALL {
        assert_eq!(image.broken(target), Vec::<&str>::new(), "{}", target.name());
    }
}

/// A rule, a target that has it, and what breaks it.
type Mutant = (&'static str, Target, fn(&mut Image));

const MUTANTS: &[Mutant] = &[
    ("target", Target::Aws, |image| image.recipe.image.targets = [Target::Kvm].into()),
    ("disk-format", Target::Gcp, |image| drop(image.written.formats.remove(&Format::GceTar))),
    ("disk-format", Target::Azure, |image| {
        image.written.formats.insert(Format::Vhd, Some("it is no fixed VHD".to_owned()));
    }),
    ("disk-size", Target::Gcp, |image| image.written.bytes += 1 << 20),
    ("disk-size", Target::Azure, |image| image.written.bytes += 512),
    ("disk-size", Target::Azure, |image| image.disk.gibibytes = 1024),
    ("disk-size", Target::Alibaba, |image| image.disk.gibibytes = 2049),
    ("disk-root-last", Target::Alibaba, |image| image.written.partitions[1].first = 1 << 22),
    ("disk-root-last", Target::Kvm, |image| image.written.partitions.clear()),
    ("disk-boot-modes", Target::Aws, |image| image.written.boot_sector = false),
    ("disk-boot-modes", Target::Azure, |image| _ = image.written.partitions.remove(0)),
    ("disk-boot-modes", Target::Openstack, |image| _ = image.written.partitions.remove(1)),
    ("disk-file-system", Target::Alibaba, |image| image.written.root = Root::Other),
    ("disk-file-system", Target::Alibaba, |image| image.written.root = Root::Ext4 { incompatible: 0x82, read_only: 0 }),
    ("disk-file-system", Target::Alibaba, |image| {
        image.written.root = Root::Ext4 { incompatible: 2, read_only: 0x100 }
    }),
    ("no-swap-no-lvm", Target::Azure, |image| image.written.partitions[0].role = Role::Swap),
    ("no-swap-no-lvm", Target::Alibaba, |image| image.written.partitions[0].role = Role::Lvm),
    ("no-swap-no-lvm", Target::Alibaba, |image| image.write("etc/fstab", "UUID=1 none swap sw 0 0\n")),
    ("no-swap-no-lvm", Target::Azure, |image| image.write("etc/systemd/system/swapfile.swap", "[Swap]\n")),
    ("fstab-by-uuid", Target::Alibaba, |image| image.write("etc/fstab", "/dev/vda1 / ext4 ro 0 1\n")),
    ("fstab-by-uuid", Target::Aws, |image| image.write("etc/fstab", "/dev/mapper/root / ext4 ro 0 1\n")),
    ("boot-by-uuid", Target::Alibaba, |image| image.disk.arguments.push("root=/dev/vda1".to_owned())),
    ("serial-console", Target::Gcp, |image| image.disk.arguments.push("console=tty0".to_owned())),
    ("serial-console", Target::Azure, |image| image.disk.arguments.clear()),
    ("nvme-timeout", Target::Alibaba, |image| image.disk.arguments.push("nvme_core.io_timeout=240".to_owned())),
    ("nvme-timeout", Target::Azure, |image| image.disk.arguments.push("nvme_core.io_timeout=30".to_owned())),
    ("root-delay", Target::Azure, |image| image.disk.arguments.push("rootdelay=1".to_owned())),
    ("boot-drivers", Target::Alibaba, |image| image.remove("boot/initrd.img-6")),
    ("boot-drivers", Target::Aws, |image| image.write("boot/initrd.img-6", "no archive")),
    ("boot-drivers", Target::Azure, |image| {
        drop(image.files.insert("boot/initrd.img-6".to_owned(), initramfs::tests::cpio(&["usr/lib/hv_vmbus.ko.xz"])));
    }),
    ("boot-drivers", Target::Gcp, |image| image.write("usr/lib/modules/6/modules.builtin", "")),
    ("running-drivers", Target::Aws, |image| image.remove("usr/lib/modules/6/kernel/ena.ko.xz")),
    ("running-drivers", Target::Azure, |image| image.write("etc/modprobe.d/cis.conf", "install udf /bin/false\n")),
    ("running-drivers", Target::Alibaba, |image| image.write("usr/lib/modprobe.d/a.conf", "blacklist virtio-net\n")),
    ("dhcp", Target::Gcp, |image| image.remove("usr/lib/systemd/systemd-networkd")),
    ("dhcp", Target::Alibaba, |image| {
        image.write("etc/systemd/network/10.network", "[Network]\nAddress=10.0.0.2/24\n")
    }),
    ("datasource", Target::Alibaba, |image| image.swap(CLOUD, "AliYun, ", "")),
    ("datasource", Target::Aws, |image| image.swap(CLOUD, "[ AliYun, ", "\n  - AliYun\n  - ")),
    ("datasource", Target::Kvm, |image| {
        image.write("etc/cloud/cloud.cfg.d/99-later.cfg", "datasource_list: [ Ec2 ]\n")
    }),
    ("datasource", Target::Openstack, |image| image.remove("usr/bin/cloud-init")),
    ("distribution", Target::Alibaba, |image| image.write("etc/issue", "Authorised use only\n")),
    ("distribution", Target::Alibaba, |image| image.remove("etc/os-release")),
    ("clock", Target::Alibaba, |image| image.write("etc/adjtime", "0.0 0 0.0\n0\nLOCAL\n")),
    ("no-foreign-agent", Target::Alibaba, |image| {
        image.write("var/lib/dpkg/status", "Package: qemu-guest-agent\nStatus: install ok installed\n");
    }),
    ("metadata-root-only", Target::Alibaba, |image| image.recipe.firewall = None),
    ("metadata-root-only", Target::Aws, |image| {
        image.swap("etc/iptables/rules.v4", "! --uid-owner 0", "! --uid-owner 33")
    }),
];

#[test]
fn each_mutant_breaks_the_rule_that_it_is_for() {
    for (number, (rule, target, change)) in MUTANTS.iter().enumerate() {
        let mut image = Image::good();
        change(&mut image);
        let broken = image.broken(*target);
        assert!(broken.contains(rule), "mutant {number} of {rule} for {}: {broken:?}", target.name());
    }
}

#[test]
fn every_rule_has_a_mutant_a_name_of_its_own_and_somebody_who_asks_for_it() {
    for rule in rules::RULES {
        assert!(MUTANTS.iter().any(|(id, ..)| *id == rule.id), "{} has no mutant", rule.id);
        assert_eq!(rules::RULES.iter().filter(|other| other.id == rule.id).count(), 1, "{}", rule.id);
        assert!(!rule.targets.is_empty() && !rule.source.is_empty() && !rule.title.ends_with('.'), "{}", rule.id);
    }
    for (id, target, _) in MUTANTS {
        let rule = rules::RULES.iter().find(|rule| rule.id == *id).unwrap_or_else(|| panic!("there is no rule {id}"));
        assert!(rule.targets.contains(target), "{id} is none of {}'s", target.name());
    }
}

#[test]
fn what_is_not_built_is_not_judged_and_the_report_says_so() {
    let Image { recipe, .. } = Image::good();
    let disk = target::disk(&recipe.image);
    let judgement = judge(&Subject { target: Target::Alibaba, recipe: &recipe, disk, rootfs: None, written: None });
    let mut text = Vec::new();
    judgement.write(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(judgement.is_clean());
    let expected =
        "db for alibaba: 5 rules kept, 0 broken, 14 not looked at: `goldsmith build db` makes what they look at\n";
    assert_eq!(text, expected);
}
