//! One recipe file, by itself: parsed, and everything wrong with it that can be seen without its parents.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::LazyLock;

use toml::Spanned;

use super::file::{self, File};
use super::problem::{Problem, Text};
use super::{accounts, archive, exception, fail2ban, firewall, function, shape};
use crate::debian::relation;

/// A recipe file that is right as far as it goes.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file's stem: `api`.
    pub name: String,
    /// Where the spans of [`file`](Self::file) point.
    pub text: Text,
    /// What it says.
    pub file: File,
    /// What somebody should look at.
    pub warnings: Vec<Problem>,
}

/// Parses `text`, which stands in the file `file` (`recipes/api.toml`: its stem is the recipe's name).
///
/// # Errors
/// Everything that is wrong with it, in the order of the text, warnings among it.
pub fn parse(text: &str, file: &str) -> Result<Source, Vec<Problem>> {
    let (source, problems) = read(text, file);
    match problems.iter().any(Problem::is_error) {
        true => Err(problems),
        false => Ok(Source { warnings: problems, ..source }),
    }
}

/// What of `text` can be understood, and everything that is wrong with it.
pub(super) fn read(text: &str, file: &str) -> (Source, Vec<Problem>) {
    static SCHEMA: LazyLock<serde_json::Value> = LazyLock::new(file::schema);
    let text = Text::new(file, text);
    let name = Path::new(file).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let (file, mut problems) = shape::read::<File>(&text, &SCHEMA);
    let file = file.unwrap_or_default();
    if !is_name(&name) {
        problems.push(bad_name("a recipe", &name));
    }
    if let Some(suite) = &file.suite {
        archive::check_suite(suite, &text, &mut problems);
    }
    for table in &file.archive {
        archive::check(table, &text, &mut problems);
    }
    check_packages(&file.packages, &text, &mut problems);
    for overlay in &file.overlays {
        if !is_name(overlay.get_ref()) {
            let problem = bad_name("an overlay", overlay.get_ref());
            problems.push(problem.at(text.at(overlay.span()), "not a folder's name"));
        }
    }
    refuse_repeats(&file.overlays, "the overlay", &text, &mut problems);
    accounts::check(&file, &text, &mut problems);
    firewall::check(&file, &text, &mut problems);
    exception::check(&file, &text, &mut problems);
    function::check(&file, &text, &mut problems);
    fail2ban::check(&file.fail2ban, &text, &mut problems);
    check_kernel_arguments(&file.image.kernel_arguments, &text, &mut problems);
    problems.sort_by_key(Problem::line_and_column);
    (Source { name, text, file, warnings: vec![] }, problems)
}

/// Whether `name` can name a recipe, an image, an overlay: small letters, digits and `-`, as in the names of OCI images.
pub fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('-') && !name.ends_with('-')
}

/// `name` cannot be the name of a `what`.
fn bad_name(what: &str, name: &str) -> Problem {
    Problem::error(format!("`{name}` cannot be the name of {what}"))
        .help("use small letters, digits and `-`, with no `-` at either end")
}

/// Each one word, and of letters that mean nothing to GRUB, which reads them first; none twice.
fn check_kernel_arguments(arguments: &[Spanned<String>], text: &Text, problems: &mut Vec<Problem>) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.,:=/@+-".contains(&byte);
    for argument in arguments {
        let word = argument.get_ref();
        if word.is_empty() || !word.bytes().all(plain) {
            let problem = Problem::error(format!("`{word}` cannot be an argument of the kernel"));
            let help = "each argument has its own string, of letters, digits and `_.,:=/@+-`";
            problems.push(problem.at(text.at(argument.span()), "not one plain word").help(help));
        }
    }
    refuse_repeats(arguments, "the kernel argument", text, problems);
}

/// Each a relation, none twice.
fn check_packages(packages: &[Spanned<String>], text: &Text, problems: &mut Vec<Problem>) {
    for package in packages {
        let mistakes = mistakes_in_relation(package.get_ref());
        problems.extend(mistakes.into_iter().map(|mistake| {
            let place = text.inside(package.span(), package.get_ref(), mistake.part);
            let problem = Problem::error(format!("`{}` {}", package.get_ref(), mistake.what));
            problem.at(place, "here").help(mistake.help)
        }));
    }
    refuse_repeats(packages, "the package", text, problems);
}

/// Something in a relation that does not parse, or not to what its author means.
struct Mistake {
    /// Where, in bytes.
    part: Range<usize>,
    /// After the relation itself, a sentence.
    what: String,
    help: String,
}

