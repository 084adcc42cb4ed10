//! What nobody but the fleet's own machines may know: one file, `secrets/NAME.json`, that git does not see.
//!
//! ```text
//! fleet init    makes it         authority, a certificate and key for each instance with servers, the database's password
//! fleet rotate  makes it anew    all but the authority; with --authority that too
//! bundle        reads it         and without it writes bundles of instances that have no database to reach
//! ```
//!
//! It is the only file that is not a function of what is committed. Readable to its owner alone; who wants it encrypted at
//! rest keeps the folder on a volume that is.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::authority::{self, AuthorityError, Day};
use super::{Fleet, Images};

/// Text that no message, log or debugger's output shows.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// PEM.
    pub certificate: String,
    /// PEM, PKCS #8.
    pub key: Secret,
    /// For which it stands: host names and addresses; of an authority none.
    pub names: Vec<String>,
    /// Its last day (UTC): `2027-12-24`.
    pub until: String,
}

/// All of a fleet's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// Of the format: 1.
    pub version: u32,
    /// What vouches for the fleet's machines to one another.
    pub authority: Pair,
    /// Of the application's account in the database.
    pub database_password: Secret,
    /// By instance.
    pub instances: BTreeMap<String, Pair>,
}

/// A file of secrets that means nothing.
#[derive(Debug, thiserror::Error)]
#[error("{file} is no file of secrets ({why})\nhelp: `goldsmith fleet init` makes one, where there is none")]
pub struct BadSecrets {
    /// Which.
    pub file: String,
    /// Without its content.
    pub why: String,
}

impl Secrets {
    /// Reads `text`, which stands in `file`.
    ///
    /// # Errors
    /// It is not JSON of this shape, or of another version.
    pub fn parse(text: &str, file: &str) -> Result<Self, BadSecrets> {
        // serde's own message may quote a value: where it stands is enough.
        let place = |error: serde_json::Error| format!("line {}, column {}", error.line(), error.column());
        let bad = |why| BadSecrets { file: file.to_owned(), why };
        let secrets: Self = serde_json::from_str(text).map_err(|error| bad(place(error)))?;
        match secrets.version {
            1 => Ok(secrets),
            other => Err(bad(format!("its version is {other}, and only 1 is known"))),
        }
    }

    /// Those of `fleet`: of `kept` what still fits, and new ones for the rest, believed from `today` on.
    ///
    /// # Errors
    /// There are no random numbers; a name cannot stand in a certificate.
    pub fn renewed(fleet: &Fleet, images: &Images, kept: Option<&Self>, today: Day) -> Result<Self, AuthorityError> {
        let authority = match kept {
            Some(secrets) => secrets.authority.clone(),
            None => authority::authority(&fleet.name, today)?,
        };
        let database_password = match kept {
            Some(secrets) => secrets.database_password.clone(),
            None => authority::password()?,
        };
        let mut instances = BTreeMap::new();
        for name in fleet.instances.keys() {
            let Some(names) = fleet.names_of(name, images) else { continue };
            let old = kept.and_then(|secrets| secrets.instances.get(name)).filter(|pair| pair.names == names);
            let pair = match old {
                Some(pair) => pair.clone(),
                None => authority::server(&fleet.name, &authority, &names, today)?,
            };
            instances.insert(name.clone(), pair);
        }
        Ok(Self { version: 1, authority, database_password, instances })
    }

    /// As it is written.
    pub fn to_text(&self) -> String {
        // Plain strings and maps of them: writing them cannot fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        let pair = Pair {
            certificate: "PEM".to_owned(),
            key: Secret("the key".to_owned()),
            names: vec!["db-1".to_owned()],
            until: "2027-12-24".to_owned(),
        };
        let instances = [("db-1".to_owned(), pair.clone())].into();
        Secrets { version: 1, authority: pair, database_password: Secret("the password".to_owned()), instances }
    }

    #[test]
    fn what_was_written_is_read_again() {
        assert_eq!(Secrets::parse(&secrets().to_text(), "x").unwrap(), secrets());
    }

    #[test]
    fn neither_a_debugger_nor_a_message_shows_a_secret() {
        let shown = format!("{:?}", secrets());
        assert!(!shown.contains("the key") && !shown.contains("the password"), "{shown}");
        let broken = secrets().to_text().replace("\"version\": 1", "\"version\": \"the password\"");
        let error = Secrets::parse(&broken, "secrets/vpc.json").unwrap_err().to_string();
        assert!(
            error.starts_with("secrets/vpc.json is no file of secrets (line 2, ") && !error.contains("password"),
            "{error}"
        );
        let newer = secrets().to_text().replace("\"version\": 1", "\"version\": 2");
        assert!(Secrets::parse(&newer, "x").unwrap_err().to_string().contains("its version is 2"));
    }
}
