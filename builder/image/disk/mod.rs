//! A root file system as a disk that boots: from BIOS, from UEFI, and with Secure Boot; without a loop device or a mount.
//!
//! ```text
//! LBA 0        34        2048            4096                 135168                                   end-33
//! ┌─────┬──────┬─────────┬───────────────┬────────────────────┬────────────────────────────────────────┬──────┐
//! │ MBR │ GPT  │         │ 2 BIOS boot   │ 3 ESP, FAT32       │ 1 root, ext4, last: an instance grows  │ GPT' │
//! └──┬──┴──────┴─────────┴──▲────────────┴─────────▲──────────┴───────────────▲────────────────────────┴──────┘
//!    │ boot.img: reads      │ core.img: GRUB that  │ Debian's signed shim and │ mke2fs -d: the sealed root,
//!    └── LBA 2048 ──────────┘ reads the root by    │ GRUB, and where the root │ fstab and /boot/grub/grub.cfg
//!                             its UUID             │ is                       │
//! disk.raw ──▶ disk.qcow2 (qemu-img), disk.vhd, disk.raw.tar.gz (our own writers), as the targets want them
//! ```
//!
//! Programs of the toolbox fill the file systems, in the sandbox; what has to be put between them is written here. Every
//! GUID is derived from what the disk is made of, every time is the lock's epoch, so the same root gives the same disk.
//!
//! Sources: UEFI 2.10 §5 (GPT) and §13.3 (ESP); GRUB 2.12 `grub-core/boot/i386/pc/boot.S` and `include/grub/i386/pc/boot.h`
//! (what is patched); the order of the partitions is that of Debian's own cloud images.

mod boot;
mod contents;
mod ext4;
mod gce;
mod initramfs;
mod partitions;
mod sparse;
mod toolbox;
mod verity;
mod vhd;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::digest::Digest;
use crate::progress::Progress;
use crate::rootfs::Rootfs;
use crate::rootfs::entry::Entry;

pub use toolbox::{ToolError, Toolbox};

/// What a disk is to be, beside its root file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// As what it is shipped, beside raw.
    pub formats: BTreeSet<Format>,
    /// How large it is, in GiB (2^30 bytes): the unit in which some clouds count.
    pub gibibytes: u16,
    /// What of it a running machine may write.
    pub root: Root,
    /// What the kernel is told, beside where its root is.
    pub arguments: Vec<String>,
}

/// What of a disk a running machine may write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Root {
    /// All of it.
    #[default]
    Writable,
    /// The state: /var and /home. What is written below /etc does not last.
    ReadOnly,
    /// As read-only, and every block of the root is compared with a hash when it is read.
    Verity,
}

/// A file format of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// The bytes of the disk, sparse: `disk.raw`.
    Raw,
    /// QEMU's, compressed: `disk.qcow2`.
    Qcow2,
    /// A fixed virtual hard disk: `disk.vhd`.
    Vhd,
    /// As Google Compute Engine imports it: `disk.raw.tar.gz`.
    GceTar,
}

impl Format {
    /// The file's name.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Raw => "disk.raw",
            Self::Qcow2 => "disk.qcow2",
            Self::Vhd => "disk.vhd",
            Self::GceTar => "disk.raw.tar.gz",
        }
    }
}

/// Why there is no disk.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// A program of the toolbox failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// There is nothing to boot.
    #[error(
        "the root file system has no {0}, so no disk of it can boot\n\
         help: a disk needs a kernel and initramfs-tools among the packages, or no `targets` in [image]"
    )]
    NoKernel(&'static str),
    /// The root is larger than the disk.
    #[error(
        "the root file system does not fit on a disk of {gibibytes} GiB\n\
         help: say `size = {}` in [image]; {said}", gibibytes + 1
    )]
    TooSmall {
        /// As asked for.
        gibibytes: u16,
        /// Who saw that, and how.
        said: String,
    },
    /// The partition table could not be written.
    #[error("cannot write the partition table: {0}")]
    Table(String),
    /// Reading or writing failed.
    #[error("cannot write the disk image: {0}")]
    Io(#[from] io::Error),
}

