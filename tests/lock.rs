//! `goldsmith lock`: from a recipe and a verified archive to `images/NAME.lock`.

use crate::harness::archive::greetings;
use crate::harness::project::recipe;
use crate::harness::{Deb, Key, Mirror, Project, golden};

/// The archive of the tests, served; and a project whose recipe asks for `packages`.
fn project(packages: &[&str]) -> (Project, Mirror) {
    let key = Key::good();
    let mirror = Mirror::serve(greetings(&key).files());
    let project = Project::new().mirror(&mirror).keyring(&key).recipe("hello", &recipe(packages));
    (project, mirror)
}

#[test]
fn a_lock_names_every_package_with_its_hash_and_who_asked_for_it() {
    let key = Key::good();
    let files = greetings(&key).files();
    let inrelease = crate::harness::sha256(&files["dists/trixie/InRelease"]);
    let mirror = Mirror::serve(files);
    let project = Project::hello(&mirror, &key);
    project.run(&["lock"]).succeeds();
    // The key is made for each run, and with it every byte that it signs.
    let lock =
        project.read("images/hello.lock").replace(&key.fingerprint(), "[key]").replace(&inrelease, "[inrelease]");
    golden::compare("lock/hello.lock", &lock);
}

#[test]
fn locking_again_changes_no_byte() {
    let (project, _mirror) = project(&["hello"]);
    project.run(&["lock"]).succeeds();
    let first = project.read("images/hello.lock");
    project.run(&["lock"]).succeeds();
    assert_eq!(project.read("images/hello.lock"), first);
}

#[test]
fn only_the_images_that_are_named_are_locked() {
    let (project, _mirror) = project(&["hello"]);
    let project = project.recipe("other", &recipe(&["unneeded"]));
    project.run(&["lock", "other"]).succeeds();
    assert!(project.has("images/other.lock") && !project.has("images/hello.lock"));
}

/// A lock is an answer that people rely on: a newer version in the archive is no reason to give another.
#[test]
fn what_is_locked_and_still_satisfies_is_kept_although_the_archive_has_a_newer_version() {
    let key = Key::good();
    let old = Deb::new("hello", "1.0");
    let mirror = Mirror::serve(greetings(&key).package(old.clone()).files());
    let project = Project::new().mirror(&mirror).keyring(&key).recipe("hello", &recipe(&["hello (<< 2)"]));
    project.run(&["lock"]).succeeds();
    assert!(project.read("images/hello.lock").contains("version = \"1.0\""));
    let newer = greetings(&key).package(old).package(Deb::new("hello", "1.5")).date("Fri, 02 Jan 2026 00:00:00 UTC");
    mirror.replace(newer.files());
    project.run(&["lock"]).succeeds();
    let lock = project.read("images/hello.lock");
    assert!(lock.contains("version = \"1.0\"") && !lock.contains("version = \"1.5\""), "{lock}");
}

/// The one way forward: nothing of the old lock counts.
#[test]
fn an_update_takes_what_the_archive_has_now() {
    let key = Key::good();
    let old = Deb::new("hello", "1.0");
    let mirror = Mirror::serve(greetings(&key).package(old.clone()).files());
    let project = Project::new().mirror(&mirror).keyring(&key).recipe("hello", &recipe(&["hello (<< 2)"]));
    project.run(&["lock"]).succeeds();
    let newer = greetings(&key).package(old).package(Deb::new("hello", "1.5")).date("Fri, 02 Jan 2026 00:00:00 UTC");
    mirror.replace(newer.files());
    project.run(&["lock", "--update", "hello"]).succeeds();
    let lock = project.read("images/hello.lock");
    assert!(lock.contains("version = \"1.5\"") && !lock.contains("version = \"1.0\""), "{lock}");
    // Nothing newer: then not a byte changes, and what the lock is known to give still holds.
    project.run(&["lock", "--update"]).succeeds();
    assert_eq!(project.read("images/hello.lock"), lock);
}

#[test]
fn an_update_goes_no_more_back_in_time_than_a_lock_does() {
    let key = Key::good();
    let mirror = Mirror::serve(greetings(&key).date("Fri, 02 Jan 2026 00:00:00 UTC").files());
    let project = Project::hello(&mirror, &key);
    project.run(&["lock"]).succeeds();
    mirror.replace(greetings(&key).date("Thu, 01 Jan 2026 00:00:00 UTC").files());
    project.run(&["lock", "--update"]).fails_with(&["InRelease"]);
}

