//! Tools that nobody here wrote accept the images, and see in them what we see. They come out of the locked toolbox, so
//! that this machine needs none of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Instant;

use crate::harness::project::GOLDSMITH;
use crate::harness::sha256;

use super::{IMAGES, Layout, Node, images, read_tar, repository};

/// Runs a tool of the locked toolbox in the sandbox, with these directories of this machine lent to it under those paths,
/// and gives what it printed.
#[track_caller]
pub fn toolbox(arguments: &[&str], binds: &[(&Path, &str)]) -> String {
    static FETCHED: OnceLock<()> = OnceLock::new();
    FETCHED.get_or_init(|| {
        let fetch = Command::new(GOLDSMITH).args(["fetch", "toolbox"]).current_dir(repository()).output();
        let fetch = fetch.expect("starting goldsmith");
        assert!(fetch.status.success(), "{}", String::from_utf8_lossy(&fetch.stderr));
    });
    let binds = binds.iter().map(|(from, to)| format!("--bind={}:{to}", from.display())).collect::<Vec<_>>();
    let binds: Vec<&str> = binds.iter().map(String::as_str).collect();
    let (code, said) = shell("toolbox", &binds, arguments);
    assert_eq!(code, Some(0), "{arguments:?}");
    said
}

/// Runs a command in a throw-away copy of an image: its exit code, and what it printed. What it complained of is printed.
pub fn shell(image: &str, options: &[&str], command: &[&str]) -> (Option<i32>, String) {
    let mut shell = Command::new(GOLDSMITH);
    shell.args(["--quiet", "shell", image]).args(options).arg("--").args(command).current_dir(repository());
    let output = shell.output().expect("starting goldsmith");
    print!("{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The images once more, with layers in gzip: umoci before 0.5 reads no other.
fn gzipped() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        images();
        let start = Instant::now();
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("images-gzip");
        let mut command = Command::new(GOLDSMITH);
        command.args(["build", "--locked", "--compression", "gzip", "--output"]).arg(&directory).args(IMAGES);
        let output = command.current_dir(repository()).output().expect("starting goldsmith");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        println!("the images in gzip: {:.1} s", start.elapsed().as_secs_f64());
        directory
    })
}

/// The listing that stands beside an image, line by line.
fn listing(image: &str) -> Vec<String> {
    let text = fs::read_to_string(images().join(image).join("rootfs.list")).expect("rootfs.list");
    text.lines().map(str::to_owned).collect()
}

/// A tree as the lines of a listing, by code of its own: type, mode, owner, time, size and digest, path, target, attributes.
fn lines(tree: &BTreeMap<String, Node>) -> Vec<String> {
    // Which of the names of a file is the first is a matter of taste: a tar's first is the first that was found.
    let first_found = |path: &str| {
        let node = &tree[path];
        if node.kind == 'h' { node.target.trim_start_matches("./").to_owned() } else { path.to_owned() }
    };
    let mut firsts: BTreeMap<String, &str> = BTreeMap::new();
    for path in tree.keys() {
        firsts.entry(first_found(path)).or_insert(path);
    }
    tree.iter()
        .map(|(path, named)| {
            let found = first_found(path);
            let (first, node) = (firsts[&found], &tree[&found]);
            let (uid, gid) = node.owner;
            let word = match named.kind {
                'd' => "dir",
                'l' => "symlink",
                'p' => "fifo",
                _ if first == path => "file",
                _ => "hardlink",
            };
            let mode = if word == "symlink" { 0o777 } else { node.mode & 0o7777 };
            let mut line = format!("{word} {mode:04o} {uid}:{gid} {} ", node.mtime);
            if word == "file" {
                line.push_str(&format!("{} sha256:{} ", node.bytes.len(), sha256(&node.bytes)));
            }
            line.push_str(&if path.is_empty() { ".".to_owned() } else { escaped(path) });
            match word {
                "symlink" => line.push_str(&format!(" -> {}", escaped(&named.target))),
                "hardlink" => line.push_str(&format!(" -> {}", escaped(first))),
                _ => {}
            }
            for (name, value) in &node.xattrs {
                let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
                line.push_str(&format!(" {name}={hex}"));
            }
            line
        })
        .collect()
}

fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'\\' | ..=b' ' | 0x7f.. => format!("\\{byte:03o}"),
        _ => char::from(byte).to_string(),
    };
    text.bytes().map(byte).collect()
}

/// Fails with the first lines that only one side has.
#[track_caller]
fn assert_same(image: &str, found: &[String], expected: &[String]) {
    let only = |these: &[String], those: &[String]| {
        let those: std::collections::BTreeSet<_> = those.iter().collect();
        let only = these.iter().filter(|line| !those.contains(line)).take(20).map(|line| format!("    {line}\n"));
        only.collect::<String>()
    };
    let (missing, more) = (only(expected, found), only(found, expected));
    assert!(missing.is_empty() && more.is_empty(), "{image}: missing:\n{missing}not expected:\n{more}");
}

#[test]
fn skopeo_reads_the_layout_and_the_archive_and_finds_the_same_image() {
    for image in IMAGES {
        let directory = images().join(image);
        let binds = [(directory.as_path(), "/image")];
        let layout = toolbox(&["skopeo", "inspect", "oci:/image/oci"], &binds);
        let archive = toolbox(&["skopeo", "inspect", &format!("oci-archive:/image/{image}.oci.tar")], &binds);
        let (layout, archive): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(&layout).expect("JSON"), serde_json::from_str(&archive).expect("JSON"));
        assert_eq!(layout["Digest"], Layout::of(images(), image).digest);
        assert_eq!(layout["Digest"], archive["Digest"]);
        assert_eq!(layout["Layers"], archive["Layers"]);
    }
}

