//! FAT12 with long names, as little of it as a seed disk needs: some files in the root folder of a volume with a label.
//!
//! After Microsoft's "FAT: General Overview of On-Disk Format", version 1.03. For machines that take no CD: cloud-init looks
//! for the label `CIDATA` on `vfat` as it does on ISO 9660. Every date is 1980-01-01, where the format begins, and the same
//! input gives the same bytes.
//!
//! ```text
//! sector 0       boot sector: sizes, label, serial (of the content)
//!        1–9     file allocation table      10–18  the same again
//!        19–32   root folder: the label, and for each file its long name and its short one
//!        33 …    files, each at the start of a sector; 2,880 sectors in all, as on a disk of 1.44 MB
//! ```

use std::collections::BTreeMap;

use crate::digest::Digest;

/// Bytes of a sector, and of a cluster.
const SECTOR: usize = 512;
const SECTORS: usize = 2880;
const TABLE_SECTORS: usize = 9;
const ROOT_ENTRIES: usize = 224;
/// The first sector of files; it is cluster 2.
const DATA: usize = 1 + 2 * TABLE_SECTORS + ROOT_ENTRIES * 32 / SECTOR;
/// 1980-01-01.
const DATE: [u8; 2] = [0x21, 0];
/// What ends a chain of clusters.
const END: u16 = 0xfff;

/// Why there is no such volume.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum VfatError {
    /// More bytes than there is room for.
    #[error("the files of a bundle do not fit on a disk of 1.44 MB: `{0}` is too much")]
    Full(String),
    /// A name that the format does not hold, or not as it is written.
    #[error("`{0}` cannot be a name on a FAT volume: use up to 26 letters, digits and `-_.`")]
    BadName(String),
}

/// The volume `label` with `files`, by name.
///
/// # Errors
/// A name that cannot be, or more bytes than there is room for.
pub fn volume(label: &str, files: &BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>, VfatError> {
    let mut disk = vec![0; SECTORS * SECTOR];
    let mut table = vec![0xff0, END];
    let mut root = entry(padded(&label.to_ascii_uppercase()), 0x08, (0, 0)).to_vec();
    for (number, (name, bytes)) in files.iter().enumerate() {
        let full = || VfatError::Full(name.clone());
        let first = table.len();
        let clusters = bytes.len().div_ceil(SECTOR);
        let start = (DATA + first - 2) * SECTOR;
        disk.get_mut(start..start + bytes.len()).ok_or_else(full)?.copy_from_slice(bytes);
        for cluster in 1..=clusters {
            let next = if cluster == clusters { END } else { u16::try_from(first + cluster).map_err(|_| full())? };
            table.push(next);
        }
        let short = padded(&format!("FILE{number}"));
        root.extend(long_name(name, &short)?);
        let first = if clusters == 0 { 0 } else { u16::try_from(first).map_err(|_| full())? };
        root.extend(entry(short, 0x20, (first, u32::try_from(bytes.len()).map_err(|_| full())?)));
    }
    if root.len() > ROOT_ENTRIES * 32 {
        return Err(VfatError::Full("the list of their names".to_owned()));
    }
    let at = (1 + 2 * TABLE_SECTORS) * SECTOR;
    disk[at..at + root.len()].copy_from_slice(&root);
    let packed = packed(&table);
    for copy in 0..2 {
        let at = (1 + copy * TABLE_SECTORS) * SECTOR;
        disk[at..at + packed.len()].copy_from_slice(&packed);
    }
    let serial = Digest::of(&disk[SECTOR..]);
    disk[..62].copy_from_slice(&boot_sector(label, serial.as_bytes()));
    disk[SECTOR - 2..SECTOR].copy_from_slice(&[0x55, 0xaa]);
    Ok(disk)
}

/// The first bytes of the disk: what it is, and its sizes.
fn boot_sector(label: &str, serial: &[u8; 32]) -> [u8; 62] {
    let mut sector = [0; 62];
    sector[..11].copy_from_slice(b"\xeb\x3c\x90MSWIN4.1");
    sector[11..13].copy_from_slice(&(SECTOR as u16).to_le_bytes());
    // One sector a cluster, one before the tables, two tables.
    sector[13..17].copy_from_slice(&[1, 1, 0, 2]);
    sector[17..19].copy_from_slice(&(ROOT_ENTRIES as u16).to_le_bytes());
    sector[19..21].copy_from_slice(&(SECTORS as u16).to_le_bytes());
    // A removable disk of 18 sectors a track and two heads.
    sector[21..28].copy_from_slice(&[0xf0, TABLE_SECTORS as u8, 0, 18, 0, 2, 0]);
    sector[38] = 0x29;
    sector[39..43].copy_from_slice(&serial[..4]);
    sector[43..54].copy_from_slice(&padded(&label.to_ascii_uppercase()));
    sector[54..62].copy_from_slice(b"FAT12   ");
    sector
}

/// Eleven bytes, filled with spaces.
fn padded(name: &str) -> [u8; 11] {
    let mut padded = [b' '; 11];
    for (place, byte) in padded.iter_mut().zip(name.bytes()) {
        *place = byte;
    }
    padded
}

/// One line of the root folder: a short name, its attributes, and where the file begins and how long it is.
fn entry(name: [u8; 11], attributes: u8, (first, size): (u16, u32)) -> [u8; 32] {
    let mut entry = [0; 32];
    entry[..11].copy_from_slice(&name);
    entry[11] = attributes;
    for date in [16, 18, 24] {
        entry[date..date + 2].copy_from_slice(&DATE);
    }
    entry[26..28].copy_from_slice(&first.to_le_bytes());
    entry[28..].copy_from_slice(&size.to_le_bytes());
    entry
}

/// The lines that stand before a short name and hold the long one: thirteen characters (UCS-2) each, the last ones first.
fn long_name(name: &str, short: &[u8; 11]) -> Result<Vec<u8>, VfatError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !(1..=26).contains(&name.len()) || !name.bytes().all(plain) || name.ends_with('.') {
        return Err(VfatError::BadName(name.to_owned()));
    }
    let sum = short.iter().fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
    let mut letters: Vec<u16> = name.bytes().map(u16::from).collect();
    if !letters.len().is_multiple_of(13) {
        letters.push(0);
    }
    letters.resize(letters.len().next_multiple_of(13), 0xffff);
    let mut lines = Vec::new();
    for (number, letters) in letters.chunks(13).enumerate().rev() {
        let last = if (number + 1) * 13 >= name.len() { 0x40 } else { 0 };
        let bytes: Vec<u8> = letters.iter().flat_map(|letter| letter.to_le_bytes()).collect();
        lines.push(last | (number as u8 + 1));
        lines.extend(&bytes[..10]);
        lines.extend([0x0f, 0, sum]);
        lines.extend(&bytes[10..22]);
        lines.extend([0, 0]);
        lines.extend(&bytes[22..]);
    }
    Ok(lines)
}

