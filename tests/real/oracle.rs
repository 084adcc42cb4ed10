//! The oracle: the tree that mmdebstrap(1) makes of the same packages, beside ours.
//!
//! ```text
//! images/NAME.lock ─┬─ goldsmith, no overlays ──▶ layers ─┐
//!                   └─ mmdebstrap, from the toolbox ──▶ tar ─┴─ path by path: type, mode, owner and group by name,
//!                                                              target, bytes, attributes. Not times.
//! ```
//!
//! Whatever differs has a line in [`EXPLAINED`], and each of these lines must still be needed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::BufReader;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::harness::project::{GOLDSMITH, files_below};
use crate::harness::sha256;

use super::tools::toolbox;
use super::{IMAGES, Node, checkout, lock, pool, read_tar, recipe, store};

/// How a path may differ.
#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    /// It is in mmdebstrap's tree and not in ours.
    Theirs,
    /// It is in ours only.
    Ours,
    /// It has another mode or owner.
    Mode,
    /// It has other bytes.
    Bytes,
    /// It has the same lines in another order.
    Order,
}

/// What differs, and why that is right. `*` stands for anything within a name, `**` for anything.
const EXPLAINED: [(How, &[&str], &str); 12] = [
    (How::Theirs, &["dev/**", "run/**"], "made by the kernel and systemd when the image starts"),
    (How::Theirs, &["var/log/**"], "what happened while building, and files that are made at boot"),
    (
        How::Theirs,
        &["etc/fstab", "etc/apt/sources.list", "var/lib/dpkg/arch"],
        "written by mmdebstrap itself: which disks and which archive is for overlays and bundles to say",
    ),
    (How::Theirs, &["etc/ssh/ssh_host_*"], "keys are made on the machine, or they would be everybody's"),
    (
        How::Theirs,
        &["var/lib/mysql/**"],
        "the data directory is made at first boot: it holds ids, times and an account",
    ),
    (
        How::Theirs,
        &["etc/*-", "var/cache/debconf/*-old", "var/lib/dpkg/*-old", "var/lib/ucf/*.*"],
        "files as they were one step before",
    ),
    (
        How::Theirs,
        &["etc/.pwd.lock", "var/**/lock", "var/lib/dpkg/lock-frontend", "var/lib/dpkg/triggers/Lock"],
        "locks of a build that is over",
    ),
    (How::Ours, &["var/lib/dpkg/available"], "dpkg makes it, empty; mmdebstrap removes it"),
    (
        How::Mode,
        &["etc/machine-id", "var/cache/apt/archives/partial", "var/lib/apt/lists/partial"],
        "mmdebstrap makes the first anew, and apt, which never runs here, changes the others",
    ),
    (
        How::Bytes,
        &["usr/share/python3/debpython/__pycache__/*.pyc"],
        "theirs were left by an interpreter that imported them, with a time; ours were compiled, with a hash",
    ),
    (
        How::Bytes,
        &["etc/shadow", "etc/gshadow"],
        "mariadb-server's preinst makes `mysql`; mmdebstrap runs it before passwd is configured, whose pwconv then fills the \
         fields of an account that had no shadow. As apt does it, passwd comes first, and so it does here",
    ),
    (
        How::Order,
        &["var/lib/dpkg/triggers/File", "var/lib/ucf/hashfile", "var/lib/ucf/registry"],
        "sealing sorts what stands in the order in which packages were configured",
    ),
];

#[test]
fn the_tree_is_the_one_that_mmdebstrap_makes_of_the_same_packages() {
    let ours = without_overlays();
    let mut used = BTreeSet::new();
    let mut unexplained = Vec::new();
    for image in IMAGES {
        let tar = fs::File::open(ours.path().join(format!("{image}.tar"))).expect("our tree");
        let ours = by_name(read_tar(BufReader::new(tar), "-dlhp"));
        let theirs = by_name(peer(image));
        let (mut same, mut explained) = (0, 0);
        for path in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
            let found = differences(path, ours.get(path), theirs.get(path));
            same += usize::from(found.is_empty());
            for (how, text) in found {
                match EXPLAINED.iter().position(|line| line.0 == how && line.1.iter().any(|like| matches(like, path))) {
                    Some(line) => {
                        explained += 1;
                        used.insert(line);
                    }
                    None => unexplained.push(format!("{image}: {path}: {how:?}: {text}")),
                }
            }
        }
        println!("{image}: {same} paths are the same, {explained} differences are explained");
    }
    assert!(unexplained.is_empty(), "{} differences:\n{}", unexplained.len(), unexplained.join("\n"));
    let idle: Vec<_> = (0..EXPLAINED.len()).filter(|line| !used.contains(line)).map(|line| EXPLAINED[line]).collect();
    assert!(idle.is_empty(), "nothing differs any more as these lines say: {idle:?}");
}

