//! What a fleet file may say, key by key: as in [`crate::recipe::file`], this is the one description of it, for serde, for the
//! schema against which it is checked, and for editors (`goldsmith schema fleet`, committed as `recipes/fleet.schema.json`).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use crate::recipe::Target;

/// Names of instances or of machines outside, by the name that an image has for them.
pub type Names = BTreeMap<Spanned<String>, Vec<Spanned<String>>>;

/// A fleet: the machines of a private network, and who of them reaches whom. `goldsmith check` says what is wrong with it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Goldsmith fleet")]
pub struct File {
    /// `fleet`: by this a file of recipes/ is one, and no recipe.
    pub purpose: Purpose,
    /// One line for people.
    #[schemars(with = "String", length(min = 1))]
    pub description: Option<Spanned<String>>,
    /// Who may log in to every instance: OpenSSH public keys, or files of the project that hold some, such as `ops.pub`.
    #[schemars(with = "Vec<String>")]
    pub keys: Vec<Spanned<String>>,
    /// Where the fleet runs. Their images must be made for it, and what an instance is told must fit. Default: what fits everywhere.
    #[schemars(with = "Vec<Target>")]
    pub targets: Vec<Spanned<Target>>,
    /// Networks, by name.
    #[schemars(with = "BTreeMap<String, NetworkTable>")]
    pub network: BTreeMap<Spanned<String>, NetworkTable>,
    /// Machines, by host name.
    #[schemars(with = "BTreeMap<String, InstanceTable>")]
    pub instance: BTreeMap<Spanned<String>, InstanceTable>,
    /// Machines that are not the fleet's, by the name under which `peers` and `egress` speak of them: a bastion, a VPN.
    #[schemars(with = "BTreeMap<String, OutsideTable>")]
    pub outside: BTreeMap<Spanned<String>, OutsideTable>,
    /// The application's database.
    pub database: DatabaseTable,
}

/// What a file is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// A fleet.
    #[default]
    Fleet,
}

/// A network.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkTable {
    /// Its addresses: `10.0.0.0/24`.
    #[schemars(with = "String")]
    pub range: Spanned<String>,
    /// The way out of it. Needed where an instance has an `address` that no DHCP gives it.
    #[serde(default)]
    #[schemars(with = "String")]
    pub gateway: Option<Spanned<String>>,
    /// Its name servers.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub dns: Vec<Spanned<String>>,
    /// Whether the network itself gives each instance its `address`, as a cloud does. Default: false.
    #[serde(default)]
    pub dhcp: bool,
}

/// A machine.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceTable {
    /// The image that it runs: the name of a recipe.
    #[schemars(with = "String")]
    pub image: Spanned<String>,
    /// Its network. Default: the only one.
    #[serde(default)]
    #[schemars(with = "String")]
    pub network: Option<Spanned<String>>,
    /// Its address. Default: whatever DHCP gives it; then nobody's peer can it be.
    #[serde(default)]
    #[schemars(with = "String")]
    pub address: Option<Spanned<String>>,
    /// Who each peer of the image is: `{ api = ["api-1", "api-2"] }`, or `[]` for nobody.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Vec<String>>")]
    pub peers: Names,
    /// Who each destination is that the image may reach (`instance = "NAME"` in its recipe), as `peers`.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Vec<String>>")]
    pub egress: Names,
    /// Who may log in to it, beside the fleet's `keys`.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub keys: Vec<Spanned<String>>,
    /// Names beside its own for which its certificate stands: `api.example.org`.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub names: Vec<Spanned<String>>,
    /// A certificate of your own (PEM, the issuers' after it), in place of one by the fleet's authority: a file of the project.
    #[serde(default)]
    #[schemars(with = "String")]
    pub certificate: Option<Spanned<String>>,
    /// Its key (PEM): a file of the project that git does not know.
    #[serde(default)]
    #[schemars(with = "String")]
    pub key: Option<Spanned<String>>,
}

/// Machines that are not the fleet's.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutsideTable {
    /// Where they are: addresses, or networks of at least /24 (IPv6: /64).
    #[schemars(with = "Vec<String>")]
    pub addresses: Vec<Spanned<String>>,
}

/// The application's database.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseTable {
    /// Of the schema. Default: `app`.
    #[schemars(with = "String")]
    pub name: Option<Spanned<String>>,
    /// Who the application is to it. Default: `app`.
    #[schemars(with = "String")]
    pub user: Option<Spanned<String>>,
    /// The host name of a database that somebody else runs. Default: the instance of which the API is a peer.
    #[schemars(with = "String")]
    pub host: Option<Spanned<String>>,
    /// Where it is, if no name server knows.
    #[schemars(with = "Vec<String>")]
    pub addresses: Vec<Spanned<String>>,
    /// Who vouches for its certificate (PEM): a file of the project. Needed with `host`.
    #[schemars(with = "String")]
    pub ca: Option<Spanned<String>>,
}

/// The JSON schema of a fleet file (draft 2020-12).
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(File).to_value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_committed_schema_is_the_one_that_the_types_give() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/fleet.schema.json");
        let committed = std::fs::read_to_string(path).unwrap();
        let current = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
        assert_eq!(committed, current, "run `goldsmith schema fleet > recipes/fleet.schema.json`");
    }
}
