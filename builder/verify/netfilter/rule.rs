//! A rule set as it was read.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::packet::{Protocol, State};

/// The table `filter` of one file: its chains by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSet {
    /// Each chain.
    pub chains: BTreeMap<String, Chain>,
    /// Lines that nothing here can read, with their numbers: iptables-restore would load none of the file, or more than is
    /// known here.
    pub unreadable: Vec<(usize, String)>,
    /// Rules in other tables that decide over packets (NAT, mangling), line by line.
    pub elsewhere: Vec<(usize, String)>,
    /// Whether `COMMIT` ends the table: without it nothing is loaded.
    pub committed: bool,
}

/// A chain of rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// What a built-in chain does with what no rule decides; chains of one's own have none, and return.
    pub policy: Option<Target>,
    /// In order.
    pub rules: Vec<Rule>,
}

/// One `-A` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its line, from 1.
    pub line: usize,
    /// All must hold.
    pub matches: Vec<Match>,
    /// What happens then; none: nothing, but the packet is counted.
    pub target: Option<Target>,
}

/// What a rule asks of a packet. `not` is the `!` before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// `-s`
    Source(IpNet, Not),
    /// `-d`
    Destination(IpNet, Not),
    /// `-i`; a `+` at the end stands for anything.
    In(String, Not),
    /// `-o`
    Out(String, Not),
    /// `-p`
    Protocol(Protocol, Not),
    /// `--sport`: one of these ranges.
    SourcePort(Vec<(u16, u16)>, Not),
    /// `--dport`, `-m multiport --dports`
    DestinationPort(Vec<(u16, u16)>, Not),
    /// `--syn`: SYN, and neither ACK, RST nor FIN.
    Syn(Not),
    /// `-m conntrack --ctstate`, `-m state --state`
    State(Vec<State>, Not),
    /// `--icmp-type`, `--icmpv6-type`: the type's number.
    IcmpType(u8, Not),
    /// `-m hl --hl-eq`, `-m ttl --ttl-eq`
    HopLimit(u8, Not),
    /// `-m owner --uid-owner`
    Uid(u32, Not),
    /// `-m limit`, `hashlimit`, `connlimit`: holds or not, as more or fewer packets came before.
    Limit(String),
    /// Anything else, as written.
    Unknown(String),
}

/// Whether a match is turned round.
pub type Not = bool;

/// What is done with a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Let in.
    Accept,
    /// Thrown away: `DROP`, or `REJECT`, which says so to the sender.
    Drop,
    /// On with the chain that jumped here.
    Return,
    /// Looked at by another chain.
    Jump(String),
    /// Noted, and on: `LOG`, `NFLOG`.
    Note,
    /// Anything else, as written.
    Unknown(String),
}