/// The images' trees without their overlays, firewalls and jails, which have their own tests: the same packages, users and
/// locks. (As tars, not as images: an image that nobody firewalled is refused.)
fn without_overlays() -> tempfile::TempDir {
    let start = Instant::now();
    let (project, out) =
        (checkout(), tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary directory"));
    for recipe in files_below(&project.path().join("recipes")) {
        let text = fs::read_to_string(&recipe).expect("a recipe");
        fs::write(&recipe, bare(&text)).expect("writing a recipe");
    }
    for image in IMAGES {
        let mut command = Command::new(GOLDSMITH);
        command.args(["export", image, "--output"]).arg(out.path().join(format!("{image}.tar")));
        let output = command.current_dir(project.path()).output().expect("starting goldsmith");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    println!("goldsmith, without overlays: {:.1} s", start.elapsed().as_secs_f64());
    out
}

/// A recipe that lays no file: without the list of overlays, and without the tables that files are computed from.
fn bare(recipe: &str) -> String {
    let mut computed = false;
    let keeps = |line: &&str| {
        if line.starts_with('[') {
            let table = line.trim_start_matches('[');
            computed = ["firewall", "fail2ban", "exception"].iter().any(|name| table.starts_with(name));
        }
        !computed && !line.starts_with("overlays = ")
    };
    recipe.lines().filter(keeps).map(|line| format!("{line}\n")).collect()
}

/// What dpkg is told to leave out, as the recipes say it.
fn filter() -> String {
    let recipe = recipe("base");
    let lines = |key: &str, option: &str| -> String {
        let patterns = recipe[key].as_array().expect("a list").iter().map(|one| one.as_str().expect("a pattern"));
        patterns.map(|pattern| format!("path-{option}={pattern}\n")).collect()
    };
    format!("# What the recipe leaves out of packages.\n{}{}", lines("exclude", "exclude"), lines("include", "include"))
}

/// mmdebstrap's tree, from a repository of exactly the packages of the lock. Kept below `target/` for the next run.
fn peer(image: &str) -> BTreeMap<String, Node> {
    const MAKE: &str = r#"set -e
        cd /peer/pool
        while read -r file size sha256; do
            dpkg-deb --field "$file"
            printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$file" "$size" "$sha256"
        done <../files >Packages
        TMPDIR=/peer SOURCE_DATE_EPOCH=$1 mmdebstrap --quiet --mode=root --variant=custom --format=tar \
            --dpkgopt=/peer/filter --setup-hook='mkdir -p "$1/etc/dpkg/dpkg.cfg.d"' \
            --customize-hook='mv "$1/etc/dpkg/dpkg.cfg.d/99mmdebstrap" "$1/etc/dpkg/dpkg.cfg.d/goldsmith"' \
            --include="$2" trixie /peer/tree.tar "deb [trusted=yes] copy:/peer/pool ./""#;
    let lock = lock(image);
    let filter = filter();
    let name = sha256(format!("{MAKE}{filter}{}", lock["package"]).as_bytes());
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("mmdebstrap-{image}-{}.tar", &name[..16]));
    if !kept.exists() {
        let start = Instant::now();
        let peer = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary directory");
        let packages = pool(std::slice::from_ref(&lock));
        fs::create_dir(peer.path().join("pool")).expect("a directory");
        let (mut files, mut names) = (String::new(), Vec::new());
        for package in lock["package"].as_array().expect("packages") {
            let text = |key: &str| package[key].as_str().expect("a text");
            let file = text("path").rsplit('/').next().expect("a name");
            let blob = fs::read_link(packages.path().join(text("path"))).expect("a link into the store");
            std::os::unix::fs::symlink(&blob, peer.path().join("pool").join(file)).expect("a link");
            let sha256 = text("sha256").trim_start_matches("sha256:");
            files.push_str(&format!("{file} {} {sha256}\n", package["size"]));
            names.push(text("name"));
        }
        fs::write(peer.path().join("files"), files).expect("a file");
        fs::write(peer.path().join("filter"), &filter).expect("a file");
        let blobs = store().join("blobs");
        let binds = [(peer.path(), "/peer"), (blobs.as_path(), blobs.to_str().expect("UTF-8"))];
        toolbox(&["sh", "-c", MAKE, "sh", &lock["epoch"].to_string(), &names.join(",")], &binds);
        fs::rename(peer.path().join("tree.tar"), &kept).expect("keeping the tree");
        println!("mmdebstrap, {image}: {:.1} s", start.elapsed().as_secs_f64());
    }
    read_tar(BufReader::new(fs::File::open(&kept).expect("the tree")), "-dlhpc")
}

/// A path with its owner and group by their names: numbers are fixed by our recipes, and given out by theirs.
struct Named {
    node: Node,
    owner: (String, String),
}

fn by_name(mut tree: BTreeMap<String, Node>) -> BTreeMap<String, Named> {
    let table = |path: &str| -> BTreeMap<u64, String> {
        let text = String::from_utf8(tree[path].bytes.clone()).expect("UTF-8");
        let fields = text.lines().map(|line| line.split(':').map(str::to_owned).collect::<Vec<_>>());
        fields.map(|fields| (fields[2].parse().expect("a number"), fields[0].clone())).collect()
    };
    let (users, groups) = (table("etc/passwd"), table("etc/group"));
    for (path, group, own) in [
        ("etc/passwd", Some(3), Some(2)),
        ("etc/group", None, Some(2)),
        ("etc/shadow", None, None),
        ("etc/gshadow", None, None),
    ] {
        let node = tree.get_mut(path).expect("accounts");
        node.bytes = accounts(&node.bytes, group, own, &groups);
    }
    // Which name of a file a tar calls the file and which a link is a matter of order.
    let files: BTreeMap<String, Node> =
        tree.iter().filter(|(_, node)| node.kind != 'h').map(|(p, n)| (p.clone(), n.clone())).collect();
    let name =
        |table: &BTreeMap<u64, String>, id| table.get(&id).cloned().unwrap_or_else(|| format!("nobody with {id}"));
    tree.into_iter()
        .map(|(path, node)| {
            let node = if node.kind == 'h' { files[node.target.trim_start_matches("./")].clone() } else { node };
            let owner = (name(&users, node.owner.0), name(&groups, node.owner.1));
            (path, Named { node, owner })
        })
        .collect()
}

/// Lines of accounts, sorted, without their own number and with the name of their group.
fn accounts(bytes: &[u8], group: Option<usize>, own: Option<usize>, groups: &BTreeMap<u64, String>) -> Vec<u8> {
    let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| {
            let mut fields: Vec<&str> = line.split(':').collect();
            own.into_iter().for_each(|at| fields[at] = "");
            if let Some(at) = group {
                fields[at] = &groups[&fields[at].parse::<u64>().expect("a number")];
            }
            fields.join(":")
        })
        .collect();
    lines.sort();
    lines.join("\n").into_bytes()
}

