//! What a file `recipes/NAME.toml` may say, key by key.
//!
//! This is the one description of the file: serde reads it, and schemars makes of it the JSON schema against which every
//! file is checked before serde sees it ([`super::shape`]), with which editors complete it (`goldsmith schema`), and which
//! is committed as `recipes/schema.json`. The sentences below are what an editor shows.
//!
//! No `flatten` and no untagged enums here: TOML's spans do not survive them.
//!
//! A key that nothing reads is refused: a wish that nobody honours is worse than none.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::exception::ExceptionTable;
use super::fail2ban::table::Fail2banTable;
use super::firewall::table::FirewallTable;
use super::function::FunctionTable;
use super::{Compression, RootMode, Target};
use crate::arch::Arch;

/// A recipe: what an image is to contain. `goldsmith check` says what is wrong with it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Goldsmith recipe")]
pub struct File {
    /// One line for people; also the description of the OCI image.
    #[schemars(with = "String", length(min = 1))]
    pub description: Option<Spanned<String>>,
    /// What it is for: an image, only a parent of others, or the tools of the builder. Not inherited.
    #[schemars(with = "Purpose")]
    pub purpose: Option<Purpose>,
    /// The recipe that this one adds to, by its file name without `.toml`. It inherits everything, and can only add.
    #[schemars(with = "String")]
    pub from: Option<Spanned<String>>,
    /// The architecture of the image, by Debian's name.
    #[schemars(with = "Arch")]
    pub arch: Option<Spanned<Arch>>,
    /// A Debian release, such as `trixie`. Short for three archives: the release, its updates and its security updates.
    #[schemars(with = "String")]
    pub suite: Option<Spanned<String>>,
    /// Archives that packages come from, beside those of `suite`.
    pub archive: Vec<ArchiveTable>,
    /// Packages to install, each as it would stand in `Depends`: `apache2`, `php (>= 8)`, `default-mta | mail-transport-agent`.
    #[schemars(with = "Vec<String>")]
    pub packages: Vec<Spanned<String>>,
    /// Whether packages that others recommend are installed too. Default: false.
    #[schemars(with = "bool")]
    pub recommends: Option<Spanned<bool>>,
    /// What of packages is left out, as dpkg's `path-exclude`: `/usr/share/man/*`.
    #[schemars(with = "Vec<String>")]
    pub exclude: Vec<Spanned<String>>,
    /// What is not left out though `exclude` matches it, as dpkg's `path-include`: `/usr/share/doc/*/copyright`.
    #[schemars(with = "Vec<String>")]
    pub include: Vec<Spanned<String>>,
    /// Folders below `overlays/`, laid over the packages in this order (after those of the parent).
    #[schemars(with = "Vec<String>")]
    pub overlays: Vec<Spanned<String>>,
    /// Fixed ids of system users (and of their groups of the same name), so that the order of packages cannot change them.
    #[schemars(with = "BTreeMap<String, u32>")]
    pub users: BTreeMap<Spanned<String>, Spanned<u32>>,
    /// Fixed ids of system groups that belong to no user of that name.
    #[schemars(with = "BTreeMap<String, u32>")]
    pub groups: BTreeMap<Spanned<String>, Spanned<u32>>,
    /// Shapes of the artifacts.
    pub image: ImageTable,
    /// Who may reach the image, and whom it may reach. Whatever is not listed is dropped, in IPv4 and IPv6 alike.
    #[schemars(with = "FirewallTable")]
    pub firewall: Option<FirewallTable>,
    /// Findings of `goldsmith audit` that are excused, each with its reason.
    pub exception: Vec<ExceptionTable>,
    /// What the image is for: requests from afar, which `goldsmith verify` makes with the fleet's other machines beside it.
    pub function: Vec<FunctionTable>,
    /// Who tries too often is banned.
    pub fail2ban: Fail2banTable,
}