/// Names that nobody gave, but everything on a disk has: all derived from what the disk is made of.
#[derive(Clone, Copy, Debug)]
pub struct Identity(Digest);

impl Identity {
    /// Of a disk that is made of what `seed` is the digest of.
    pub fn new(seed: Digest) -> Self {
        Self(seed)
    }

    /// The UUID (version 8, RFC 9562) of `what`.
    pub fn uuid(self, what: &str) -> Uuid {
        let digest = Digest::of(format!("{} {what}", self.0).as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest.as_bytes()[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }

    /// The UUID of the root file system: how kernel, GRUB and fstab find it.
    pub fn root(self) -> Uuid {
        self.uuid("root file system")
    }

    /// The UUID of the state's file system.
    fn state(self) -> Uuid {
        self.uuid("state file system")
    }

    /// What the root's blocks are hashed with, in hexadecimal.
    fn salt(self) -> String {
        Digest::of(format!("{} salt", self.0).as_bytes()).hex()
    }

    /// The serial number of the ESP's FAT.
    fn esp_serial(self) -> u32 {
        let bytes = self.uuid("ESP").into_bytes();
        u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }
}

/// A disk in all its formats, beside its place; dropped, nothing of it stays.
#[derive(Debug)]
pub struct Draft {
    partial: tempfile::TempDir,
    out: PathBuf,
    /// Of each file, by its name.
    pub files: BTreeMap<&'static str, Digest>,
}

impl Draft {
    /// Puts the files where they belong, in place of what was there.
    ///
    /// # Errors
    /// One cannot be moved.
    pub fn publish(self) -> Result<BTreeMap<&'static str, Digest>, DiskError> {
        for name in ALL.map(Format::file_name) {
            let place = self.out.join(name);
            if self.files.contains_key(name) {
                fs::rename(self.partial.path().join(name), place)?;
            } else if place.exists() {
                // Of a build with other targets: it is not what the lock says any more.
                fs::remove_file(place)?;
            }
        }
        Ok(self.files)
    }
}

const ALL: [Format; 4] = [Format::Raw, Format::Qcow2, Format::Vhd, Format::GceTar];

/// The formats, made of one disk.
pub struct Disks<'a> {
    /// What fills file systems and converts.
    pub toolbox: &'a Toolbox,
    /// What is on it.
    pub rootfs: &'a Rootfs,
    /// What it is to be.
    pub definition: &'a Definition,
    /// What everything on it is called.
    pub identity: Identity,
}

