//! The floors of the house: a file of `builder/` takes only from the floors below it.
//!
//! ```text
//! 8  main               args in, exit code out
//! 7  command            one file a verb
//! 6  build  cloud       the whole product on one screen; how it is handed over
//! 5  plan  verify  fleet
//! 4  image  overlay  lock  machine
//! 3  rootfs  recipe  mirror
//! 2  sandbox  store  debian
//! 1  digest  epoch  arch  progress
//! ```
//!
//! Read from the sources themselves: every `crate::…` and `super::…` path outside of comments, strings and unit tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::harness::project::files_below;

/// The floor of every module. Within a module anything goes; beside it, only what is below.
const FLOORS: [(&str, u8); 21] = [
    ("main", 8),
    ("command", 7),
    ("build", 6),
    ("cloud", 6),
    ("plan", 5),
    ("verify", 5),
    ("fleet", 5),
    ("image", 4),
    ("overlay", 4),
    ("lock", 4),
    ("machine", 4),
    ("rootfs", 3),
    ("recipe", 3),
    ("mirror", 3),
    ("sandbox", 2),
    ("store", 2),
    ("debian", 2),
    ("digest", 1),
    ("epoch", 1),
    ("arch", 1),
    ("progress", 1),
];

/// What the floors alone would allow and the design forbids, each with its reason.
const NEVERS: [(&str, &[&str], &str); 7] = [
    ("debian", &["recipe"], "Debian's formats know nothing of images"),
    ("rootfs", &["recipe", "lock", "mirror"], "a root file system is made from files, not from wishes or a network"),
    ("image", &["recipe", "lock", "overlay", "mirror"], "an artifact is a function of the sealed root file system"),
    ("machine", &["recipe", "mirror"], "a machine runs whatever disk it is given"),
    ("lock", &["mirror", "store", "rootfs", "image"], "resolving is pure"),
    ("build", &["mirror"], "a build is offline by signature"),
    ("plan", &["mirror"], "a plan is pinned before anything is fetched"),
];

/// Words that may stand only in the files named, each with its reason. `*` at the end: everything that starts so.
const DOORS: [(&str, &[&str], &str); 7] = [
    ("std::process::Command", &["sandbox*"], "one door to processes"),
    ("process::Command", &["sandbox*"], "one door to processes"),
    ("ureq::", &["mirror*"], "one door to the network"),
    ("TcpStream", &["mirror*", "verify/lab/call*"], "one door to the network, and one to the lab by way of loopback"),
    ("UdpSocket", &["mirror*"], "one door to the network"),
    ("resolvo::", &["lock/*"], "one place that knows the solver"),
    ("unsafe {", &["sandbox*"], "system calls that need it are all in one place"),
];

/// One thing that a source takes from elsewhere: the module and the line it stands in.
type Import = (String, usize);

/// What is wrong with one file: a sentence for each path into a floor that is not below.
fn violations(file: &str, source: &str) -> Vec<String> {
    let module = module_of(file);
    if module == "lib" || file.ends_with("/tests.rs") {
        return Vec::new(); // The map, and unit tests in a file of their own.
    }
    let code = shipped(source);
    let mut wrong = Vec::new();
    let Some(floor) = floor_of(module) else {
        return vec![format!("builder/{file}: the module `{module}` has no floor (tests/architecture.rs, FLOORS)")];
    };
    for (target, line) in imports(file, &code) {
        if target == module {
            continue;
        }
        let place = format!("builder/{file}:{line}: `{module}` takes from `{target}`");
        match floor_of(&target) {
            None => wrong.push(format!("{place}, which has no floor")),
            Some(other) if other >= floor => wrong.push(format!("{place}: floor {other} is not below {floor}")),
            Some(_) => {}
        }
        for (_, _, why) in NEVERS.iter().filter(|(from, to, _)| *from == module && to.contains(&target.as_str())) {
            wrong.push(format!("{place}, but {why}"));
        }
    }
    for (word, files, why) in DOORS {
        let allowed = files.iter().any(|allowed| match allowed.strip_suffix('*') {
            Some(start) => file.starts_with(start),
            None => file == *allowed,
        });
        for (number, _) in code.lines().enumerate().filter(|(_, line)| !allowed && line.contains(word)) {
            wrong.push(format!("builder/{file}:{}: `{word}` belongs in {files:?}: {why}", number + 1));
        }
    }
    wrong
}

/// `rootfs/seal.rs` → `rootfs`, `store.rs` → `store`.
fn module_of(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

fn floor_of(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

/// The source without comments, without what stands in strings, and without its unit tests; line by line as it was.
fn shipped(source: &str) -> String {
    let mut code = String::new();
    let mut lines = source.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" && lines.peek().is_some_and(|next| next.trim_start().starts_with("mod ")) {
            break; // Unit tests are the last thing in a file.
        }
        let mut quoted = false;
        let mut previous = ' ';
        let mut kept = String::new();
        for letter in line.chars() {
            if !quoted && letter == '/' && previous == '/' {
                kept.pop();
                break;
            }
            let quote = letter == '"' && previous != '\\' && previous != '\'';
            if !quoted || quote {
                kept.push(letter);
            }
            quoted ^= quote;
            previous = letter;
        }
        code.push_str(&kept);
        code.push('\n');
    }
    code
}

