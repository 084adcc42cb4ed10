//! Packages that would break out of the root file system, or fill the disk: refused, with package and member.
//!
//! All of them come from an archive whose signature is good: whoever signs may be careless, or robbed.

use std::fs;

use crate::harness::archive::greetings;
use crate::harness::deb::Raw;
use crate::harness::project::files_below;
use crate::harness::{Deb, Key, Mirror, Project, Run};

/// Locks, fetches and builds an image with the package `evil`; nothing may appear outside, and nothing in `images/`.
#[track_caller]
fn build_with(evil: Deb) -> Run {
    let key = Key::good();
    let mirror = Mirror::serve(greetings(&key).package(evil).files());
    let project = Project::new().mirror(&mirror).keyring(&key);
    let project = project.recipe("hello", &crate::harness::project::recipe(&["base-files", "evil"]));
    project.run(&["lock"]).succeeds();
    project.run(&["fetch"]).succeeds();
    // At most 512 MiB a file, whatever a package claims: the test machine's disk is not the victim. (Blocks of 512 B.)
    let run = project.run_through("ulimit -f 1048576; exec \"$@\"", &["build", "--offline", "--jobs", "1"]);
    assert!(!project.has("images/hello/oci"), "an image came of it\n{run}");
    for path in files_below(&project.path("")) {
        assert!(!path.ends_with("owned"), "{} was written", path.display());
    }
    for path in ["/owned", "/etc/owned", "/tmp/owned", "/var/tmp/owned"] {
        assert!(fs::symlink_metadata(path).is_err(), "{path} was written on this machine");
    }
    run
}

fn evil() -> Deb {
    Deb::new("evil", "6.6")
}

/// Refused with the package's name and version, and these words (the member).
#[track_caller]
fn refused(deb: Deb, words: &[&str]) {
    build_with(deb).fails_with(&["evil", "6.6"]).fails_with(words);
}

#[test]
fn a_path_that_climbs_out_of_the_root_is_refused() {
    refused(evil().raw("./../../../../tmp/owned", Raw::File(0o644, b"x")), &["../../../../tmp/owned"]);
}

#[test]
fn a_path_that_climbs_in_the_middle_is_refused() {
    refused(evil().raw("./usr/../../tmp/owned", Raw::File(0o644, b"x")), &["usr/../../tmp/owned"]);
}

#[test]
fn an_absolute_path_is_refused() {
    refused(evil().raw("/tmp/owned", Raw::File(0o644, b"x")), &["/tmp/owned"]);
}

/// No honest package does it: whoever follows such a link outside of the root has left it.
#[test]
fn a_path_through_an_absolute_symbolic_link_of_the_same_package_is_refused() {
    let deb = evil().raw("./usr/share/way", Raw::Symlink("/tmp")).raw("./usr/share/way/owned", Raw::File(0o644, b"x"));
    refused(deb, &["usr/share/way/owned"]);
}

#[test]
fn a_path_through_a_symbolic_link_that_climbs_is_refused() {
    let deb = evil()
        .raw("./usr/share/way", Raw::Symlink("../../../../../../tmp"))
        .raw("./usr/share/way/owned", Raw::File(0o644, b"x"));
    refused(deb, &["usr/share/way/owned"]);
}

#[test]
fn a_hard_link_to_a_file_outside_is_refused() {
    for target in ["../../../../etc/hostname", "/etc/hostname"] {
        refused(evil().raw("./usr/share/name", Raw::Hardlink(target)), &[target]);
    }
}

