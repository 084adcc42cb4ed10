//! Where the archives are: the rule.
//!
//! A recipe names an archive by a URL of its own, which is where it is fetched from, always (a Debian mirror does not have
//! what a vendor's archive has); or as `debian` or `debian-security`, for which there is a rule, tried from the top:
//!
//! | for | first | then |
//! |---|---|---|
//! | a mirror that was given (`--mirror`, `GOLDSMITH_MIRROR`) | that, and nothing else: who names a mirror means it | – |
//! | else this machine's own apt sources | those that serve Debian | – |
//! | | | Debian's public ones |
//!
//! A given mirror may be two, separated by blanks or a comma: the second is the security archive's. Of one alone,
//! `URL-security` is its (`…/debian` and `…/debian-security` lie side by side nearly everywhere), or `URL` itself (a directory
//! that holds the suites that somebody chose).
//!
//! An apt source serves Debian if it offers binary packages, has the component `main`, a suite with one of Debian's names (not
//! necessarily the recipe's: every mirror has them all), and is either signed by Debian's own keyring or, where nothing is
//! said about keys, lies in a directory called `debian…`. (A vendor's `bookworm main` is neither.) The order is that of the
//! files' names.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::{MirrorError, Patience, Proxies, snapshot};
use crate::debian::sources::{SourceEntry, parse_deb822_sources, parse_one_line_list};

/// Debian's main archive, as recipes call it.
pub(super) const DEBIAN: &str = "debian";
/// Debian's security archive, as recipes call it.
pub(super) const SECURITY: &str = "debian-security";

const PUBLIC_DEBIAN: &str = "http://ftp.debian.org/debian";
const PUBLIC_SECURITY: &str = "http://security.debian.org/debian-security";

/// Debian's suites, by the first word of their names (deb.822 suites are these, and these with `-updates`, `-security`…).
const SUITES: [&str; 13] = [
    "stable",
    "oldstable",
    "oldoldstable",
    "testing",
    "unstable",
    "sid",
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "experimental",
];

/// What decides where archives are, and how they are asked.
#[derive(Clone, Debug)]
pub struct Options {
    /// `--mirror`, else `GOLDSMITH_MIRROR`: one or two URLs.
    pub mirror: Option<String>,
    /// Where apt's sources are: `/etc/apt`.
    pub apt: PathBuf,
    /// The snapshot archive, for what an archive has replaced since it was locked; none: it is not asked.
    pub snapshot: Option<String>,
    /// Which proxies to use.
    pub proxies: Proxies,
    /// How long to wait for others.
    pub patience: Patience,
    /// How many files to fetch at once.
    pub threads: usize,
}

impl Options {
    /// As the environment and this machine say; `mirror` (the flag) goes before `GOLDSMITH_MIRROR`. The snapshot archive is
    /// what `GOLDSMITH_SNAPSHOT` says (nothing: none), else Debian's; but who names a mirror means that, and nothing else.
    #[expect(
        clippy::disallowed_methods,
        reason = "where to ask is the environment's to say; never a byte of an artifact"
    )]
    pub fn from_environment(mirror: Option<String>) -> Self {
        let given = mirror.or_else(|| std::env::var("GOLDSMITH_MIRROR").ok());
        let mirror = given.filter(|mirror| !mirror.trim().is_empty());
        let public = mirror.is_none().then(|| snapshot::PUBLIC.to_owned());
        let snapshot = std::env::var("GOLDSMITH_SNAPSHOT").ok().or(public);
        Self {
            mirror,
            snapshot: snapshot.filter(|snapshot| !snapshot.trim().is_empty()),
            apt: PathBuf::from("/etc/apt"),
            proxies: Proxies::from_environment(),
            patience: Patience::default(),
            threads: 8,
        }
    }
}

/// The answer: base URLs, without a slash at the end.
#[derive(Debug)]
pub(super) struct Bases {
    debian: Vec<String>,
    security: Vec<String>,
    given: bool,
}

