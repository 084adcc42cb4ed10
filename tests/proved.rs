//! That the audit proves what the overlays set: each line of each of their files is taken away, and the audit must see it.
//!
//! ```text
//! overlays of a recipe ─▶ a root file system of these files alone ─▶ audit ─▶ findings ┐
//!                          the same without one line, or one link, or one mode ─▶ audit ─▶ findings ┴▶ alike? not proved
//! ```
//!
//! Files that something else proves are in a table here, with what that is: [`ELSEWHERE`]. Of all others, the lines that no
//! check proves stand in `tests/golden/audit/unproved`: a debt that can be read. A new line that an overlay lays and no check
//! looks at makes the two differ; so does a line that a new check proves.
//!
//! A value that two files say (as sshd's, where scanners read one of them only) is taken away in both. The files of packages are
//! not there, so that only what overlays say is looked at: the findings are not none, but they are compared. What the audit
//! says of whole images is in `real`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use goldsmith::digest::Digest;
use goldsmith::epoch::Epoch;
use goldsmith::overlay::{Laid, LaidKind, Overlay};
use goldsmith::recipe::project::Project;
use goldsmith::rootfs::Rootfs;
use goldsmith::rootfs::entry::{Content, Entry, Kind, Origin};
use goldsmith::verify::audit;
use goldsmith::verify::claims::Claims;
use goldsmith::verify::report::Report;

use crate::harness::golden;

type Entries = BTreeMap<String, Entry>;

/// Files that are no settings, each with what proves them. `*` at the end: everything that starts so.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "usr/lib/goldsmith/*",
        "programs: tests/instance.py, tests/fail-closed and the tests that start machines run them",
    ),
    ("var/www/api/*", "the application: tests/api.py asks it"),
    ("usr/share/goldsmith/*", "statements: the tests that start machines ask the database that they make"),
    (
        "etc/apparmor.d/*",
        "rules of profiles: what they open too wide is proved, what they open too little stops the server",
    ),
    ("etc/fail2ban/*", "filters: fail2ban-regex reads the recipe's samples with them when the image is built"),
];

/// Folders in which one value may stand in several files, of which any is enough.
const TWICE: &[&str] = &["etc/ssh/", "etc/apache2/", "etc/mysql/", "etc/systemd/journald.conf"];

/// Programs whose presence makes checks look at the files beside them.
const PROGRAMS: &[&str] = &[
    "usr/bin/bash",
    "usr/bin/cloud-init",
    "usr/bin/crontab",
    "usr/bin/fail2ban-server",
    "usr/lib/systemd/systemd",
    "usr/lib/systemd/systemd-journald",
    "usr/lib/systemd/systemd-networkd",
    "usr/lib/systemd/systemd-resolved",
    "usr/sbin/apparmor_parser",
    "usr/sbin/auditctl",
    "usr/sbin/auditd",
    "usr/sbin/sshd",
];

/// What the packages have where overlays only add to it: a unit that a drop-in is for, a link to it.
const PACKAGES: &[(&str, &str)] = &[
    ("usr/lib/systemd/system/ssh.service", "[Service]\nExecStart=/usr/sbin/sshd -D\n"),
    ("usr/lib/systemd/system/fail2ban.service", "[Service]\nExecStart=/usr/bin/fail2ban-server\n"),
    ("usr/lib/systemd/system/dbus.service", "[Service]\nExecStart=/usr/bin/dbus-daemon\n"),
    ("usr/lib/systemd/system/auditd.service", "[Service]\nExecStart=/usr/sbin/auditd\n"),
    ("usr/lib/systemd/system/apparmor.service", "[Service]\nExecStart=/lib/apparmor/apparmor.systemd reload\n"),
    ("usr/lib/systemd/system/cloud-init-main.service", "[Service]\nExecStart=/usr/bin/cloud-init --all-stages\n"),
    ("usr/lib/systemd/system/cloud-init-local.service", "[Service]\nExecStart=/usr/bin/true\n"),
    ("usr/lib/systemd/system/cloud-init-network.service", "[Service]\nExecStart=/usr/bin/true\n"),
    ("usr/lib/systemd/system/systemd-networkd.service", "[Service]\nExecStart=/usr/lib/systemd/systemd-networkd\n"),
    ("usr/lib/systemd/system/dhcpcd.service", "[Service]\nExecStart=/usr/sbin/dhcpcd\n"),
    ("usr/lib/systemd/system/ctrl-alt-del.target", "[Unit]\n"),
    ("usr/lib/systemd/system/tmp.mount", "[Mount]\nWhat=tmpfs\nWhere=/tmp\nOptions=mode=1777\n"),
    ("usr/lib/systemd/system/local-fs.target.wants/tmp.mount", ""),
    ("usr/lib/modules/6.12/modules.dep", ""),
    // As few rules as can be loaded: what is asked is whether the network waits for them.
    ("etc/iptables/rules.v4", "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT DROP [0:0]\nCOMMIT\n"),
    ("etc/iptables/rules.v6", "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT DROP [0:0]\nCOMMIT\n"),
    ("etc/group", "root:x:0:\nsugroup:x:928:\nmysql:x:907:\n"),
    ("etc/passwd", "root:x:0:0:root:/root:/bin/bash\nmysql:x:907:907::/:/bin/false\n"),
];