/// All that is wrong with `relation`.
fn mistakes_in_relation(relation: &str) -> Vec<Mistake> {
    let help = "write a name, with a version if need be: `apache2`, `php (>= 8)`, `exim4 | postfix`".to_owned();
    let not = |why: &str| format!("is not a package: {why}");
    if let Some(comma) = relation.find(',') {
        return vec![Mistake { part: comma..comma + 1, what: not("each package has its own string"), help }];
    }
    let mut mistakes = Vec::new();
    let mut start = 0;
    for alternative in relation.split('|') {
        let trimmed = alternative.trim();
        let from = start + (alternative.len() - alternative.trim_start().len());
        if trimmed.is_empty() {
            let part = start..start + alternative.len();
            mistakes.push(Mistake { part, what: not("there is no name"), help: help.clone() });
        } else if let Err(why) = trimmed.parse::<relation::Relation>() {
            let part = from..from + trimmed.len();
            mistakes.push(Mistake { part, what: not(&why.problem.to_string()), help: help.clone() });
        } else if let Some((place, written)) = given_up_operator(trimmed) {
            let part = from + place..from + place + 1;
            let what = format!("does not mean what it seems to: dpkg takes `{written}` for `{written}=`");
            let help = format!("write `{written}{written}` or `{written}=`");
            mistakes.push(Mistake { part, what, help });
        }
        start += alternative.len() + 1;
    }
    mistakes
}

/// `<` or `>` alone before the version, and where: dpkg still reads them, and not as their author does (Debian Policy §7.1).
fn given_up_operator(relation: &str) -> Option<(usize, char)> {
    let open = relation.find('(')? + 1;
    let operator = relation[open..].trim_start();
    let place = relation.len() - operator.len();
    let mut signs = operator.chars();
    let written = signs.next().filter(|sign| matches!(sign, '<' | '>'))?;
    (!matches!(signs.next(), Some('<' | '>' | '='))).then_some((place, written))
}

