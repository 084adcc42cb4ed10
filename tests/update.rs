//! `goldsmith update`: what has changed since the lock, what that mends, and what it never does.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::Value;

use crate::harness::archive::{Archive, greetings};
use crate::harness::project::recipe;
use crate::harness::{Deb, Fault, Key, Mirror, Project};

/// After [`greetings`]: a Release file may not be older than the lock has seen.
const LATER: &str = "Fri, 02 Jan 2026 00:00:00 UTC";

/// The archive of the tests and one with security updates, as one mirror has them.
fn files(main: &Archive, security: &Archive) -> BTreeMap<String, Vec<u8>> {
    main.files().into_iter().chain(security.files()).collect()
}

fn security(key: &Key) -> Archive {
    Archive::new(key).suite("trixie-security")
}

/// A package with a changelog, as Debian has it.
fn with_changelog(name: &str, version: &str, changed: &str) -> Deb {
    let text = format!(
        "{name} ({version}) trixie-security; urgency=high\n\n  * {changed}\n\n -- A <a@example.org>  {LATER}\n\n\
         {name} (1.0) trixie; urgency=low\n\n  * CVE-2020-0001 long ago\n\n -- A <a@example.org>  {LATER}\n"
    );
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gz.write_all(text.as_bytes()).expect("memory");
    let gz = gz.finish().expect("memory");
    Deb::new(name, version).file(&format!("usr/share/doc/{name}/changelog.Debian.gz"), 0o644, &gz)
}

/// Locked with `greeting-casual` 1.0 and `unneeded` 1.0; then both have newer versions, one of them in the archive with security updates.
fn patch_day() -> (Project, Mirror, Key) {
    let key = Key::good();
    let main = || greetings(&key);
    let mirror = Mirror::serve(files(&main(), &security(&key)));
    let text = recipe(&["unneeded", "greeting-casual"])
        + "\n[[archive]]\nname = \"tests-security\"\nuri = \"debian\"\nsuite = \"trixie-security\"\n\
           components = [\"main\"]\nkeyring = \"keys/test.pgp\"\n";
    let project = Project::new().mirror(&mirror).keyring(&key).recipe("hello", &text);
    project.run(&["lock"]).succeeds();
    let newer = main().date(LATER).package(Deb::new("greeting-casual", "1.1").field("Provides", "greeting"));
    let mended = security(&key).date(LATER).package(with_changelog("unneeded", "1.0+deb13u1", "CVE-2026-1234: a hole"));
    mirror.replace(files(&newer, &mended));
    (project, mirror, key)
}

fn report(project: &Project, arguments: &[&str]) -> Value {
    let run = project.run(&[&["update", "--json"], arguments].concat());
    run.succeeds();
    serde_json::from_str::<Value>(&run.stdout).expect("JSON")[0].clone()
}

fn moved(report: &Value) -> Vec<&str> {
    report["packages"].as_array().expect("a list").iter().filter_map(|package| package["package"].as_str()).collect()
}

#[test]
fn an_update_moves_the_lock_and_says_what_that_mends() {
    let (project, _mirror, _) = patch_day();
    let report = report(&project, &["--markdown", "patch.md"]);
    assert_eq!(moved(&report), ["greeting-casual", "unneeded"]);
    assert_eq!(report["packages"][1]["archive"], "tests-security");
    assert_eq!((&report["packages"][1]["from"], &report["packages"][1]["to"]), (&"1.0".into(), &"1.0+deb13u1".into()));
    // The old entry of the changelog is none of the update's.
    assert_eq!(report["fixed"]["unneeded"], serde_json::json!(["CVE-2026-1234"]));
    assert_eq!(report["fixed"]["greeting-casual"], Value::Null, "it has no changelog, and that is said");
    assert_eq!(report["open"], Value::Null, "nobody gave the tracker's data");
    let lock = project.read("images/hello.lock");
    assert!(lock.contains("version = \"1.0+deb13u1\"") && lock.contains("version = \"1.1\""), "{lock}");
    let markdown = project.read("patch.md");
    assert!(markdown.contains("| unneeded | 1.0 → 1.0+deb13u1 | tests-security | CVE-2026-1234 |"), "{markdown}");
    assert!(markdown.contains("| greeting-casual | 1.0 → 1.1 | tests | unknown |"), "{markdown}");
    let schema: Value = serde_json::from_str(&project.run(&["schema", "update"]).stdout).expect("JSON");
    jsonschema::validate(&schema, &serde_json::json!([report])).expect("as its schema says");
}

