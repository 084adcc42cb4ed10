//! File systems in ext4, each filled from an archive, in its place on the disk.
//!
//! From an archive and not from a directory: owners, times and capabilities are those of the sealed root then, whatever
//! the file system of the builder can hold, and inodes come in the order of the paths. Source: mke2fs(8), `-d`.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use uuid::Uuid;

use super::partitions::Range;
use super::{DiskError, Disks, ToolError};
use crate::image::tar;
use crate::rootfs::Rootfs;
use crate::rootfs::entry::Kind;

/// What older readers of a root file system (importers that look into it, GRUB) do not know, and a disk of this size does
/// not need.
const FEATURES: &str = "^64bit,^metadata_csum_seed,^orphan_file";

/// One of the disk's file systems.
pub(super) struct FileSystem<'a> {
    pub label: &'a str,
    pub uuid: Uuid,
    pub entries: &'a Rootfs,
    pub place: Range,
}

const BLOCK: u64 = 4096;

/// Makes `this` in `work/disk.raw`.
pub(super) fn fill(disk: &Disks<'_>, this: &FileSystem<'_>, work: &Path) -> Result<(), DiskError> {
    archive(this.entries, work)?;
    let uuid = this.uuid.to_string();
    let extended = format!(
        "offset={},hash_seed={uuid},lazy_itable_init=1,lazy_journal_init=0,root_owner=0:0",
        this.place.start_bytes()
    );
    let blocks = (this.place.bytes() / BLOCK).to_string();
    let argv = [
        &["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "1", "-L", this.label, "-O", FEATURES][..],
        &["-d", "root.tar", "-U", &uuid, "-E", &extended, "disk.raw", &blocks],
    ];
    match disk.toolbox.run(work, disk.rootfs.epoch(), &argv.concat()) {
        Err(ToolError::Failed { said, .. }) if said.contains("Could not allocate block") => {
            let said = format!("mke2fs said: {said}");
            return Err(DiskError::TooSmall { gibibytes: disk.definition.gibibytes, said });
        }
        other => other?,
    };
    Ok(fs::remove_file(work.join("root.tar"))?)
}

/// A root that is never written, as the file [`READ_ONLY`] in `work`: as large as it must be, without a journal, and marked so
/// that no kernel mounts it otherwise.
pub(super) fn read_only(disk: &Disks<'_>, root: &Rootfs, work: &Path) -> Result<(), DiskError> {
    archive(root, work)?;
    let inodes = root.entries().len() as u64 + 64;
    let data: u64 = root.entries().values().map(|entry| blocks(&entry.kind)).sum();
    // A fiftieth for what says where blocks are, and 32 MiB for what does not depend on how many there are.
    let blocks = data + data / 50 + inodes * 256 / BLOCK + (32 << 20) / BLOCK;
    let (blocks, inodes) = (blocks.next_multiple_of((1 << 20) / BLOCK).to_string(), inodes.to_string());
    let (uuid, epoch) = (disk.identity.root().to_string(), disk.rootfs.epoch());
    let features = format!("{FEATURES},^has_journal,^resize_inode");
    let extended = format!("hash_seed={uuid},lazy_itable_init=0,root_owner=0:0");
    let argv = [
        &["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-L", "root", "-O", &features][..],
        &["-N", &inodes, "-d", "root.tar", "-U", &uuid, "-E", &extended, READ_ONLY, &blocks],
    ];
    disk.toolbox.run(work, epoch, &argv.concat())?;
    disk.toolbox.run(work, epoch, &["tune2fs", "-O", "read-only", READ_ONLY])?;
    Ok(fs::remove_file(work.join("root.tar"))?)
}

pub(super) const READ_ONLY: &str = "root.ext4";

/// How many blocks it takes.
fn blocks(kind: &Kind) -> u64 {
    match kind {
        Kind::File { size, .. } => size.div_ceil(BLOCK),
        Kind::Directory | Kind::Symlink(_) => 1,
        Kind::Hardlink(_) | Kind::Fifo => 0,
    }
}

/// `work/root.tar`.
pub(super) fn archive(entries: &Rootfs, work: &Path) -> Result<(), DiskError> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(work.join("root.tar"))?);
    tar::write(entries, entries.entries().keys().map(String::as_str), &mut out)?;
    Ok(out.flush()?)
}
