//! The same lock gives the same bytes: elsewhere, otherwise, at once, and after being killed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::Mirror;
use crate::harness::project::GOLDSMITH;

use super::{IMAGES, Layout, checkout, images, lock, pool};

/// A place in which everything is other than where the fixture was built: directory, `HOME`, an empty store, and a
/// mirror on loopback that serves what the first build fetched.
pub(super) struct Elsewhere {
    checkout: tempfile::TempDir,
    home: tempfile::TempDir,
    _pool: tempfile::TempDir,
    mirror: Mirror,
}

impl Elsewhere {
    pub(super) fn new() -> Self {
        images();
        let locks = fs::read_dir(super::repository().join("images")).expect("images").flatten();
        let locks = locks.filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".lock").map(lock));
        let pool = pool(&locks.collect::<Vec<_>>());
        let mirror = Mirror::serve_directory(pool.path());
        Self { checkout: checkout(), home: tempfile::tempdir().expect("a temporary directory"), _pool: pool, mirror }
    }

    pub(super) fn store(&self) -> PathBuf {
        self.home.path().join("store")
    }

    pub(super) fn build(&self, store: &Path, output: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "umask 077; exec \"$@\"", "sh", GOLDSMITH, "build", "--locked", "--output"]);
        command.arg(output).args(arguments);
        command.current_dir(self.checkout.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.home.path()).env("GOLDSMITH_CACHE", store);
        command.env("GOLDSMITH_MIRROR", self.mirror.url());
        command.env("TZ", "Pacific/Kiritimati").env("LANG", "tr_TR.UTF-8").env("LC_ALL", "tr_TR.UTF-8");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

#[track_caller]
fn succeeds(child: Child) {
    let output = child.wait_with_output().expect("waiting for goldsmith");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Another directory (with a blank and a comma), home, store, mirror, umask, time zone, locale and number of jobs.
#[test]
fn a_build_under_other_circumstances_gives_the_same_bytes() {
    let elsewhere = Elsewhere::new();
    let output = elsewhere.home.path().join("out");
    succeeds(elsewhere.build(&elsewhere.store(), &output, &["--jobs", "1"]).spawn().expect("starting goldsmith"));
    for image in IMAGES {
        assert_eq!(Layout::of(&output, image).digest, Layout::of(images(), image).digest, "{image}");
        let archive =
            |directory: &Path| fs::read(directory.join(image).join(format!("{image}.oci.tar"))).expect("the archive");
        assert!(archive(&output) == archive(images()), "{image}.oci.tar differs although the manifest does not");
    }
}

#[test]
fn two_builds_at_once_in_one_store_both_give_the_same_bytes() {
    let elsewhere = Elsewhere::new();
    let outputs = ["first", "second"].map(|name| elsewhere.home.path().join(name));
    let children = outputs
        .each_ref()
        .map(|output| elsewhere.build(&elsewhere.store(), output, &["db"]).spawn().expect("starting goldsmith"));
    children.into_iter().for_each(succeeds);
    for output in &outputs {
        assert_eq!(Layout::of(output, "db").digest, Layout::of(images(), "db").digest);
    }
}

/// The phases of a build, as it names them itself, and how long it is let work on each before it is killed, in milliseconds.
const KILLED_IN: [(&str, u64); 8] = [
    ("fetch", 200),
    ("unpack", 1000),
    ("configure", 300),
    ("configure", 6000),
    ("prove", 500),
    ("image", 700),
    ("disk", 1000),
    ("disk.qcow2", 4000),
];

/// Killed in each phase, by a signal that can be caught and by one that cannot; what is started next, in the store and beside the
/// output that this left, comes as far as the next phase at least, and the last one to its end, with the same bytes.
#[test]
fn a_build_that_is_killed_in_any_phase_is_followed_by_one_that_succeeds() {
    let elsewhere = Elsewhere::new();
    let (store, output) = (elsewhere.store(), elsewhere.home.path().join("out"));
    let build = || elsewhere.build(&store, &output, &["db", "-v"]).spawn().expect("starting goldsmith");
    for (phase, after) in KILLED_IN {
        for signal in ["-KILL", "-INT"] {
            let mut child = build();
            let mut said = BufReader::new(child.stderr.take().expect("a pipe"));
            let begins = format!("{phase} …\n");
            let mut heard = String::new();
            while !heard.ends_with(&begins) {
                assert_ne!(said.read_line(&mut heard).expect("UTF-8"), 0, "it never came to {begins}{heard}");
            }
            std::thread::sleep(Duration::from_millis(after));
            let killed = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("running kill");
            assert!(killed.success(), "it had ended before it was killed in {phase}");
            assert!(
                !child.wait().expect("waiting for goldsmith").success(),
                "it was done in spite of {signal} in {phase}"
            );
        }
    }
    succeeds(build());
    assert_eq!(Layout::of(&output, "db").digest, Layout::of(images(), "db").digest);
    let left: Vec<_> = fs::read_dir(&output).expect("the output").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["db"], "something was left beside the image");
}

