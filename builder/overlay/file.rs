//! What `overlays/NAME/overlay.toml` may say: what git cannot keep, and why.

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

/// An overlay: literal files that are laid over the packages of an image.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Goldsmith overlay")]
pub struct File {
    /// One line: what it is good for.
    pub description: String,
    /// Packages without which its files mean nothing.
    #[schemars(with = "Vec<String>")]
    pub requires: Vec<Spanned<String>>,
    /// Paths whose owner or mode is not the ordinary one, and empty directories.
    pub entry: Vec<EntryTable>,
    /// Paths of packages that the image is to lack.
    pub remove: Vec<RemoveTable>,
    /// Paths of packages that keep their bytes and get another mode or owner.
    pub change: Vec<ChangeTable>,
}

/// A path below `root/`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EntryTable {
    /// As in the image, without a leading slash: `etc/ssh/sshd_config.d/00-goldsmith.conf`.
    #[schemars(with = "String")]
    pub path: Spanned<String>,
    /// In octal: `"0600"`. Default: 0755 for directories and for what git keeps as executable, 0644 for other files.
    #[serde(default)]
    #[schemars(with = "String")]
    pub mode: Option<Spanned<String>>,
    /// The user that it belongs to. Default: root.
    #[serde(default = "root")]
    pub owner: String,
    /// The group that it belongs to. Default: root.
    #[serde(default = "root")]
    pub group: String,
    /// Whether it is a directory that is to be there, though git keeps no empty ones.
    #[serde(default)]
    pub directory: bool,
    /// What would go wrong otherwise.
    pub why: String,
}

/// A path that is taken away, with everything below it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveTable {
    /// As in the image, without a leading slash.
    #[schemars(with = "String")]
    pub path: Spanned<String>,
    /// What would go wrong if it stayed.
    pub why: String,
}

/// A path of a package whose mode or owner is not to be what the package says. (dpkg-statoverride(1) does the same, on a
/// machine that upgrades itself.)
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeTable {
    /// As in the image, without a leading slash.
    #[schemars(with = "String")]
    pub path: Spanned<String>,
    /// In octal: `"0755"` where a package has `4755`. Default: as it is.
    #[serde(default)]
    #[schemars(with = "String")]
    pub mode: Option<Spanned<String>>,
    /// Of a directory: the mode of every file below it, in octal. Default: as they are.
    #[serde(default)]
    #[schemars(with = "String")]
    pub files: Option<Spanned<String>>,
    /// The user that it belongs to from now on. Default: as it is.
    #[serde(default)]
    pub owner: Option<String>,
    /// The group that it belongs to from now on. Default: as it is.
    #[serde(default)]
    pub group: Option<String>,
    /// What would go wrong otherwise.
    pub why: String,
}

/// Who owns a path of which nothing else is said.
fn root() -> String {
    "root".to_owned()
}

/// The JSON schema of `overlay.toml` (draft 2020-12).
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(File).to_value()
}
