//! The roles with other parts (tests/variants, a project of its own): each builds from its lock and passes its audit.
//!
//! | variant | what is other |
//! |---|---|
//! | `api-managed` | the database is somebody else's to run: nothing else is reached |
//! | `db-mysql` | MySQL from sid in place of MariaDB, by an archive of its own that gives these packages only |
//! | `api-php74` | PHP 7.4, and so Debian 11, whose support has ended: the tool says so |

use std::path::Path;
use std::process::Command;

use crate::harness::project::GOLDSMITH;

use super::repository;

/// Builds `variant`, and audits what was built. What building said to people.
fn holds(variant: &str) -> String {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("variants");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(GOLDSMITH);
        command.args(arguments).arg(variant).arg("--output").arg(&out).current_dir(repository().join("tests/variants"));
        let output = command.output().expect("starting goldsmith");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{variant}: {said}\n{told}");
        (said, told)
    };
    let (_, told) = run(&["build", "--locked"]);
    let (said, _) = run(&["audit"]);
    assert!(said.contains(" 0 failed (0 findings)"), "{said}");
    told
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

/// `cargo test -- --ignored php74`
#[test]
#[ignore = "two minutes, and 116 MB of a suite that mirrors give up"]
fn an_api_with_php_7_4_builds_with_a_warning_and_passes_its_audit() {
    let told = holds("api-php74");
    assert!(told.contains("Debian's support for `bullseye` ended in August 2026"), "{told}");
}
