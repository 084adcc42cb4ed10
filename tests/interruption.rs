//! Killed, interrupted, out of space: nothing half-written, nothing lost, and the next run succeeds.

use std::process::Command;
use std::time::Duration;

use crate::fetch::locked;
use crate::harness::{Fault, Key, Mirror, Project};

const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;

/// Sends a signal to one process.
fn signal(process: u32, signal: i32) {
    let status = Command::new("kill").args([format!("-{signal}"), process.to_string()]).status();
    assert!(status.expect("running kill").success());
}

/// Starts `fetch`, sends it a signal in the middle of a download, and fetches again.
fn interrupted_fetch(with: i32) {
    let (project, mirror) = locked();
    let large = "pool/main/l/large/large_1.0_amd64.deb";
    // Half of it comes, and then nothing for as long as anybody is patient.
    mirror.fault(large, Fault::StallAfter(100_000), 1);
    let child = project.start(&["fetch"]);
    mirror.wait_for(large);
    std::thread::sleep(Duration::from_millis(300));
    signal(child.id(), with);
    let run = project.finish(child);
    assert!(run.code != Some(0), "it ended before it could be interrupted\n{run}");
    project.assert_store_is_sound();
    project.run(&["fetch"]).succeeds();
    project.assert_store_is_sound();
}

#[test]
fn a_fetch_that_is_killed_leaves_a_sound_store_and_the_next_one_succeeds() {
    interrupted_fetch(SIGKILL);
}

#[test]
fn a_fetch_that_is_interrupted_leaves_a_sound_store_and_the_next_one_succeeds() {
    interrupted_fetch(SIGINT);
}

#[test]
fn a_lock_that_is_killed_leaves_no_lock_or_the_old_one() {
    let key = Key::good();
    let archive = crate::harness::archive::greetings(&key);
    let mirror = Mirror::serve(archive.files());
    let project = Project::hello(&mirror, &key);
    for (path, _) in archive.files().iter().filter(|(path, _)| path.contains("Packages.xz") || path.contains("by-hash"))
    {
        mirror.fault(path, Fault::StallAfter(100), 1);
    }
    let child = project.start(&["lock"]);
    mirror.wait_for("InRelease");
    std::thread::sleep(Duration::from_millis(300));
    signal(child.id(), SIGKILL);
    project.finish(child);
    assert!(!project.has("images/hello.lock"));
    // Nothing else may lie in `images/` either, neither visible nor hidden.
    let left: Vec<_> = std::fs::read_dir(project.path("images")).into_iter().flatten().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    mirror.replace(archive.files());
    project.run(&["lock"]).succeeds();
}

/// The store lies on a file system of 64 KiB, in a mount namespace of its own.
#[test]
fn a_full_disk_is_a_sentence_and_not_a_wrong_store() {
    let (project, _mirror) = locked();
    let namespaces = "unshare --user --map-root-user --mount";
    let probe = Command::new("sh").args(["-c", &format!("{namespaces} mount -t tmpfs none /mnt")]).output();
    assert!(
        probe.is_ok_and(|probe| probe.status.success()),
        "this kernel refuses user namespaces, which building needs as well (see «Requirements» in the README)"
    );
    let cache = project.cache();
    let line = format!(
        "exec {namespaces} sh -c 'mount -t tmpfs -o size=64k none {} && exec \"$0\" \"$@\"' \"$@\"",
        cache.display()
    );
    project.run_through(&line, &["fetch"]).fails_with(&["the disk is full", "[tmp]/cache", "GOLDSMITH_CACHE"]);
    project.run(&["fetch"]).succeeds();
    project.assert_store_is_sound();
}

#[test]
fn a_store_that_cannot_be_written_is_named_in_the_message() {
    let (project, _mirror) = locked();
    let project = project.environment("GOLDSMITH_CACHE", "/proc/store");
    project.run(&["fetch"]).fails_with(&["/proc/store"]);
}
