//! A recipe and its parents, folded into one: the farthest parent first, and each only adds to those before it.
//!
//! ```text
//! base.toml   suite = "trixie"   packages = [a, b]   overlays = [base]
//!     ▲ from
//! api.toml                       packages = [c]      overlays = [api]
//! ─────────────────────────────────────────────────────────────────────
//! api         trixie             a, b (base), c (api)          base, api
//! ```
//!
//! What a parent says once (architecture, suite, recommends, compression, an id) a child cannot say again, not even
//! differently: whoever reads `base.toml` may rely on it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;

use super::exception::{self, Exception};
use super::fail2ban;
use super::file::Purpose;
use super::function::{self, Function};
use super::problem::{Place, Problem, did_you_mean};
use super::source::{Source, read};
use super::{Archive, ImageOptions, Recipe, Target, Wanted, archive, firewall};
use crate::arch::Arch;
use crate::debian::filter::PathFilter;

/// A folded recipe, and what is known about it beside.
#[derive(Clone, Debug)]
pub struct Folded {
    /// The recipe.
    pub recipe: Recipe,
    /// What it is for.
    pub purpose: Purpose,
    /// The recipes that went into it: itself first, then its parent, then its parent's.
    pub lineage: Vec<String>,
    /// Where each overlay is asked for, in the order of the recipe's overlays.
    pub overlay_places: Vec<Place>,
    /// Where each exception is made, in the order of the recipe's exceptions.
    pub exception_places: Vec<Place>,
    /// Where each keyring is named: (path, place).
    pub keyring_places: Vec<(String, Place)>,
    /// What somebody should look at.
    pub warnings: Vec<Problem>,
}

/// Folds the recipe `name`, out of the texts of all recipes by name.
///
/// # Errors
/// Everything that is wrong with it or with one of its parents.
pub fn fold(name: &str, texts: &BTreeMap<String, String>) -> Result<Folded, Vec<Problem>> {
    match fold_what_is_right(name, texts) {
        (Some(folded), problems) if !problems.iter().any(Problem::is_error) => {
            Ok(Folded { warnings: problems, ..folded })
        }
        (_, problems) => Err(problems),
    }
}

/// As [`fold`], going on after mistakes: what can be understood of the recipe, if there is one, and all that is wrong.
pub(super) fn fold_what_is_right(name: &str, texts: &BTreeMap<String, String>) -> (Option<Folded>, Vec<Problem>) {
    let mut sum = Sum::default();
    let sources = lineage(name, texts, &mut sum.problems);
    let Some(own) = sources.first() else { return (None, sum.problems) };
    for source in sources.iter().rev() {
        sum.add(source);
    }
    let purpose = own.file.purpose.unwrap_or_default();
    if sum.archives.is_empty() && sum.problems.is_empty() && purpose != Purpose::Parent {
        let problem = Problem::error(format!("the recipe `{name}` does not say where its packages come from"));
        let problem = problem.at(own.text.at(0..0), "");
        sum.problems.push(problem.help("add `suite = \"trixie\"`, or `from` a recipe that has it"));
    }
    let (firewall, wrong) = std::mem::take(&mut sum.firewall).finish();
    sum.problems.extend(wrong);
    let fail2ban = std::mem::take(&mut sum.fail2ban).fold(&mut sum.problems);
    let own_description = own.file.description.as_ref().map(|text| text.get_ref().clone());
    let filter = sum.filter();
    let (exceptions, exception_places) = std::mem::take(&mut sum.exceptions).into_iter().unzip();
    let folded = Folded {
        recipe: Recipe {
            name: name.to_owned(),
            description: own_description.unwrap_or_default(),
            arch: sum.arch.value.unwrap_or_default(),
            archives: sum.archives.into_iter().map(|(archive, _)| archive).collect(),
            packages: sum.packages.into_iter().map(|(wanted, _)| wanted).collect(),
            recommends: sum.recommends.value.unwrap_or_default(),
            filter,
            overlays: sum.overlays.iter().map(|(overlay, _)| overlay.clone()).collect(),
            users: sum.users.into_iter().map(|(name, (id, _))| (name, id)).collect(),
            groups: sum.groups.into_iter().map(|(name, (id, _))| (name, id)).collect(),
            image: ImageOptions {
                compression: sum.compression.value.unwrap_or_default(),
                targets: sum.targets,
                size: sum.size.value,
                root: sum.root.value.unwrap_or_default(),
                kernel_arguments: sum.kernel_arguments,
            },
            firewall,
            exceptions,
            fail2ban,
            functions: sum.functions,
        },
        purpose,
        lineage: sources.iter().map(|source| source.name.clone()).collect(),
        overlay_places: sum.overlays.into_iter().map(|(_, place)| place).collect(),
        exception_places,
        keyring_places: sum.keyrings,
        warnings: vec![],
    };
    (Some(folded), sum.problems)
}

