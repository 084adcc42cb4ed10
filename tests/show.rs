//! `goldsmith list` and `goldsmith show`: what there is, without building anything.

use crate::fetch::locked;
use crate::harness::Project;

#[test]
fn list_names_every_image_and_whether_it_is_locked() {
    let (project, _mirror) = locked();
    let project = project.recipe("unlocked", &crate::harness::project::recipe(&["hello"]));
    project.run(&["list"]).succeeds().says("hello").says("unlocked").stdout_is("show/list.stdout");
}

#[test]
fn list_of_an_empty_project_says_so() {
    Project::new().run(&["list"]).fails_with(&["recipes"]);
}

#[test]
fn show_tells_what_is_in_a_lock() {
    let (project, _mirror) = locked();
    project.run(&["show", "hello"]).succeeds().says("5").stdout_is("show/hello.stdout");
}

#[test]
fn show_of_an_unknown_image_names_the_nearest_one() {
    let (project, _mirror) = locked();
    let run = project.run(&["show", "helo"]);
    run.code(2);
    assert!(run.stderr.contains("did you mean `hello`?"), "{run}");
}

#[test]
fn list_and_show_speak_json_to_machines() {
    let (project, _mirror) = locked();
    for arguments in [&["list", "--json"][..], &["show", "hello", "--json"]] {
        let run = project.run(arguments);
        run.succeeds();
        let value: Result<serde_json::Value, _> = serde_json::from_str(&run.stdout);
        assert!(value.is_ok(), "{arguments:?}: {value:?}\n{run}");
    }
}
