//! What Goldsmith made can be removed by Goldsmith, and nothing else is.
//!
//! A tree has files of users that are not this one, and in folders that this one may not enter: `rm -r` would fail.

use std::fs;

use crate::harness::archive::greetings;
use crate::harness::deb::Raw;
use crate::harness::{Deb, Key, Mirror, Project};

/// A project whose build failed in the middle, and whose tree was kept: it holds a folder of user 33 that is closed to others.
fn with_a_kept_tree() -> (Project, Mirror) {
    let key = Key::good();
    let closed = Deb::new("closed", "1.0").directory("var/lib/closed").owned_by(33, 0o700);
    let closed = closed.raw("./var/lib/closed/file", Raw::File(0o600, b"x")).owned_by(33, 0o600);
    let mirror = Mirror::serve(greetings(&key).package(closed).files());
    let project = Project::new().mirror(&mirror).keyring(&key);
    let project = project.recipe("hello", &crate::harness::project::recipe(&["base-files", "closed"]));
    project.run(&["lock"]).succeeds();
    // There is no dpkg in this archive that could configure anything.
    project.run(&["build", "--keep"]).fails_with(&["the tree is kept in", "[tmp]/cache/kept/0/root"]);
    (project, mirror)
}

#[test]
fn with_the_store_everything_goes_even_files_of_other_users() {
    let (project, _mirror) = with_a_kept_tree();
    assert!(project.cache().join("kept/0/root/var/lib/closed").symlink_metadata().is_ok(), "the tree is not kept");
    project.run(&["clean", "--store"]).succeeds().says("removed [tmp]/cache, ");
    assert!(!project.cache().exists());
    assert!(project.has("images/hello.lock"), "the lock went too");
    project.run(&["clean", "--store"]).succeeds();
    assert!(!project.cache().exists(), "a store was made to be removed");
}

#[test]
fn without_it_the_store_stays() {
    let (project, _mirror) = with_a_kept_tree();
    project.run(&["clean"]).succeeds();
    project.assert_store_is_sound();
    assert!(project.cache().join("kept/0").exists());
}

#[test]
fn a_directory_that_is_no_store_is_left_alone() {
    let project = Project::new().recipe("hello", &crate::harness::project::recipe(&["hello"]));
    fs::write(project.cache().join("CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55\n").expect("a file");
    project.run(&["clean", "--store"]).fails_with(&["is not a store of Goldsmith's"]);
    assert!(project.cache().join("CACHEDIR.TAG").exists());
}

/// A build that was killed leaves its tree in `scratch/`: nobody but the next build can remove it.
#[test]
fn what_a_killed_build_left_is_gone_after_the_next_one() {
    let (project, _mirror) = with_a_kept_tree();
    fs::rename(project.cache().join("kept/0"), project.cache().join("scratch/5")).expect("moving the tree");
    project.run(&["build"]).code(1);
    let left: Vec<_> = fs::read_dir(project.cache().join("scratch")).expect("the store").flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}