/// Every module of the crate that `code` names: `crate::lock::…`, `use crate::{arch::Arch, lock}`, `super::super::lock`.
fn imports(file: &str, code: &str) -> BTreeSet<Import> {
    // `super` from `a/b.rs` is `a`, from `a/mod.rs` and `a.rs` the crate itself.
    let depth = file.trim_end_matches("/mod.rs").split('/').count();
    let root = "super::".repeat(depth);
    let starts = ["crate::", "goldsmith::", root.as_str()];
    let mut found = BTreeSet::new();
    for start in starts {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back().unwrap_or(' ');
            if before.is_alphanumeric() || before == '_' || before == ':' {
                continue;
            }
            let line = code[..at].matches('\n').count() + 1;
            let rest = &code[at + start.len()..];
            let names = match rest.strip_prefix('{') {
                Some(group) => first_words(group),
                None => vec![word(rest)],
            };
            // A name that is no module is an item of the crate's root: there are none but modules.
            found.extend(
                names
                    .into_iter()
                    .filter(|name| *name != "super" && *name != "self")
                    .map(|name| (name.to_owned(), line)),
            );
        }
    }
    found
}

/// `arch::Arch, debian::{a, b}, lock}` → `arch`, `debian`, `lock`.
fn first_words(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut words) = (0, 0, Vec::new());
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => {
                words.push(word(group[start..at].trim()));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                words.push(word(group[start..at].trim()));
                start = at + 1;
            }
            _ => {}
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn word(text: &str) -> &str {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next().unwrap_or_default()
}

#[test]
fn every_file_takes_only_from_the_floors_below_it() {
    let builder = Path::new(env!("CARGO_MANIFEST_DIR")).join("builder");
    let files: Vec<_> =
        files_below(&builder).into_iter().filter(|path| path.extension().is_some_and(|end| end == "rs")).collect();
    assert!(files.len() > 15, "this test looks in the wrong place: {files:?}");
    let mut wrong = Vec::new();
    for path in files {
        let file = path.strip_prefix(&builder).expect("below builder").display().to_string();
        wrong.extend(violations(&file, &fs::read_to_string(&path).expect("a source file")));
    }
    assert!(wrong.is_empty(), "{} violations:\n{}", wrong.len(), wrong.join("\n"));
}

/// Each of these sources breaks one rule; the test above would be worth nothing if it did not see them.
#[test]
fn a_violation_is_seen_wherever_it_stands() {
    let bad = [
        ("debian/package.rs", "use crate::recipe::Recipe;"),
        ("debian/package.rs", "use super::super::recipe::Recipe;"),
        ("store.rs", "use crate::{arch::Arch, lock::file::{Lock, Locked}};"),
        ("store.rs", "use crate::{\n    arch::Arch,\n    mirror,\n};"),
        ("store.rs", "use super::plan::Plan;"),
        ("rootfs/mod.rs", "fn f(mirror: &crate::mirror::Mirror) {}"),
        ("rootfs/seal.rs", "use crate::recipe::Recipe;"),
        ("lock/resolve.rs", "use crate::store::Store;"),
        ("image/oci.rs", "use crate::lock::file::Lock;"),
        ("build.rs", "use crate::mirror::Mirror;"),
        ("build.rs", "let output = std::process::Command::new(\"dpkg\");"),
        ("rootfs/seal.rs", "unsafe { libc::sync() }"),
        ("convenience.rs", "use std::fs;"),
        ("store.rs", "use crate::convenience::Convenience;"),
    ];
    for (file, source) in bad {
        assert_ne!(violations(file, source), Vec::<String>::new(), "{file}: {source}");
    }
}

#[test]
fn what_is_allowed_is_not_reported() {
    let good = [
        ("main.rs", "use goldsmith::command;"),
        ("build.rs", "use crate::{plan::Plan, rootfs::{self, Rootfs}, store::Store};"),
        ("debian/package.rs", "use super::relation::Relation;\nuse crate::digest::Digest;"),
        (
            "store.rs",
            "//! Unlike [`crate::lock`], this knows nothing.\nlet text = \"crate::lock\"; // crate::lock::file",
        ),
        ("store.rs", "#[cfg(test)]\nmod tests {\n    use crate::lock::file::Lock;\n}"),
        ("debian/deb.rs", "pub(crate) fn open() {}"),
        ("sandbox.rs", "unsafe { libc::sync() }"),
    ];
    for (file, source) in good {
        assert_eq!(violations(file, source), Vec::<String>::new(), "{file}: {source}");
    }
}

#[test]
fn a_violation_names_file_and_line() {
    let wrong = violations("debian/deb.rs", "use std::fs;\n\nuse crate::recipe::Recipe;\n");
    assert!(wrong[0].starts_with("builder/debian/deb.rs:3: `debian` takes from `recipe`"), "{wrong:?}");
}
