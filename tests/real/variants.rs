//! The roles with other parts (tests/variants, a project of its own): each builds from its lock and passes its audit.
//!
//! | variant | what is other |
//! |---|---|
//! | `api-managed` | the database is somebody else's to run: nothing else is reached |
//! | `db-mysql` | MySQL from sid in place of MariaDB, by an archive of its own that gives these packages only |

use std::path::Path;
use std::process::Command;

use crate::harness::project::GOLDSMITH;

use super::repository;

/// Builds `variant`, and audits what was built.
fn holds(variant: &str) {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("variants");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(GOLDSMITH);
        command.args(arguments).arg(variant).arg("--output").arg(&out).current_dir(repository().join("tests/variants"));
        let output = command.output().expect("starting goldsmith");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{variant}: {said}\n{}", String::from_utf8_lossy(&output.stderr));
        said
    };
    run(&["build", "--locked"]);
    let said = run(&["audit"]);
    assert!(said.contains(" 0 failed (0 findings)"), "{said}");
}

#[test]
fn an_api_with_a_managed_database_builds_and_passes_its_audit() {
    holds("api-managed");
}

/// `cargo test -- --ignored mysql`
#[test]
#[ignore = "sid's packages leave the mirrors within days of the lock"]
fn a_database_with_mysql_builds_and_passes_its_audit() {
    holds("db-mysql");
}