/// `name` and its parents, nearest first, as far as they are there.
fn lineage(name: &str, texts: &BTreeMap<String, String>, problems: &mut Vec<Problem>) -> Vec<Source> {
    let known = || texts.keys().map(String::as_str);
    let mut sources: Vec<Source> = Vec::new();
    let Some(text) = texts.get(name) else {
        let problem = Problem::error(format!("there is no recipe `{name}`"));
        let help = format!("write it to recipes/{name}.toml");
        problems.push(problem.help(help).maybe_help(did_you_mean(name, known())));
        return sources;
    };
    let mut next = Some((name.to_owned(), text));
    while let Some((name, text)) = next.take() {
        let (child, wrong) = read(text, &file_of(&name));
        problems.extend(wrong);
        if let Some(from) = &child.file.from {
            let parent = from.get_ref();
            let at = |problem: Problem, label: &str| problem.at(child.text.at(from.span()), label);
            let younger = sources.iter().map(|source| source.name.as_str()).chain([child.name.as_str()]);
            if younger.clone().any(|source| source == parent) {
                let round: Vec<&str> = younger.chain([parent.as_str()]).collect();
                let problem = Problem::error(format!("`{parent}` is its own parent: {}", round.join(" → ")));
                problems.push(at(problem, "goes round").help("remove one of these `from`"));
            } else if let Some(text) = texts.get(parent) {
                next = Some((parent.clone(), text));
            } else {
                let problem = at(Problem::error(format!("there is no recipe `{parent}`")), "unknown recipe");
                let help = format!("write it to recipes/{parent}.toml");
                let others = known().filter(|one| *one != name);
                problems.push(problem.help(help).maybe_help(did_you_mean(parent, others)));
            }
        }
        sources.push(child);
    }
    sources
}

/// The file of a recipe, in the project.
pub(super) fn file_of(name: &str) -> String {
    format!("recipes/{name}.toml")
}

/// What is said once in a family, and where.
#[derive(Debug)]
pub(super) struct Once<T> {
    /// It.
    pub(super) value: Option<T>,
    place: Option<Place>,
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self { value: None, place: None }
    }
}

impl<T: Clone> Once<T> {
    /// Takes what `source` says about `key`; a problem, if a parent has said it already.
    pub(super) fn take(&mut self, key: &str, said: Option<&Spanned<T>>, source: &Source) -> Option<Problem> {
        let said = said?;
        let place = source.text.at(said.span());
        if let Some(first) = &self.place {
            return Some(said_by_parent(&format!("`{key}`"), place, first));
        }
        *self = Self { value: Some(said.get_ref().clone()), place: Some(place) };
        None
    }
}

/// The parents so far.
#[derive(Debug, Default)]
struct Sum {
    arch: Once<Arch>,
    suite: Once<String>,
    recommends: Once<bool>,
    compression: Once<super::Compression>,
    targets: BTreeSet<Target>,
    size: Once<u16>,
    root: Once<super::RootMode>,
    kernel_arguments: Vec<String>,
    archives: Vec<(Archive, Place)>,
    packages: Vec<(Wanted, Place)>,
    exclude: Vec<(String, Place)>,
    include: Vec<(String, Place)>,
    overlays: Vec<(String, Place)>,
    users: BTreeMap<String, (u32, Place)>,
    groups: BTreeMap<String, (u32, Place)>,
    keyrings: Vec<(String, Place)>,
    firewall: firewall::Sum,
    exceptions: Vec<(Exception, Place)>,
    functions: Vec<Function>,
    fail2ban: fail2ban::Sum,
    problems: Vec<Problem>,
}

