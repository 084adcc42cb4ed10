//! ISO 9660 (ECMA-119), as little of it as a seed disk needs: a few files in the root folder of a volume with a label.
//!
//! Long lower-case names come three times, for whoever reads: ISO's own (`META_DATA.;1`), Rock Ridge's (SUSP and RRIP, what
//! Linux prefers) and Joliet's (UCS-2, what Windows prefers). Every date is the epoch's, every owner root, and the same
//! input gives the same bytes.
//!
//! ```text
//! sector 0–15  system area: zeros            19, 20  path tables of ISO: little endian, big endian
//!        16    primary volume descriptor     21, 22  path tables of Joliet
//!        17    Joliet's volume descriptor    23 …    root folder of ISO with Rock Ridge, root folder of Joliet,
//!        18    terminator                            then each file at the start of a sector
//! ```

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::epoch::Epoch;

/// Bytes of a logical sector (ECMA-119 §6.1.2), and of a logical block.
const SECTOR: usize = 2048;
/// Sector of the first root folder.
const FIRST_FOLDER: u32 = 23;

/// What a volume holds.
#[derive(Clone, Copy, Debug)]
pub struct Volume<'a> {
    /// By which it is found: `cidata`.
    pub label: &'a str,
    /// Every date on it.
    pub epoch: Epoch,
    /// The files of its root folder, by name.
    pub files: &'a BTreeMap<String, Vec<u8>>,
}

/// Why a volume cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Iso9660Error {
    /// A name or label that one of the three forms cannot hold.
    #[error(
        "`{0}` cannot be a name on an ISO 9660 volume: 1 to 24 of `a`–`z`, `0`–`9`, `-`, `_`, at most one `.`, are"
    )]
    BadName(String),
    /// Two names that ISO's own form cannot tell apart.
    #[error("`{0}` and `{1}` have the same name in ISO 9660's own form")]
    SameName(String, String),
    /// More than the format's 32 bits can count.
    #[error("`{0}` is too big for an ISO 9660 volume, whose files are below 4 GiB")]
    TooBig(String),
    /// A moment that the format cannot write: its years are 1900 to 2155.
    #[error("{0} seconds after 1970 is no date that ISO 9660 can write")]
    BadDate(Epoch),
    /// Writing failed.
    #[error("cannot write the ISO 9660 volume: {0}")]
    Io(#[from] io::Error),
}

/// Writes `volume` to `out`.
///
/// # Errors
/// A name, size or date that the format cannot hold; whatever writing gives.
pub fn write(out: &mut impl Write, volume: &Volume<'_>) -> Result<(), Iso9660Error> {
    if !is_name(volume.label) {
        return Err(Iso9660Error::BadName(volume.label.to_owned()));
    }
    let date = Date::of(volume.epoch)?;
    let mut files = plan(volume)?;
    files.sort_by(|a, b| a.iso.cmp(&b.iso));
    // A folder's size does not depend on where it and its files lie, so that it can be measured before that is known.
    let rock_sectors = sectors(rock_ridge(&files, 0, 0, &date).len());
    let joliet_sectors = sectors(joliet(&files, 0, 0, &date).len());
    let rock_at = FIRST_FOLDER;
    let joliet_at = rock_at + rock_sectors;
    let mut next = joliet_at + joliet_sectors;
    for file in &mut files {
        file.sector = next;
        next += sectors(file.bytes.len());
    }

    out.write_all(&[0; 16 * SECTOR])?;
    let folder = |at, sectors| itself(&[0], at, sectors).bytes(&date, &[]);
    let primary = Descriptor { kind: 1, escape: *b"   ", path_table: 19, root: folder(rock_at, rock_sectors) };
    out.write_all(&primary.bytes(volume.label, next, &date))?;
    // `%/E`: UCS-2 level 3, by which a supplementary descriptor is Joliet's.
    let supplementary =
        Descriptor { kind: 2, escape: *b"%/E", path_table: 21, root: folder(joliet_at, joliet_sectors) };
    out.write_all(&supplementary.bytes(volume.label, next, &date))?;
    out.write_all(&padded(b"\xffCD001\x01".to_vec()))?;
    for folder in [rock_at, joliet_at] {
        for location in [folder.to_le_bytes(), folder.to_be_bytes()] {
            let parent = if location == folder.to_le_bytes() { [1, 0] } else { [0, 1] };
            let table = [&[1, 0][..], &location, &parent, &[0, 0]].concat();
            out.write_all(&padded(table))?;
        }
    }
    out.write_all(&padded(rock_ridge(&files, rock_at, rock_sectors, &date)))?;
    out.write_all(&padded(joliet(&files, joliet_at, joliet_sectors, &date)))?;
    for file in &files {
        out.write_all(file.bytes)?;
        out.write_all(&vec![0; sectors(file.bytes.len()) as usize * SECTOR - file.bytes.len()])?;
    }
    out.flush()?;
    Ok(())
}

