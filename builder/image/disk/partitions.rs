//! The partition table, and what a BIOS reads: UEFI 2.10 §5.3 (GPT), GRUB 2.12 `boot.S` and `diskboot.S`.
//!
//! The root is number 1 and lies last, so that a larger disk makes it larger; one that is never written lies before its hashes
//! (dm-verity) and the state, which is last then. (The `gpt` crate numbers without gaps: what only
//! firmware reads comes after, and not as 14 and 15 as in Debian's cloud images.)

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use gpt::disk::LogicalBlockSize;
use gpt::mbr::ProtectiveMBR;
use gpt::partition::Partition;
use gpt::partition_types::{self, OperatingSystem, Type};
use uuid::Uuid;

use super::{DiskError, Identity};

/// Of the hashes of an x86-64 root (Discoverable Partitions Specification).
const ROOT_HASHES: Type =
    Type { guid: uuid::uuid!("2c7357ed-ebd2-46d9-aec1-23d437ec2bf5"), os: OperatingSystem::Linux };

/// Of a sector, in bytes.
pub(super) const SECTOR: u64 = 512;

/// Sectors from `first` to `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub first: u64,
    pub last: u64,
}

impl Range {
    /// Where it begins, in bytes.
    pub fn start_bytes(self) -> u64 {
        self.first * SECTOR
    }

    /// How long it is, in bytes.
    pub fn bytes(self) -> u64 {
        (self.last + 1 - self.first) * SECTOR
    }
}

/// Where everything lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    sectors: u64,
    pub bios: Range,
    pub esp: Range,
    pub root: Range,
    /// Of dm-verity.
    pub hashes: Option<Range>,
    /// What lasts, if the root is never written.
    pub state: Option<Range>,
}

/// How large those partitions are that are not as large as the disk lets them be, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub root: u64,
    pub hashes: Option<u64>,
}

/// For what lasts, in bytes: a data directory, and a log.
const LEAST_STATE: u64 = 256 << 20;

/// Partitions begin at multiples of 1 MiB.
const ALIGNMENT: u64 = (1 << 20) / SECTOR;

impl Layout {
    /// Of a disk of so many GiB.
    ///
    /// # Errors
    /// The state would have less than [`LEAST_STATE`].
    pub fn of(gibibytes: u16, fixed: Option<Sizes>) -> Result<Self, DiskError> {
        let sectors = u64::from(gibibytes) * (1 << 30) / SECTOR;
        let bios = Range { first: ALIGNMENT, last: 2 * ALIGNMENT - 1 };
        let esp = Range { first: 2 * ALIGNMENT, last: 66 * ALIGNMENT - 1 };
        // The last MiB is not used: the second table is in it.
        let rest = Range { first: 66 * ALIGNMENT, last: sectors - ALIGNMENT - 1 };
        let Some(sizes) = fixed else {
            return Ok(Self { sectors, bios, esp, root: rest, hashes: None, state: None });
        };
        let of = |first: u64, size: u64| Range {
            first,
            last: first + size.div_ceil(SECTOR).next_multiple_of(ALIGNMENT) - 1,
        };
        let root = of(rest.first, sizes.root);
        let hashes = sizes.hashes.map(|size| of(root.last + 1, size));
        let first = hashes.unwrap_or(root).last + 1;
        if first + LEAST_STATE / SECTOR > rest.last {
            let said = format!("{} MiB are taken before the state begins", (first * SECTOR) >> 20);
            return Err(DiskError::TooSmall { gibibytes, said });
        }
        let state = Some(Range { first, ..rest });
        Ok(Self { sectors, bios, esp, root, hashes, state })
    }

    /// Of the whole disk.
    pub fn bytes(&self) -> u64 {
        self.sectors * SECTOR
    }
}

/// GRUB for a BIOS, as grub-mkimage(1) and Debian's package give it.
pub(super) struct Loader {
    /// `boot.img`: 512 bytes, the first 440 of which are the disk's first.
    pub boot: Vec<u8>,
    /// `core.img`.
    pub core: Vec<u8>,
}

