//! The records of a pax extended header: `LENGTH KEY=VALUE\n`, the length counting itself (POSIX.1-2001, `pax`).

use std::io;

use tar::{EntryType, Header};

/// Before the name of an extended attribute.
pub const XATTR: &str = "SCHILY.xattr.";

/// Records on their way into an archive.
#[derive(Default)]
pub struct Records(Vec<u8>);

impl Records {
    /// One more. The value may hold any bytes, newlines too: that is what the length is for.
    ///
    /// # Errors
    /// A key that holds `=` or a NUL byte, for which there is no notation.
    pub fn add(&mut self, key: &str, value: &[u8]) -> io::Result<()> {
        if key.contains(['=', '\0']) {
            let what = format!("the name `{key}` can't be archived: it holds `=` or a NUL byte");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let rest = " =\n".len() + key.len() + value.len();
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        self.0.extend_from_slice(format!("{length} {key}=").as_bytes());
        self.0.extend_from_slice(value);
        self.0.push(b'\n');
        Ok(())
    }

    /// The header entry that holds them, before the one that they are about; none if there are no records.
    pub fn entry(self) -> Option<(Header, Vec<u8>)> {
        let mut header = Header::new_ustar();
        if let Some(ustar) = header.as_ustar_mut() {
            ustar.name[..NAME.len()].copy_from_slice(NAME);
        }
        header.set_entry_type(EntryType::XHeader);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(self.0.len() as u64);
        header.set_cksum();
        (!self.0.is_empty()).then_some((header, self.0))
    }
}

/// What a reader that knows nothing of pax would call the records.
const NAME: &[u8] = b"PaxHeaders";

/// Reads records. (The `tar` crate's own reader takes every newline for the end of one, also within a capability.)
///
/// # Errors
/// A record whose length is not that of a record, or without `=`.
pub fn parse(mut bytes: &[u8]) -> io::Result<Vec<(&[u8], &[u8])>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let (record, rest) = split(bytes).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "a pax header holds a record that is malformed")
        })?;
        records.push(record);
        bytes = rest;
    }
    Ok(records)
}

type Record<'a> = (&'a [u8], &'a [u8]);

fn split(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let space = bytes.iter().position(|&byte| byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&byte| byte == b'=')?;
    Some(((&record[..equals], &record[equals + 1..]), &bytes[length..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_record_counts_its_own_digits() {
        let record = |value: &[u8]| {
            let mut records = Records::default();
            records.add("path", value).unwrap();
            records.0
        };
        assert_eq!(record(b"a"), b"9 path=a\n");
        assert_eq!(record(b"ab"), b"11 path=ab\n");
        assert_eq!(record(&[b'x'; 90])[..3], *b"99 ");
        assert_eq!(record(&[b'x'; 91])[..4], *b"101 ");
    }

    #[test]
    fn values_with_newlines_and_equals_signs_read_back() {
        let mut records = Records::default();
        let capability: &[u8] = &[1, 0, 0, 2, b'\n', b'\n', 0, b'=', 255];
        records.add("SCHILY.xattr.security.capability", capability).unwrap();
        records.add("path", "é".as_bytes()).unwrap();
        let (header, bytes) = records.entry().unwrap();
        assert_eq!(header.size().unwrap(), bytes.len() as u64);
        assert_eq!(
            parse(&bytes).unwrap(),
            [(&b"SCHILY.xattr.security.capability"[..], capability), (&b"path"[..], "é".as_bytes())]
        );
    }

    #[test]
    fn malformed_records_are_refused() {
        for bytes in [&b"9 path=a"[..], b"99 path=a\n", b"x path=a\n", b"7 path\n", b"0 path=a\n", b"1 path=a\n"] {
            assert!(parse(bytes).is_err(), "{:?}", String::from_utf8_lossy(bytes));
        }
        assert!(Records::default().add("user.a=b", b"").is_err());
        assert!(Records::default().entry().is_none());
    }
}
