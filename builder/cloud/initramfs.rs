//! What is in an initramfs: names only.
//!
//! ```text
//! ┌──────────────────────────────┬───────────────────────────┐
//! │ cpio (microcode), if any,    │ cpio, compressed: zstd,   │
//! │ not compressed, padded       │ gzip or xz, by its magic  │
//! └──────────────────────────────┴───────────────────────────┘
//! ```
//!
//! Source: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst: archives one behind the other, each in the
//! `newc` format: a header of 6 + 13 × 8 letters (hexadecimal), the name, the bytes, each padded to 4.

use std::collections::BTreeSet;
use std::io::{self, Read};

/// Of the header, in bytes.
const HEADER: usize = 110;
/// Where the lengths are in it: 8 hexadecimal digits each.
const FILE_SIZE: usize = 54;
const NAME_SIZE: usize = 94;

/// The paths of everything in an initramfs.
///
/// # Errors
/// It is cut off, or in no format that is known here.
pub fn paths(bytes: &[u8]) -> io::Result<BTreeSet<String>> {
    let mut paths = BTreeSet::new();
    let mut rest = bytes;
    loop {
        rest = &rest[rest.iter().take_while(|byte| **byte == 0).count()..];
        if rest.is_empty() {
            return Ok(paths);
        }
        match uncompressed(rest)? {
            Some(inner) => {
                paths.extend(self::paths(&inner)?);
                return Ok(paths);
            }
            None => rest = archive(rest, &mut paths)?,
        }
    }
}

/// What was compressed to `bytes`; none, if they are not compressed.
fn uncompressed(bytes: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut reader: Box<dyn Read + '_> = match bytes {
        [0x28, 0xB5, 0x2F, 0xFD, ..] => Box::new(zstd::Decoder::new(bytes)?),
        [0x1F, 0x8B, ..] => Box::new(flate2::read::MultiGzDecoder::new(bytes)),
        [0xFD, b'7', b'z', b'X', b'Z', ..] => Box::new(liblzma::read::XzDecoder::new(bytes)),
        _ => return Ok(None),
    };
    let mut inner = Vec::new();
    reader.read_to_end(&mut inner)?;
    Ok(Some(inner))
}

/// Reads one archive; what comes behind it.
fn archive<'a>(bytes: &'a [u8], paths: &mut BTreeSet<String>) -> io::Result<&'a [u8]> {
    let mut at = 0;
    loop {
        let entry = &bytes[at.min(bytes.len())..];
        let header = entry.get(..HEADER).filter(|header| header.starts_with(b"07070")).ok_or_else(damaged)?;
        let number = |place: usize| {
            let digits = std::str::from_utf8(&header[place..place + 8]).ok();
            digits.and_then(|digits| usize::from_str_radix(digits, 16).ok()).ok_or_else(damaged)
        };
        let (size, length) = (number(FILE_SIZE)?, number(NAME_SIZE)?);
        let name = entry.get(HEADER..HEADER + length).ok_or_else(damaged)?;
        let name = String::from_utf8_lossy(name.strip_suffix(&[0]).unwrap_or(name));
        at += (HEADER + length).next_multiple_of(4) + size.next_multiple_of(4);
        if name == "TRAILER!!!" {
            return Ok(&bytes[at.min(bytes.len())..]);
        }
        paths.insert(name.trim_start_matches("./").to_owned());
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the initramfs is no cpio archive, or is cut off")
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// An archive of empty files.
    pub fn cpio(names: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for name in names.iter().copied().chain(["TRAILER!!!"]) {
            let mut header = "070701".to_owned();
            for place in 0..13 {
                header += &format!("{:08x}", if place == 11 { name.len() + 1 } else { 0 });
            }
            bytes.extend(header.bytes().chain(name.bytes()).chain([0]));
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    #[test]
    fn microcode_comes_before_what_is_compressed_in_whatever_way() {
        let early = [cpio(&["kernel/x86/microcode"]), vec![0; 512]].concat();
        let inner = cpio(&["init", "usr/lib/modules/6/virtio_blk.ko.xz"]);
        for compressed in [zstd::encode_all(&inner[..], 3).unwrap(), inner] {
            let found = paths(&[&early[..], &compressed].concat()).unwrap();
            let expected = ["init", "kernel/x86/microcode", "usr/lib/modules/6/virtio_blk.ko.xz"];
            assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn what_is_cut_off_is_an_error_and_not_an_empty_list() {
        let whole = cpio(&["init"]);
        for length in [1, 50, 112, whole.len() - 100] {
            assert!(paths(&whole[..length]).is_err(), "{length}");
        }
        assert!(paths(b"not a cpio archive").is_err());
        assert!(paths(&zstd::encode_all(&whole[..], 3).unwrap()[..20]).is_err());
    }
}
