//! Debian's formats, one file a manual page. They know nothing of images.
//!
//! ```text
//!                 InRelease ─▶ clearsign ─▶ keyring ─▶ release ── digest of ──▶ Packages ─▶ package ─▶ index
//!                                                         │                        │           │
//!                                                      deb822 ◀────────────────────┘    version, relation
//! /etc/dpkg/dpkg.cfg ─▶ filter
//! .deb ─▶ deb            /var/lib/dpkg/status ─▶ status          apt's own sources ─▶ sources
//! ```
//!
//! Every file here turns bytes into a value, or says what is wrong with them; none opens a file, asks a network, reads a
//! clock or starts a process.

pub mod changelog;
pub mod clearsign;
pub mod deb;
pub mod deb822;
pub mod filter;
pub mod index;
pub mod keyring;
pub mod package;
pub mod relation;
pub mod release;
pub mod sources;
pub mod status;
pub mod tracker;
pub mod version;
