//! A disk as Google Compute Engine imports it: `disk.raw`, alone in a tar archive of GNU's old format, compressed by gzip.
//!
//! The archive is sparse (type `S`): holes of the disk are said and not stored. Sources: GNU tar's manual, “Old GNU Format”;
//! Google's “Manually import virtual disks” (the name, the format, a size that is a multiple of 1 GiB).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use flate2::{Compression, GzBuilder};
use tar::{EntryType, GnuExtSparseHeader, GnuSparseHeader, Header};

use super::sparse;
use crate::epoch::Epoch;

/// Writes the disk at `raw` to `out`.
pub(super) fn write(raw: &Path, out: impl Write, epoch: Epoch) -> io::Result<()> {
    let mut raw = File::open(raw)?;
    let size = raw.metadata()?.len();
    let mut extents = sparse::extents(&raw)?;
    // Where the file ends must be in the map, if it ends with a hole.
    if extents.last().is_none_or(|(first, length)| first + length < size) {
        extents.push((size, 0));
    }
    // No time and no name in the header: the same bytes each time.
    let mut out = GzBuilder::new().write(out, Compression::default());
    for block in headers(&extents, size, epoch)? {
        out.write_all(&block)?;
    }
    let mut stored = 0;
    for (first, length) in extents {
        raw.seek(SeekFrom::Start(first))?;
        stored += io::copy(&mut (&raw).take(length), &mut out)?;
    }
    out.write_all(&vec![0; (stored.next_multiple_of(512) - stored) as usize + 1024])?;
    out.finish()?.flush()
}

/// The header, and as many more blocks as the map needs: four extents fit into the first, 21 into each of the others.
fn headers(extents: &[(u64, u64)], size: u64, epoch: Epoch) -> io::Result<Vec<[u8; 512]>> {
    let mut header = Header::new_gnu();
    header.set_path("disk.raw")?;
    header.set_entry_type(EntryType::GNUSparse);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(epoch.0.try_into().unwrap_or(0));
    header.set_size(extents.iter().map(|(_, length)| length).sum());
    let (first, rest) = extents.split_at(extents.len().min(4));
    let Some(gnu) = header.as_gnu_mut() else { return Err(io::Error::other("a GNU header is none")) };
    first.iter().zip(&mut gnu.sparse).for_each(|(extent, field)| set(field, *extent));
    gnu.isextended = [u8::from(!rest.is_empty())];
    octal(&mut gnu.realsize, size);
    header.set_cksum();
    let mut blocks = vec![*header.as_bytes()];
    let mut more = rest.chunks(21).peekable();
    while let Some(chunk) = more.next() {
        let mut block = GnuExtSparseHeader::new();
        chunk.iter().zip(&mut block.sparse).for_each(|(extent, field)| set(field, *extent));
        block.isextended = [u8::from(more.peek().is_some())];
        blocks.push(*block.as_bytes());
    }
    Ok(blocks)
}

fn set(field: &mut GnuSparseHeader, (first, length): (u64, u64)) {
    octal(&mut field.offset, first);
    octal(&mut field.numbytes, length);
}

/// Eleven octal digits and a NUL, or, from 8 GiB on, GNU's binary form.
fn octal(field: &mut [u8; 12], number: u64) {
    match number < 1 << 33 {
        true => field[..11].copy_from_slice(format!("{number:011o}").as_bytes()),
        false => {
            field[0] = 0x80;
            field[4..].copy_from_slice(&number.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn an_independent_reader_finds_the_same_disk() {
        let raw = tempfile::NamedTempFile::new().unwrap();
        raw.as_file().set_len(16 << 20).unwrap();
        // More extents than one block of the map holds, and a hole at the end.
        for number in 0..60 {
            raw.as_file().write_all_at(&[number + 1; 3], u64::from(number) * (160 << 10)).unwrap();
        }
        let mut archive = Vec::new();
        write(raw.path(), &mut archive, Epoch(1_000)).unwrap();
        let mut again = Vec::new();
        write(raw.path(), &mut again, Epoch(1_000)).unwrap();
        assert!(archive == again, "other bytes");
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive.as_slice()));
        let mut entries = archive.entries().unwrap();
        let mut entry = entries.next().unwrap().unwrap();
        assert_eq!(entry.path_bytes().as_ref(), b"disk.raw");
        assert_eq!((entry.header().mtime().unwrap(), entry.header().entry_type()), (1_000, EntryType::GNUSparse));
        let mut read = Vec::new();
        entry.read_to_end(&mut read).unwrap();
        assert!(read == std::fs::read(raw.path()).unwrap(), "another disk");
        assert!(entries.next().is_none());
    }

    #[test]
    fn large_numbers_are_binary() {
        let mut field = [0; 12];
        octal(&mut field, 8 << 30);
        assert_eq!(field, [0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
        let mut field = [0; 12];
        octal(&mut field, 512);
        assert_eq!(&field, b"00000001000\0");
    }
}