impl Disks<'_> {
    /// Makes the disk in a directory beside `out/disk.*`, whose places its files take with [`Draft::publish`].
    ///
    /// # Errors
    /// [`DiskError`]; nothing of it stays then.
    pub fn write(&self, out: &Path, progress: &Progress) -> Result<Draft, DiskError> {
        fs::create_dir_all(out)?;
        let partial = tempfile::Builder::new().prefix(".disk-").tempdir_in(out)?;
        let work = &partial.path().canonicalize()?;
        self.raw(work, progress)?;
        let raw = work.join(Format::Raw.file_name());
        let readable = |file: File| -> io::Result<()> {
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        };
        for format in &self.definition.formats {
            let step = progress.step(format.file_name(), crate::progress::Total::Unknown);
            let place = work.join(format.file_name());
            match format {
                Format::Raw => {}
                Format::Qcow2 => self.qcow2(work)?,
                Format::Vhd => vhd::write(&raw, &place, self.identity, self.rootfs.epoch())?,
                Format::GceTar => gce::write(&raw, BufWriter::new(File::create(&place)?), self.rootfs.epoch())?,
            }
            step.done("");
        }
        let mut files = BTreeMap::new();
        for format in self.definition.formats.iter().copied().chain([Format::Raw]) {
            let file = File::open(work.join(format.file_name()))?;
            files.insert(format.file_name(), Digest::of_reader(&file)?.0);
            readable(file)?;
        }
        Ok(Draft { partial, out: out.to_owned(), files })
    }

    /// `disk.raw` in `work`.
    fn raw(&self, work: &Path, progress: &Progress) -> Result<(), DiskError> {
        let step = progress.step("disk", crate::progress::Total::Unknown);
        let (root, identity) = (self.definition.root, self.identity);
        let contents = contents::Contents::of(self.rootfs, (root, identity), self.boot_files()?)?;
        let raw = work.join(Format::Raw.file_name());
        let disk = File::create_new(&raw)?;
        let (mut file, mut tree) = (None, None);
        match root {
            Root::Writable => {}
            Root::ReadOnly => {
                ext4::read_only(self, &contents.root, work)?;
                file = Some(ext4::READ_ONLY);
            }
            Root::Verity => {
                tree = Some(verity::make(self, &contents.root, work)?);
                file = Some(verity::ROOT);
            }
        }
        let size = |name: &str| Ok::<u64, io::Error>(fs::metadata(work.join(name))?.len());
        let hashes = tree.as_ref().map(|_| size(verity::HASHES)).transpose()?;
        let fixed = file.map(size).transpose()?.map(|root| partitions::Sizes { root, hashes });
        let layout = partitions::Layout::of(self.definition.gibibytes, fixed)?;
        disk.set_len(layout.bytes())?;
        let ext4 = |label, uuid, entries: &Rootfs, place| {
            ext4::fill(self, &ext4::FileSystem { label, uuid, entries, place }, work)
        };
        match file {
            None => ext4("root", identity.root(), &contents.root, layout.root)?,
            Some(file) => move_to(&disk, &work.join(file), layout.root)?,
        }
        if let Some(place) = layout.hashes {
            move_to(&disk, &work.join(verity::HASHES), place)?;
        }
        if let (Some(state), Some(place)) = (&contents.state, layout.state) {
            ext4("state", identity.state(), state, place)?;
        }
        boot::fill(self, &layout, tree.as_ref(), work)?;
        let loader = boot::bios(self, work)?;
        let names = tree.map(|tree| partitions::Names { root: tree.root_partition(), hashes: tree.hash_partition() });
        partitions::write(&raw, &layout, (identity, names), &loader)?;
        step.done(&format!("{} GiB", self.definition.gibibytes));
        Ok(())
    }

    /// What GRUB reads of the root, if it can read it.
    fn boot_files(&self) -> Result<Vec<(String, Entry)>, DiskError> {
        if self.definition.root == Root::Verity {
            return Ok(Vec::new());
        }
        let mtime = self.rootfs.epoch().0;
        let configuration = boot::Kernel::of(self.rootfs)?.configuration(&boot::Start::of(self, None));
        // Nobody but root reads what the machine is started with.
        let mut files = vec![
            ("boot/grub".to_owned(), contents::directory(0o700, mtime)),
            ("boot/grub/grub.cfg".to_owned(), contents::file(0o600, configuration.as_bytes(), mtime)),
        ];
        if self.definition.root == Root::ReadOnly {
            let initramfs = initramfs::archive(self, None)?;
            files.push((boot::INITRAMFS.to_owned(), contents::file(0o600, &initramfs, mtime)));
        }
        Ok(files)
    }

    /// `disk.qcow2` in `work`. zlib, which every importer reads.
    fn qcow2(&self, work: &Path) -> Result<(), DiskError> {
        let arguments = ["qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", "-c", "-o", "compression_type=zlib"];
        self.toolbox.run(work, self.rootfs.epoch(), &[&arguments[..], &["disk.raw", "disk.qcow2"]].concat())?;
        Ok(())
    }
}

/// Moves the file to its place on the disk.
fn move_to(disk: &File, from: &Path, place: partitions::Range) -> io::Result<()> {
    sparse::copy(&File::open(from)?, disk, place.start_bytes())?;
    fs::remove_file(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hang_on_what_the_disk_is_made_of_and_on_what_they_name() {
        let one = Identity::new(Digest::of(b"one"));
        assert_eq!(one.root(), Identity::new(Digest::of(b"one")).root());
        assert_ne!(one.root(), Identity::new(Digest::of(b"two")).root());
        assert_ne!(one.root(), one.uuid("disk"));
        assert_eq!((one.root().get_version_num(), one.root().get_variant()), (8, uuid::Variant::RFC4122));
    }
}