/// A date that nobody can read is older than nothing: the archive could be taken back in time.
#[test]
fn a_lock_whose_date_is_damaged_is_refused() {
    let (project, _mirror) = project(&["hello"]);
    project.run(&["lock"]).succeeds();
    let lock = project.read("images/hello.lock").replace("date = \"2026-", "date = \"zozb-");
    let project = project.write("images/hello.lock", lock.as_bytes());
    project.run(&["lock"]).fails_with(&["images/hello.lock", "zozb-"]);
}

/// Two recipes may ask different things of one suite: the second must not be given what the first asked.
#[test]
fn of_one_suite_each_image_is_given_the_components_that_its_recipe_names() {
    let (project, _mirror) = project(&["hello"]);
    let wider = recipe(&["hello"]).replace("[\"main\"]", "[\"main\", \"contrib\"]");
    let project = project.recipe("wider", &wider);
    project.run(&["lock"]).fails_with(&["contrib"]);
}

#[test]
fn of_two_alternatives_the_first_that_can_be_had_is_taken() {
    let (project, _mirror) = project(&["nothing-of-this-name | greeting-casual", "hello"]);
    project.run(&["lock"]).succeeds();
    let lock = project.read("images/hello.lock");
    assert!(lock.contains("name = \"greeting-casual\""), "{lock}");
}

#[test]
fn an_unknown_package_is_refused_with_its_line_in_the_recipe_and_the_nearest_name() {
    let (project, _mirror) = project(&["helo"]);
    project.run(&["lock", "--quiet"]).fails_with(&["helo", "hello"]).stderr_is("lock/unknown-package.stderr");
    assert!(!project.has("images/hello.lock"));
}

#[test]
fn packages_that_conflict_are_refused_with_a_tree_of_reasons() {
    let (project, _mirror) = project(&["hello", "rude"]);
    project.run(&["lock", "--quiet"]).fails_with(&["rude", "greeting"]).stderr_is("lock/conflict.stderr");
    assert!(!project.has("images/hello.lock"));
}

#[test]
fn a_version_that_the_archive_does_not_have_is_refused_with_the_one_that_it_has() {
    let (project, _mirror) = project(&["broken"]);
    let run = project.run(&["lock", "--quiet"]);
    run.fails_with(&["broken", "libgreet1 (>= 1:3)", "1:2.0-3"]).stderr_is("lock/version.stderr");
}

#[test]
fn a_lock_that_cannot_be_renewed_is_left_as_it_was() {
    let (project, _mirror) = project(&["hello"]);
    project.run(&["lock"]).succeeds();
    let lock = project.read("images/hello.lock");
    let project = project.recipe("hello", &recipe(&["hello", "rude"]));
    project.run(&["lock"]).fails_with(&["rude"]);
    assert_eq!(project.read("images/hello.lock"), lock);
}

#[test]
fn an_unknown_image_is_refused_and_the_nearest_recipe_is_named() {
    let (project, _mirror) = project(&["hello"]);
    project.run(&["lock", "helo"]).code(2).stderr_is("lock/unknown-image.stderr");
}

#[test]
fn a_mirror_given_as_a_flag_goes_before_the_one_in_the_environment() {
    let key = Key::good();
    let (wrong, right) = (Mirror::serve(Default::default()), Mirror::serve(greetings(&key).files()));
    let project = Project::hello(&wrong, &key);
    project.run(&["lock", "--mirror", &right.url()]).succeeds();
    assert_eq!(wrong.connections(), 0);
}

#[test]
fn what_is_no_address_of_a_mirror_is_a_wrong_use_and_not_a_failure() {
    let (project, _mirror) = project(&["hello"]);
    let run = project.run(&["lock", "--mirror", "ftp.example"]);
    run.code(2);
    assert!(run.stderr.contains("http://mirror.example/debian"), "{run}");
}

#[test]
fn a_mirror_that_nobody_answers_at_is_named_in_the_message() {
    let key = Key::good();
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port").port();
    let url = format!("http://127.0.0.1:{port}/debian");
    let project = Project::new().keyring(&key).recipe("hello", &recipe(&["hello"]));
    project.run(&["lock", "--mirror", &url]).fails_with(&[&url]);
}