/// A file and where it lies.
struct Placed<'a> {
    name: &'a str,
    iso: String,
    bytes: &'a [u8],
    sector: u32,
}

/// The files with their names in ISO's own form; where they lie is not known yet.
fn plan<'a>(volume: &Volume<'a>) -> Result<Vec<Placed<'a>>, Iso9660Error> {
    let mut by_iso: BTreeMap<String, &str> = BTreeMap::new();
    let mut files = Vec::new();
    for (name, bytes) in volume.files {
        if !is_name(name) {
            return Err(Iso9660Error::BadName(name.clone()));
        }
        if u32::try_from(bytes.len()).is_err() {
            return Err(Iso9660Error::TooBig(name.clone()));
        }
        let upper = name.to_ascii_uppercase().replace('-', "_");
        let iso = if upper.contains('.') { format!("{upper};1") } else { format!("{upper}.;1") };
        if let Some(other) = by_iso.insert(iso.clone(), name) {
            return Err(Iso9660Error::SameName(other.to_owned(), name.clone()));
        }
        files.push(Placed { name, iso, bytes, sector: 0 });
    }
    Ok(files)
}

/// Whether all three forms can hold `name`.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    let dots = name.matches('.').count();
    (1..=24).contains(&name.len()) && name.bytes().all(plain) && dots <= 1 && !name.starts_with('.')
}

/// How many sectors `bytes` bytes take.
fn sectors(bytes: usize) -> u32 {
    bytes.div_ceil(SECTOR) as u32
}

/// Filled up with zeros to whole sectors.
fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(SECTOR), 0);
    bytes
}

/// ECMA-119 §7.2.3 and §7.3.3: little endian, then big endian.
fn both16(number: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (number.to_le_bytes(), number.to_be_bytes());
    [a, b, c, d]
}

/// As [`both16`], of 32 bits.
fn both32(number: u32) -> Vec<u8> {
    [number.to_le_bytes(), number.to_be_bytes()].concat()
}

/// One moment, as the format's two forms write it (ECMA-119 §8.4.26.1, §9.1.5).
struct Date {
    /// `2026112217553000` and a time zone of zero.
    long: [u8; 17],
    /// Years since 1900, month, day, hour, minute, second, time zone.
    short: [u8; 7],
}

impl Date {
    fn of(epoch: Epoch) -> Result<Self, Iso9660Error> {
        let bad = || Iso9660Error::BadDate(epoch);
        let moment = jiff::Timestamp::from_second(epoch.0).map_err(|_| bad())?.to_zoned(jiff::tz::TimeZone::UTC);
        let year = u8::try_from(i32::from(moment.year()) - 1900).map_err(|_| bad())?;
        let fields = [moment.month(), moment.day(), moment.hour(), moment.minute(), moment.second()];
        let [month, day, hour, minute, second] = fields.map(i8::unsigned_abs);
        let digits = format!("{:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}00", moment.year());
        let mut long = [0; 17];
        long[..16].copy_from_slice(digits.as_bytes());
        Ok(Self { long, short: [year, month, day, hour, minute, second, 0] })
    }
}

/// ECMA-119 §8.4, §8.5: what differs between the primary and Joliet's volume descriptor.
struct Descriptor {
    kind: u8,
    escape: [u8; 3],
    path_table: u32,
    root: Vec<u8>,
}

impl Descriptor {
    /// Its sector.
    fn bytes(&self, label: &str, sectors: u32, date: &Date) -> Vec<u8> {
        let wide = self.kind == 2;
        let text = |text: &str, length: usize| {
            let mut bytes: Vec<u8> = if wide { ucs2(text) } else { text.as_bytes().to_vec() };
            while bytes.len() + usize::from(wide) < length {
                bytes.extend_from_slice(if wide { b"\0 " } else { b" " });
            }
            bytes.resize(length, 0);
            bytes
        };
        let mut escapes = if wide { self.escape.to_vec() } else { vec![] };
        escapes.resize(32, 0);
        let parts: [&[u8]; 30] = [
            &[self.kind],
            b"CD001",
            &[1, 0],
            &text("", 32),    // system
            &text(label, 32), // volume
            &[0; 8],
            &both32(sectors),
            &escapes,
            &both16(1), // volumes in the set
            &both16(1), // number of this one
            &both16(SECTOR as u16),
            &both32(10), // bytes of a path table: the root folder alone
            &self.path_table.to_le_bytes(),
            &[0; 4],
            &(self.path_table + 1).to_be_bytes(),
            &[0; 4],
            &self.root,
            &text("", 128),        // volume set
            &text("", 128),        // publisher
            &text("", 128),        // preparer
            &text("", 128),        // application
            &text("", 37),         // copyright file
            &text("", 37),         // abstract file
            &text("", 37),         // bibliographic file
            &date.long,            // created
            &date.long,            // changed
            b"0000000000000000\0", // expires: never
            b"0000000000000000\0", // effective: always
            &[1, 0],
            &[0; 512 + 653],
        ];
        parts.concat()
    }
}

