//! A disk as an importer sees it: its files, its partition table, and the first bytes of its root.
//!
//! Read with nothing of what wrote it but the names of the files. Sources: UEFI 2.10 §5; the kernel's
//! Documentation/filesystems/ext4 (super block); QEMU's docs/interop/qcow2.txt; Microsoft's Virtual Hard Disk Image Format
//! Specification 1.0 (footer); tar(5), old GNU archives.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::read::GzDecoder;
use gpt::partition_types::{self, Type};

use crate::image::disk::Format;

/// What is on a disk that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// How large it is.
    pub bytes: u64,
    /// Whether its first sector is a boot sector with code in it.
    pub boot_sector: bool,
    /// In the order in which they lie.
    pub partitions: Vec<Partition>,
    /// Its root file system.
    pub root: Root,
    /// For each format that is there, what is wrong with its file, if anything.
    pub formats: BTreeMap<Format, Option<String>>,
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// By its type.
    pub role: Role,
    /// Its first sector.
    pub first: u64,
}

/// What a partition is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// What a BIOS reads GRUB from.
    BiosBoot,
    /// What UEFI reads.
    Esp,
    /// Root, or other data of Linux.
    Linux,
    /// Swap space.
    Swap,
    /// A physical volume.
    Lvm,
    /// Something else: a hash tree, for example.
    Other,
}

/// What a root file system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// ext4, with these features (`s_feature_incompat`, `s_feature_ro_compat`).
    Ext4 {
        /// What a reader must know.
        incompatible: u32,
        /// What a writer must know.
        read_only: u32,
    },
    /// Another one.
    Other,
}

impl Written {
    /// The disk in `folder`; none, if there is none.
    ///
    /// # Errors
    /// It cannot be read, or has no partition table.
    pub fn read(folder: &Path) -> io::Result<Option<Self>> {
        let mut raw = match File::open(folder.join(Format::Raw.file_name())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let bytes = raw.metadata()?.len();
        let sector = bytes_at(&mut raw, 0, 512)?;
        let boot_sector = sector[..440].iter().any(|byte| *byte != 0) && sector.ends_with(&[0x55, 0xAA]);
        let table = gpt::GptConfig::new().open_from_device(raw.try_clone()?).map_err(io::Error::other)?;
        let mut partitions: Vec<_> = table.partitions().values().filter(|one| one.is_used()).collect();
        partitions.sort_by_key(|partition| partition.first_lba);
        let root = partitions.iter().find(|one| one.part_type_guid == partition_types::LINUX_ROOT_X64);
        let root = root.map(|one| super_block(&mut raw, one.first_lba * 512)).transpose()?.unwrap_or(Root::Other);
        let partition =
            |one: &&gpt::partition::Partition| Partition { role: role(&one.part_type_guid), first: one.first_lba };
        let mut formats = BTreeMap::new();
        for format in [Format::Raw, Format::Qcow2, Format::Vhd, Format::GceTar] {
            if let Some(file) = Some(folder.join(format.file_name())).filter(|path| path.exists()) {
                formats.insert(format, wrong(format, &mut File::open(file)?, bytes)?);
            }
        }
        Ok(Some(Self { bytes, boot_sector, partitions: partitions.iter().map(partition).collect(), root, formats }))
    }

    /// Whether a partition of this role is there.
    pub fn has(&self, role: Role) -> bool {
        self.partitions.iter().any(|partition| partition.role == role)
    }
}

fn role(kind: &Type) -> Role {
    match kind {
        kind if *kind == partition_types::BIOS => Role::BiosBoot,
        kind if *kind == partition_types::EFI => Role::Esp,
        kind if *kind == partition_types::LINUX_SWAP => Role::Swap,
        kind if *kind == partition_types::LINUX_LVM => Role::Lvm,
        kind if [partition_types::LINUX_ROOT_X64, partition_types::LINUX_FS].contains(kind) => Role::Linux,
        // Discoverable Partitions Specification: variable data.
        kind if kind.guid.to_string().eq_ignore_ascii_case("4d21b016-b534-45c2-a9fb-5c16e091fd2d") => Role::Linux,
        _ => Role::Other,
    }
}

/// The super block lies 1024 bytes into the partition.
fn super_block(raw: &mut File, start: u64) -> io::Result<Root> {
    let block = bytes_at(raw, start + 1024, 1024)?;
    let word = |at: usize| u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
    Ok(match block[0x38..0x3A] {
        [0x53, 0xEF] => Root::Ext4 { incompatible: word(0x60), read_only: word(0x64) },
        _ => Root::Other,
    })
}

/// What is wrong with the file of a disk of so many bytes.
fn wrong(format: Format, file: &mut File, bytes: u64) -> io::Result<Option<String>> {
    let size = |large: [u8; 8], what: &str| match u64::from_be_bytes(large) {
        same if same == bytes => None,
        other => Some(format!("{what} says {other} bytes, and the disk has {bytes}")),
    };
    let eight = |block: &[u8], at: usize| <[u8; 8]>::try_from(&block[at..at + 8]).unwrap_or_default();
    Ok(match format {
        Format::Raw => None,
        Format::Qcow2 => match bytes_at(file, 0, 64)? {
            head if !head.starts_with(b"QFI\xFB") => Some("it does not begin as a qcow2".to_owned()),
            head if eight(&head, 8) != [0; 8] => Some("it needs another file (a backing file)".to_owned()),
            head => size(eight(&head, 24), "its header"),
        },
        Format::Vhd => {
            let length = file.metadata()?.len();
            let foot = bytes_at(file, length.saturating_sub(512), 512)?;
            match foot[60..64] {
                _ if !foot.starts_with(b"conectix") => Some("it does not end with the footer of a VHD".to_owned()),
                [0, 0, 0, 2] if length != bytes + 512 => {
                    Some(format!("it has {length} bytes, and not 512 more than the disk"))
                }
                [0, 0, 0, 2] => size(eight(&foot, 48), "its footer"),
                _ => Some("it is no fixed VHD".to_owned()),
            }
        }
        Format::GceTar => {
            let mut header = [0; 512];
            GzDecoder::new(file).read_exact(&mut header)?;
            match &header[257..265] {
                _ if !header.starts_with(b"disk.raw\0") => Some("its member is not called disk.raw".to_owned()),
                b"ustar  \0" => None,
                _ => Some("it is no archive in the old GNU format".to_owned()),
            }
        }
    })
}

fn bytes_at(file: &mut File, at: u64, length: usize) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gpt::mbr::ProtectiveMBR;
    use std::fs;

