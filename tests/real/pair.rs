//! The fleet of the README on one network: an API server and its database, each told by its bundle alone.
//!
//! ```text
//! recipes/vpc.toml ─▶ fleet init, bundle ─▶ bundles/api-1, bundles/db-1
//!
//! stranger 10.0.0.99 ──✗──▶ db-1 10.0.0.20 ◀──TLS, one account, two ports── api-1 10.0.0.10
//! ```
//!
//! What a bundle for another image, or one that is no bundle, comes to is told by the image's own program without a machine:
//! golden/instance/cases.json.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use super::boot::Place;
use super::{checkout, images, repository};
use crate::harness::project::GOLDSMITH;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ops\n";

#[track_caller]
fn goldsmith(project: &Path, arguments: &[&str]) -> String {
    let done = Command::new(GOLDSMITH).args(arguments).current_dir(project).output().expect("starting goldsmith");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{arguments:?}:\n{said}{}", String::from_utf8_lossy(&done.stderr));
    said
}

/// Two boots side by side: the API's resource is written and read through pinned TLS, and nobody else gets in.
/// `cargo test --release --test main real::pair -- --ignored`
#[test]
#[ignore = "four minutes, with both processors for itself"]
fn the_api_reaches_its_database_and_nobody_else_does() {
    let project = checkout();
    fs::write(project.path().join("ops.pub"), KEY).expect("writing a key");
    goldsmith(project.path(), &["fleet", "init"]);
    goldsmith(project.path(), &["bundle"]);
    let output = images().to_str().expect("UTF-8");
    let _places = [Place::take(), Place::take()];
    let network = format!("test-{}", std::process::id());
    let boot = |image: &str, script: &str| {
        let bundle = format!("bundles/{image}-1");
        let script = fs::read_to_string(repository().join("tests/pair").join(script)).expect("a script");
        let command =
            if image == "api" { format!("cat >/tmp/ask.py <<'END'\n{script}END\npython3 /tmp/ask.py") } else { script };
        let where_from = ["--output", output, "--network", &network, "--bundle", &bundle];
        let how = ["--processors", "1", "--timeout", "1200", "--exec", &command];
        goldsmith(project.path(), &[&["boot", image], &where_from[..], &how].concat())
    };
    let (api, db) = thread::scope(|scope| {
        let db = scope.spawn(|| boot("db", "db-1.sh"));
        (boot("api", "api-1.py"), db.join().expect("db-1"))
    });
    println!("{api}\n{db}");
    let of = |key: &str| api.lines().find_map(|line| line.strip_prefix(&format!("{key} "))).unwrap_or_default();
    assert!(of("written").starts_with("201 ") && of("told").starts_with("201 "), "{api}");
    assert!(of("read").starts_with("200 ") && of("read").contains("from api-1"), "{api}");
    assert_eq!(of("right"), "TLSv1.3", "{api}");
    assert!(of("wrong-authority").starts_with("refused: ") && of("wrong-authority").contains("using SSL"), "{api}");
    assert!(of("wrong-password").contains("Access denied for user 'app'@'10.0.0.10'"), "{api}");
    assert!(of("without-tls").starts_with("refused: ") && of("without-tls").contains("insecure transport"), "{api}");
    assert_eq!((of("peer-3306"), of("peer-22"), of("peer-80")), ("open", "open", "TimeoutError"), "{api}");
    for port in ["3306", "22", "80"] {
        assert_eq!(of(&format!("stranger-{port}")), "TimeoutError", "{api}");
    }
    assert_eq!((of("kept"), of("failed")), ("", ""), "{api}");

    assert!(db.contains("note first: from api-1\n"), "{db}");
    let accounts: Vec<&str> = db.lines().filter_map(|line| line.strip_prefix("account app@")).collect();
    assert_eq!(accounts, ["10.0.0.10 ANY"], "{db}");
    assert!(!db.contains("kept ") && !db.contains("failed "), "{db}");
}