/// What a recipe is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// An image: built when no image is named.
    #[default]
    Image,
    /// Only what others have in common (`from`).
    Parent,
    /// The tools that building and proving need; runs only inside the builder's sandbox, and ships nowhere.
    Toolbox,
}

/// An archive of packages.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArchiveTable {
    /// What the lock calls it.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// `debian` or `debian-security` (any mirror of them), or the archive's own `https://…`.
    #[schemars(with = "String")]
    pub uri: Spanned<String>,
    /// The folder below `dists/`.
    #[schemars(with = "String")]
    pub suite: Spanned<String>,
    /// Its components. Default: `main`.
    #[serde(default = "main")]
    #[schemars(with = "Vec<String>")]
    pub components: Vec<Spanned<String>>,
    /// OpenPGP keyring in the project that its signature is checked against. Default: Debian's own, which ships with Goldsmith.
    #[serde(default)]
    #[schemars(with = "String")]
    pub keyring: Option<Spanned<String>>,
    /// Pin priority, as in apt_preferences(5). Default: 500.
    #[serde(default = "ordinary")]
    pub priority: i32,
    /// Only these packages may come from here. Default: any.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub only: Vec<Spanned<String>>,
}

/// Shapes of the artifacts.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ImageTable {
    /// How the layers of the OCI image are compressed. Default: zstd.
    #[schemars(with = "Compression")]
    pub compression: Option<Spanned<Compression>>,
    /// Where the image is to run as a virtual machine: decides the formats of its disk and what its kernel is told. A child
    /// adds to those of its parent. Default: nowhere, and no disk is made.
    #[schemars(with = "Vec<Target>")]
    pub targets: Vec<Spanned<Target>>,
    /// How large the disk is, in GiB; an instance may have a larger one, and grows into it. Default: 2.
    #[schemars(with = "u16", range(min = 1, max = 2048))]
    pub size: Option<Spanned<u16>>,
    /// What of the disk a running machine may write. Default: `rw`.
    #[schemars(with = "RootMode")]
    pub root: Option<Spanned<RootMode>>,
    /// What the kernel is told at boot, beside what the targets want. A child adds to those of its parent.
    #[schemars(with = "Vec<String>")]
    pub kernel_arguments: Vec<Spanned<String>>,
}

/// Debian's own component, when an archive names none.
fn main() -> Vec<Spanned<String>> {
    vec![Spanned::new(0..0, "main".to_owned())]
}

/// apt's priority of an archive that nobody pins.
pub(super) fn ordinary() -> i32 {
    500
}

/// The JSON schema of a recipe (draft 2020-12).
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(File).to_value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// The project that this source is.
    const ROOT: &str = env!("CARGO_MANIFEST_DIR");

    #[test]
    fn the_committed_schema_is_the_one_that_the_types_give() {
        let committed = std::fs::read_to_string(Path::new(ROOT).join("recipes/schema.json")).unwrap();
        let current = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
        assert_eq!(committed, current, "run `goldsmith schema > recipes/schema.json`");
    }

    #[test]
    fn every_recipe_fits_the_schema_and_broken_ones_do_not() {
        let validator = jsonschema::validator_for(&schema()).unwrap();
        let fits = |text: &str| validator.is_valid(&toml::from_str::<serde_json::Value>(text).unwrap());
        let mut seen = 0;
        for entry in std::fs::read_dir(Path::new(ROOT).join("recipes")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "toml") && path.file_stem().unwrap() != "vpc" {
                assert!(fits(&std::fs::read_to_string(&path).unwrap()), "{}", path.display());
                seen += 1;
            }
        }
        assert!(seen >= 4, "only {seen} recipes were found");
        for broken in [
            "package = []",
            "packages = [1]",
            "suite = 13",
            "[image]\ncompression = \"xz\"",
            "[[archive]]\nname = \"a\"",
        ] {
            assert!(!fits(broken), "{broken}");
        }
    }
}
