//! `[fail2ban]`: who is banned, by which lines of which log, from what, and for how long.
//!
//! ```text
//! [fail2ban]  ban, window, tries ────▶ defaults of all jails (the user's: 48 hours for 5 failures in a minute)
//! [fail2ban.jails.NAME]  journal or logs ──filter──▶ a failure of an address ──tries in window──▶ a ban
//!                        samples, innocent: what the build feeds to the filter (`verify/proof.rs`)
//! ```
//!
//! Sources: jail.conf(5), journalctl(1) for what selects lines of the journal.

mod family;
mod read;
pub mod table;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) use family::Sum;
pub(super) use read::check;

/// `[fail2ban]` with those of the parents folded in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fail2ban {
    /// How long a ban lasts, in seconds.
    pub ban: u32,
    /// Within how many seconds failures are counted.
    pub window: u32,
    /// The failure that leads to a ban.
    pub tries: u32,
    /// What a ban closes.
    pub scope: Scope,
    /// Whether each further ban of an address lasts twice as long as the one before.
    pub increment: bool,
    /// The longest that such a ban can become, in seconds.
    pub longest: u32,
    /// Never banned, beside loopback: addresses and networks.
    pub ignore: Vec<String>,
    /// By name.
    pub jails: BTreeMap<String, Jail>,
}

/// One jail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Jail {
    /// The file in `filter.d`, without its ending.
    pub filter: String,
    /// What the filter is told: `mode`, and the others that it knows.
    pub options: BTreeMap<String, String>,
    /// What it reads.
    pub reads: Reads,
    /// Ports of what it protects.
    pub ports: Vec<u16>,
    /// What a ban closes.
    pub scope: Scope,
    /// In seconds.
    pub ban: u32,
    /// In seconds.
    pub window: u32,
    /// Failures.
    pub tries: u32,
    /// Whether its bans grow.
    pub increment: bool,
    /// Lines that must count as failures.
    pub samples: Vec<String>,
    /// Lines that must not.
    pub innocent: Vec<String>,
    /// How somebody fails at what it guards.
    pub attempt: Option<Attempt>,
    /// The recipe that adds it.
    pub by: String,
}

/// Where the lines of a jail come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reads {
    /// The journal: what selects the lines, as for journalctl(1).
    Journal(String),
    /// Files.
    Logs(Vec<String>),
}

/// How somebody fails for real at what a jail guards: what `goldsmith verify` does until the jail bans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Attempt {
    /// A login by SSH as this user, with a key that opens nothing.
    Ssh(String),
    /// A login to MariaDB or MySQL as this user, by TLS, with a wrong password.
    Mysql(String),
    /// A request by HTTP: its first line, and further lines of its head.
    Http(String),
    /// The same by HTTPS.
    Https(String),
    /// Being banned by the jail of this name.
    Bans(String),
}

/// What a ban closes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The whole machine, by every protocol.
    #[default]
    All,
    /// The ports of the jail.
    Ports,
}

impl Default for Fail2ban {
    fn default() -> Self {
        Self {
            ban: 172_800,
            window: 60,
            tries: 5,
            scope: Scope::All,
            increment: false,
            longest: 2_419_200,
            ignore: vec![],
            jails: BTreeMap::new(),
        }
    }
}

impl Attempt {
    /// The port of TCP at which it is made, of those of its jail: the usual one if it is among them, else the first. None: at none.
    pub fn port(&self, ports: &[u16]) -> Option<u16> {
        let usual = match self {
            Self::Ssh(_) => 22,
            Self::Mysql(_) => 3306,
            Self::Http(_) => 80,
            Self::Https(_) => 443,
            Self::Bans(_) => return None,
        };
        ports.iter().find(|port| **port == usual).or(ports.first()).copied()
    }
}

impl Jail {
    /// The filter with its options, as jail.conf(5) and fail2ban-regex(1) have it: `sshd[mode="aggressive"]`.
    pub fn filter_and_options(&self) -> String {
        let options: Vec<String> = self.options.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        if options.is_empty() { self.filter.clone() } else { format!("{}[{}]", self.filter, options.join(", ")) }
    }
}

impl Fail2ban {
    /// How long fail2ban must remember, in seconds: as long as its longest ban, and as far back as it counts.
    pub fn memory(&self) -> u32 {
        let jails = self.jails.values().flat_map(|jail| [jail.ban, jail.window]);
        let grown = self.jails.values().any(|jail| jail.increment).then_some(self.longest);
        jails.chain(grown).max().unwrap_or(self.ban)
    }
}

#[cfg(test)]
mod tests;
