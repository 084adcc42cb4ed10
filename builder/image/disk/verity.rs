//! A root whose every block is compared with a hash when it is read: erofs, and dm-verity's tree beside it.
//!
//! ```text
//! kernel command line: roothash= ──▶ tree's top ──▶ … ──▶ hash of each block of 4 KiB ──▶ the root's blocks
//! ```
//!
//! What that protects: one bit of the root that is not as it was built, on its disk or on its way from there, and the machine
//! stops (`panic_on_corruption`), before anything reads it. Nobody who is root on the machine can change the root, neither for
//! now nor for the next start.
//!
//! What it does not: whoever can write the ESP from outside the machine writes another hash into grub.cfg. From BIOS
//! nothing is authentic. With Secure Boot, shim and GRUB check the signature of the kernel, but neither that of its command
//! line nor of its initramfs. (A signed unified kernel image would; it needs a key whose owner is not Debian.) The state (/var,
//! /home) is writable, and so is not verified.
//!
//! The partitions are named by the hash: the GUID of the root is its first half, that of the tree its second (Discoverable
//! Partitions Specification). Sources: veritysetup(8); Linux `Documentation/admin-guide/device-mapper/verity.rst`; mkfs.erofs(1).

use std::fs::{self, File};
use std::path::Path;

use uuid::Uuid;

use super::{DiskError, Disks, ToolError, ext4};
use crate::digest::Digest;
use crate::rootfs::Rootfs;

/// The files in the work directory.
pub(super) const ROOT: &str = "root.erofs";
pub(super) const HASHES: &str = "root.hashes";

/// Of root and tree, in bytes.
const BLOCK: u64 = 4096;

/// What sets up a verified root.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    /// The top, in hexadecimal.
    pub hash: String,
    /// In hexadecimal.
    pub salt: String,
    /// Of the root.
    pub blocks: u64,
    top: [u8; 32],
}

impl Tree {
    /// The GUID of the root's partition.
    pub fn root_partition(&self) -> Uuid {
        half(&self.top[..16])
    }

    /// The GUID of the hashes' partition.
    pub fn hash_partition(&self) -> Uuid {
        half(&self.top[16..])
    }

    fn new(hash: &str, salt: String, blocks: u64) -> Option<Self> {
        let digest: Digest = format!("sha256:{hash}").parse().ok()?;
        Some(Self { hash: hash.to_owned(), salt, blocks, top: *digest.as_bytes() })
    }
}

fn half(bytes: &[u8]) -> Uuid {
    let mut sixteen = [0; 16];
    sixteen.copy_from_slice(bytes);
    Uuid::from_bytes(sixteen)
}

/// Writes the root ([`ROOT`]) and its hashes ([`HASHES`]) into `work`.
pub(super) fn make(disk: &Disks<'_>, root: &Rootfs, work: &Path) -> Result<Tree, DiskError> {
    let run = |argv: &[&str]| disk.toolbox.run(work, disk.rootfs.epoch(), argv);
    ext4::archive(root, work)?;
    let uuid = disk.identity.root().to_string();
    let time = format!("-T{}", disk.rootfs.epoch());
    let options =
        ["--quiet", "--tar=f", "-zlz4hc", "-C65536", "-b4096", "--workers=1", "--mkfs-time", "--preserve-mtime"];
    run(&[&["mkfs.erofs"], &options[..], &[&time, "-Lroot", "-U", &uuid, ROOT, "root.tar"]].concat())?;
    fs::remove_file(work.join("root.tar"))?;
    let size = fs::metadata(work.join(ROOT))?.len().next_multiple_of(BLOCK);
    File::options().write(true).open(work.join(ROOT))?.set_len(size)?;
    let salt = disk.identity.salt();
    let uuid = disk.identity.uuid("hash tree").to_string();
    let argv = ["veritysetup", "format", "--hash=sha256", "--salt", &salt, "--uuid", &uuid, ROOT, HASHES];
    let said = run(&argv)?;
    let hash = said.lines().find_map(|line| line.strip_prefix("Root hash:")).map(str::trim).unwrap_or_default();
    let blocks = size / BLOCK;
    Tree::new(hash, salt.clone(), blocks).ok_or_else(|| {
        let (command, status) = (argv.join(" "), "without a root hash".to_owned());
        DiskError::Tool(ToolError::Failed { command, status, said })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_named_by_the_halves_of_the_hash() {
        let hash = "cd80fae0f603268e9192c96b5f70731cd82765524b2998bd32fd332e5960348a";
        let tree = Tree::new(hash, String::new(), 1).unwrap();
        assert_eq!(tree.root_partition().to_string(), "cd80fae0-f603-268e-9192-c96b5f70731c");
        assert_eq!(tree.hash_partition().to_string(), "d8276552-4b29-98bd-32fd-332e5960348a");
        assert!(Tree::new("", String::new(), 1).is_none());
        assert!(Tree::new(&hash[1..], String::new(), 1).is_none());
    }
}
