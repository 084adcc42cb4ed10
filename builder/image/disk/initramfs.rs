//! What the initramfs lacks for a root that nobody may write, as an archive of its own that GRUB loads behind it.
//!
//! ```text
//! boot/initrd.img-*   made by the image's own initramfs-tools, while its packages were configured; not touched
//! goldsmith.img       scripts/goldsmith            mount.sh: read in place of scripts/local (`boot=goldsmith`)
//!                     goldsmith/configuration      which partitions
//!                     usr/lib/modules/…            overlayfs; for verity: erofs, dm-verity and what they need
//!                     goldsmith/{dmsetup,ld.so,lib}  verity only: out of the toolbox, with its libraries
//! ```
//!
//! The kernel unpacks one behind the other into one tree. So the image's packages are the same in all root modes: nothing is
//! installed in it that only its disk needs, and whatever makes its initramfs need not know of us. dmsetup(8) and not veritysetup(8):
//! all that it would read from the hash partition is known here, and its cryptography is 7 MB that a BIOS reads slowly.
//!
//! Sources: Linux `Documentation/driver-api/early-userspace/buffer-format.rst` (newc); initramfs-tools(7), `boot`.

use std::collections::BTreeSet;
use std::io::{self, Read};

use super::{DiskError, Disks, Root, boot, verity};
use crate::rootfs::Rootfs;

const SCRIPT: &str = include_str!("initramfs/mount.sh");
const DMSETUP: &str = "/usr/sbin/dmsetup";

/// The archive for a disk, compressed; `tree` is what the script must know of its hashes.
pub(super) fn archive(disk: &Disks<'_>, tree: Option<&verity::Tree>) -> Result<Vec<u8>, DiskError> {
    let mut archive = Archive::new(disk.rootfs.epoch().0);
    let state = disk.identity.state();
    let mut configuration = format!("state={state}\n");
    let mut modules = vec!["overlay"];
    if disk.definition.root == Root::Verity {
        modules.extend(["erofs", "dm-verity"]);
        add_dmsetup(disk, &mut archive)?;
    }
    match tree {
        None => configuration.push_str("mode=ro\n"),
        Some(tree) => configuration.push_str(&format!(
            "mode=verity\nroot={}\nhashes={}\nblocks={}\nsalt={}\n",
            tree.root_partition(),
            tree.hash_partition(),
            tree.blocks,
            tree.salt
        )),
    }
    add_modules(disk.rootfs, &modules, &mut archive)?;
    archive.put("goldsmith/configuration", 0o644, configuration.as_bytes());
    archive.put("scripts/goldsmith", 0o644, SCRIPT.as_bytes());
    // One thread, and a level whose window the kernel admits (8 MiB).
    Ok(zstd::encode_all(archive.finish().as_slice(), 19)?)
}

/// dmsetup and what ldd(1) says that it needs, in a directory of their own: the initramfs has libraries of the same names.
fn add_dmsetup(disk: &Disks<'_>, archive: &mut Archive) -> Result<(), DiskError> {
    let work = tempfile::tempdir()?;
    let run = |argv: &[&str]| disk.toolbox.run(work.path(), disk.rootfs.epoch(), argv);
    let said = run(&["ldd", DMSETUP])?;
    let needed: BTreeSet<&str> =
        said.split_whitespace().filter(|word| word.starts_with('/')).chain([DMSETUP]).collect();
    let needed: Vec<&str> = needed.into_iter().collect();
    // Each is a link behind a link; the file has a name with its version.
    let files = run(&[&["realpath"], needed.as_slice()].concat())?;
    for (path, file) in needed.iter().zip(files.lines()) {
        let bytes = disk.toolbox.read(file.trim_start_matches('/'))?;
        match path.rsplit('/').next().unwrap_or(path) {
            "dmsetup" => archive.put("goldsmith/dmsetup", 0o755, &bytes),
            name if name.starts_with("ld-linux") => archive.put("goldsmith/ld.so", 0o755, &bytes),
            name => archive.put(&format!("goldsmith/lib/{name}"), 0o644, &bytes),
        }
    }
    Ok(())
}

