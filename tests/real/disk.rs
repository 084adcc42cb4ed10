//! The disks, as tools that nobody here wrote see them: formats, partitions, file systems, signatures.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::tools::shell;
use super::{IMAGES, checkout, images, lock};
use crate::harness::project::GOLDSMITH;

/// Runs `script` in the toolbox, with `folder` at /img; what it printed.
#[track_caller]
fn look(folder: &Path, script: &str) -> String {
    let show = format!("{}:/img", folder.display());
    let (code, said) = shell("toolbox", &["--show", &show], &["/bin/sh", "-euc", script]);
    assert_eq!(code, Some(0), "{script}\n{said}");
    said
}

/// First sector and number of sectors of a partition of `/img/disk.raw`, as sgdisk reads them.
fn partition(folder: &Path, number: u32) -> (u64, u64) {
    let table = look(folder, "sgdisk -p /img/disk.raw");
    let columns = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let line = table.lines().map(columns).find(|columns| columns.first() == Some(&number.to_string()));
    let line = line.unwrap_or_else(|| panic!("no partition {number}: {table}"));
    let (first, last): (u64, u64) = (line[1].parse().expect("a sector"), line[2].parse().expect("a sector"));
    (first, last + 1 - first)
}

/// A line of shell that copies a partition to the file `name`.
fn cut(folder: &Path, number: u32, name: &str) -> String {
    let (first, sectors) = partition(folder, number);
    let (skip, count) = (first * 512, sectors * 512);
    format!(
        "dd if=/img/disk.raw of={name} bs=1M iflag=skip_bytes,count_bytes skip={skip} count={count} conv=sparse status=none"
    )
}

/// The digests that sha256sum finds.
fn digests(folder: &Path, files: &[&str]) -> BTreeMap<String, String> {
    let said = look(folder, &format!("cd /img; sha256sum {}", files.join(" ")));
    let pair = |line: &str| line.split_once("  ").map(|(digest, file)| (file.to_owned(), digest.to_owned()));
    said.lines().filter_map(pair).collect()
}

/// Every build is held against the lock, so this says that all builds of these tests give the same disks.
#[test]
fn the_lock_knows_the_digests_of_the_disks() {
    for image in IMAGES {
        let gives = &lock(image)["gives"];
        for (file, digest) in digests(&images().join(image), &["disk.raw", "disk.qcow2"]) {
            assert_eq!(gives[&file].as_str(), Some(format!("sha256:{digest}").as_str()), "{image}: {file}");
        }
    }
}

/// The root is the last partition, so that it can grow; the ESP and what a BIOS reads stand before it.
#[test]
fn formats_and_partition_table_are_sound() {
    for image in IMAGES {
        let folder = images().join(image);
        let said = look(
            &folder,
            "cd /img; qemu-img check -q disk.qcow2; qemu-img compare -f raw -F qcow2 disk.raw disk.qcow2; sgdisk -v disk.raw",
        );
        assert!(said.contains("Images are identical.") && said.contains("No problems found."), "{image}: {said}");
        let starts: Vec<u64> = [2, 3, 1].into_iter().map(|number| partition(&folder, number).0).collect();
        assert!(starts.is_sorted(), "{image}: {starts:?}");
        let types = look(&folder, "for n in 1 2 3; do sgdisk -i $n /img/disk.raw | grep 'GUID code'; done");
        for kind in ["Linux x86-64 root", "BIOS boot partition", "EFI system partition"] {
            assert!(types.contains(kind), "{image}: {kind}: {types}");
        }
    }
}

/// Both file systems pass their checkers. The root is found by its UUID, and only root reads what belongs to root.
#[test]
fn file_systems_are_sound() {
    let folder = images().join("db");
    let said = look(
        &folder,
        &format!(
            "cd /tmp; {}; e2fsck -fn root 2>&1; {}; fsck.fat -n esp; debugfs -R 'cat /etc/fstab' root; \
             debugfs -R 'cat /boot/grub/grub.cfg' root; for file in /etc/shadow /boot/grub/grub.cfg; do debugfs -R \"stat $file\" root; done",
            cut(&folder, 1, "root"),
            cut(&folder, 3, "esp")
        ),
    );
    let root =
        said.lines().find(|line| line.starts_with("UUID=") && line.contains(" / ext4 ")).expect("a root in fstab");
    let uuid = root.split([' ', '=']).nth(1).expect("a UUID");
    assert!(said.contains(&format!("root=UUID={uuid} ")), "{said}");
    assert!(said.contains("Mode:  0640") && said.contains("Group:    42") && said.contains("Mode:  0600"), "{said}");
    for argument in ["console=ttyS0,115200n8", "audit=1", "lockdown=integrity", "slab_nomerge"] {
        assert!(said.contains(argument), "{argument}: {said}");
    }
}