/// In `boot.img`: the sector where `core.img` begins (`GRUB_BOOT_MACHINE_KERNEL_SECTOR`).
const KERNEL_SECTOR: usize = 0x5C;
/// In `boot.img`: a jump that is left out on hard disks, where a BIOS may say a wrong drive number (`…DRIVE_CHECK`).
const DRIVE_CHECK: usize = 0x66;
/// In the first sector of `core.img`: where its second one lies (the last entry of its block list).
const SECOND_SECTOR: usize = 0x1F4;
/// How much of the first sector is code.
const CODE: usize = 440;

/// What the partitions are called that are named by what is in them and not by the disk: root, and dm-verity's hashes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    pub root: Uuid,
    pub hashes: Uuid,
}

/// Writes both tables, the protective MBR, and GRUB for a BIOS, to the disk at `path`.
pub(super) fn write(
    path: &Path,
    layout: &Layout,
    (identity, names): (Identity, Option<Names>),
    loader: &Loader,
) -> Result<(), DiskError> {
    let mut disk = File::options().read(true).write(true).open(path)?;
    let size = LogicalBlockSize::Lb512;
    let mut mbr = ProtectiveMBR::with_lb_size(u32::try_from(layout.sectors - 1).unwrap_or(u32::MAX));
    mbr.set_bootcode(boot_code(loader, layout.bios.first)?);
    mbr.overwrite_lba0(&mut disk).map_err(wrong)?;

    let config = gpt::GptConfig::new().writable(true).logical_block_size(size);
    let mut table = config.create_from_device(&mut disk, Some(identity.uuid("disk"))).map_err(wrong)?;
    let partition = |kind: Type, range: Range, name: &str| Partition {
        part_type_guid: kind,
        part_guid: identity.uuid(name),
        first_lba: range.first,
        last_lba: range.last,
        flags: 0,
        name: name.to_owned(),
    };
    let mut partitions = BTreeMap::from([
        (1, partition(partition_types::LINUX_ROOT_X64, layout.root, "root")),
        (2, partition(partition_types::BIOS, layout.bios, "BIOS boot")),
        (3, partition(partition_types::EFI, layout.esp, "EFI system")),
    ]);
    let others = [(ROOT_HASHES, layout.hashes, "root hashes"), (partition_types::LINUX_FS, layout.state, "state")];
    for (number, (kind, range, name)) in (4..).zip(others.into_iter().filter_map(|(k, r, n)| Some((k, r?, n)))) {
        partitions.insert(number, partition(kind, range, name));
    }
    if let Some(names) = names {
        for (name, guid) in [("root", names.root), ("root hashes", names.hashes)] {
            partitions.values_mut().filter(|one| one.name == name).for_each(|one| one.part_guid = guid);
        }
    }
    table.update_partitions(partitions).map_err(wrong)?;
    table.write().map_err(wrong)?;

    disk.seek(SeekFrom::Start(layout.bios.start_bytes()))?;
    Ok(disk.write_all(&core(loader, layout.bios)?)?)
}

fn wrong(error: impl std::fmt::Display) -> DiskError {
    DiskError::Table(error.to_string())
}

/// The code of the first sector, which reads the sector `core`.
fn boot_code(loader: &Loader, core: u64) -> Result<[u8; CODE], DiskError> {
    let code = loader.boot.get(..CODE).and_then(|code| <[u8; CODE]>::try_from(code).ok());
    let mut code = code.ok_or_else(|| wrong("GRUB's boot.img is shorter than a sector"))?;
    code[KERNEL_SECTOR..KERNEL_SECTOR + 8].copy_from_slice(&core.to_le_bytes());
    code[DRIVE_CHECK..DRIVE_CHECK + 2].copy_from_slice(&[0x90, 0x90]);
    Ok(code)
}

