//! What the tests stand on: a small signed Debian archive made in memory, a mirror that can misbehave, and a project
//! in a temporary directory in which the real binary is run.
//!
//! ```text
//! Deb ──▶ Archive ──sign(Key)──▶ files ──▶ Mirror (faults, counts) ◀──http── goldsmith ◀── Project
//! ```

pub mod archive;
pub mod deb;
pub mod golden;
pub mod key;
pub mod mirror;
pub mod project;

pub use deb::Deb;
pub use key::Key;
pub use mirror::{Fault, Mirror};
pub use project::{Project, Run};

use sha2::{Digest as _, Sha256};

/// SHA-256 in lower-case hexadecimal. Not the library's own: what grades must not share code with what is graded.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `bytes` as one xz stream.
pub fn xz(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).expect("writing to memory");
    encoder.finish().expect("writing to memory")
}
