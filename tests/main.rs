//! What Goldsmith promises, as tests that run the real binary; in the order in which the work flows.
//!
//! ```text
//! check, schema ─▶ lock, trust ─▶ fetch, interruption ─▶ offline, unpack ─▶ real
//! what people      what the        what the network       what a package     the images themselves,
//! write            archive says    and the disk do        may not do         from Debian's archive
//! ```
//!
//! Beside them `architecture` reads the sources and `readme` the README. All but `real` are hermetic: they lock and fetch
//! from a small signed archive in memory (`harness`). `real` needs a mirror of Debian, and the images that it builds are
//! kept below `target/`, so that the second run is quick.
//!
//! `GOLDSMITH_BLESS=1 cargo test --release` rewrites the goldens in `tests/golden/` and the transcripts in the README.
#![allow(clippy::disallowed_methods, reason = "tests start processes, open ports and read the environment")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it meets the unexpected")]

mod harness;

mod check;
mod ci;
mod schema;

mod lock;
mod parity;
mod trust;

mod diff;
mod update;
mod vendor;

mod fetch;
mod interruption;

mod explain;
mod show;

mod offline;
mod unpack;

mod audit;
mod proved;
mod verify;

mod bundle;
mod fleet;

mod clean;

mod real;

mod architecture;
mod readme;
