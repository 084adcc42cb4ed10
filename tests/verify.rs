//! `goldsmith verify`, as far as it starts no machine. What it says of machines is in `real`.

use crate::fetch::locked;
use crate::harness::Project;

#[test]
fn what_has_no_disk_cannot_be_started() {
    let (project, _mirror) = locked();
    project.run(&["verify", "helo"]).code(2);
    project.run(&["verify", "hello", "--case", "tolled"]).code(2);
    let run = project.run(&["verify", "hello"]);
    assert!(run.code(2).stderr.contains("hello has no disk"), "{run}");
}

#[test]
fn the_report_has_a_schema() {
    let run = Project::new().run(&["schema", "verify"]);
    run.succeeds();
    let schema: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    jsonschema::validator_for(&schema).expect("a valid schema");
}
