//! What several archives offer together, with apt's rules of preference (apt_preferences(5)).
//!
//! ```text
//! trixie (500)           nginx 1.26.3-3          ┐
//! trixie-security (500)  nginx 1.26.3-3+deb13u1  ├─ versions("nginx") = [1.26.3-3+deb13u1, 1.26.3-3, 1.28.0-2~bpo13+1]
//! backports (100)        nginx 1.28.0-2~bpo13+1  ┘                       └ the candidate
//! ```
//!
//! The rules, for a machine on which nothing is installed yet:
//!
//! 1. an archive with a negative priority offers nothing, and one with `only` offers only those packages;
//! 2. the same version of a package in several archives is one candidate: the first archive's bytes, at the highest of
//!    the archives' priorities;
//! 3. of several versions the one with the highest priority is preferred, and of equal priorities the latest version.
//!
//! There is one architecture, with `all` beside it. `name:any` asks for a package that says `Multi-Arch: allowed`,
//! `name:amd64` for one of that architecture. An unversioned `Provides` satisfies no versioned relation.
//!
//! Names are kept as sorted tables of numbers and looked up by halving: nothing here depends on the order of a hash, and
//! an index of Debian's 69,000 packages takes well under a tenth of a second.

use std::cmp::Reverse;

use super::package::{MultiArch, Package};
use super::relation::Relation;
use super::version::Version;

/// How many names [`Index::similar`] gives at most.
const SIMILAR_NAMES: usize = 3;

/// One archive's `Packages`, verified, with the priority that apt_preferences(5) gives it.
#[derive(Clone, Debug)]
pub struct Source {
    /// The archive's name in the recipe and the lock: `trixie`, `trixie-security`, or what `[[archive]] name` says.
    pub name: String,
    /// Pin priority: 500 unless the recipe pins (990 target release, <0 never, >1000 even if a downgrade).
    pub priority: i32,
    /// Only these packages may come from here; empty: all.
    pub only: Vec<String>,
    /// What it offers.
    pub packages: Vec<Package>,
}

/// Identifies a package (one name, one version, one architecture) of an [`Index`].
///
/// Ids are given in the order of [`Index::all`]: by name, then preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageId(pub u32);

/// Everything that can be chosen from. Building it indexes names and provides.
pub struct Index {
    /// As given; packages are never moved, only pointed at.
    sources: Vec<Source>,
    /// By name, then preference; a [`PackageId`] is a place in here.
    offers: Vec<Offer>,
    /// `0, 1, 2, …`: what slices of ids are slices of.
    ids: Vec<PackageId>,
    /// Where each real name begins in `offers`, in the order of names.
    names: Vec<u32>,
    /// Those who provide a virtual name, name after name; within a name, the most eligible first.
    providers: Vec<PackageId>,
    /// The virtual names, sorted, each with where it begins in `providers`.
    virtual_names: Vec<(String, u32)>,
    /// The architecture that isn't `all`.
    native: Option<String>,
}

/// One package: where it stands in the sources, and at which priority.
#[derive(Clone, Copy)]
struct Offer {
    source: u32,
    place: u32,
    priority: i32,
}

impl Offer {
    fn package<'a>(&self, sources: &'a [Source]) -> &'a Package {
        &sources[self.source as usize].packages[self.place as usize]
    }
}

impl Index {
    /// Joins `sources`. The same name and version from several archives is one candidate (the first archive's).
    pub fn new(sources: Vec<Source>) -> Self {
        let offers = offers(&sources);
        let ids: Vec<PackageId> = (0..).take(offers.len()).map(PackageId).collect();
        let package = |id: PackageId| offers[id.0 as usize].package(&sources);
        let begins = |id: &PackageId| id.0 == 0 || package(*id).name != package(PackageId(id.0 - 1)).name;
        let names = ids.iter().filter(|id| begins(id)).map(|id| id.0).collect();
        let (virtual_names, providers) = provides(ids.iter().map(|id| (*id, package(*id))));
        let native = ids.iter().map(|id| &package(*id).architecture).find(|name| *name != "all").cloned();
        Self { sources, offers, ids, names, providers, virtual_names, native }
    }

    /// The package behind an id.
    ///
    /// # Panics
    /// When the id is another index's.
    pub fn package(&self, id: PackageId) -> &Package {
        self.offers[id.0 as usize].package(&self.sources)
    }

    /// The name of the archive that it comes from.
    pub fn source(&self, id: PackageId) -> &str {
        &self.sources[self.offers[id.0 as usize].source as usize].name
    }