/// Numbers of twelve bits, two in three bytes.
fn packed(table: &[u16]) -> Vec<u8> {
    let pair = |pair: &[u16]| {
        let (one, two) = (pair[0], pair.get(1).copied().unwrap_or(0));
        [one as u8, (one >> 8) as u8 | (two << 4) as u8, (two >> 4) as u8]
    };
    table.chunks(2).flat_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(pairs: &[(&str, usize)]) -> BTreeMap<String, Vec<u8>> {
        pairs.iter().map(|(name, size)| ((*name).to_owned(), vec![b'x'; *size])).collect()
    }

    #[test]
    fn a_volume_says_what_it_is_and_is_the_same_each_time() {
        let disk = volume("cidata", &files(&[("meta-data", 5), ("network-config", 1200), ("vendor-data", 0)])).unwrap();
        assert_eq!(disk.len(), 1_474_560);
        assert_eq!(
            (&disk[43..54], &disk[54..62], &disk[510..512]),
            (&b"CIDATA     "[..], &b"FAT12   "[..], &[0x55, 0xaa][..])
        );
        let other =
            volume("cidata", &files(&[("meta-data", 5), ("network-config", 1200), ("vendor-data", 0)])).unwrap();
        assert!(disk == other);
        assert_ne!(disk[39..43], volume("cidata", &files(&[("meta-data", 6)])).unwrap()[39..43]);
    }

    #[test]
    fn clusters_of_twelve_bits_are_packed_in_pairs() {
        assert_eq!(packed(&[0xff0, 0xfff, 0x003, 0xfff]), [0xf0, 0xff, 0xff, 0x03, 0xf0, 0xff]);
        assert_eq!(packed(&[0xabc]), [0xbc, 0x0a, 0]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(volume("cidata", &files(&[("a", 1_474_560)])), Err(VfatError::Full("a".to_owned())));
        assert_eq!(volume("cidata", &files(&[("ä", 1)])), Err(VfatError::BadName("ä".to_owned())));
    }
}
