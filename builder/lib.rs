//! Goldsmith builds immutable Debian images: locked, hardened, reproducible, proved.
//!
//! ```text
//! recipe ──lock──▶ Lock ──mirror──▶ store
//!    │              │                 │
//!    └──── plan ────┴── overlay ──▶ Plan ──build──▶ rootfs: unpack ▸ configure ▸ overlay ▸ seal ──▶ image
//! ```
//!
//! A module imports only from the floors below its own:
//!
//! | floor | modules |
//! |---|---|
//! | 7 | `command`: one file a verb |
//! | 6 | `build`: the whole product on one screen; offline by signature; `cloud`: what a cloud wants of an image |
//! | 5 | `plan`: recipe + lock + overlays, all pinned; `verify`: what is claimed of an image, and what shows it; `fleet`: the
//! | | machines of a network, checked against the recipes of their images, and what each is told |
//! | 4 | `overlay`, `lock`, `image`; `machine`: a virtual one, that knows no recipe |
//! | 3 | `recipe`, `rootfs`, `mirror`: the only one that asks an archive over the network |
//! | 2 | `debian`: formats; `store`: the only cache; `sandbox`: the only one that starts a process |
//! | 1 | `digest`, `epoch`, `arch`, `progress` |
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests start processes and read the environment"))]

pub mod command;

pub mod build;
pub mod cloud;
pub mod fleet;
pub mod plan;
pub mod verify;

pub mod image;
pub mod lock;
pub mod machine;
pub mod overlay;

pub mod mirror;
pub mod recipe;
pub mod rootfs;

pub mod debian;
pub mod sandbox;
pub mod store;

pub mod arch;
pub mod digest;
pub mod epoch;
pub mod progress;
