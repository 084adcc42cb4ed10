//! `suite` and `[[archive]]`: where packages come from.

use super::file::ArchiveTable;
use super::problem::{Problem, Text, did_you_mean};
use super::{Archive, file};
use toml::Spanned;

/// Debian's releases that still get security updates, and so can be a `suite`.
const SUPPORTED: [&str; 2] = ["bookworm", "trixie"];

/// Releases after which nothing is repaired any more: (code name, when their last support ended).
const ENDED: [(&str, &str); 3] = [("stretch", "June 2022"), ("buster", "June 2024"), ("bullseye", "August 2026")];

/// Names that mean another release from one year to the next.
const MOVING: [&str; 6] = ["oldoldstable", "oldstable", "stable", "testing", "unstable", "experimental"];

/// The three archives that `suite` is short for, in the order in which apt would list them.
pub fn of_suite(suite: &str) -> Vec<Archive> {
    let archive = |uri: &str, suite: String| Archive {
        name: suite.clone(),
        uri: uri.to_owned(),
        suite,
        components: vec!["main".to_owned()],
        keyring: None,
        priority: file::ordinary(),
        only: vec![],
    };
    vec![
        archive("debian", suite.to_owned()),
        archive("debian", format!("{suite}-updates")),
        archive("debian-security", format!("{suite}-security")),
    ]
}

/// What is wrong with `suite = "…"`.
pub fn check_suite(suite: &Spanned<String>, text: &Text, problems: &mut Vec<Problem>) {
    let name = suite.get_ref().as_str();
    let at = |problem: Problem, label: &str| problem.at(text.at(suite.span()), label);
    if SUPPORTED.contains(&name) {
        return;
    }
    problems.push(if let Some((_, when)) = ENDED.iter().find(|(ended, _)| *ended == name) {
        at(Problem::warning(format!("Debian's support for `{name}` ended in {when}")), "gets no security updates")
            .help("use `trixie`, or accept that nothing in this image will be repaired")
    } else if MOVING.contains(&name) {
        at(Problem::error(format!("`{name}` means another release from time to time")), "moves")
            .help("write the code name: `trixie`")
    } else if name.is_empty() {
        at(Problem::error("the suite is empty"), "empty").help("write the code name of a Debian release: `trixie`")
    } else if name == "sid" || name == "forky" {
        at(Problem::error(format!("`{name}` is not released: it has no archive of security updates")), "not released")
            .help("list its archive as `[[archive]]`, with `uri = \"debian\"`")
    } else {
        let known = SUPPORTED.into_iter().chain(ENDED.map(|(ended, _)| ended));
        at(Problem::error(format!("there is no Debian release `{name}`")), "unknown release")
            .help("an archive that is not Debian's is listed as `[[archive]]`, with its own keyring")
            .maybe_help(did_you_mean(name, known))
    });
}

/// What is wrong with one `[[archive]]`.
pub fn check(archive: &ArchiveTable, text: &Text, problems: &mut Vec<Problem>) {
    for (key, value) in [("name", &archive.name), ("uri", &archive.uri), ("suite", &archive.suite)] {
        let wrong = |byte: u8| byte.is_ascii_whitespace() || byte.is_ascii_control();
        if value.get_ref().is_empty() || value.get_ref().bytes().any(wrong) {
            let problem = Problem::error(format!("the `{key}` of an archive cannot be empty or hold spaces"));
            problems.push(problem.at(text.at(value.span()), ""));
        }
    }
    if archive.components.is_empty() {
        let problem = Problem::error(format!("the archive `{}` has no components", archive.name.get_ref()));
        problems.push(problem.at(text.at(archive.name.span()), "this one").help("write `components = [\"main\"]`"));
    }
    let uri = archive.uri.get_ref().as_str();
    let address = uri.strip_prefix("https://").or(uri.strip_prefix("http://")).or(uri.strip_prefix("file:///"));
    let debian = ["debian", "debian-security"];
    let at_uri = |problem: Problem, label: &str| problem.at(text.at(archive.uri.span()), label);
    match address {
        None if debian.contains(&uri) => {}
        None if uri.is_empty() => {}
        None => {
            let problem = at_uri(Problem::error(format!("`{uri}` is no archive")), "neither a name nor a URL");
            let help = "`debian` and `debian-security` are found on any mirror; others need their `https://…`";
            problems.push(problem.help(help).maybe_help(did_you_mean(uri, debian)));
        }
        Some(address) => {
            // Debian's mirrors all end so, and its keyring is what their signatures are checked against.
            let of_debian = address.trim_end_matches('/').rsplit('/').next().is_some_and(|last| debian.contains(&last));
            if archive.keyring.is_none() && !of_debian {
                let problem = Problem::error(format!("the archive `{}` has no keyring", archive.name.get_ref()));
                let problem = at_uri(problem, "not Debian's: its keys are unknown");
                problems
                    .push(problem.help("put its OpenPGP keyring into the project: `keyring = \"recipes/NAME.pgp\"`"));
            }
        }
    }
    if let Some(keyring) = archive.keyring.as_ref().filter(|keyring| !is_inside(keyring.get_ref())) {
        let problem = Problem::error(format!("the keyring `{}` is not inside the project", keyring.get_ref()));
        let problem = problem.at(text.at(keyring.span()), "leads out");
        problems.push(problem.help("write its path from the project's folder"));
    }
}

/// Whether `path` stays in the project.
pub fn is_inside(path: &str) -> bool {
    let mut parts = std::path::Path::new(path).components();
    !path.is_empty() && parts.all(|part| matches!(part, std::path::Component::Normal(_)))
}

/// The archive that a table means.
pub fn of_table(table: &ArchiveTable) -> Archive {
    let texts = |list: &[Spanned<String>]| list.iter().map(|text| text.get_ref().clone()).collect::<Vec<_>>();
    Archive {
        name: table.name.get_ref().clone(),
        uri: table.uri.get_ref().trim_end_matches('/').to_owned(),
        suite: table.suite.get_ref().clone(),
        components: texts(&table.components),
        keyring: table.keyring.as_ref().map(|keyring| keyring.get_ref().clone()),
        priority: table.priority,
        only: texts(&table.only),
    }
}
