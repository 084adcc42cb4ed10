//! A fixed virtual hard disk: the bytes of the disk, and behind them a footer of 512 bytes.
//!
//! `qemu-img` writes the clock and a random UUID into the footer; here they are the epoch and derived. Source: Microsoft's
//! *Virtual Hard Disk Image Format Specification* 1.0, sections “Hard Disk Footer Format” and “CHS Calculation”.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::partitions::SECTOR;
use super::{Identity, sparse};
use crate::epoch::Epoch;

/// 2000-01-01 00:00:00 UTC, from which the format counts seconds.
const ORIGIN: i64 = 946_684_800;

/// Writes the disk at `raw`, a multiple of 1 MiB as Azure wants it, to `to`.
pub(super) fn write(raw: &Path, to: &Path, identity: Identity, epoch: Epoch) -> io::Result<()> {
    let (raw, to) = (File::open(raw)?, File::create_new(to)?);
    let size = raw.metadata()?.len();
    to.set_len(size + SECTOR)?;
    sparse::copy(&raw, &to, 0)?;
    to.write_all_at(&footer(size, identity, epoch), size)
}

/// The footer of a disk of `size` bytes.
fn footer(size: u64, identity: Identity, epoch: Epoch) -> [u8; 512] {
    let mut footer = [0; 512];
    let mut put = |at: usize, bytes: &[u8]| footer[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"conectix");
    put(8, &2_u32.to_be_bytes()); // features: the reserved bit, always set
    put(12, &0x0001_0000_u32.to_be_bytes()); // version of the format
    put(16, &u64::MAX.to_be_bytes()); // no further header: a fixed disk
    put(24, &u32::try_from(epoch.0 - ORIGIN).unwrap_or(0).to_be_bytes());
    put(28, b"gold"); // who wrote it
    put(32, &0x0001_0000_u32.to_be_bytes());
    put(36, b"Wi2k"); // what it was written on: there is no other value that importers know but `Mac `
    put(40, &size.to_be_bytes()); // original size
    put(48, &size.to_be_bytes()); // current size
    put(56, &geometry(size / SECTOR));
    put(60, &2_u32.to_be_bytes()); // type: fixed
    put(68, identity.uuid("VHD").as_bytes());
    let sum: u32 = footer.iter().map(|&byte| u32::from(byte)).sum();
    footer[64..68].copy_from_slice(&(!sum).to_be_bytes());
    footer
}

/// Cylinders (2 bytes), heads and sectors of a track, as the specification computes them for so many sectors.
fn geometry(sectors: u64) -> [u8; 4] {
    let sectors = sectors.min(65_535 * 16 * 255);
    let (track, heads, rows) = if sectors >= 65_535 * 16 * 63 {
        (255, 16, sectors / 255)
    } else {
        let rows = sectors / 17;
        let heads = rows.div_ceil(1024).max(4);
        match (heads, rows) {
            (heads, rows) if rows < heads * 1024 && heads <= 16 => (17, heads, rows),
            _ if sectors / 31 < 16 * 1024 => (31, 16, sectors / 31),
            _ => (63, 16, sectors / 63),
        }
    };
    let cylinders = u16::try_from(rows / heads).unwrap_or(u16::MAX).to_be_bytes();
    [cylinders[0], cylinders[1], heads as u8, track]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn a_footer_adds_up_and_says_the_size_and_the_epoch() {
        let identity = Identity::new(Digest::of(b""));
        let footer = footer(2 << 30, identity, Epoch(ORIGIN + 5));
        assert_eq!(&footer[..8], b"conectix");
        assert_eq!(footer[24..28], 5_u32.to_be_bytes());
        assert_eq!(footer[48..56], (2_u64 << 30).to_be_bytes());
        let sum: u32 =
            footer.iter().enumerate().filter(|(at, _)| !(64..68).contains(at)).map(|(_, &b)| u32::from(b)).sum();
        assert_eq!(footer[64..68], (!sum).to_be_bytes());
        assert_eq!(footer[68..84], *identity.uuid("VHD").as_bytes());
    }

    #[test]
    fn geometry_is_the_one_of_the_specification() {
        // 2 GiB: 4161 cylinders, 16 heads, 63 sectors, which is what qemu-img computes too.
        assert_eq!(geometry((2 << 30) / 512), [0x10, 0x41, 16, 63]);
        assert_eq!(geometry(65_535 * 16 * 255 * 2), [0xFF, 0xFF, 16, 255]);
        assert_eq!(geometry(68_000), [(1000 >> 8) as u8, (1000 & 0xFF) as u8, 4, 17]);
    }
}
