//! Literal files over the packages: `overlays/NAME/`.
//!
//! ```text
//! overlays/base/
//! ├── overlay.toml                        what git cannot keep: owners, modes, empty directories; what is removed or changed
//! └── root/                               as in the image, each file opening with a comment that says why it is there
//!     └── etc/ssh/sshd_config.d/00-goldsmith.conf
//!
//! load: folder → Overlay (a value, all bytes in it)          apply: entries of a root file system × Overlay → entries
//! ```
//!
//! No templates: what an overlay lays can be read with `cat`, and what the recipe says about files (its firewall) comes from
//! named pure functions, as one overlay more ([`computed`]). Modes, owners and
//! the order of things come from these files alone, never from umask, times or the folder's order.

mod apply;
pub mod computed;
pub mod file;
pub mod firewall;
pub mod jails;
mod load;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use crate::rootfs::accounts::Accounts;
pub use apply::{OverlayError, apply};

use crate::digest::Digest;
use crate::recipe::Recipe;
use crate::recipe::problem::{Place, Problem};

/// An overlay, read and checked.
#[derive(Clone, Debug)]
pub struct Overlay {
    /// Its folder's name.
    pub name: String,
    /// One line: what it is good for.
    pub description: String,
    /// Packages without which its files mean nothing, and where it says so.
    pub requires: BTreeMap<String, Place>,
    /// What is laid, by path (relative, without a leading slash).
    pub entries: BTreeMap<String, Laid>,
    /// What is taken away before anything is laid, by path, and why.
    pub remove: BTreeMap<String, String>,
    /// What keeps its bytes and gets another mode or owner, before anything is laid, by path.
    pub change: BTreeMap<String, Change>,
    /// Of everything that it does to an image: paths, kinds, modes, owners, bytes, removals, changes.
    pub digest: Digest,
    /// What somebody should look at.
    pub warnings: Vec<Problem>,
}

/// One path of an overlay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Laid {
    /// What it is.
    pub kind: LaidKind,
    /// Permission bits, `0o7777` at most. (Those of a symbolic link mean nothing: `0o777`.)
    pub mode: u32,
    /// Name of the user.
    pub owner: String,
    /// Name of the group.
    pub group: String,
    /// What `overlay.toml` says about it; empty where the file says it itself.
    pub why: String,
}

/// What is to be changed about a path of a package; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Permission bits, `0o7777` at most.
    pub mode: Option<u32>,
    /// Those of every regular file below it, if it is a directory.
    pub files: Option<u32>,
    /// Name of the user.
    pub owner: Option<String>,
    /// Name of the group.
    pub group: Option<String>,
    /// What would go wrong otherwise.
    pub why: String,
}

/// What an overlay can lay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaidKind {
    /// A directory: made, or given mode and owner.
    Directory,
    /// A regular file of these bytes.
    File {
        /// All of them.
        bytes: Arc<[u8]>,
        /// Of them.
        digest: Digest,
    },
    /// A symbolic link, its target as written.
    Symlink(String),
}

impl Overlay {
    /// The packages that it requires and `recipe` does not ask for. They may come as dependencies; then only by chance.
    pub fn unasked(&self, recipe: &Recipe) -> Vec<Problem> {
        let asked = |package: &str| {
            let alternatives = recipe.packages.iter().flat_map(|wanted| wanted.relation.split('|'));
            alternatives.filter_map(|one| one.split_whitespace().next()).any(|name| name == package)
        };
        let missing = self.requires.iter().filter(|(package, _)| !asked(package));
        missing
            .map(|(package, place)| {
                let (overlay, recipe) = (&self.name, &recipe.name);
                let message =
                    format!("the overlay `{overlay}` requires `{package}`, and `{recipe}` does not ask for it");
                let help = format!("add it to the `packages` of `{recipe}`, or of the recipe that lists the overlay");
                Problem::warning(message).at(place.clone(), "not asked for").help(help)
            })
            .collect()
    }
}