#[test]
fn a_second_build_with_nothing_changed_takes_no_time_and_no_network() {
    images();
    let start = Instant::now();
    let mut command = Command::new(GOLDSMITH);
    command.args(["build", "--locked", "--offline", "--output"]).arg(images()).args(IMAGES);
    let output = command.current_dir(super::repository()).output().expect("starting goldsmith");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // 0.2 s is the aim; a machine that runs other tests beside this one gets ten times as much.
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn a_build_that_gives_other_bytes_than_the_lock_says_fails() {
    let elsewhere = Elsewhere::new();
    let path = elsewhere.checkout.path().join("images/db.lock");
    let digest = Layout::of(images(), "db").digest;
    let other = format!("sha256:{}", "0".repeat(64));
    fs::write(&path, fs::read_to_string(&path).expect("the lock").replace(&digest, &other)).expect("writing the lock");
    let child = elsewhere.build(&super::store(), &elsewhere.home.path().join("out"), &["db"]).spawn();
    let output = child.and_then(Child::wait_with_output).expect("starting goldsmith");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains(&digest[..19]) && message.contains(&other[..19]), "{message}");
}

/// A package that the mirror has lost in the meantime does no harm to who has it in the store.
#[test]
fn a_build_from_the_store_does_not_ask_the_mirror() {
    let elsewhere = Elsewhere::new();
    let output = elsewhere.home.path().join("out");
    succeeds(elsewhere.build(&super::store(), &output, &["db"]).spawn().expect("starting goldsmith"));
    assert_eq!(elsewhere.mirror.connections(), 0);
}

/// An overlay is laid over a configured tree, so another overlay means another image, and no package is touched.
#[test]
fn a_change_of_an_overlay_alone_neither_unpacks_nor_configures() {
    let elsewhere = Elsewhere::new();
    let motd = elsewhere.checkout.path().join("overlays/base/root/etc/issue.net");
    fs::write(&motd, "Another sentence.\n").expect("changing an overlay");
    let output = elsewhere.home.path().join("out");
    let mut command = Command::new(GOLDSMITH);
    command.args(["-v", "build", "db", "--offline", "--output"]).arg(&output).current_dir(elsewhere.checkout.path());
    let start = Instant::now();
    let run = command.output().expect("starting goldsmith");
    let said = String::from_utf8_lossy(&run.stderr);
    println!("an overlay changed: {:.1} s", start.elapsed().as_secs_f64());
    assert!(run.status.success(), "{said}");
    assert!(said.contains("seal") && said.contains("is in the store"), "{said}");
    assert!(!said.contains("unpack") && !said.contains("configure"), "{said}");
    let tree = Layout::of(&output, "db").tree();
    assert_eq!(tree["etc/issue.net"].bytes, b"Another sentence.\n");
}

/// An ordinary user with subordinate ids, who is made up for this build only: the files that say who exists are covered in a
/// mount namespace of its own, and nothing of this machine changes.
#[test]
fn a_build_by_another_user_gives_the_same_bytes() {
    const AS_USER: &str = "set -e
        for file in passwd group subuid subgid; do mount --bind \"$1/$file\" /etc/$file; done
        shift
        exec setpriv --reuid 54321 --regid 54321 --clear-groups \"$@\"";
    let there = |program: &str| Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    let tools = ["newuidmap", "newgidmap", "setpriv", "unshare"];
    let absent = tools.iter().find(|tool| !there(tool).is_ok_and(|found| found.status.success()));
    if !rustix::process::geteuid().is_root() || absent.is_some() {
        println!("skipped: only root can become another user, and needs {tools:?} for it (absent: {absent:?})");
        return;
    }
    let elsewhere = Elsewhere::new();
    let home = elsewhere.home.path();
    let etc = tempfile::tempdir().expect("a temporary directory");
    let append = |file: &str, line: &str| {
        let text = fs::read_to_string(Path::new("/etc").join(file)).unwrap_or_default();
        fs::write(etc.path().join(file), format!("{text}{line}\n")).expect("a file");
    };
    append("passwd", "goldsmith-test:x:54321:54321::/nonexistent:/bin/sh");
    append("group", "goldsmith-test:x:54321:");
    append("subuid", "goldsmith-test:600000:65536");
    append("subgid", "goldsmith-test:600000:65536");
    let binary = home.join("goldsmith");
    fs::copy(GOLDSMITH, &binary).expect("copying the binary");
    for directory in [home, elsewhere.checkout.path()] {
        let given = Command::new("chown").args(["-R", "54321:54321"]).arg(directory).status();
        assert!(given.expect("running chown").success());
    }
    let output = home.join("out");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", AS_USER, "sh"]).arg(etc.path()).arg(&binary);
    command.args(["build", "--locked", "--output"]).arg(&output).arg("db");
    command
        .current_dir(elsewhere.checkout.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", home).env("GOLDSMITH_MIRROR", elsewhere.mirror.url());
    let start = Instant::now();
    succeeds(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("unshare"));
    println!("db by another user: {:.1} s", start.elapsed().as_secs_f64());
    assert_eq!(Layout::of(&output, "db").digest, Layout::of(images(), "db").digest);
    // What belongs to subordinate ids, this test's own root can remove.
}