/// Joliet: UCS-2, big endian. (Names are ASCII here.)
fn ucs2(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// ECMA-119 §9.1: a directory record.
struct Record<'a> {
    /// As the folder's form writes it.
    name: &'a [u8],
    /// Where what it names begins.
    sector: u32,
    /// In bytes.
    size: u32,
    /// What it names is a folder.
    is_folder: bool,
}

impl Record<'_> {
    /// Its bytes, `extra` being Rock Ridge's part of them.
    fn bytes(&self, date: &Date, extra: &[u8]) -> Vec<u8> {
        let padding = usize::from(self.name.len().is_multiple_of(2));
        let length = (33 + self.name.len() + padding + extra.len()).next_multiple_of(2);
        let mut bytes = vec![length as u8, 0];
        bytes.extend(both32(self.sector));
        bytes.extend(both32(self.size));
        bytes.extend(date.short);
        bytes.extend([if self.is_folder { 2 } else { 0 }, 0, 0]);
        bytes.extend(both16(1));
        bytes.push(self.name.len() as u8);
        bytes.extend(self.name);
        bytes.resize(bytes.len() + padding, 0);
        bytes.extend(extra);
        bytes.resize(length, 0);
        bytes
    }
}

/// What a folder calls itself (0) and the one above it (1), which for the root folder is itself.
fn itself(name: &[u8; 1], sector: u32, sectors: u32) -> Record<'_> {
    Record { name, sector, size: sectors * SECTOR as u32, is_folder: true }
}

/// What a folder calls `file`, whose name it writes `name`.
fn of_file<'a>(file: &Placed<'_>, name: &'a [u8]) -> Record<'a> {
    Record { name, sector: file.sector, size: file.bytes.len() as u32, is_folder: false }
}

/// Records one after the other, none across the border of a sector (ECMA-119 §6.8.1.1).
fn folder(records: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    for record in records {
        if bytes.len() % SECTOR + record.len() > SECTOR {
            bytes.resize(bytes.len().next_multiple_of(SECTOR), 0);
        }
        bytes.extend(record);
    }
    bytes
}

