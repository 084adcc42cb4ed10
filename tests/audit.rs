//! `goldsmith audit`: its table of checks, and what it says where there is nothing to look at. What it says of the images
//! themselves is in `real`; that each check sees what it is there for, in `builder/verify/tests`.

use serde_json::Value;

use crate::fetch::locked;
use crate::harness::Project;

#[test]
fn the_table_of_checks_needs_no_project_and_no_image() {
    let run = Project::new().run(&["audit", "--list"]);
    run.succeeds().says("ssh-root-login").says("firewall-exposure").says("residue-machine-id");
}

#[test]
fn an_image_that_was_never_built_cannot_be_audited_and_the_message_says_how_to_build_it() {
    let (project, _mirror) = locked();
    project.run(&["audit", "hello"]).fails_with(&["there is no image", "goldsmith build hello"]);
}

#[test]
fn what_is_asked_for_by_its_path_is_read_from_there_and_what_is_no_image_is_said_to_be_none() {
    let project = Project::new().recipe("hello", "suite = \"trixie\"\n");
    project.run(&["audit", "shipped.tar"]).fails_with(&["cannot read", "shipped.tar"]);
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(2);
    header.set_mode(0o644);
    archive.append_data(&mut header, "manifest.json", b"{}".as_slice()).expect("a member");
    let project = project.write("shipped.tar", &archive.into_inner().expect("an archive"));
    project.run(&["audit", "./shipped.tar"]).fails_with(&["no archive of an OCI image layout"]);
}

#[test]
fn an_archive_with_more_than_files_is_not_unpacked() {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    archive.append_link(&mut header, "blobs", "/etc").expect("a member");
    let bytes = archive.into_inner().expect("an archive");
    let project = Project::new().recipe("hello", "suite = \"trixie\"\n").write("shipped.tar", &bytes);
    project.run(&["audit", "shipped.tar"]).fails_with(&["the archive holds more than files"]);
}

#[test]
fn an_unknown_image_is_a_wrong_use() {
    let (project, _mirror) = locked();
    project.run(&["audit", "helo"]).code(2);
}

#[test]
fn what_audit_prints_for_machines_has_a_schema() {
    let run = Project::new().run(&["schema", "audit"]);
    run.succeeds();
    let schema: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a valid schema");
    assert!(validator.is_valid(&serde_json::json!([])));
    assert!(!validator.is_valid(&serde_json::json!([{ "image": 1 }])));
}
