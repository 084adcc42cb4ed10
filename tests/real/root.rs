//! Roots that a running machine cannot write (`[image] root`): the roles run on them, and what is not as it was built does not.
//!
//! | root | /, /usr | /etc | /var, /home |
//! |---|---|---|---|
//! | `ro` | ext4, read-only | the root's, below a layer in memory | a partition of their own |
//! | `verity` | erofs, every block compared with its hash | the same | the same |

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Output};

use super::boot::{Answers, assert_healthy, assert_started_by, boot_in};
use super::{IMAGES, checkout};
use crate::harness::project::GOLDSMITH;

/// What a machine is asked beside what all are.
const ASKED: &str = "
    for path in /probe /usr/probe /etc/probe /var/lib/probe; do touch $path 2>/dev/null && echo \"written $path\"; done
    mount -o remount,rw / 2>/dev/null && echo 'written by remounting'
    echo \"verified-by $(ls /sys/block/dm-0/slaves 2>/dev/null | xargs)\"
    echo \"etc $(findmnt -no FSTYPE /etc)\"
    echo \"same-id $(cmp /etc/machine-id /var/lib/goldsmith/machine-id && echo yes)\"
    echo \"grown $(df -B1G --output=size /var | tail -1 | tr -d ' ')\"
";

fn goldsmith(project: &Path, arguments: &[&str]) -> Output {
    Command::new(GOLDSMITH).args(arguments).current_dir(project).output().expect("starting goldsmith")
}

/// A project in which `IMAGE-ROOT` is built.
#[track_caller]
fn built(image: &str, root: &str) -> tempfile::TempDir {
    let project = checkout();
    let name = format!("{image}-{root}");
    let recipe = format!("from = \"{image}\"\n\n[image]\nroot = \"{root}\"\n");
    fs::write(project.path().join(format!("recipes/{name}.toml")), recipe).expect("writing a recipe");
    for verb in ["lock", "build"] {
        let done = goldsmith(project.path(), &[verb, &name]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    project
}

/// The role is up, and of all that was tried, only what is volatile or state was written.
#[track_caller]
fn assert_sealed(name: &str, answers: &Answers) {
    assert_healthy(name, answers);
    assert_eq!(answers["written"], "/etc/probe\n/var/lib/probe", "{answers:#?}");
    assert_eq!((answers["etc"].as_str(), answers["same-id"].as_str()), ("overlay", "yes"), "{answers:#?}");
    // Root and hash tree are the first and the fourth partition.
    let (root, by) = if name.ends_with("verity") { ("erofs ro", "vda1 vda4") } else { ("ext4 ro", "") };
    assert!(answers["root"].starts_with(root), "{answers:#?}");
    assert_eq!(answers["verified-by"], by, "{answers:#?}");
}

/// The database on a verified root. Then nobody tells the kernel the root's hash; then one byte of the root is another one, which
/// no file system would look at (the first 1024 bytes of an erofs are not its own). Neither time does an init system start, nor a
/// shell. A build and three boots, two of which end in the initramfs.
#[test]
fn a_verified_root_runs_its_role_and_without_its_hash_or_with_one_changed_byte_nothing_starts() {
    let project = built("db", "verity");
    let answers = boot_in(project.path(), "db-verity", &["--uefi", "--size", "4"], ASKED);
    assert_started_by("--uefi", &answers);
    assert_sealed("db-verity", &answers);
    assert_eq!(answers["grown"], "4", "the state has grown into its disk: {answers:#?}");

    let path = project.path().join("images/db-verity/disk.raw");
    let disk = File::options().read(true).write(true).open(&path).expect("a disk");
    let told = told_hash(&disk);
    disk.write_all_at(b"nobodysay", told).expect("writing to the disk");
    assert_stops(project.path(), "the kernel was not told the hash of its root");
    disk.write_all_at(b"roothash=", told).expect("writing to the disk");

    let root = partition(&disk, 1).start;
    let mut byte = [0];
    disk.read_exact_at(&mut byte, root).expect("a byte of the root");
    disk.write_all_at(&[byte[0] ^ 1], root).expect("writing to the disk");
    assert_stops(project.path(), "kernel panicked before the end of the command: dm-verity device corrupted");
}

/// The machine says why it stops, and nothing of the root was started.
#[track_caller]
fn assert_stops(project: &Path, why: &str) {
    let stopped = goldsmith(project, &["boot", "db-verity", "--uefi", "--timeout", "600", "--exec", "true"]);
    let said = String::from_utf8_lossy(&stopped.stderr);
    assert_eq!(stopped.status.code(), Some(1), "{said}");
    assert!(said.contains(why), "{said}");
    assert!(!said.contains("Welcome to") && !said.contains("(initramfs)"), "{said}");
}

/// Where the bytes of a partition are: the table begins in the third sector, 128 bytes each (UEFI 2.10 §5.3).
#[track_caller]
fn partition(disk: &File, number: u64) -> Range<u64> {
    let number_at = |at: u64| {
        let mut bytes = [0; 8];
        disk.read_exact_at(&mut bytes, 2 * 512 + (number - 1) * 128 + at).expect("a partition");
        u64::from_le_bytes(bytes)
    };
    number_at(32) * 512..(number_at(40) + 1) * 512
}

/// Where `grub.cfg`, on the ESP, says the root's hash.
#[track_caller]
fn told_hash(disk: &File) -> u64 {
    let esp = partition(disk, 3);
    let mut bytes = vec![0; usize::try_from(esp.end - esp.start).expect("64 MiB")];
    disk.read_exact_at(&mut bytes, esp.start).expect("the ESP");
    let found: Vec<usize> = memchr::memmem::find_iter(&bytes, b" roothash=").collect();
    assert_eq!(found.len(), 1, "{found:?}");
    esp.start + found[0] as u64 + 1
}

/// The rest of the matrix: `cargo test --release --test main every_role_runs_on -- --ignored --nocapture` prints it; four builds
/// and twelve boots, some twenty minutes on two quiet processors.
#[test]
#[ignore = "twenty minutes"]
fn every_role_runs_on_every_root_from_every_firmware() {
    for image in IMAGES {
        for root in ["ro", "verity"] {
            let project = built(image, root);
            let name = format!("{image}-{root}");
            for firmware in ["--bios", "--uefi", "--secure-boot"] {
                let answers = boot_in(project.path(), &name, &[firmware], ASKED);
                assert_started_by(firmware, &answers);
                assert_sealed(&name, &answers);
            }
        }
    }
}