impl Sum {
    /// Adds a child.
    fn add(&mut self, source: &Source) {
        let file = &source.file;
        self.problems.extend(self.arch.take("arch", file.arch.as_ref(), source));
        self.problems.extend(self.suite.take("suite", file.suite.as_ref(), source));
        self.problems.extend(self.recommends.take("recommends", file.recommends.as_ref(), source));
        self.problems.extend(self.compression.take("compression", file.image.compression.as_ref(), source));
        self.targets.extend(file.image.targets.iter().map(|target| *target.get_ref()));
        self.problems.extend(self.size.take("size", file.image.size.as_ref(), source));
        self.problems.extend(self.root.take("root", file.image.root.as_ref(), source));
        self.kernel_arguments.extend(file.image.kernel_arguments.iter().map(|argument| argument.get_ref().clone()));
        if let Some(suite) = &file.suite {
            for archive in archive::of_suite(suite.get_ref()) {
                self.add_archive(archive, source.text.at(suite.span()));
            }
        }
        for table in &file.archive {
            if let Some(keyring) = &table.keyring {
                self.keyrings.push((keyring.get_ref().clone(), source.text.at(keyring.span())));
            }
            self.add_archive(archive::of_table(table), source.text.at(table.name.span()));
        }
        // Twice in one file has been said by the file itself.
        let elsewhere = |first: &Place| first.file() != &*source.text.file;
        for package in &file.packages {
            let place = source.text.at(package.span());
            match self.packages.iter().find(|(wanted, _)| wanted.relation == *package.get_ref()) {
                Some((_, first)) if !elsewhere(first) => {}
                Some((wanted, first)) => {
                    self.problems.push(said_by_parent(&format!("the package `{}`", wanted.relation), place, first));
                }
                None => {
                    let wanted = Wanted { relation: package.get_ref().clone(), by: source.name.clone() };
                    self.packages.push((wanted, place));
                }
            }
        }
        for (list, said) in [(&mut self.exclude, &file.exclude), (&mut self.include, &file.include)] {
            list.extend(said.iter().map(|one| (one.get_ref().clone(), source.text.at(one.span()))));
        }
        for overlay in &file.overlays {
            let place = source.text.at(overlay.span());
            match self.overlays.iter().find(|(name, _)| name == overlay.get_ref()) {
                Some((_, first)) if !elsewhere(first) => {}
                Some((name, first)) => {
                    self.problems.push(said_by_parent(&format!("the overlay `{name}`"), place, first));
                }
                None => self.overlays.push((overlay.get_ref().clone(), place)),
            }
        }
        self.add_accounts(source);
        self.problems.extend(self.firewall.add(source));
        self.problems.extend(exception::add(&mut self.exceptions, source));
        self.problems.extend(self.fail2ban.add(source));
        self.functions.extend(function::of(source));
    }

    /// What is left out; a problem for a pattern that is none.
    fn filter(&mut self) -> PathFilter {
        let patterns = |list: &[(String, Place)]| list.iter().map(|(pattern, _)| pattern.clone()).collect::<Vec<_>>();
        match PathFilter::new(&patterns(&self.exclude), &patterns(&self.include)) {
            Ok(filter) => filter,
            Err((index, wrong)) => {
                if let Some((pattern, place)) = self.exclude.iter().chain(&self.include).nth(index) {
                    let problem = Problem::error(format!("`{pattern}` is not a pattern of paths: {wrong}"));
                    let help = "write it as for dpkg's path-exclude: `/usr/share/man/*`";
                    self.problems.push(problem.at(place.clone(), "").help(help));
                }
                PathFilter::default()
            }
        }
    }

    /// Adds an archive, by a name that no other has.
    fn add_archive(&mut self, archive: Archive, place: Place) {
        match self.archives.iter().find(|(other, _)| other.name == archive.name) {
            Some((_, first)) => self.problems.push(
                Problem::error(format!("two archives have the name `{}`", archive.name))
                    .at(place, "the second")
                    .beside(first.clone(), "the first")
                    .help("the lock calls each archive by its name: give this one another"),
            ),
            None => self.archives.push((archive, place)),
        }
    }

