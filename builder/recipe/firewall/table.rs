//! What `[firewall]` may say, key by key: as in [`crate::recipe::file`], the sentences are what an editor shows.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::Protocol;

/// Who may reach the image, and whom it may reach. Whatever is not listed is dropped, in IPv4 and IPv6 alike.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FirewallTable {
    /// Ports that are open, and to whom.
    pub accept: Vec<AcceptTable>,
    /// What the image may reach itself.
    pub egress: EgressTable,
    /// How much one source (an IPv4 address, an IPv6 /64) may ask for, of all open ports together.
    pub limits: LimitsTable,
}

/// Ports that are open to somebody. Exactly one of `from` and `peer` says to whom.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptTable {
    /// What messages and comments call it: `ssh`. No other rule has it.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// `tcp` or `udp`. Default: tcp.
    #[serde(default)]
    pub protocol: Protocol,
    /// Ports of this machine: numbers, and ranges as `"8000-8010"`.
    #[schemars(with = "Vec<PortWord>")]
    pub ports: Spanned<Vec<Spanned<PortWord>>>,
    /// Who may come: `"anywhere"`, or a list of networks, such as `["10.0.0.0/8", "fd00:1::/64"]`.
    #[serde(default)]
    #[schemars(with = "Addresses")]
    pub from: Option<Spanned<Addresses>>,
    /// Who may come: a machine whose addresses only the instance is told. Until then nobody.
    #[serde(default)]
    #[schemars(with = "String")]
    pub peer: Option<Spanned<String>>,
    /// New connections that each source may open: `"10/minute"` is ten at once, and then ten a minute. Default: no limit but `limits.new`.
    #[serde(default)]
    #[schemars(with = "String")]
    pub rate: Option<Spanned<String>>,
    /// Connections that each source may have open at a time. Default: no limit but `limits.connections`.
    #[serde(default)]
    #[schemars(with = "u32", range(min = 1))]
    pub connections: Option<Spanned<u32>>,
}

/// What the image may reach itself.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EgressTable {
    /// `any`: everything but the cloud's metadata service, which is root's; `listed`: what `allow` says, and what the network
    /// itself needs. Default: any.
    #[schemars(with = "EgressPolicy")]
    pub policy: Option<Spanned<EgressPolicy>>,
    /// With the policy `listed`: what may be reached.
    pub allow: Vec<AllowTable>,
}

/// Whether the image may reach everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EgressPolicy {
    /// Everything but the cloud's metadata service, which is root's.
    #[default]
    Any,
    /// What `allow` says.
    Listed,
}

/// Ports elsewhere that the image may reach. Exactly one of `to` and `instance` says where.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AllowTable {
    /// What messages and comments call it: `dns`. No other has it.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// `tcp` or `udp`. Default: tcp.
    #[serde(default)]
    pub protocol: Protocol,
    /// Ports of the other machine: numbers, and ranges as `"8000-8010"`.
    #[schemars(with = "Vec<PortWord>")]
    pub ports: Spanned<Vec<Spanned<PortWord>>>,
    /// Where: `"anywhere"`, or a list of networks, such as `["10.0.0.0/8", "fd00:1::/64"]`.
    #[serde(default)]
    #[schemars(with = "Addresses")]
    pub to: Option<Spanned<Addresses>>,
    /// Where: somebody whose addresses only the instance is told, such as `database`. Until then nobody.
    #[serde(default)]
    #[schemars(with = "String")]
    pub instance: Option<Spanned<String>>,
}

/// How much one source may ask for.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsTable {
    /// New connections that one source may open. Raise it behind a load balancer. Default: 100/second.
    #[schemars(with = "String")]
    pub new: Option<Spanned<String>>,
    /// TCP connections that one source may have open at a time. Raise it behind a load balancer. Default: 256.
    #[schemars(with = "u32", range(min = 1))]
    pub connections: Option<Spanned<u32>>,
}

/// A port (`22`), or a range of them (`"8000-8010"`), as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortWord {
    /// The schema keeps it between 1 and 65535.
    Number(i64),
    /// Not parsed yet.
    Text(String),
}

/// `"anywhere"`, or a list of networks, as written.
#[derive(Clone, Debug)]
pub enum Addresses {
    /// Not known yet to be `anywhere`.
    Word(String),
    /// Not parsed yet.
    List(Vec<Spanned<String>>),
}

impl JsonSchema for PortWord {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Port".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A port, or a range of them as \"8000-8010\".",
            "anyOf": [{ "type": "integer", "minimum": 1, "maximum": 65535 }, { "type": "string" }],
        })
    }
}

impl JsonSchema for Addresses {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Addresses".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "`\"anywhere\"`, or a list of networks.",
            "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }],
        })
    }
}

// Written by hand: serde's untagged enums lose TOML's spans.

impl<'de> Deserialize<'de> for PortWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Word;
        impl Visitor<'_> for Word {
            type Value = PortWord;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port, or a range of them in quotes")
            }

            fn visit_i64<E>(self, number: i64) -> Result<PortWord, E> {
                Ok(PortWord::Number(number))
            }

            fn visit_str<E>(self, text: &str) -> Result<PortWord, E> {
                Ok(PortWord::Text(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Word)
    }
}

impl<'de> Deserialize<'de> for Addresses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Word;
        impl<'de> Visitor<'de> for Word {
            type Value = Addresses;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"anywhere\", or a list of networks")
            }

            fn visit_str<E>(self, text: &str) -> Result<Addresses, E> {
                Ok(Addresses::Word(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Addresses, A::Error> {
                let mut list = Vec::new();
                while let Some(element) = seq.next_element()? {
                    list.push(element);
                }
                Ok(Addresses::List(list))
            }
        }
        deserializer.deserialize_any(Word)
    }
}