impl Bases {
    pub(super) fn discover(options: &Options) -> Result<Self, MirrorError> {
        if let Some(mirror) = &options.mirror {
            return Self::given(mirror);
        }
        let sources = apt_sources(options);
        let here = |is_wanted: fn(&str) -> bool, public: &str| {
            let served = sources.iter().filter(|source| serves(source, is_wanted)).flat_map(|source| &source.uris);
            let mut bases = Vec::new();
            let mut seen = BTreeSet::new();
            for uri in served.map(String::as_str).chain([public]) {
                bases.extend(address(uri).filter(|base| seen.insert(base.clone())));
            }
            bases
        };
        let debian = here(|suite| !is_security(suite), PUBLIC_DEBIAN);
        Ok(Self { debian, security: here(is_security, PUBLIC_SECURITY), given: false })
    }

    fn given(mirror: &str) -> Result<Self, MirrorError> {
        let mut bases = mirror
            .split([',', ' ', '\t', '\n'])
            .filter(|base| !base.is_empty())
            .map(|base| address(base).ok_or_else(|| MirrorError::NotAnAddress(base.to_owned())));
        let debian = bases.next().unwrap_or_else(|| Err(MirrorError::NotAnAddress(mirror.to_owned())))?;
        let security = match bases.next().transpose()? {
            Some(security) => vec![security],
            None => vec![format!("{debian}-security"), debian.clone()],
        };
        match bases.next() {
            None => Ok(Self { debian: vec![debian], security, given: true }),
            Some(_) => Err(MirrorError::TooManyMirrors(mirror.to_owned())),
        }
    }

    /// The bases of an archive, as the recipe names it.
    pub(super) fn of(&self, uri: &str) -> Vec<String> {
        match uri {
            DEBIAN => self.debian.clone(),
            SECURITY => self.security.clone(),
            own => vec![own.trim_end_matches('/').to_owned()],
        }
    }

    /// Whether a mirror was given, and so is the only one.
    pub(super) fn is_given(&self) -> bool {
        self.given
    }
}

/// A base URL that can be fetched from, without a slash at the end.
fn address(uri: &str) -> Option<String> {
    let known =
        ["http://", "https://", "file:/"].iter().any(|scheme| uri.starts_with(scheme) && uri.len() > scheme.len());
    known.then(|| uri.trim_end_matches('/').to_owned())
}

fn is_security(suite: &str) -> bool {
    suite.ends_with("-security") || suite.ends_with("/updates")
}

fn serves(source: &SourceEntry, is_wanted: fn(&str) -> bool) -> bool {
    let of_debian = |suite: &String| SUITES.contains(&suite.split(['-', '/']).next().unwrap_or_default());
    let trusted = match &source.signed_by {
        Some(keyring) => keyring.contains("debian-archive"),
        None => source.uris.iter().any(|uri| uri.split('/').skip(3).any(|name| name.starts_with("debian"))),
    };
    trusted
        && source.components.iter().any(|component| component == "main")
        && source.suites.iter().any(|suite| of_debian(suite) && is_wanted(suite))
}