/// The root folder in ISO's own form, with Rock Ridge.
fn rock_ridge(files: &[Placed<'_>], at: u32, sectors: u32, date: &Date) -> Vec<u8> {
    let dot = [&susp_start()[..], &posix(0o040_555, 2), &times(date), &extension()].concat();
    let dot_dot = [posix(0o040_555, 2), times(date)].concat();
    let special = [itself(&[0], at, sectors).bytes(date, &dot), itself(&[1], at, sectors).bytes(date, &dot_dot)];
    let files = files.iter().map(|file| {
        let name = [b"NM", &[5 + file.name.len() as u8, 1, 0][..], file.name.as_bytes()].concat();
        let extra = [name, posix(0o100_444, 1), times(date)].concat();
        of_file(file, file.iso.as_bytes()).bytes(date, &extra)
    });
    folder(special.into_iter().chain(files))
}

/// The root folder in Joliet's form.
fn joliet(files: &[Placed<'_>], at: u32, sectors: u32, date: &Date) -> Vec<u8> {
    let special = [itself(&[0], at, sectors).bytes(date, &[]), itself(&[1], at, sectors).bytes(date, &[])];
    let mut files: Vec<&Placed<'_>> = files.iter().collect();
    files.sort_by_key(|file| file.name);
    let files = files.into_iter().map(|file| of_file(file, &ucs2(file.name)).bytes(date, &[]));
    folder(special.into_iter().chain(files))
}

/// SUSP §5.3 `SP`: from here on, records have more to say.
fn susp_start() -> [u8; 7] {
    [b'S', b'P', 7, 1, 0xbe, 0xef, 0]
}

/// SUSP §5.5 `ER`: and it is said as the Rock Ridge Interchange Protocol says it.
fn extension() -> Vec<u8> {
    let id = b"RRIP_1991A";
    [b"ER", &[8 + id.len() as u8, 1, id.len() as u8, 0, 0, 1][..], id].concat()
}

/// RRIP §4.1.1 `PX`: mode, links, user 0, group 0.
fn posix(mode: u32, links: u32) -> Vec<u8> {
    [b"PX".to_vec(), vec![36, 1], both32(mode), both32(links), both32(0), both32(0)].concat()
}

/// RRIP §4.1.6 `TF`: changed, read, attributes changed.
fn times(date: &Date) -> Vec<u8> {
    [b"TF".to_vec(), vec![26, 1, 0b1110], date.short.repeat(3)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn files() -> BTreeMap<String, Vec<u8>> {
        let files = [("meta-data", "instance-id: x\n"), ("network-config", ""), ("user-data", "#cloud-config\n{}\n")];
        files.into_iter().map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())).collect()
    }

    fn written(files: &BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>, Iso9660Error> {
        let mut bytes = Vec::new();
        write(&mut bytes, &Volume { label: "cidata", epoch: Epoch(1_795_000_000), files }).map(|()| bytes)
    }

    /// The records of the folder that starts at `sector`: (name, first sector, size).
    fn records(iso: &[u8], sector: usize) -> Vec<(Vec<u8>, u32, u32)> {
        let mut at = sector * SECTOR;
        let mut records = Vec::new();
        while iso[at] != 0 {
            let number = |offset| u32::from_le_bytes(iso[at + offset..at + offset + 4].try_into().unwrap());
            let name = iso[at + 33..at + 33 + iso[at + 32] as usize].to_vec();
            records.push((name, number(2), number(10)));
            at += iso[at] as usize;
        }
        records
    }

    #[test]
    fn the_descriptors_stand_where_the_standard_has_them_and_carry_the_label() {
        let iso = written(&files()).unwrap();
        assert_eq!(&iso[16 * SECTOR..16 * SECTOR + 7], b"\x01CD001\x01");
        assert_eq!(&iso[16 * SECTOR + 40..16 * SECTOR + 72], b"cidata                          ");
        assert_eq!(&iso[17 * SECTOR..17 * SECTOR + 7], b"\x02CD001\x01");
        assert_eq!(&iso[17 * SECTOR + 88..17 * SECTOR + 91], b"%/E");
        assert_eq!(&iso[18 * SECTOR..18 * SECTOR + 7], b"\xffCD001\x01");
        let size = u32::from_le_bytes(iso[16 * SECTOR + 80..16 * SECTOR + 84].try_into().unwrap());
        assert_eq!(size as usize * SECTOR, iso.len());
        assert_eq!(&iso[16 * SECTOR + 813..16 * SECTOR + 829], b"2026111811064000");
    }

    #[test]
    fn both_folders_name_every_file_and_lead_to_its_bytes() {
        let iso = written(&files()).unwrap();
        for (folder, name) in [(23, b"USER_DATA.;1".to_vec()), (24, ucs2("user-data"))] {
            let records = records(&iso, folder);
            assert_eq!(records.len(), 5);
            let (_, sector, size) = records.iter().find(|(found, ..)| *found == name).unwrap();
            let start = *sector as usize * SECTOR;
            assert_eq!(&iso[start..start + *size as usize], b"#cloud-config\n{}\n");
        }
    }

    #[test]
    fn rock_ridge_carries_the_long_names() {
        let iso = written(&files()).unwrap();
        let folder = &iso[23 * SECTOR..24 * SECTOR];
        assert!(folder.windows(19).any(|bytes| bytes == b"NM\x13\x01\0network-config"));
    }

    #[test]
    fn the_same_files_give_the_same_bytes_and_another_epoch_does_not() {
        assert_eq!(Digest::of(&written(&files()).unwrap()), Digest::of(&written(&files()).unwrap()));
        let mut other = Vec::new();
        write(&mut other, &Volume { label: "cidata", epoch: Epoch(0), files: &files() }).unwrap();
        assert_ne!(written(&files()).unwrap(), other);
    }

    #[test]
    fn a_folder_of_more_than_a_sector_keeps_every_file() {
        let many: BTreeMap<String, Vec<u8>> = (0..40).map(|n| (format!("file-{n:02}"), vec![n; 3000])).collect();
        let iso = written(&many).unwrap();
        for n in 0..40u8 {
            let name = format!("NM\u{c}\u{1}\0file-{n:02}");
            assert!(iso.windows(name.len()).any(|bytes| bytes == name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn names_that_a_reader_could_not_tell_apart_are_refused() {
        let two = BTreeMap::from([("a-b".to_owned(), vec![]), ("a_b".to_owned(), vec![])]);
        assert!(matches!(written(&two), Err(Iso9660Error::SameName(..))));
        let bad = BTreeMap::from([("a/b".to_owned(), vec![])]);
        assert!(matches!(written(&bad), Err(Iso9660Error::BadName(_))));
    }
}
