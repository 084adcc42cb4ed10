//! The root partition: ext4, filled from an archive of the sealed root, in its place on the disk.
//!
//! From an archive and not from a directory: owners, times and capabilities are those of the sealed root then, whatever
//! the file system of the builder can hold, and inodes come in the order of the paths. Source: mke2fs(8), `-d`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::partitions::Layout;
use super::{DiskError, Disks, ToolError, boot};
use crate::digest::Digest;
use crate::image::tar;
use crate::rootfs::Rootfs;
use crate::rootfs::entry::{Content, Entry, Kind, Origin};

/// What older readers of a root file system (importers that look into it, GRUB) do not know, and a disk of this size does
/// not need.
const FEATURES: &str = "^64bit,^metadata_csum_seed,^orphan_file";

/// Makes the root file system in `work/disk.raw`.
pub(super) fn fill(disk: &Disks<'_>, layout: &Layout, work: &Path) -> Result<(), DiskError> {
    let rootfs = with_boot_files(disk)?;
    let archive = work.join("root.tar");
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&archive)?);
    tar::write(&rootfs, rootfs.entries().keys().map(String::as_str), &mut out)?;
    out.flush()?;
    let uuid = disk.identity.root().to_string();
    let extended = format!(
        "offset={},hash_seed={uuid},lazy_itable_init=1,lazy_journal_init=0,root_owner=0:0",
        layout.root.start_bytes()
    );
    let blocks = (layout.root.bytes() / 4096).to_string();
    let argv = [
        &["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "1", "-L", "root", "-O", FEATURES][..],
        &["-d", "root.tar", "-U", &uuid, "-E", &extended, "disk.raw", &blocks],
    ];
    match disk.toolbox.run(work, disk.rootfs.epoch(), &argv.concat()) {
        Err(ToolError::Failed { said, .. }) if said.contains("Could not allocate block") => {
            return Err(DiskError::TooSmall { gibibytes: disk.definition.gibibytes, said });
        }
        other => other?,
    };
    std::fs::remove_file(archive)?;
    Ok(())
}

/// The root file system with what only a disk needs: where its root is, and what its boot loader reads.
fn with_boot_files(disk: &Disks<'_>) -> Result<Rootfs, DiskError> {
    let mut entries = disk.rootfs.entries().clone();
    let root = disk.identity.root();
    let configuration = boot::Kernel::of(disk.rootfs)?.configuration(root, &disk.definition.arguments);
    let mut table = format!("UUID={root} / ext4 errors=remount-ro 0 1\n");
    if entries.contains_key("etc/fstab") {
        std::io::Read::read_to_string(&mut disk.rootfs.open("etc/fstab")?, &mut table)?;
    }
    let mtime = disk.rootfs.epoch().0;
    let mut put = |path: &str, mode, kind| {
        let (path, xattrs) = (path.to_owned(), BTreeMap::new());
        entries.insert(path, Entry { kind, mode, uid: 0, gid: 0, mtime, xattrs, origin: Origin::Generated });
    };
    put("boot/grub", 0o700, Kind::Directory);
    // Nobody but root reads what the machine is started with.
    put("boot/grub/grub.cfg", 0o600, file(&configuration));
    put("etc/fstab", 0o644, file(&table));
    Ok(Rootfs::new(entries, disk.rootfs.epoch()))
}

fn file(text: &str) -> Kind {
    let bytes = text.as_bytes();
    Kind::File { size: bytes.len() as u64, digest: Digest::of(bytes), content: Content::Bytes(bytes.into()) }
}