    /// The priority that it is offered at: the highest among the archives that have this version.
    pub fn priority(&self, id: PackageId) -> i32 {
        self.offers[id.0 as usize].priority
    }

    /// All versions of the real package `name`, most preferred first (pin priority, then version); the first is apt's
    /// candidate. Empty where there is no such package.
    pub fn versions(&self, name: &str) -> &[PackageId] {
        let name_at = |begin: &u32| self.package(PackageId(*begin)).name.as_str();
        let Ok(at) = self.names.binary_search_by(|begin| name_at(begin).cmp(name)) else { return &[] };
        let end = self.names.get(at + 1).map_or(self.ids.len(), |end| *end as usize);
        &self.ids[self.names[at] as usize..end]
    }

    /// All packages of another name that provide `name`, with whatever version, in a stable order: essential ones, then
    /// by `Priority`, then by name, then the preferred version first.
    pub fn providers(&self, name: &str) -> &[PackageId] {
        let Ok(at) = self.virtual_names.binary_search_by(|(virtual_name, _)| virtual_name.as_str().cmp(name)) else {
            return &[];
        };
        let end = self.virtual_names.get(at + 1).map_or(self.providers.len(), |(_, end)| *end as usize);
        &self.providers[self.virtual_names[at].1 as usize..end]
    }

    /// Whether `id` satisfies `relation`: by its real name and version, or by a (versioned) provide; Multi-Arch
    /// qualifiers minded.
    pub fn satisfies(&self, id: PackageId, relation: &Relation) -> bool {
        let package = self.package(id);
        let admits = |version: Option<&Version>| match version {
            Some(version) => relation.admits(version),
            None => relation.version.is_none(),
        };
        let by_name = package.name == relation.name && admits(Some(&package.version));
        let is_meant = by_name
            || package.provides.iter().any(|(name, version)| *name == relation.name && admits(version.as_ref()));
        is_meant && self.admits_qualifier(package, relation.qualifier.as_deref())
    }

    fn admits_qualifier(&self, package: &Package, qualifier: Option<&str>) -> bool {
        match qualifier {
            None => true,
            Some("any") => package.multi_arch == MultiArch::Allowed,
            // A package for all architectures counts as one of the native architecture.
            Some(architecture) if package.architecture == "all" => self.native.as_deref() == Some(architecture),
            Some(architecture) => package.architecture == architecture,
        }
    }

    /// The packages called `name` that archives have but may not offer, each with its archive: by its negative priority,
    /// or else by its `only`. For messages; it looks through everything.
    pub fn withheld(&self, name: &str) -> impl Iterator<Item = (&Source, &Package)> {
        let may_not = move |source: &Source| {
            source.priority < 0 || !(source.only.is_empty() || source.only.iter().any(|only| only == name))
        };
        let sources = self.sources.iter().filter(move |source| may_not(source));
        sources.flat_map(move |source| {
            source.packages.iter().filter(move |package| package.name == name).map(move |package| (source, package))
        })
    }

    /// All ids, by name, then preference.
    pub fn all(&self) -> impl Iterator<Item = PackageId> + '_ {
        self.ids.iter().copied()
    }

    /// Names near to `name`, real or virtual, for «did you mean»: at most three, the nearest first.
    pub fn similar(&self, name: &str) -> Vec<String> {
        let limit = (name.chars().count() / 4).clamp(1, 3);
        let real = self.names.iter().map(|begin| self.package(PackageId(*begin)).name.as_str());
        let all = real.chain(self.virtual_names.iter().map(|(virtual_name, _)| virtual_name.as_str()));
        let mut near: Vec<(usize, &str)> = all
            .filter(|other| *other != name && other.len().abs_diff(name.len()) <= limit)
            .map(|other| (strsim::osa_distance(name, other), other))
            .filter(|(distance, _)| *distance <= limit)
            .collect();
        near.sort_unstable();
        near.dedup();
        near.into_iter().take(SIMILAR_NAMES).map(|(_, other)| other.to_owned()).collect()
    }
}