#[test]
fn skopeo_copies_the_image_without_changing_a_byte() {
    for image in IMAGES {
        let directory = images().join(image);
        let copy = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(copy.path().join(image)).expect("a directory");
        let binds = [(directory.as_path(), "/image"), (copy.path(), "/copy")];
        toolbox(&["skopeo", "copy", "--preserve-digests", "oci:/image/oci", &format!("oci:/copy/{image}/oci")], &binds);
        assert_eq!(Layout::of(copy.path(), image).digest, Layout::of(images(), image).digest);
    }
}

/// Every path with its type, mode, owner, time, size, digest, target, hard links and attributes; as root of the toolbox.
#[test]
fn umoci_unpacks_the_tree_that_the_listing_says() {
    const UNPACK: &str = "umoci unpack --image /image/oci:latest /unpacked/bundle >&2 && \
         tar --create --xattrs --xattrs-include='*' --numeric-owner --file /unpacked/tree.tar --directory /unpacked/bundle/rootfs . && \
         rm -r /unpacked/bundle";
    for image in IMAGES {
        let directory = gzipped().join(image);
        let start = Instant::now();
        let unpacked = tempfile::tempdir().expect("a temporary directory");
        let binds = [(directory.as_path(), "/image"), (unpacked.path(), "/unpacked")];
        toolbox(&["sh", "-c", UNPACK], &binds);
        let tar = fs::File::open(unpacked.path().join("tree.tar")).expect("the tree");
        let found = read_tar(std::io::BufReader::new(tar), "-dlhp");
        assert_same(image, &lines(&found), &listing(image));
        println!("umoci, {image}: {} paths, {:.1} s", found.len(), start.elapsed().as_secs_f64());
    }
}

#[test]
fn the_layers_hold_what_the_listing_says_whatever_compresses_them() {
    for image in IMAGES {
        let expected = listing(image);
        let mut digests = Vec::new();
        for directory in [images(), gzipped()] {
            let layout = Layout::of(directory, image);
            assert_same(image, &lines(&layout.tree()), &expected);
            digests.push(layout.config["rootfs"]["diff_ids"].clone());
        }
        assert_eq!(digests[0], digests[1], "{image}: the layers differ in more than their compression");
    }
}

/// dpkg in the image itself: nothing half installed, and no file that is not as its package has it, but for the
/// conffiles that an overlay replaces.
#[test]
fn dpkg_finds_nothing_wrong_in_the_images() {
    for image in IMAGES {
        assert_eq!(shell(image, &[], &["dpkg", "--audit"]), (Some(0), String::new()), "{image}");
        let (_, verified) = shell(image, &[], &["dpkg", "--verify"]);
        let unexplained: Vec<&str> = verified.lines().filter(|line| !explained(line)).collect();
        assert!(unexplained.is_empty(), "{image}: {unexplained:#?}");
        assert!(verified.contains("??5?????? c /etc/issue.net\n"), "{image}: dpkg saw nothing:\n{verified}");
    }
}

/// Whether a line of `dpkg --verify` speaks of a file that an overlay replaces or removes, or that the recipe leaves out.
fn explained(line: &str) -> bool {
    let path = line.rsplit(' ').next().unwrap_or_default();
    let overlays = fs::read_dir(repository().join("overlays")).expect("overlays").map(|one| one.expect("one").path());
    let laid = || {
        overlays.into_iter().any(|overlay| {
            let says = fs::read_to_string(overlay.join("overlay.toml")).unwrap_or_default();
            let removed = format!("path = \"{}\"", path.trim_start_matches('/'));
            overlay.join("root").join(path.trim_start_matches('/')).symlink_metadata().is_ok()
                || says.contains(&removed)
        })
    };
    let left_out = || {
        let patterns = &super::recipe("base")["exclude"];
        let folders = patterns.as_array().expect("a list").iter().filter_map(|one| one.as_str()?.strip_suffix('*'));
        line.starts_with("missing") && folders.into_iter().any(|folder| path.starts_with(folder))
    };
    left_out() || laid()
}

#[test]
fn a_shell_is_a_throw_away_copy_of_what_the_image_ships() {
    let look = "cat /etc/issue.net; test ! -e /etc/hostname && test -e /etc/machine-id && test ! -s /etc/machine-id && \
                touch /usr/written && rm -r /etc/apt && ! ip route | grep . && exit 42";
    for _ in 0..2 {
        let (code, said) = shell("api", &[], &["sh", "-c", look]);
        assert_eq!(code, Some(42), "{said}");
        let overlay = fs::read_to_string(repository().join("overlays/base/root/etc/issue.net")).expect("an overlay");
        assert_eq!(said, overlay);
    }
    let tree = Layout::of(images(), "api").tree();
    let listed = shell("api", &[], &["sh", "-c", "cd /etc && find . -type f | sort"]).1;
    let mut expected: Vec<_> = tree
        .iter()
        .filter(|(_, node)| "-h".contains(node.kind))
        .filter_map(|(path, _)| path.strip_prefix("etc/").map(|path| format!("./{path}")))
        .collect();
    expected.sort();
    assert_eq!(listed.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_shell_sees_of_this_machine_what_it_is_shown_and_writes_only_where_it_may() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    fs::write(directory.path().join("file"), "from outside").expect("a file");
    let show = format!("--show={}:/made/on/the/way", directory.path().display());
    let bind = format!("--bind={}:/mnt", directory.path().display());
    let look = "cat /made/on/the/way/file; ! touch /made/on/the/way/x 2>/dev/null && touch /mnt/written";
    assert_eq!(shell("toolbox", &[&show, &bind], &["sh", "-c", look]), (Some(0), "from outside".to_owned()));
    assert!(directory.path().join("written").exists());
    assert!(!directory.path().join("x").exists());
}