    /// A folder with `disk.raw` of 64 MiB: one root partition, which begins as ext4 with 64bit, and files that are nothing.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk.raw");
        let mut file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        file.set_len(64 << 20).unwrap();
        ProtectiveMBR::with_lb_size((64 << 11) - 1).overwrite_lba0(&mut file).unwrap();
        let config = gpt::GptConfig::new().writable(true);
        let mut table = config.create_from_device(&mut file, None).unwrap();
        table.add_partition("root", 32 << 20, partition_types::LINUX_ROOT_X64, 0, None).unwrap();
        let first = table.partitions()[&1].first_lba;
        table.write().unwrap();
        use std::os::unix::fs::FileExt;
        file.write_all_at(&[0x53, 0xEF], first * 512 + 1024 + 0x38).unwrap();
        file.write_all_at(&0x80_u32.to_le_bytes(), first * 512 + 1024 + 0x60).unwrap();
        for name in ["disk.qcow2", "disk.vhd"] {
            fs::write(folder.path().join(name), [1; 1024]).unwrap();
        }
        folder
    }

    #[test]
    fn a_disk_is_what_its_table_and_its_super_block_say() {
        let folder = folder();
        let disk = Written::read(folder.path()).unwrap().unwrap();
        assert_eq!((disk.bytes, disk.boot_sector), (64 << 20, false));
        assert_eq!(disk.partitions.iter().map(|one| one.role).collect::<Vec<_>>(), [Role::Linux]);
        assert_eq!(disk.root, Root::Ext4 { incompatible: 0x80, read_only: 0 });
        assert_eq!(disk.formats[&Format::Qcow2].as_deref(), Some("it does not begin as a qcow2"));
        assert!(disk.formats[&Format::Vhd].as_deref().unwrap().contains("footer"));
        assert!(!disk.formats.contains_key(&Format::GceTar));
    }

    #[test]
    fn a_format_of_another_disk_is_found() {
        let folder = folder();
        let mut head = vec![0; 64];
        head[..4].copy_from_slice(b"QFI\xFB");
        head[24..32].copy_from_slice(&(1_u64 << 20).to_be_bytes());
        fs::write(folder.path().join("disk.qcow2"), &head).unwrap();
        let disk = Written::read(folder.path()).unwrap().unwrap();
        assert_eq!(
            disk.formats[&Format::Qcow2].as_deref(),
            Some("its header says 1048576 bytes, and the disk has 67108864")
        );
    }

    #[test]
    fn without_a_disk_there_is_nothing_to_read_and_without_a_table_it_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Written::read(folder.path()).unwrap(), None);
        fs::write(folder.path().join("disk.raw"), [0; 4096]).unwrap();
        assert!(Written::read(folder.path()).is_err());
    }
}