    /// Adds users and groups: no name twice, and no id for two of them.
    fn add_accounts(&mut self, source: &Source) {
        let users = source.file.users.iter().map(|account| (true, account));
        let groups = source.file.groups.iter().map(|account| (false, account));
        for (is_user, (name, id)) in users.chain(groups) {
            let place = |span: Range<usize>| source.text.at(span);
            let known = self
                .users
                .iter()
                .chain(&self.groups)
                .find(|(other, (number, _))| *other == name.get_ref() || number == id.get_ref());
            if let Some((other, (number, first))) = known {
                // Twice in one file has been said by the file itself.
                if first.file() != &*source.text.file {
                    let problem = match other == name.get_ref() {
                        true => said_by_parent(&format!("the id of `{other}`"), place(name.span()), first),
                        false => Problem::error(format!("the id {number} is taken by `{other}`"))
                            .at(place(id.span()), "taken")
                            .beside(first.clone(), "here")
                            .help("give this one another id between 101 and 999"),
                    };
                    self.problems.push(problem);
                }
                continue;
            }
            let table = if is_user { &mut self.users } else { &mut self.groups };
            table.insert(name.get_ref().clone(), (*id.get_ref(), place(id.span())));
        }
    }
}

/// A child says again what a parent has said.
pub(super) fn said_by_parent(what: &str, place: Place, first: &Place) -> Problem {
    Problem::error(format!("{what} is said by the parent already"))
        .at(place, "again")
        .beside(first.clone(), "first here")
        .help("a recipe only adds to its parent: remove it here, or there")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Folds the first of `files` (name, text).
    fn folded(files: &[(&str, &str)]) -> Result<Folded, Vec<String>> {
        let texts = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        fold(files[0].0, &texts).map_err(|problems| problems.iter().map(Problem::to_string).collect())
    }

    const BASE: (&str, &str) =
        ("base", "suite = \"trixie\"\npackages = [\"dbus\"]\noverlays = [\"base\"]\n[users]\nsshd = 101\n");

    #[test]
    fn a_child_adds_to_its_parent_after_it() {
        let child = "from = \"base\"\npackages = [\"apache2\"]\noverlays = [\"api\"]\n[users]\nmysql = 102\n";
        let folded = folded(&[("api", child), BASE]).unwrap();
        let recipe = folded.recipe;
        let wanted: Vec<_> = recipe.packages.iter().map(|one| (one.relation.as_str(), one.by.as_str())).collect();
        assert_eq!(wanted, [("dbus", "base"), ("apache2", "api")]);
        assert_eq!(recipe.overlays, ["base", "api"]);
        assert_eq!(recipe.users, BTreeMap::from([("mysql".to_owned(), 102), ("sshd".to_owned(), 101)]));
        assert_eq!(folded.lineage, ["api", "base"]);
    }

    #[test]
    fn a_child_adds_targets_and_kernel_arguments_and_says_the_size_once() {
        let base =
            ("base", "suite = \"trixie\"\n[image]\ntargets = [\"kvm\"]\nkernel_arguments = [\"quiet\"]\nsize = 3\n");
        let child = "from = \"base\"\n[image]\ntargets = [\"alibaba\", \"kvm\"]\nkernel_arguments = [\"panic=10\"]\n";
        let image = folded(&[("api", child), base]).unwrap().recipe.image;
        assert_eq!(image.targets, [Target::Alibaba, Target::Kvm].into());
        assert_eq!((image.size, image.kernel_arguments), (Some(3), vec!["quiet".to_owned(), "panic=10".to_owned()]));
        let again = folded(&[("api", "from = \"base\"\n[image]\nsize = 4\n"), base]).unwrap_err();
        assert_eq!(again, ["recipes/api.toml:3:8: error: `size` is said by the parent already"]);
        let smuggled = folded(&[("api", "suite = \"trixie\"\n[image]\nkernel_arguments = [\"a b\"]\n")]).unwrap_err();
        assert_eq!(smuggled, ["recipes/api.toml:3:21: error: `a b` cannot be an argument of the kernel"]);
    }

    #[test]
    fn a_suite_is_three_archives() {
        let recipe = folded(&[BASE]).unwrap().recipe;
        let archives: Vec<_> = recipe.archives.iter().map(|one| (one.name.as_str(), one.uri.as_str())).collect();
        let expected = [("trixie", "debian"), ("trixie-updates", "debian"), ("trixie-security", "debian-security")];
        assert_eq!(archives, expected);
        assert!(recipe.archives.iter().all(|one| one.suite == one.name && one.priority == 500));
    }

    #[test]
    fn a_child_cannot_say_again_what_its_parent_says() {
        let again = |text: &str| folded(&[("api", &format!("from = \"base\"\n{text}\n")), BASE]).unwrap_err();
        assert_eq!(
            again("suite = \"bookworm\"")[0],
            "recipes/api.toml:2:9: error: `suite` is said by the parent already"
        );
        assert_eq!(
            again("packages = [\"dbus\"]"),
            ["recipes/api.toml:2:13: error: the package `dbus` is said by the parent already"]
        );
        assert_eq!(
            again("overlays = [\"base\"]"),
            ["recipes/api.toml:2:13: error: the overlay `base` is said by the parent already"]
        );
        assert_eq!(
            again("[users]\nsshd = 102"),
            ["recipes/api.toml:3:1: error: the id of `sshd` is said by the parent already"]
        );
        assert_eq!(again("[groups]\nrender = 101"), ["recipes/api.toml:3:10: error: the id 101 is taken by `sshd`"]);
    }

    #[test]
    fn two_archives_of_one_name_are_refused() {
        let child = "from = \"base\"\n[[archive]]\nname = \"trixie\"\nuri = \"debian\"\nsuite = \"trixie-backports\"\n";
        assert_eq!(
            folded(&[("api", child), BASE]).unwrap_err(),
            ["recipes/api.toml:3:8: error: two archives have the name `trixie`"]
        );
    }

    #[test]
    fn a_circle_of_parents_is_refused_and_shown() {
        assert_eq!(
            folded(&[("a", "from = \"b\""), ("b", "from = \"c\""), ("c", "from = \"a\"")]).unwrap_err(),
            ["recipes/c.toml:1:8: error: `a` is its own parent: a → b → c → a"]
        );
        assert_eq!(folded(&[("a", "from = \"a\"")]).unwrap_err().len(), 1);
    }

    #[test]
    fn an_unknown_parent_is_refused_with_the_nearest_name() {
        let texts = BTreeMap::from([("api".into(), "from = \"bse\"".into()), ("base".into(), String::new())]);
        let problems = fold("api", &texts).unwrap_err();
        assert_eq!(problems[0].to_string(), "recipes/api.toml:1:8: error: there is no recipe `bse`");
        assert_eq!(problems[0].help.as_deref(), Some("did you mean `base`?"));
        assert_eq!(fold("apj", &texts).unwrap_err()[0].help.as_deref(), Some("did you mean `api`?"));
    }

    #[test]
    fn an_image_says_where_its_packages_come_from_and_a_parent_need_not() {
        assert_eq!(
            folded(&[("api", "packages = [\"dbus\"]")]).unwrap_err(),
            ["recipes/api.toml:1:1: error: the recipe `api` does not say where its packages come from"]
        );
        assert!(folded(&[("base", "purpose = \"parent\"")]).is_ok());
    }

    #[test]
    fn a_mistake_in_the_text_does_not_hide_those_of_the_family() {
        assert_eq!(
            folded(&[("api", "from = \"bse\"\npackage = []\npackages = [\"aa\", \"aa\"]\n"), BASE]).unwrap_err(),
            [
                "recipes/api.toml:2:1: error: there is no key `package` here",
                "recipes/api.toml:3:19: error: the package `aa` is listed twice",
                "recipes/api.toml:1:8: error: there is no recipe `bse`",
            ]
        );
    }

    #[test]
    fn a_mistake_in_a_parent_is_shown_in_the_parent() {
        assert_eq!(
            folded(&[("api", "from = \"base\""), ("base", "x = 1")]).unwrap_err(),
            ["recipes/base.toml:1:1: error: there is no key `x` here"]
        );
    }
}
