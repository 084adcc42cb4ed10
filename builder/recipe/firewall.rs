//! `[firewall]`: who may reach an image, and whom it may reach.
//!
//! ```text
//! [[firewall.accept]]                     read: table → Accept        fold: parents first, each only adds
//! name = "ssh"            ─────────────▶  (all that is wrong    ───▶  (names once, no rule that never   ───▶ Firewall
//! ports = [22]                             with it by itself)          matches, no limit that is void)
//! peer = "api"
//! ```
//!
//! Everything that is not listed is dropped, in IPv4 and IPv6 alike: there is no way to write a policy that accepts, a rule
//! for one family only by oversight, a rule behind a catch-all, or an empty source. What a network needs of ICMP and ICMPv6
//! (RFC 4890 §4.4) is no wish but comes with [`crate::overlay::firewall`], which makes rules of this value.
//!
//! The value is also the claim that an audit holds against the rules it finds, and a prober against the ports that answer.

mod family;
mod read;
pub mod table;

use std::collections::BTreeMap;
use std::fmt;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) use family::Sum;
pub(super) use read::check;

/// Longest name of a peer: iptables' chains have at most 28 characters, and its chain is `peer-NAME`.
pub const LONGEST_PEER: usize = 28 - "peer-".len();

/// Longest name of somebody whom only the instance knows: the chain is `egress-NAME`.
pub const LONGEST_DESTINATION: usize = 28 - "egress-".len();

/// Who may reach the image, and whom it may reach. All else is dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Firewall {
    /// What is let in; parents' first.
    pub accept: Vec<Accept>,
    /// What is let out.
    pub egress: Egress,
    /// How much one source may ask for.
    pub limits: Limits,
}

/// One `[[firewall.accept]]`: new connections to these ports from there are let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Accept {
    /// Of the rule; no other has it.
    pub name: String,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// On this machine; sorted, disjoint, at least one.
    pub ports: Vec<Ports>,
    /// Who may come.
    pub from: Source,
    /// New connections that each source may open; more are dropped.
    pub rate: Option<Rate>,
    /// Connections that each source may have open at a time; more are dropped.
    pub connections: Option<u32>,
}

/// What carries a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// RFC 9293.
    #[default]
    Tcp,
    /// RFC 768.
    Udp,
}

/// A port, or a range of them: `first` to `last`, both included, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ports {
    /// The lowest.
    pub first: u16,
    /// The highest; of a single port the same.
    pub last: u16,
}

/// Who may come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The whole world, by IPv4 and IPv6.
    Anywhere,
    /// These networks; disjoint, at least one, none of them half the world.
    Networks(Vec<IpNet>),
    /// A machine whose addresses only the instance is told; nobody, until then.
    Peer(String),
}

/// What is let out. Answers always are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Egress {
    /// Everything but the metadata service of the cloud, which is root's.
    Any,
    /// This, and nothing else but what the network itself needs.
    Listed(Vec<Allow>),
}

/// One `[[firewall.egress.allow]]`: the image may open connections to these ports there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Allow {
    /// Of the rule; no other has it.
    pub name: String,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// On the other machine; sorted, disjoint, at least one.
    pub ports: Vec<Ports>,
    /// Whom it may reach.
    pub to: Destination,
}

/// Whom the image may reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Destination {
    /// The whole world, by IPv4 and IPv6.
    Anywhere,
    /// These networks; disjoint, at least one.
    Networks(Vec<IpNet>),
    /// Somebody whose addresses only the instance is told; nobody, until then.
    Instance(String),
}

/// How much one source (an IPv4 address, an IPv6 /64) may ask for, of all ports that are open together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// New connections, half-open ones among them.
    pub new: Rate,
    /// TCP connections at a time.
    pub connections: u32,
}

impl Default for Limits {
    /// Far above what a client or an office behind one address asks for, far below what fills a table.
    fn default() -> Self {
        Self { new: Rate { count: 100, per: Period::Second }, connections: 256 }
    }
}

/// So many at once, and then as many in each period (a token bucket of that size).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At least 1.
    pub count: u32,
    /// In how long.
    pub per: Period,
}

/// What a rate counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// 1 s.
    Second,
    /// 60 s.
    Minute,
    /// 3600 s.
    Hour,
}

impl Firewall {
    /// The ports (by protocol) that are open to each peer, by its name: what the instance's facts may open.
    pub fn peers(&self) -> BTreeMap<&str, Vec<(Protocol, Ports)>> {
        let mut peers: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for accept in &self.accept {
            if let Source::Peer(peer) = &accept.from {
                peers.entry(peer).or_default().extend(accept.ports.iter().map(|&ports| (accept.protocol, ports)));
            }
        }
        peers
    }

    /// The ports (by protocol) that may be reached of each destination that only the instance knows, by its name.
    pub fn destinations(&self) -> BTreeMap<&str, Vec<(Protocol, Ports)>> {
        let mut destinations: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for allow in self.egress.allowed() {
            if let Destination::Instance(name) = &allow.to {
                destinations.entry(name).or_default().extend(allow.ports.iter().map(|&ports| (allow.protocol, ports)));
            }
        }
        destinations
    }
}

impl Egress {
    /// The rules of the list; none, if everything is let out.
    pub fn allowed(&self) -> &[Allow] {
        match self {
            Self::Any => &[],
            Self::Listed(allowed) => allowed,
        }
    }
}

impl Ports {
    /// Whether `other` lies inside.
    pub fn covers(self, other: Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    /// Whether a port is in both.
    pub fn meets(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl Rate {
    /// Seconds until an empty bucket is full again.
    pub fn seconds(self) -> u32 {
        match self.per {
            Period::Second => 1,
            Period::Minute => 60,
            Period::Hour => 3600,
        }
    }

    /// Whether this lets more through than `other`, over time.
    pub fn exceeds(self, other: Self) -> bool {
        u64::from(self.count) * u64::from(other.seconds()) > u64::from(other.count) * u64::from(self.seconds())
    }
}

/// `tcp`.
impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// `22`, `8000-8010`.
impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// `10/minute`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = match self.per {
            Period::Second => "second",
            Period::Minute => "minute",
            Period::Hour => "hour",
        };
        write!(f, "{}/{per}", self.count)
    }
}

impl Serialize for Ports {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Rate {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests;
