//! `goldsmith diff`: of locks. Of images it is in `real`.

use crate::harness::archive::greetings;
use crate::harness::project::recipe;
use crate::harness::{Deb, Key, Mirror, Project};

#[test]
fn two_locks_differ_in_the_packages_that_moved() {
    let key = Key::good();
    let mirror = Mirror::serve(greetings(&key).files());
    let project = Project::new().mirror(&mirror).keyring(&key).recipe("hello", &recipe(&["unneeded"]));
    project.run(&["lock"]).succeeds();
    let before = project.read("images/hello.lock");
    let newer = greetings(&key).date("Fri, 02 Jan 2026 00:00:00 UTC").package(Deb::new("unneeded", "1.1"));
    mirror.replace(newer.files());
    project.run(&["lock", "--update"]).succeeds();
    let project = project.write("old.lock", before.as_bytes());
    let arguments = ["diff", "old.lock", "images/hello.lock"];
    project.run(&arguments).succeeds().says("unneeded  1.0 → 1.1");
    project.run(&[&arguments[..], &["--exit-code"]].concat()).code(3);
    let same = project.run(&["diff", "old.lock", "old.lock", "--exit-code"]);
    same.succeeds().says("packages: 0 differ");
}

#[test]
fn what_cannot_be_compared_is_said() {
    let project = Project::new().recipe("hello", "suite = \"trixie\"\n");
    project.run(&["diff", "none.lock", "other.lock"]).fails_with(&["none.lock"]);
    project.run(&["diff", "hello", "hello"]).fails_with(&["there is no image", "goldsmith build hello"]);
    project.run(&["diff", "helo", "hello"]).code(2);
}

#[test]
fn two_reports_differ_in_who_reaches_what() {
    let report = |tcp: &str| {
        format!(
            r#"[{{ "image": "db", "plan": "sha256:0", "steps": [], "exposure": [
                {{ "host": "world", "at": "ipv4", "tcp": [{tcp}], "udp": [], "ping": true, "probes": 3 }},
                {{ "host": "peer api", "at": "ipv4", "tcp": [3306], "udp": [], "ping": true, "probes": 3 }} ] }}]"#
        )
    };
    let project = Project::new().recipe("hello", "suite = \"trixie\"\n");
    let project = project.write("old.json", report("").as_bytes()).write("new.json", report("22").as_bytes());
    let project = project.write("none.json", b"{}");
    let differs = project.run(&["diff", "old.json", "new.json", "--exit-code"]);
    differs
        .code(3)
        .says("exposure: 1 differ")
        .says("db, world, ipv4")
        .says("- tcp; udp; ping")
        .says("+ tcp 22; udp; ping");
    project.run(&["diff", "old.json", "old.json", "--exit-code"]).code(0);
    project
        .run(&["diff", "old.json", "none.json"])
        .fails_with(&["none.json is no report of `goldsmith verify --json`"]);
    project.run(&["diff", "old.json", "hello.lock"]).code(1);
}
