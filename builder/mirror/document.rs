//! Documents that no lock and no Release file promises: fetched when asked for, and kept for those who have no network.
//!
//! ```text
//! URL ─▶ the same as last time (its ETag)? ─▶ what is in the store
//!                                      └─ no ─▶ into the store
//! ```
//!
//! Nothing verifies them but the connection, so that has to be one that does.

use std::io::Read;

use super::http::Ask;
use super::{Failure, Mirror, MirrorError, Sought};
use crate::digest::Digest;

/// More than this nobody means to read at once. (The security tracker's data has some 70 MB.)
const LIMIT: u64 = 512 << 20;

impl Mirror {
    /// The document at `url`, which an error calls `name`.
    ///
    /// # Errors
    /// It cannot be had; or nothing would notice if somebody changed it on its way.
    pub fn document(&self, name: &str, url: &str) -> Result<Vec<u8>, MirrorError> {
        if !is_safe(url) {
            return Err(MirrorError::Unsafe(url.to_owned()));
        }
        let (base, file) = url.rsplit_once('/').unwrap_or((url, ""));
        let mut bytes = Vec::new();
        let paths = [file.to_owned()];
        self.elsewhere(&Sought { name, uri: base, paths: &paths }, |there| {
            self.patiently(|fresh| {
                bytes.clear();
                let answer = self.http.get(there, Ask { fresh, ..Ask::default() })?;
                let last = self.last(url).map_err(Failure::Store)?;
                if let Some((validator, kept)) = last.filter(|(last, _)| Some(last) == answer.validator.as_ref()) {
                    self.progress.verbose(&format!("{name} is still {validator}"));
                    bytes = kept;
                    return Ok(());
                }
                let mut body = answer.body.take(LIMIT + 1);
                body.read_to_end(&mut bytes).map_err(|error| Failure::from(ureq::Error::from(error)))?;
                let got = bytes.len() as u64;
                match answer.size {
                    _ if got > LIMIT => return Err(Failure::TooLarge(LIMIT)),
                    Some(size) if got < size => return Err(Failure::Closed { got, size }),
                    _ => {}
                }
                let blob = self.store.put(&bytes)?;
                let record = format!("{} {}\n", blob.digest, answer.validator.unwrap_or_default());
                Ok(self.store.set_record(KIND, Digest::of(url.as_bytes()), record.as_bytes())?)
            })
        })?;
        Ok(bytes)
    }

    /// What the document at `url` was when it was fetched last, if it was and is still there.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn kept(&self, url: &str) -> Result<Option<Vec<u8>>, MirrorError> {
        Ok(self.last(url)?.map(|(_, bytes)| bytes))
    }

    /// Its validator, and its bytes.
    fn last(&self, url: &str) -> Result<Option<(String, Vec<u8>)>, crate::store::StoreError> {
        let Some(record) = self.store.record(KIND, Digest::of(url.as_bytes()))? else { return Ok(None) };
        let text = String::from_utf8_lossy(&record);
        let (digest, validator) = text.trim_end().split_once(' ').unwrap_or((text.trim_end(), ""));
        let Ok(digest) = digest.parse() else { return Ok(None) };
        Ok(self.store.read(digest)?.map(|bytes| (validator.to_owned(), bytes)))
    }
}

const KIND: &str = "document";

/// Whether a document from there is what its owner wrote: by a connection that proves whose it is, or from this machine.
fn is_safe(url: &str) -> bool {
    let host = url.strip_prefix("http://").map(|rest| rest.split(['/', ':']).next().unwrap_or_default());
    url.starts_with("https://") || url.starts_with("file:") || matches!(host, Some("127.0.0.1" | "localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_connection_that_proves_whose_it_is_is_safe() {
        for url in ["https://a.example/x", "file:/srv/x", "http://127.0.0.1:8080/x", "http://localhost/x"] {
            assert!(is_safe(url), "{url}");
        }
        for url in ["http://a.example/x", "http://127.0.0.1.example/x", "ftp://a.example/x", "x"] {
            assert!(!is_safe(url), "{url}");
        }
    }
}