/// What `sources` offer after the rules at the head of this file, by name, then preference.
fn offers(sources: &[Source]) -> Vec<Offer> {
    let mut offers: Vec<(Prefix, &str, Offer)> = Vec::new();
    for (number, source) in (0..).zip(sources).filter(|(_, source)| source.priority >= 0) {
        let admitted = |package: &Package| source.only.is_empty() || source.only.contains(&package.name);
        let places = (0..).zip(&source.packages).filter(|(_, package)| admitted(package));
        offers.extend(places.map(|(place, package)| {
            let offer = Offer { source: number, place, priority: source.priority };
            (prefix(&package.name), package.name.as_str(), offer)
        }));
    }
    let version = |offer: &Offer| &offer.package(sources).version;
    // Of the same version, what the first source offers comes first: the places break ties.
    offers.sort_unstable_by(|(a_prefix, a_name, a), (b_prefix, b_name, b)| {
        let by_name = a_prefix.cmp(b_prefix).then_with(|| a_name.cmp(b_name));
        by_name.then_with(|| version(b).cmp(version(a))).then_with(|| (a.source, a.place).cmp(&(b.source, b.place)))
    });
    offers.dedup_by(|(_, name, later), (_, first_name, first)| {
        let same = name == first_name && version(later) == version(first);
        if same {
            first.priority = first.priority.max(later.priority);
        }
        same
    });
    // Stable: versions of the same name and priority stay in their order.
    for same_name in offers.chunk_by_mut(|(_, a, _), (_, b, _)| a == b) {
        same_name.sort_by_key(|(_, _, offer)| Reverse(offer.priority));
    }
    offers.into_iter().map(|(_, _, offer)| offer).collect()
}

/// The virtual names of `packages` with where each begins in the list of providers; and that list.
fn provides<'a>(packages: impl Iterator<Item = (PackageId, &'a Package)>) -> (Vec<(String, u32)>, Vec<PackageId>) {
    let mut provided: Vec<(Prefix, &str, (bool, u8), PackageId)> = Vec::new();
    for (id, package) in packages {
        // Ids break ties: they are by name, then preference.
        let eligibility = (!package.essential, priority_rank(&package.priority));
        let others = package.provides.iter().map(|(name, _)| name.as_str()).filter(|name| *name != package.name);
        provided.extend(others.map(|name| (prefix(name), name, eligibility, id)));
    }
    provided.sort_unstable();
    provided.dedup();
    let mut names: Vec<(String, u32)> = Vec::new();
    for (at, (_, name, ..)) in (0..).zip(&provided) {
        if names.last().is_none_or(|(last, _)| last != name) {
            names.push(((*name).to_owned(), at));
        }
    }
    (names, provided.into_iter().map(|(.., id)| id).collect())
}

/// The first bytes of a name as a number that sorts as they do: most comparisons need no look at the name itself.
type Prefix = u128;

fn prefix(name: &str) -> Prefix {
    let mut first = [0; 16];
    let length = name.len().min(16);
    first[..length].copy_from_slice(&name.as_bytes()[..length]);
    Prefix::from_be_bytes(first)
}