/// The modules of these names and those that they need, with the index by which modprobe(8) finds them. (That is the whole
/// kernel's: it stands in place of the initramfs' own, and names more than is there, which only a missing module would show.)
fn add_modules(rootfs: &Rootfs, names: &[&str], archive: &mut Archive) -> Result<(), DiskError> {
    let version = boot::Kernel::of(rootfs)?.version().to_owned();
    let folder = format!("usr/lib/modules/{version}");
    let index = read(rootfs, &format!("{folder}/modules.dep"))?;
    let index = String::from_utf8_lossy(&index).into_owned();
    let mut wanted = BTreeSet::new();
    for name in names {
        let line = index.lines().filter_map(|line| line.split_once(':')).find(|(path, _)| {
            let file = path.rsplit('/').next().unwrap_or(path);
            file.split('.').next() == Some(name)
        });
        // What is not there as a module is built in, or missed by modprobe at the first start.
        let Some((path, needs)) = line else { continue };
        wanted.extend([path].into_iter().chain(needs.split_whitespace()).map(str::to_owned));
    }
    for path in wanted.iter().map(String::as_str).chain(["modules.dep", "modules.dep.bin"]) {
        let path = format!("{folder}/{path}");
        archive.put(&path, 0o644, &read(rootfs, &path)?);
    }
    Ok(())
}

fn read(rootfs: &Rootfs, path: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    rootfs.open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A cpio archive in the format `newc`.
struct Archive {
    bytes: Vec<u8>,
    mtime: u32,
    inode: u32,
    directories: BTreeSet<String>,
}

const DIRECTORY: u32 = 0o040_755;
const FILE: u32 = 0o100_000;

impl Archive {
    fn new(mtime: i64) -> Self {
        let mtime = u32::try_from(mtime).unwrap_or(0);
        Self { bytes: Vec::new(), mtime, inode: 0, directories: BTreeSet::new() }
    }

    /// A file, after the directories that it is in.
    fn put(&mut self, path: &str, mode: u32, bytes: &[u8]) {
        for (at, _) in path.match_indices('/') {
            if self.directories.insert(path[..at].to_owned()) {
                self.member(&path[..at], DIRECTORY, &[]);
            }
        }
        self.member(path, FILE | mode, bytes);
    }

    /// Thirteen numbers in hexadecimal, the name, the bytes; name and bytes end at a multiple of four.
    fn member(&mut self, path: &str, mode: u32, bytes: &[u8]) {
        self.inode += 1;
        let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let name = u32::try_from(path.len() + 1).unwrap_or(u32::MAX);
        let links = if mode == DIRECTORY { 2 } else { 1 };
        self.bytes.extend(b"070701");
        for number in [self.inode, mode, 0, 0, links, self.mtime, size, 0, 0, 0, 0, name, 0] {
            self.bytes.extend(format!("{number:08X}").bytes());
        }
        self.bytes.extend(path.bytes().chain([0]));
        self.pad();
        self.bytes.extend(bytes);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.member("TRAILER!!!", 0, &[]);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_has_each_directory_once_before_what_is_in_it_and_ends_as_the_kernel_wants() {
        let mut archive = Archive::new(7);
        archive.put("a/b/one", 0o644, b"12345");
        archive.put("a/two", 0o755, b"");
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);
        let names = [&b"a\0"[..], b"a/b\0", b"a/b/one\0", b"a/two\0", b"TRAILER!!!\0"];
        let at = names.map(|name| bytes.windows(name.len() + 1).position(|part| part[0] == b'0' && &part[1..] == name));
        assert!(at.iter().all(Option::is_some) && at.is_sorted(), "{at:?}");
        assert_eq!(bytes.windows(6).filter(|part| part == b"070701").count(), names.len());
        // The mode of the second to last, with its kind (a regular file).
        assert!(String::from_utf8_lossy(&bytes).contains("000081ED"));
    }
}