/// The builder itself writes into the tree: dpkg's database, and what keeps services from starting. A package that has
/// put a link there first must not lead it away, least of all if root builds.
#[test]
fn a_link_where_the_builder_writes_does_not_lead_it_out() {
    for place in ["var/lib/dpkg", "var/lib/dpkg/info", "var/lib/dpkg/triggers", "var/lib"] {
        let outside = tempfile::tempdir().expect("a temporary directory");
        let target = outside.path().display().to_string();
        build_with(evil().raw(&format!("./{place}"), Raw::Symlink(&target)));
        let led: Vec<_> =
            fs::read_dir(outside.path()).expect("it is there").flatten().map(|entry| entry.file_name()).collect();
        assert!(led.is_empty(), "{place}: {led:?} was written outside of the tree");
    }
    for place in ["var/lib/dpkg/status", "var/lib/dpkg/info/format", "usr/sbin/policy-rc.d", "etc/passwd"] {
        let outside = tempfile::tempdir().expect("a temporary directory");
        let witness = outside.path().join("witness");
        fs::write(&witness, "untouched").expect("a file");
        let target = witness.display().to_string();
        build_with(evil().raw(&format!("./{place}"), Raw::Symlink(&target)));
        assert_eq!(fs::read_to_string(&witness).ok().as_deref(), Some("untouched"), "{place}");
    }
}

#[test]
fn a_control_member_with_a_path_is_refused() {
    refused(evil().script("../../../../../tmp/owned", "#!/bin/sh\n"), &["../../../../../tmp/owned"]);
}

#[test]
fn a_hard_link_to_a_file_that_is_not_there_is_refused() {
    refused(evil().raw("./usr/share/link", Raw::Hardlink("./usr/share/nothing")), &["usr/share/link"]);
}

#[test]
fn a_device_node_is_refused() {
    refused(evil().raw("./usr/share/null", Raw::Character), &["usr/share/null", "device"]);
    refused(evil().raw("./usr/share/disk", Raw::Block), &["usr/share/disk", "device"]);
}

#[test]
fn a_file_that_takes_the_place_of_a_directory_is_refused() {
    refused(evil().raw("./etc", Raw::File(0o644, b"x")), &["etc"]);
}

#[test]
fn a_path_that_stands_twice_in_one_package_is_refused() {
    let deb = evil().file("usr/share/twice", 0o644, b"1").raw("./usr/share/twice", Raw::File(0o644, b"2"));
    refused(deb, &["usr/share/twice"]);
}

#[test]
fn a_file_that_two_packages_bring_is_refused_unless_one_replaces_the_other() {
    let key = Key::good();
    let second = evil().file("usr/bin/hello", 0o755, b"mine");
    let mirror = Mirror::serve(greetings(&key).package(second).files());
    let project = Project::new().mirror(&mirror).keyring(&key);
    let project = project.recipe("hello", &crate::harness::project::recipe(&["hello", "evil"]));
    project.run(&["lock"]).succeeds();
    project.run(&["build"]).fails_with(&["usr/bin/hello", "hello", "evil"]);
}

#[test]
fn a_package_that_grows_beyond_all_measure_is_stopped() {
    // 8 GiB of zeros in half a megabyte.
    refused(evil().bomb(8192), &["bomb"]);
}

/// What a package says of its own size is no measure: whoever makes a bomb writes that too.
#[test]
fn a_package_that_says_itself_how_far_it_grows_is_stopped_too() {
    for size in ["8388608", "18446744073709551615", "0"] {
        refused(evil().field("Installed-Size", size).bomb(8192), &["bomb"]);
    }
}

#[test]
fn a_package_that_ends_in_the_middle_is_refused() {
    refused(evil().truncated(), &["data.tar"]);
}

#[test]
fn a_package_without_files_or_with_two_sets_of_them_is_refused() {
    refused(evil().without_data(), &["data.tar"]);
    refused(evil().data_twice(), &["data.tar"]);
}

#[test]
fn a_package_whose_data_is_not_xz_is_refused() {
    refused(evil().not_xz(), &["data.tar"]);
}

/// The archive's index says one name and version, the package itself another.
#[test]
fn a_package_that_is_another_than_the_archive_says_is_refused() {
    let other = Deb::new("other", "1.0").listed_as("evil", "6.6");
    refused(other, &["other"]);
    let newer = Deb::new("evil", "7.0").listed_as("evil", "6.6");
    refused(newer, &["evil 7.0"]);
}