/// Debian Policy §2.5, from what every system has to what few have.
fn priority_rank(priority: &str) -> u8 {
    match priority {
        "required" => 0,
        "important" => 1,
        "standard" => 2,
        "optional" => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::debian::package::parse_packages;

    /// A source of packages, each written as `name version` and further fields.
    fn source(name: &str, priority: i32, packages: &[&str]) -> Source {
        let index: String = packages
            .iter()
            .map(|package| {
                let (head, fields) = package.split_once('\n').unwrap_or((package, ""));
                let (name, version) = head.split_once(' ').unwrap();
                let architecture = if fields.contains("Architecture:") { "" } else { "Architecture: amd64\n" };
                format!(
                    "Package: {name}\nVersion: {version}\n{architecture}Filename: {name}.deb\nSize: 1\nSHA256: {}\n{fields}\n\n",
                    "0".repeat(64)
                )
            })
            .collect();
        Source {
            name: name.to_owned(),
            priority,
            only: Vec::new(),
            packages: parse_packages(index.as_bytes()).unwrap(),
        }
    }

    fn written(index: &Index, ids: &[PackageId]) -> Vec<String> {
        ids.iter()
            .map(|id| format!("{} {} {}", index.package(*id).name, index.package(*id).version, index.source(*id)))
            .collect()
    }

    #[test]
    fn the_highest_priority_then_the_latest_version_is_the_candidate() {
        let index = Index::new(vec![
            source("trixie", 500, &["nginx 1.26-3", "only-here 1"]),
            source("security", 500, &["nginx 1.26-3+deb13u1"]),
            source("backports", 100, &["nginx 1.28-1~bpo13+1"]),
        ]);
        assert_eq!(
            written(&index, index.versions("nginx")),
            ["nginx 1.26-3+deb13u1 security", "nginx 1.26-3 trixie", "nginx 1.28-1~bpo13+1 backports"]
        );
        assert!(index.versions("apache2").is_empty());
        assert_eq!(index.all().count(), 4);
    }

    #[test]
    fn a_pin_lifts_an_older_version_above_a_newer_one() {
        let index = Index::new(vec![source("new", 500, &["a 2"]), source("old", 990, &["a 1"])]);
        assert_eq!(written(&index, index.versions("a")), ["a 1 old", "a 2 new"]);
    }

    #[test]
    fn a_negative_priority_offers_nothing_and_only_restricts() {
        let never = source("never", -1, &["a 9"]);
        let restricted = Source { only: vec!["b".to_owned()], ..source("third-party", 990, &["a 8", "b 8"]) };
        let index = Index::new(vec![never, source("trixie", 500, &["a 1", "b 1"]), restricted]);
        assert_eq!(written(&index, index.versions("a")), ["a 1 trixie"]);
        assert_eq!(written(&index, index.versions("b")), ["b 8 third-party", "b 1 trixie"]);
        let withheld: Vec<_> = index.withheld("a").map(|(source, _)| source.name.as_str()).collect();
        assert_eq!(withheld, ["never", "third-party"]);
        assert_eq!(index.withheld("b").count(), 0);
    }

    #[test]
    fn the_same_version_in_two_archives_is_one_candidate_with_the_better_priority() {
        let index = Index::new(vec![
            source("low", 100, &["a 1.0"]),
            source("high", 990, &["a 1.00"]),
            source("middle", 500, &["a 2"]),
        ]);
        assert_eq!(written(&index, index.versions("a")), ["a 1.0 low", "a 2 middle"]);
        assert_eq!(index.priority(index.versions("a")[0]), 990);
    }

    #[test]
    fn providers_come_essential_first_then_by_priority_then_by_name() {
        let index = Index::new(vec![source(
            "trixie",
            500,
            &[
                "zeta 1\nPriority: important\nProvides: mta",
                "alpha 1\nPriority: optional\nProvides: mta",
                "beta 1\nPriority: optional\nProvides: mta, mta (= 3)",
                "omega 1\nEssential: yes\nPriority: extra\nProvides: mta",
                "mta 1\nProvides: mta (= 7)",
            ],
        )]);
        let names: Vec<&str> = index.providers("mta").iter().map(|id| index.package(*id).name.as_str()).collect();
        assert_eq!(names, ["omega", "zeta", "alpha", "beta"]);
        assert!(index.providers("nothing").is_empty());
    }

    #[test]
    fn a_relation_is_satisfied_by_name_or_by_a_provide_of_the_right_version() {
        let index = Index::new(vec![source(
            "trixie",
            500,
            &["a 2\nProvides: virtual, versioned (= 5)", "all 1\nArchitecture: all"],
        )]);
        let a = index.versions("a")[0];
        for (relation, satisfied) in [
            ("a", true),
            ("a (>= 2)", true),
            ("a (>> 2)", false),
            ("virtual", true),
            ("virtual (>= 0)", false),
            ("versioned", true),
            ("versioned (= 5)", true),
            ("versioned (<< 5)", false),
            ("b", false),
        ] {
            assert_eq!(index.satisfies(a, &relation.parse().unwrap()), satisfied, "{relation}");
        }
    }

    #[test]
    fn qualifiers_ask_for_an_architecture_or_for_multi_arch_allowed() {
        let index = Index::new(vec![source(
            "trixie",
            500,
            &[
                "python3 3\nMulti-Arch: allowed\nProvides: python3-supported",
                "perl 5\nMulti-Arch: foreign",
                "tzdata 1\nArchitecture: all",
            ],
        )]);
        let satisfies =
            |name: &str, relation: &str| index.satisfies(index.versions(name)[0], &relation.parse().unwrap());
        assert!(satisfies("python3", "python3:any"));
        assert!(satisfies("python3", "python3-supported:any"));
        assert!(!satisfies("perl", "perl:any"));
        assert!(satisfies("perl", "perl:amd64"));
        assert!(!satisfies("perl", "perl:i386"));
        assert!(satisfies("tzdata", "tzdata:amd64"));
        assert!(!satisfies("tzdata", "tzdata:i386"));
    }

    #[test]
    fn a_slip_of_the_finger_finds_the_name_that_was_meant() {
        let index = Index::new(vec![source(
            "trixie",
            500,
            &["nginx 1", "nginx-light 1", "mariadb-server 1\nProvides: virtual-mysql-server", "x 1"],
        )]);
        assert_eq!(index.similar("ngnix"), ["nginx"]);
        assert_eq!(index.similar("mariadb-sever"), ["mariadb-server"]);
        assert_eq!(index.similar("virtual-mysqlserver"), ["virtual-mysql-server"]);
        assert!(index.similar("postgresql").is_empty());
    }
}