#[test]
fn security_moves_only_what_an_archive_with_security_updates_has_newer() {
    let (project, _mirror, _) = patch_day();
    assert_eq!(moved(&report(&project, &["--security"])), ["unneeded"]);
    assert!(!project.read("images/hello.lock").contains("version = \"1.1\""));
}

#[test]
fn check_writes_nothing_fetches_nothing_and_has_an_exit_code_of_its_own() {
    let (project, mirror, _) = patch_day();
    let before = project.read("images/hello.lock");
    project.run(&["update", "--check"]).code(3).says("unneeded  1.0 → 1.0+deb13u1");
    assert_eq!(project.read("images/hello.lock"), before);
    assert_eq!(mirror.count(".deb"), 0);
    project.run(&["update"]).succeeds();
    project.run(&["update", "--check"]).code(0).says("hello: nothing to update");
}

/// As where an update is withdrawn: the same suites, later, without the newer versions.
#[test]
fn nothing_goes_back_unless_it_may() {
    let (project, mirror, key) = patch_day();
    project.run(&["update"]).succeeds();
    let before = project.read("images/hello.lock");
    let withdrawn = "Sat, 03 Jan 2026 00:00:00 UTC";
    mirror.replace(files(&greetings(&key).date(withdrawn), &security(&key).date(withdrawn)));
    let words = ["only older versions than the lock", "unneeded 1.0+deb13u1 → 1.0", "--allow-downgrade"];
    project.run(&["update"]).fails_with(&words);
    assert_eq!(project.read("images/hello.lock"), before);
    project.run(&["update", "--allow-downgrade"]).succeeds();
    assert!(!project.read("images/hello.lock").contains("1.0+deb13u1"));
}

#[test]
fn what_is_still_open_is_read_from_the_trackers_data() {
    let (project, _mirror, _) = patch_day();
    let data = r#"{ "unneeded": {
        "CVE-2026-1234": { "releases": { "trixie": { "status": "resolved", "fixed_version": "1.0+deb13u1", "urgency": "high" } } },
        "CVE-2026-5678": { "releases": { "trixie": { "status": "open", "urgency": "low" } } } } }"#;
    let project = project.write("tracker.json", data.as_bytes()).write("bad.json", b"[]");
    let report = report(&project, &["--tracker", "tracker.json"]);
    let open = report["open"].as_array().expect("a list");
    assert_eq!((open.len(), &open[0]["name"], &open[0]["urgency"]), (1, &"CVE-2026-5678".into(), &"low".into()));
    project.run(&["update", "--tracker", "bad.json"]).fails_with(&["bad.json is no data of the security tracker"]);
    project.run(&["update", "--tracker", "none.json"]).fails_with(&["cannot read none.json"]);
}

const TRACKER: &str = r#"{ "greeting-casual": { "CVE-2026-1": { "releases": { "trixie": {
    "status": "resolved", "fixed_version": "1.1", "urgency": "medium" } } } } }"#;

#[test]
fn the_trackers_data_is_fetched_once_and_kept_for_when_it_is_not_reached() {
    let (project, _mirror, _) = patch_day();
    let tracker = Mirror::serve(BTreeMap::from([("json".to_owned(), TRACKER.as_bytes().to_vec())]));
    let url = format!("{}/json", tracker.url());
    let open = |arguments: &[&str]| {
        let report = report(&project, &[&["--tracker", &url], arguments].concat());
        report["open"].as_array().map(Vec::len)
    };
    assert_eq!(report(&project, &["--offline", "--tracker", &url])["open"], Value::Null, "nothing was fetched yet");
    assert_eq!(open(&["--security"]), Some(0), "it mends what the tracker knows to be mended, in any archive");
    assert!(project.read("images/hello.lock").contains("version = \"1.1\""));
    tracker.fault("json", Fault::Unavailable, usize::MAX);
    assert_eq!(open(&[]), Some(0));
    assert_eq!(open(&["--offline"]), Some(0));
    project.run(&["update", "--offline", "--tracker", &url]).succeeds().says("hello: the archives were not asked");
    let elsewhere = format!("{}/other", tracker.url());
    project.run(&["update", "--tracker", &elsewhere]).fails_with(&["cannot fetch the security tracker's data"]);
    project.run(&["update", "--tracker", "http://tracker.example/json"]).code(2);
}
