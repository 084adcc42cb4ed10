//! What `[fail2ban]` may say, key by key: as in [`crate::recipe::file`], the sentences are what an editor shows.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::{Attempt, Fail2ban, Jail, Reads, Scope};

/// Who tries too often is banned. All times are in seconds.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Fail2banTable {
    /// How long a ban lasts, in seconds. Default: 172800, two days.
    #[schemars(with = "u32", range(min = 1))]
    pub ban: Option<Spanned<u32>>,
    /// Within how many seconds failures are counted. Default: 60.
    #[schemars(with = "u32", range(min = 1))]
    pub window: Option<Spanned<u32>>,
    /// How many failures lead to a ban. Default: 5.
    #[schemars(with = "u32", range(min = 1))]
    pub tries: Option<Spanned<u32>>,
    /// What a ban closes: `all`, the whole machine, or the `ports` of the jail. Default: all.
    #[schemars(with = "Scope")]
    pub scope: Option<Spanned<Scope>>,
    /// Whether each further ban of an address lasts twice as long as the one before. Default: false.
    #[schemars(with = "bool")]
    pub increment: Option<Spanned<bool>>,
    /// The longest that an incremented ban can become, in seconds. Default: 2419200, four weeks.
    #[schemars(with = "u32", range(min = 1))]
    pub longest: Option<Spanned<u32>>,
    /// Addresses and networks that are never banned. Loopback is not either.
    #[schemars(with = "Vec<String>")]
    pub ignore: Vec<Spanned<String>>,
    /// Each reads a log, and bans who fails.
    #[schemars(with = "BTreeMap<String, JailTable>")]
    pub jails: BTreeMap<Spanned<String>, JailTable>,
}

/// A jail: which lines of which log are failures, and of what.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JailTable {
    /// The filter, by its file in `/etc/fail2ban/filter.d` without `.conf`. Default: the jail's name.
    #[schemars(with = "String")]
    pub filter: Option<Spanned<String>>,
    /// The filter's `mode`, where it has several.
    #[schemars(with = "String")]
    pub mode: Option<Spanned<String>>,
    /// Other options of the filter.
    #[schemars(with = "BTreeMap<String, String>")]
    pub options: BTreeMap<Spanned<String>, Spanned<String>>,
    /// Which lines of the journal it reads, as for journalctl: `_SYSTEMD_UNIT=ssh.service + _COMM=sshd`. This, or `logs`.
    #[schemars(with = "String")]
    pub journal: Option<Spanned<String>>,
    /// Which files it reads. They are made, empty, before fail2ban starts.
    #[schemars(with = "Vec<String>")]
    pub logs: Vec<Spanned<String>>,
    /// The ports of what it protects.
    #[schemars(with = "Vec<u16>", inner(range(min = 1)))]
    pub ports: Vec<Spanned<u16>>,
    /// What a ban closes, if not what `[fail2ban]` says.
    pub scope: Option<Scope>,
    /// How long a ban lasts in seconds, if not as `[fail2ban]` says.
    #[schemars(with = "u32", range(min = 1))]
    pub ban: Option<u32>,
    /// Within how many seconds failures are counted, if not as `[fail2ban]` says.
    #[schemars(with = "u32", range(min = 1))]
    pub window: Option<u32>,
    /// How many failures lead to a ban, if not as `[fail2ban]` says.
    #[schemars(with = "u32", range(min = 1))]
    pub tries: Option<u32>,
    /// Whether its bans grow, if not as `[fail2ban]` says.
    pub increment: Option<bool>,
    /// Lines as they stand in the log, with their date, each of which must be a failure: the build tries them.
    #[schemars(with = "Vec<String>")]
    pub samples: Vec<Spanned<String>>,
    /// Lines that must not be one.
    #[schemars(with = "Vec<String>")]
    pub innocent: Vec<Spanned<String>>,
    /// How somebody fails for real at what it guards, which `goldsmith verify` does: a login as this user, `{ ssh = "root" }` or
    /// `{ mysql = "app" }`; a request, `{ https = "GET /.git HTTP/1.1" }` or `{ http = "…" }`; being banned by another jail,
    /// `{ bans = "sshd" }`.
    #[schemars(with = "Attempt")]
    pub attempt: Option<Spanned<Attempt>>,
}

impl JailTable {
    /// The jail `name`, of the recipe `by`, where it says nothing else as `defaults` say.
    pub(super) fn jail(&self, name: &str, by: &str, defaults: &Fail2ban) -> Jail {
        let texts = |list: &[Spanned<String>]| list.iter().map(|text| text.get_ref().clone()).collect::<Vec<_>>();
        let mode = self.mode.iter().map(|mode| ("mode".to_owned(), mode.get_ref().clone()));
        let options = self.options.iter().map(|(name, value)| (name.get_ref().clone(), value.get_ref().clone()));
        Jail {
            filter: self.filter.as_ref().map_or_else(|| name.to_owned(), |filter| filter.get_ref().clone()),
            options: mode.chain(options).collect(),
            reads: match &self.journal {
                Some(journal) => Reads::Journal(journal.get_ref().split_whitespace().collect::<Vec<_>>().join(" ")),
                None => Reads::Logs(texts(&self.logs)),
            },
            ports: self.ports.iter().map(|port| *port.get_ref()).collect(),
            scope: self.scope.unwrap_or(defaults.scope),
            ban: self.ban.unwrap_or(defaults.ban),
            window: self.window.unwrap_or(defaults.window),
            tries: self.tries.unwrap_or(defaults.tries),
            increment: self.increment.unwrap_or(defaults.increment),
            samples: texts(&self.samples),
            innocent: texts(&self.innocent),
            attempt: self.attempt.as_ref().map(|attempt| attempt.get_ref().clone()),
            by: by.to_owned(),
        }
    }
}
