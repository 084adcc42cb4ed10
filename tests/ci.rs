//! `goldsmith init --ci` and `goldsmith build --plan`: what a CI system is given is what it takes.

use serde_json::Value;

use crate::fetch::locked;
use crate::harness::Project;

/// Where each system looks, and what its file has to be: tests/golden/ci (SchemaStore's, Apache-2.0; GitLab's, MIT).
const SYSTEMS: [(&str, &str, &str); 2] = [
    ("github", ".github/workflows/images.yml", include_str!("golden/ci/github-workflow.schema.json")),
    ("gitlab", ".gitlab-ci.yml", include_str!("golden/ci/gitlab-ci.schema.json")),
];

fn written(project: &Project, system: &str, path: &str) -> Value {
    project.run(&["init", "--ci", system]).succeeds();
    serde_saphyr::from_str(&project.read(path)).expect("YAML")
}

#[test]
fn what_is_written_is_what_the_system_takes() {
    for (system, path, schema) in SYSTEMS {
        let (project, _mirror) = locked();
        let file = written(&project, system, path);
        let schema: Value = serde_json::from_str(schema).expect("JSON");
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let errors: Vec<String> = validator.iter_errors(&file).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{system}: {errors:?}");
        assert!(!project.read(path).contains("@INSTALL@") && !project.read(path).contains("@IMAGES@"));
        // The schema is one that can refuse.
        let mut broken = file.clone();
        broken["jobs"] = Value::from(3);
        broken["stages"] = Value::from(3);
        assert!(!validator.is_valid(&broken), "{system}: the schema takes anything");
    }
}

/// So are those of this project itself.
#[test]
fn our_own_workflows_are_what_the_system_takes() {
    let schema: Value = serde_json::from_str(SYSTEMS[0].2).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    for name in ["ci", "proof"] {
        let path = format!("{}/.github/workflows/{name}.yml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("a workflow");
        let file: Value = serde_saphyr::from_str(&text).expect("YAML");
        let errors: Vec<String> = validator.iter_errors(&file).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
}

/// Each call of `goldsmith` in the files uses a verb and flags that there are.
#[test]
fn what_is_written_calls_goldsmith_as_it_is_called() {
    let mut calls = 0;
    for (system, path, _) in SYSTEMS {
        let (project, _mirror) = locked();
        written(&project, system, path);
        let text = project.read(path);
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            let call = line.split_once("$(goldsmith ").or_else(|| line.split_once("goldsmith build")).or_else(|| {
                let line = line.trim_start().trim_start_matches("- ").trim_start_matches("run: ");
                line.strip_prefix("goldsmith ").map(|call| ("", call))
            });
            let Some((_, call)) = call else { continue };
            let call = if line.contains("goldsmith build") { format!("build {call}") } else { call.to_owned() };
            let words: Vec<&str> = call.split([' ', ')']).collect();
            let help = project.run(&[words[0], "--help"]);
            help.succeeds();
            for flag in words.iter().filter(|word| word.starts_with("--")) {
                assert!(help.stdout.contains(flag), "{system}: `goldsmith {}` has no {flag}", words[0]);
            }
            calls += 1;
        }
    }
    assert!(calls >= 10, "only {calls} calls were looked at");
}

#[test]
fn what_is_there_is_not_replaced_unless_it_is_to_be() {
    let (project, _mirror) = locked();
    let project = project.write(".gitlab-ci.yml", b"mine: true\n");
    project.run(&["init", "--ci", "gitlab"]).code(2);
    assert_eq!(project.read(".gitlab-ci.yml"), "mine: true\n");
    project.run(&["init", "--ci", "gitlab", "--force", "--install", "true"]).succeeds();
    assert!(project.read(".gitlab-ci.yml").contains("      true\n"));
    project.run(&["init"]).code(2);
}

#[test]
fn a_plan_is_one_line_with_a_job_for_each_image() {
    let (project, mirror) = locked();
    let connections = mirror.connections();
    let run = project.run(&["build", "--plan"]);
    run.succeeds();
    assert_eq!(run.stdout.lines().count(), 1);
    let plan: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let job = &plan["include"][0];
    assert_eq!(plan["include"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&job["image"], &job["lock"], &job["disk"]),
        (&"hello".into(), &"images/hello.lock".into(), &false.into())
    );
    assert!(job["plan"].as_str().is_some_and(|plan| plan.starts_with("sha256:")) && job["built"] == false);
    assert!(job["bytes"].as_u64().is_some_and(|bytes| bytes > 0));
    assert_eq!(mirror.connections(), connections, "a plan is made of what is there");
}