fn differences(path: &str, ours: Option<&Named>, theirs: Option<&Named>) -> Vec<(How, String)> {
    let (ours, theirs) = match (ours, theirs) {
        (Some(ours), Some(theirs)) => (ours, theirs),
        (Some(_), None) => return vec![(How::Ours, String::new())],
        _ => return vec![(How::Theirs, String::new())],
    };
    assert_eq!(ours.node.kind, theirs.node.kind, "{path}");
    assert_eq!(ours.node.target, theirs.node.target, "{path}");
    assert_eq!(ours.node.xattrs, theirs.node.xattrs, "{path}");
    let mut found = Vec::new();
    let access = |named: &Named| format!("{:04o} {}:{}", named.node.mode & 0o7777, named.owner.0, named.owner.1);
    if access(ours) != access(theirs) {
        found.push((How::Mode, format!("{} against {}", access(ours), access(theirs))));
    }
    let (ours, theirs) = (&ours.node.bytes, &theirs.node.bytes);
    if ours != theirs {
        let sorted = |bytes: &[u8]| {
            let mut lines: Vec<Vec<u8>> = bytes.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
            lines.sort();
            lines
        };
        let how = if sorted(ours) == sorted(theirs) { How::Order } else { How::Bytes };
        found.push((how, format!("{} against {} bytes", ours.len(), theirs.len())));
    }
    found
}

/// Whether `path` is like `like`.
fn matches(like: &str, path: &str) -> bool {
    match like.split_once('*') {
        None => like == path,
        Some((start, rest)) => path.strip_prefix(start).is_some_and(|path| {
            let (rest, anything) = rest.strip_prefix('*').map_or((rest, false), |rest| (rest, true));
            let end = if anything { path.len() } else { path.find('/').unwrap_or(path.len()) };
            (0..=end).filter(|&at| path.is_char_boundary(at)).any(|at| matches(rest, &path[at..]))
        }),
    }
}

#[test]
fn a_pattern_says_what_it_says() {
    assert!(matches("dev/**", "dev/pts/1") && matches("var/**/lock", "var/lib/apt/lists/lock"));
    assert!(!matches("etc/*-", "etc/ssh/key-") && matches("etc/*-", "etc/passwd-"));
    assert!(!matches("etc/fstab", "etc/fstab.d"));
}
