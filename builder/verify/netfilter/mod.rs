//! What a rules file of iptables-persistent does, found out by running packets through it.
//!
//! ```text
//! rules.v4 ─▶ parse ─▶ RuleSet: tables ▸ chains ▸ rules: matches ▸ target
//!                           │
//!      Packet ──────────────┴─▶ RuleSet::verdict ─▶ accepted, dropped, or not decided by what is known
//! ```
//!
//! The notation is that of iptables-restore(8), the meaning that of iptables(8) and iptables-extensions(8). A match or a target
//! that is not known here is kept as such: what it does to a packet is then not known either, and whoever asks is told.

pub mod evaluate;
pub mod packet;
pub mod parse;
pub mod rule;

pub use evaluate::Verdict;
pub use packet::{Packet, Protocol, State};
pub use rule::{Chain, Match, Rule, RuleSet, Target};