/// Of one recipe.
const ROLES: [(&str, &[(&str, &str)]); 2] = [
    (
        "api",
        &[
            ("usr/sbin/apache2", ""),
            ("usr/sbin/php-fpm8.4", ""),
            ("etc/php/8.4/fpm/php.ini", ""),
            ("etc/php/8.4/cli/php.ini", ""),
            ("usr/lib/systemd/system/apache2.service", "[Service]\nExecStart=/usr/sbin/apachectl start\n"),
            ("usr/lib/systemd/system/php8.4-fpm.service", "[Service]\nExecStart=/usr/sbin/php-fpm8.4\n"),
        ],
    ),
    (
        "db",
        &[
            ("usr/sbin/mariadbd", ""),
            ("usr/bin/mariadb", ""),
            (
                "usr/lib/systemd/system/mariadb.service",
                "[Service]\nExecStart=/usr/sbin/mariadbd\nAmbientCapabilities=CAP_IPC_LOCK\n",
            ),
            ("etc/mysql/my.cnf", "[mysqld]\n!includedir /etc/mysql/conf.d/\n!includedir /etc/mysql/mariadb.conf.d/\n"),
        ],
    ),
];

fn entry(kind: Kind, mode: u32) -> Entry {
    Entry { kind, mode, uid: 0, gid: 0, mtime: 0, xattrs: BTreeMap::new(), origin: Origin::Generated }
}

fn file(text: &str) -> Kind {
    let bytes = text.as_bytes();
    Kind::File { size: bytes.len() as u64, digest: Digest::of(bytes), content: Content::Bytes(bytes.into()) }
}

fn laid(laid: &Laid) -> Entry {
    let kind = match &laid.kind {
        LaidKind::Directory => Kind::Directory,
        LaidKind::File { bytes, .. } => file(&String::from_utf8_lossy(bytes)),
        LaidKind::Symlink(target) => Kind::Symlink(target.clone()),
    };
    let owner = |name: &str| if name == "mysql" { 907 } else { 0 };
    Entry { uid: owner(&laid.owner), gid: owner(&laid.group), ..entry(kind, laid.mode) }
}

/// The overlays of a recipe, on as little of a system as checks ask for; and which paths are theirs.
fn image(project: &Project, role: &str, packages: &[(&str, &str)]) -> (Entries, BTreeSet<String>, Claims) {
    let recipe = project.load(role).expect("a recipe without mistakes").recipe;
    let mut entries = Entries::new();
    for path in PROGRAMS {
        entries.insert((*path).to_owned(), entry(file(""), 0o755));
    }
    for (path, text) in PACKAGES.iter().chain(packages) {
        entries.insert((*path).to_owned(), entry(file(text), 0o644));
    }
    let mut own = BTreeSet::new();
    for name in &recipe.overlays {
        let overlay = Overlay::load(&project.overlay(name)).expect("an overlay without mistakes");
        for (path, what) in &overlay.entries {
            // What is masked is there, in a package.
            let masked = matches!(&what.kind, LaidKind::Symlink(target) if target == "/dev/null");
            if let Some(unit) = path.strip_prefix("etc/systemd/system/").filter(|_| masked) {
                entries.insert(format!("usr/lib/systemd/system/{unit}"), entry(file("[Unit]\n"), 0o644));
            }
            entries.insert(path.clone(), laid(what));
            own.insert(path.clone());
        }
    }
    for path in entries.keys().cloned().collect::<Vec<_>>() {
        for (at, _) in path.match_indices('/') {
            entries.entry(path[..at].to_owned()).or_insert_with(|| entry(Kind::Directory, 0o755));
        }
    }
    entries.insert(String::new(), entry(Kind::Directory, 0o755));
    (entries, own, Claims::of(&recipe))
}

