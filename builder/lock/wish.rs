//! Question and answer of a resolution.

use std::collections::BTreeMap;

use crate::arch::Arch;
use crate::debian::index::PackageId;
use crate::debian::relation::Relation;
use crate::debian::version::Version;

/// What an image is to contain.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Each an or-group (`a | b`; most often just one relation), and who asks for it as the lock will say it: `recipe api`,
    /// `overlay web`.
    pub packages: Vec<(Vec<Relation>, String)>,
    /// Whether all essential packages, and those of priority `required`, are wished too. Every image that is to boot or to
    /// configure packages says yes; apt's own answer for a bare list of packages is compared with no.
    pub base: bool,
    /// Whether what a chosen package recommends comes along where it can.
    pub recommends: bool,
    /// What a lock holds already: these versions stay as long as they are still offered and still satisfy.
    pub keep: BTreeMap<String, Version>,
    /// Packages of this architecture, and those for all, can be chosen.
    pub arch: Arch,
}

/// What was chosen: at most one version of each name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Solution {
    /// By package name.
    pub packages: BTreeMap<String, Chosen>,
}

/// One package of a [`Solution`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The package in the index that was asked.
    pub id: PackageId,
    /// Who asked for it, sorted, never empty: `apache2 Depends`, `essential`, `recipe api`, `required`.
    pub because: Vec<String>,
}