/// GRUB's core, which reads the rest of itself from behind its first sector.
fn core(loader: &Loader, place: Range) -> Result<Vec<u8>, DiskError> {
    let mut core = loader.core.clone();
    if core.len() < SECTOR as usize || core.len() as u64 > place.bytes() {
        return Err(wrong(format!("GRUB has {} bytes, and its partition {}", core.len(), place.bytes())));
    }
    core[SECOND_SECTOR..SECOND_SECTOR + 8].copy_from_slice(&(place.first + 1).to_le_bytes());
    Ok(core)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn written() -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk");
        let layout = Layout::of(1, None).unwrap();
        File::create(&path).unwrap().set_len(layout.bytes()).unwrap();
        let loader = Loader { boot: vec![0xAB; 512], core: vec![0xCD; 4096] };
        write(&path, &layout, (Identity::new(Digest::of(b"")), None), &loader).unwrap();
        std::fs::read(path).unwrap()
    }

    #[test]
    fn partitions_lie_one_behind_the_other_and_the_root_is_last() {
        let layout = Layout::of(2, None).unwrap();
        assert_eq!((layout.bios.first, layout.esp.first, layout.root.first), (2048, 4096, 135_168));
        assert_eq!(layout.esp.first, layout.bios.last + 1);
        assert_eq!(layout.root.first, layout.esp.last + 1);
        assert_eq!(layout.bytes(), 2 << 30);
        assert_eq!(layout.root.bytes() % 4096, 0);
        assert!(layout.root.last < layout.sectors - 33);
    }

    #[test]
    fn the_same_identity_writes_the_same_table() {
        let disk = written();
        assert!(disk == written(), "another table");
        assert_eq!(&disk[510..512], [0x55, 0xAA]);
        assert_eq!(disk[446 + 4], 0xEE, "the protective partition");
        assert_eq!(&disk[512..520], b"EFI PART");
        let table = gpt::GptConfig::new().open_from_device(std::io::Cursor::new(disk)).unwrap();
        let found: Vec<_> = table.partitions().iter().filter(|(_, partition)| partition.is_used()).collect();
        assert_eq!(found.iter().map(|(number, _)| **number).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(found[0].1.first_lba, 135_168);
    }

    #[test]
    fn each_part_of_grub_says_where_the_next_one_is() {
        let disk = written();
        assert_eq!(&disk[KERNEL_SECTOR..KERNEL_SECTOR + 8], 2048_u64.to_le_bytes());
        assert_eq!(&disk[DRIVE_CHECK..DRIVE_CHECK + 2], [0x90, 0x90]);
        let core = 2048 * SECTOR as usize;
        assert_eq!(&disk[core + SECOND_SECTOR..core + SECOND_SECTOR + 8], 2049_u64.to_le_bytes());
        assert_eq!((disk[0], disk[core]), (0xAB, 0xCD));
    }

    #[test]
    fn a_root_that_is_never_written_is_as_large_as_it_is_and_the_state_has_the_rest() {
        let sizes = Sizes { root: 5 << 20, hashes: Some(1) };
        let layout = Layout::of(1, Some(sizes)).unwrap();
        let (hashes, state) = (layout.hashes.unwrap(), layout.state.unwrap());
        assert_eq!((layout.root.bytes(), hashes.bytes()), (5 << 20, 1 << 20));
        assert_eq!((hashes.first, state.first), (layout.root.last + 1, hashes.last + 1));
        assert_eq!(state.last, Layout::of(1, None).unwrap().root.last);
        let error = Layout::of(1, Some(Sizes { root: 800 << 20, hashes: None })).unwrap_err().to_string();
        assert!(error.contains("does not fit on a disk of 1 GiB") && error.contains("866 MiB are taken"), "{error}");
    }

    #[test]
    fn a_core_that_is_larger_than_its_partition_is_refused() {
        let loader = Loader { boot: vec![0; 512], core: vec![0; (1 << 20) + 1] };
        assert!(core(&loader, Layout::of(1, None).unwrap().bios).unwrap_err().to_string().contains("1048577 bytes"));
    }
}