/// All that is found, and what each check says in a word.
fn findings(entries: &Entries, claims: &Claims) -> Vec<String> {
    let report: Report = audit(&Rootfs::new(entries.clone(), Epoch(0)), claims).expect("checks that exist");
    let outcomes = report.outcomes.iter();
    outcomes.map(|outcome| format!("{} {:?} {:?}", outcome.check.id, outcome.verdict, outcome.findings)).collect()
}

/// The text of an entry.
fn text(entry: &Entry) -> Option<String> {
    match &entry.kind {
        Kind::File { content: Content::Bytes(bytes), .. } => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    }
}

/// Other files of the same kind that say the same line, without it.
fn twins(entries: &Entries, path: &str, line: &str) -> Vec<(String, Entry)> {
    let Some(folder) = TWICE.iter().find(|folder| path.starts_with(**folder)) else { return Vec::new() };
    let others = entries.range((*folder).to_owned()..).take_while(|(other, _)| other.starts_with(folder));
    let without = |entry: &Entry| {
        let text = text(entry)?;
        let left: Vec<&str> = text.lines().filter(|other| other.trim() != line).collect();
        (left.len() < text.lines().count())
            .then(|| Entry { kind: file(&format!("{}\n", left.join("\n"))), ..entry.clone() })
    };
    others
        .filter(|(other, _)| *other != path)
        .filter_map(|(other, entry)| Some((other.clone(), without(entry)?)))
        .collect()
}

/// What could be missing of one path: a line of its text, the whole of a link or of an empty file, its mode; by its name.
fn without(path: &str, whole: &Entry) -> Vec<(String, Option<Entry>)> {
    let mut all = Vec::new();
    match &whole.kind {
        Kind::File { content: Content::Bytes(bytes), size, .. } if *size > 0 => {
            let text = String::from_utf8_lossy(bytes);
            let lines: Vec<&str> = text.lines().collect();
            let comment = |line: &str| {
                let bare = line.trim();
                let sign = if path.ends_with(".ini") || path.contains("/php-fpm") || path.contains("/pool.d/") {
                    ';'
                } else {
                    '#'
                };
                bare.is_empty()
                    || bare.starts_with(sign)
                    || bare.starts_with(['[', '<'])
                    || bare.starts_with("Description=")
            };
            for (index, line) in lines.iter().enumerate().filter(|(_, line)| !comment(line)) {
                let left: Vec<&str> =
                    lines.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, line)| *line).collect();
                let kind = file(&format!("{}\n", left.join("\n")));
                all.push((line.trim().to_owned(), Some(Entry { kind, ..whole.clone() })));
            }
        }
        Kind::Directory => {}
        _ => all.push(("(the whole)".to_owned(), None)),
    }
    if whole.mode & 0o7777 != 0o644 && !matches!(whole.kind, Kind::Symlink(_)) {
        let usual = if whole.mode & 0o100 != 0 { 0o755 } else { 0o644 };
        if usual != whole.mode {
            all.push((format!("(mode {:04o})", whole.mode), Some(Entry { mode: usual, ..whole.clone() })));
        }
    }
    all
}

fn fits(pattern: &str, path: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == path, |start| path.starts_with(start))
}

#[test]
fn every_line_that_an_overlay_lays_is_proved_by_a_check_or_stands_among_those_that_are_not() {
    let project = Project::find(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("this project");
    let (mut proved, mut open) = (BTreeSet::new(), BTreeSet::new());
    for (role, packages) in ROLES {
        let (mut entries, own, claims) = image(&project, role, packages);
        let before = findings(&entries, &claims);
        for path in &own {
            if ELSEWHERE.iter().any(|(pattern, _)| fits(pattern, path)) {
                continue;
            }
            let whole = entries[path].clone();
            for (line, less) in without(path, &whole) {
                let mut kept = entries.clone();
                for (twin, less) in twins(&entries, path, &line) {
                    entries.insert(twin, less);
                }
                let seen = {
                    match less {
                        Some(less) => drop(entries.insert(path.clone(), less)),
                        None => drop(entries.remove(path)),
                    }
                    findings(&entries, &claims) != before
                };
                std::mem::swap(&mut entries, &mut kept);
                let row = (path.clone(), line);
                let _ = if seen { proved.insert(row) } else { open.insert(row) };
            }
        }
    }
    // What one role proves is proved.
    let open: Vec<&(String, String)> = open.difference(&proved).collect();
    let mut list = format!(
        "# {} lines, links and modes of overlays are proved by a check; these {} are not.\n",
        proved.len(),
        open.len()
    );
    list.extend(open.iter().map(|(path, line)| format!("{path}: {line}\n")));
    golden::compare("audit/unproved", &list);
}