/// What Secure Boot starts is signed: the shim by both of Microsoft's authorities, GRUB and the kernel by Debian's.
#[test]
fn what_secure_boot_starts_is_signed() {
    let folder = images().join("api");
    let said = look(
        &folder,
        &format!(
            "cd /tmp; {}; mcopy -i esp ::/EFI/BOOT/BOOTX64.EFI ::/EFI/BOOT/grubx64.efi .; {}; \
             kernel=$(debugfs -R 'ls -p /boot' root 2>/dev/null | grep -o 'vmlinuz-[^/]*'); debugfs -R \"dump /boot/$kernel kernel\" root; \
             for file in BOOTX64.EFI grubx64.efi kernel; do echo \"== $file\"; sbverify --list $file 2>&1; done",
            cut(&folder, 3, "esp"),
            cut(&folder, 1, "root")
        ),
    );
    let of = |file: &str| said.split("== ").find(|part| part.starts_with(file)).unwrap_or_default();
    for signer in ["Microsoft Corporation UEFI CA 2011", "Microsoft UEFI CA 2023"] {
        assert!(of("BOOTX64.EFI").contains(signer), "{signer}: {said}");
    }
    assert!(of("grubx64.efi").contains("Debian Secure Boot") && of("kernel").contains("Debian Secure Boot"), "{said}");
}

/// The formats that no recipe here asks for, in a copied project that does: Azure's and Google's hold the same disk, and a
/// second build gives the same bytes. (Two builds of `db`: some 70 s on two quiet processors.)
#[test]
fn azure_and_google_get_the_same_disk_in_their_formats_and_a_second_build_gives_the_same() {
    images();
    let project = checkout();
    let recipe = project.path().join("recipes/db.toml");
    let text = fs::read_to_string(&recipe).expect("a recipe") + "\n[image]\ntargets = [\"azure\", \"gcp\"]\n";
    fs::write(&recipe, text).expect("writing a recipe");
    let out = project.path().join("out");
    let build = || {
        let start = Instant::now();
        let mut build = Command::new(GOLDSMITH);
        build.args(["build", "--offline", "db", "--output"]).arg(&out).current_dir(project.path());
        let output = build.output().expect("starting goldsmith");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        println!("db in four formats: {:.1} s", start.elapsed().as_secs_f64());
        digests(&out.join("db"), &["disk.raw", "disk.qcow2", "disk.vhd", "disk.raw.tar.gz"])
    };
    let first = build();
    let folder = out.join("db");
    let said = look(
        &folder,
        "cd /img; qemu-img info -f vpc disk.vhd; qemu-img compare -f raw -F vpc disk.raw disk.vhd; \
         tar -tvzf disk.raw.tar.gz; tar -xzOf disk.raw.tar.gz disk.raw | sha256sum; \
         gzip -dc disk.raw.tar.gz | head -c 512 | od -An -c -j156 -N1; gzip -dc disk.raw.tar.gz | head -c 512 | od -An -c -j257 -N8",
    );
    assert!(said.contains("Images are identical."), "{said}");
    assert!(said.contains(&first["disk.raw"]), "Google's disk.raw is another: {said}");
    // A sparse file of GNU's old format: `ustar`, two blanks, NUL.
    assert!(said.lines().any(|line| line.trim() == "S"), "{said}");
    assert!(said.lines().any(|line| line.trim_end() == "   u   s   t   a   r          \\0"), "{said}");
    let size = |file: &str| fs::metadata(folder.join(file)).expect("a file").len();
    assert_eq!((size("disk.raw") % (1 << 30), size("disk.vhd")), (0, size("disk.raw") + 512));
    // Microsoft's specification of the format: the footer begins so, and its type is 2, fixed.
    let mut footer = [0; 512];
    let mut vhd = File::open(folder.join("disk.vhd")).expect("disk.vhd");
    vhd.seek(SeekFrom::End(-512)).expect("seeking");
    vhd.read_exact(&mut footer).expect("a footer");
    assert_eq!((&footer[..8], &footer[60..64]), (&b"conectix"[..], &[0, 0, 0, 2][..]));
    fs::remove_dir_all(&folder).expect("removing the first build");
    assert_eq!(build(), first);
}
