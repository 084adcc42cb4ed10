//! Small answers that a digest asks for: "this plan was built already; its listing is …".
//!
//! A record is not named by its own bytes, so it carries their digest in its first line; one that does not match (a disk
//! that lies, a hand that helped) is as good as absent, and the answer is worked out again.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use super::error::At;
use super::{Store, StoreError};
use crate::digest::Digest;

impl Store {
    /// What was last recorded as the answer of `kind` (a constant of the program, such as `build`) to `key`.
    ///
    /// # Errors
    /// If a record is there but can't be read. (A damaged one is reported, and absent.)
    pub fn record(&self, kind: &'static str, key: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.record_path(kind, key);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).at(&path, "read"),
        };
        let split = text.iter().position(|&byte| byte == b'\n').unwrap_or(text.len());
        let (head, answer) = (&text[..split], text.get(split + 1..).unwrap_or_default());
        if head == Digest::of(answer).to_string().as_bytes() {
            return Ok(Some(answer.to_vec()));
        }
        self.progress.message(&format!("the record {} is damaged, and not used", path.display()));
        Ok(None)
    }

    /// Records `answer` as the answer of `kind` to `key`, in place of an earlier one: all of it, or nothing.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn set_record(&self, kind: &'static str, key: Digest, answer: &[u8]) -> Result<(), StoreError> {
        let path = self.record_path(kind, key);
        let text = [Digest::of(answer).to_string().as_bytes(), b"\n", answer].concat();
        let temporary = self.write_temporary(&text)?;
        let parent = path.parent().unwrap_or(&path);
        fs::create_dir_all(parent).at(parent, "make")?;
        fs::rename(temporary.path(), &path).at(&path, "write")
    }

    fn record_path(&self, kind: &'static str, key: Digest) -> PathBuf {
        let hex = key.hex();
        self.root().join("records").join(kind).join(&hex[..2]).join(hex)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_found_by_its_kind_and_key_and_replaced_whole() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let key = Digest::of(b"plan");
        assert_eq!(store.record("build", key).unwrap(), None);
        store.set_record("build", key, b"a long first answer\nof two lines").unwrap();
        store.set_record("build", key, b"second").unwrap();
        assert_eq!(store.record("build", key).unwrap().as_deref(), Some(&b"second"[..]));
        assert_eq!(store.record("listing", key).unwrap(), None);
        assert_eq!(store.record("build", Digest::of(b"other")).unwrap(), None);
    }

    #[test]
    fn an_empty_answer_is_an_answer() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        store.set_record("build", Digest::of(b""), b"").unwrap();
        assert_eq!(store.record("build", Digest::of(b"")).unwrap(), Some(Vec::new()));
    }

    #[test]
    fn a_damaged_record_is_absent() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let key = Digest::of(b"plan");
        store.set_record("build", key, b"sha256:00").unwrap();
        let path = store.record_path("build", key);
        for damaged in [&b""[..], b"sha256:00", b"no newline", b"\n"] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(store.record("build", key).unwrap(), None, "{damaged:?}");
        }
    }
}
