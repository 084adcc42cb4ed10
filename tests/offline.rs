//! `goldsmith build` and the network: it needs a lock, it cannot resolve, and with a full store it does not connect.

use crate::fetch::locked;
use crate::harness::archive::greetings;
use crate::harness::project::recipe;
use crate::harness::{Key, Mirror, Project};

#[test]
fn without_a_lock_nothing_is_built() {
    let key = Key::good();
    let mirror = Mirror::serve(greetings(&key).files());
    let project = Project::hello(&mirror, &key);
    project.run(&["build", "--locked"]).fails_with(&["images/hello.lock", "goldsmith lock"]);
    assert_eq!(mirror.connections(), 0);
    assert!(!project.has("images/hello"));
}

#[test]
fn a_lock_that_answers_another_recipe_is_refused() {
    let (project, mirror) = locked();
    let project = project.recipe("hello", &recipe(&["hello", "unneeded"]));
    let connections = mirror.connections();
    project.run(&["build", "--locked"]).fails_with(&["hello.lock", "goldsmith lock"]);
    assert_eq!(mirror.connections(), connections);
}

#[test]
fn a_lock_that_was_edited_into_nonsense_is_refused_with_its_line() {
    let (project, _mirror) = locked();
    let lock = project.read("images/hello.lock").replacen("name = ", "nmae = ", 1);
    let project = project.write("images/hello.lock", lock.as_bytes());
    project.run(&["build", "--locked"]).fails_with(&["images/hello.lock"]);
}

#[test]
fn an_offline_build_with_an_empty_store_names_what_is_missing_and_does_not_connect() {
    let (project, mirror) = locked();
    let connections = mirror.connections();
    let empty = project.path("../empty-cache");
    let project = project.environment("GOLDSMITH_CACHE", empty);
    project.run(&["build", "--offline"]).fails_with(&["hello", "goldsmith fetch"]);
    assert_eq!(mirror.connections(), connections);
}

/// The packages of the tests are no system: their build ends where dpkg would run. Until there it may not connect.
#[test]
fn an_offline_build_with_a_full_store_does_not_connect() {
    let (project, mirror) = locked();
    project.run(&["fetch"]).succeeds();
    let connections = mirror.connections();
    let run = project.run(&["build", "--offline"]);
    assert!(!run.stderr.contains("goldsmith fetch"), "something was missing in the store\n{run}");
    assert_eq!(mirror.connections(), connections);
}