/// Everything that this machine's apt has as a source. What can't be read or understood is apt's affair: it is passed over.
fn apt_sources(options: &Options) -> Vec<SourceEntry> {
    let parts = fs::read_dir(options.apt.join("sources.list.d"));
    let mut files: Vec<PathBuf> = parts.into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.insert(0, options.apt.join("sources.list"));
    let mut sources = Vec::new();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => sources.extend(parse_one_line_list(&text)),
            Some("sources") => sources.extend(parse_deb822_sources(&text)),
            _ => {}
        }
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bases of `debian` and `debian-security` on a machine with these files below `/etc/apt`.
    fn bases(mirror: Option<&str>, files: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let apt = tempfile::tempdir().unwrap();
        fs::create_dir(apt.path().join("sources.list.d")).unwrap();
        files.iter().for_each(|(name, text)| fs::write(apt.path().join(name), text).unwrap());
        let mut options = Options::from_environment(None);
        options.mirror = mirror.map(str::to_owned);
        options.apt = apt.path().to_owned();
        let bases = Bases::discover(&options).unwrap();
        (bases.of(DEBIAN), bases.of(SECURITY))
    }

    #[test]
    fn without_anything_debians_public_archives_are_asked() {
        let (debian, security) = bases(None, &[]);
        assert_eq!(debian, [PUBLIC_DEBIAN]);
        assert_eq!(security, [PUBLIC_SECURITY]);
    }

    #[test]
    fn this_machines_own_mirror_goes_first_whatever_suite_it_runs() {
        let sources = "Types: deb\nURIs: http://near.example/debian/\nSuites: bookworm bookworm-updates\n\
                       Components: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n\
                       Types: deb\nURIs: http://near.example/debian-security\nSuites: bookworm-security\n\
                       Components: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n";
        let (debian, security) = bases(None, &[("sources.list.d/debian.sources", sources)]);
        assert_eq!(debian, ["http://near.example/debian", PUBLIC_DEBIAN]);
        assert_eq!(security, ["http://near.example/debian-security", PUBLIC_SECURITY]);
    }

    #[test]
    fn one_line_sources_are_read_too_and_none_twice() {
        let list = "# deb http://old.example/debian bookworm main\n\
                    deb [arch=amd64] https://a.example/debian trixie main contrib\n\
                    deb-src https://src.example/debian trixie main\n\
                    deb https://a.example/debian trixie-updates main\n\
                    deb http://s.example/debian-security trixie-security main\n";
        let (debian, security) = bases(None, &[("sources.list", list)]);
        assert_eq!(debian, ["https://a.example/debian", PUBLIC_DEBIAN]);
        assert_eq!(security, ["http://s.example/debian-security", PUBLIC_SECURITY]);
    }

    #[test]
    fn a_vendors_archive_is_not_taken_for_a_debian_mirror() {
        let list = "deb https://vendor.example/linux/debian bookworm stable\n\
                    deb https://vendor.example/php bookworm main\n\
                    deb [signed-by=/etc/apt/keyrings/vendor.gpg] https://vendor.example/debian bookworm main\n\
                    deb http://ubuntu.example/ubuntu noble main\n\
                    deb cdrom:[Debian]/ trixie main\n";
        let off = "Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: trixie\nComponents: main\n";
        let files = [("sources.list", list), ("sources.list.d/off.sources", off), ("sources.list.d/x.save", list)];
        assert_eq!(bases(None, &files), (vec![PUBLIC_DEBIAN.into()], vec![PUBLIC_SECURITY.into()]));
    }

    #[test]
    fn a_given_mirror_is_the_only_one() {
        let list = [("sources.list", "deb http://near.example/debian trixie main\n")];
        let (debian, security) = bases(Some("http://m.example/debian/"), &list);
        assert_eq!(debian, ["http://m.example/debian"]);
        assert_eq!(security, ["http://m.example/debian-security", "http://m.example/debian"]);
        for both in ["http://m.example/debian file:/srv/security", "http://m.example/debian,file:/srv/security"] {
            let (debian, security) = bases(Some(both), &list);
            assert_eq!((debian, security), (vec!["http://m.example/debian".into()], vec!["file:/srv/security".into()]));
        }
    }

    #[test]
    fn what_is_no_mirror_is_refused_with_what_one_looks_like() {
        for (mirror, start) in [
            ("m.example/debian", "`m.example/debian` is not the address of a mirror: it should look like "),
            ("ftp://m.example/debian", "`ftp://m.example/debian` is not the address"),
            ("http://", "`http://` is not the address"),
            ("http://a http://b http://c", "`http://a http://b http://c` names more than two mirrors"),
        ] {
            let mut options = Options::from_environment(None);
            options.mirror = Some(mirror.to_owned());
            let error = Bases::discover(&options).unwrap_err().to_string();
            assert!(error.starts_with(start), "{error}");
        }
    }

    #[test]
    fn an_archives_own_url_is_where_it_is_fetched_from() {
        let bases = Bases::given("http://m.example/debian").unwrap();
        assert_eq!(bases.of("https://vendor.example/apt/"), ["https://vendor.example/apt"]);
    }
}
