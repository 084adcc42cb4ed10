//! The last overlay of every image: the files that are computed from its recipe.
//!
//! Each comes from a pure function of the recipe, named after what it makes ([`super::jails`]). They are laid after all
//! overlays that people wrote, and are part of the plan's digest like those.

use std::collections::BTreeMap;

use super::{Laid, LaidKind, Overlay, load};
use crate::digest::Digest;
use crate::recipe::Recipe;

/// The files that `recipe` computes, as an overlay named `recipe`.
pub fn of(recipe: &Recipe) -> Overlay {
    let mut entries = BTreeMap::new();
    for (path, text) in super::jails::jails(&recipe.fail2ban) {
        entries.insert(path, file(&text, 0o644));
    }
    Overlay {
        name: "recipe".to_owned(),
        description: "What is computed from the recipe".to_owned(),
        requires: BTreeMap::new(),
        digest: load::digest(&entries, &BTreeMap::new(), &BTreeMap::new()),
        entries,
        remove: BTreeMap::new(),
        change: BTreeMap::new(),
        warnings: vec![],
    }
}

/// A file of root's.
fn file(text: &str, mode: u32) -> Laid {
    let kind = LaidKind::File { bytes: text.as_bytes().into(), digest: Digest::of(text.as_bytes()) };
    Laid { kind, mode, owner: "root".to_owned(), group: "root".to_owned(), why: String::new() }
}