/// Says which of `list` were there already.
fn refuse_repeats(list: &[Spanned<String>], what: &str, text: &Text, problems: &mut Vec<Problem>) {
    let mut seen: BTreeMap<&str, Range<usize>> = BTreeMap::new();
    for item in list {
        match seen.get(item.get_ref().as_str()) {
            Some(first) => problems.push(
                Problem::error(format!("{what} `{}` is listed twice", item.get_ref()))
                    .at(text.at(item.span()), "again")
                    .beside(text.at(first.clone()), "first here")
                    .help("remove one of them"),
            ),
            None => drop(seen.insert(item.get_ref(), item.span())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages about `text`, each with line and column.
    fn said(text: &str) -> Vec<String> {
        let problems = match parse(text, "api.toml") {
            Ok(source) => source.warnings,
            Err(problems) => problems,
        };
        let line = |problem: &Problem| match problem.to_string().replacen("api.toml:", "", 1) {
            // Why a relation does not parse is said by, and tested with, the relations.
            line if line.contains("|") || line.contains(">=") => line.split(" package: ").next().unwrap().to_owned(),
            line => line,
        };
        problems.iter().map(line).collect()
    }

    /// The one help that is given about `text`.
    fn helped(text: &str) -> String {
        match parse(text, "api.toml") {
            Err(problems) if problems.len() == 1 => problems[0].help.clone().unwrap_or_default(),
            other => panic!("expected one problem: {other:?}"),
        }
    }

    #[test]
    fn a_file_that_says_everything_is_read() {
        let source = parse(
            "description = \"x\"\nfrom = \"base\"\narch = \"amd64\"\nsuite = \"trixie\"\npackages = [\"php (>= 8)\", \"a0 | b0\"]\n\
             recommends = true\noverlays = [\"api\"]\n[users]\nmysql = 110\n[groups]\nrender = 111\n\
             [image]\ncompression = \"gzip\"\n[[archive]]\nname = \"mine\"\nuri = \"https://deb.example.org/x\"\n\
             suite = \"s\"\nkeyring = \"recipes/mine.pgp\"\npriority = 990\nonly = [\"thing\"]\n",
            "recipes/api.toml",
        )
        .unwrap();
        assert_eq!(source.name, "api");
        assert_eq!(source.file.packages.len(), 2);
        assert_eq!(source.file.archive[0].components[0].get_ref(), "main");
        assert!(source.warnings.is_empty());
    }

    #[test]
    fn an_unknown_key_is_refused_and_the_near_one_named() {
        assert_eq!(said("package = [\"apache2\"]"), ["1:1: error: there is no key `package` here"]);
        assert_eq!(helped("package = [\"apache2\"]"), "did you mean `packages`?");
        assert_eq!(said("[image]\ncompresion = \"gzip\""), ["2:1: error: there is no key `compresion` here"]);
        assert_eq!(said("[claims]\n"), ["1:2: error: there is no key `claims` here"]);
    }

    #[test]
    fn all_mistakes_of_a_file_are_said_at_once_in_the_order_of_the_text() {
        assert_eq!(
            said(
                "suit = \"trixie\"\nsuite = 13\npackages = [\"apache2\", 7, \"php >= 8\", \"apache2\"]\noverlays = \"base\"\n\
                 [image]\ncompression = \"xz\"\n[[archive]]\nname = \"a\"\nuri = \"debian\"\n"
            ),
            [
                "1:1: error: there is no key `suit` here",
                "2:9: error: `suite` must be a string, and this is a whole number",
                "3:24: error: each of `packages` must be a string, and this is a whole number",
                "3:28: error: `php >= 8` is not a",
                "3:39: error: the package `apache2` is listed twice",
                "4:12: error: `overlays` must be a list, and this is a string",
                "6:15: error: `compression` cannot be `xz`",
                "7:1: error: the key `suite` is missing here",
            ]
        );
    }

    #[test]
    fn text_that_is_no_toml_is_shown_where_it_stops_being_it() {
        assert_eq!(said("suite = \"trixie\npackages = []\n").len(), 1);
        assert!(said("suite = \"trixie\npackages = []\n")[0].starts_with("1:"));
        assert_eq!(said("suite = \"trixie\"\nsuite = \"trixie\"\n"), ["2:1: error: duplicate key"]);
    }

    #[test]
    fn the_caret_stands_inside_the_string_at_the_alternative_that_is_wrong() {
        assert_eq!(said("packages = [\"good | b@d\"]"), ["1:21: error: `good | b@d` is not a"]);
        assert_eq!(
            said("packages = [\"aa, bb\"]"),
            ["1:16: error: `aa, bb` is not a package: each package has its own string"]
        );
    }

    #[test]
    fn suites_that_move_or_are_unknown_are_refused_and_those_without_support_warned_of() {
        assert_eq!(helped("suite = \"trixy\""), "did you mean `trixie`?");
        assert_eq!(helped("suite = \"stable\""), "write the code name: `trixie`");
        assert_eq!(said("suite = \"\""), ["1:9: error: the suite is empty"]);
        let old = parse("suite = \"bullseye\"", "api.toml").unwrap();
        assert_eq!(old.warnings[0].message, "Debian's support for `bullseye` ended in August 2026");
        assert!(parse("suite = \"trixie\"", "api.toml").unwrap().warnings.is_empty());
    }

    #[test]
    fn an_archive_that_is_not_debians_needs_a_keyring() {
        let with = |uri: &str| said(&format!("[[archive]]\nname = \"a\"\nsuite = \"s\"\nuri = \"{uri}\"\n"));
        assert_eq!(with("https://deb.example.org/thing"), ["4:7: error: the archive `a` has no keyring"]);
        assert_eq!(with("ftp://example.org"), ["4:7: error: `ftp://example.org` is no archive"]);
        assert_eq!(with("https://mirror.example.org/debian/"), [""; 0]);
        assert_eq!(with("debian"), [""; 0]);
    }

    #[test]
    fn a_keyring_lies_inside_the_project() {
        let with = |keyring: &str| {
            said(&format!(
                "[[archive]]\nname = \"a\"\nsuite = \"s\"\nuri = \"https://x.org/y\"\nkeyring = \"{keyring}\""
            ))
        };
        assert_eq!(with("../../key.pgp"), ["5:11: error: the keyring `../../key.pgp` is not inside the project"]);
        assert_eq!(with("/etc/key.pgp").len(), 1);
        assert_eq!(with("recipes/key.pgp"), [""; 0]);
    }

    #[test]
    fn ids_are_those_of_system_accounts_and_belong_to_one_name() {
        assert_eq!(said("[users]\nmysql = 1000\n"), ["2:9: error: 1000 is not an id for a system account"]);
        assert_eq!(said("[users]\nwww-data = 34\n"), ["2:12: error: `www-data` has the id 33 on every Debian system"]);
        // Which number apt's user has is Debian's to say since its release 12.
        assert_eq!(said("[users]\n_apt = 106\n"), ["2:8: error: `_apt` has the id 42 on every Debian system"]);
        assert_eq!(said("suite = \"bullseye\"\n[users]\n_apt = 106\n").len(), 1, "the end of its support, and no more");
        assert_eq!(said("[users]\na = 101\nb = 101\n"), ["3:5: error: the id 101 is taken by `a`"]);
        assert_eq!(said("[users]\na = 101\n[groups]\nb = 101\n"), ["4:5: error: the id 101 is taken by `a`"]);
        assert_eq!(
            said("[users]\na = 101\n[groups]\na = 102\n"),
            ["4:1: error: the group `a` comes with the user of that name"]
        );
        assert_eq!(said("[users]\n\"My SQL\" = 101\n"), ["2:1: error: `My SQL` cannot be the name of a user or group"]);
        assert_eq!(said("[users]\na = -1\n"), ["2:5: error: `a` must be from 0 to 4294967295"]);
    }

    #[test]
    fn names_of_recipes_and_overlays_are_names_of_folders() {
        assert!(is_name("api-2") && !is_name("Api") && !is_name("../api") && !is_name("") && !is_name("-a"));
        assert_eq!(said("overlays = [\"../x\"]"), ["1:13: error: `../x` cannot be the name of an overlay"]);
        assert!(parse("", "recipes/Bad Name.toml").is_err());
    }
}
