//! `goldsmith verify`: what it says of an image that is as its recipe says, and what of each mutant.
//!
//! ```text
//! db ─▶ verify ─▶ clean: 655,000 probes and not one answer too many, in four formats
//! db + an overlay that spoils one thing ─▶ build ─▶ verify ─▶ exit code 1, and the finding
//! ```

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::boot::Place;
use super::{checkout, images, repository};
use crate::harness::project::GOLDSMITH;

fn goldsmith(project: &Path, arguments: &[&str]) -> Output {
    Command::new(GOLDSMITH).args(arguments).current_dir(project).output().expect("starting goldsmith")
}

#[track_caller]
fn json(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).expect("a file that was asked for")).expect("JSON")
}

/// What answers, as the report has it: host, kind of address, ports of TCP.
fn exposure(report: &Value) -> Vec<(String, String, Vec<u64>)> {
    let all = report["exposure"].as_array().expect("a list").iter();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let ports = |value: &Value| value.as_array().expect("a list").iter().filter_map(Value::as_u64).collect();
    all.map(|one| (text(&one["host"]), text(&one["at"]), ports(&one["tcp"]))).collect()
}

/// One machine, at each of its three addresses, from each kind of host: two minutes.
#[test]
fn the_database_shows_what_its_recipe_says_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let _place = Place::take();
    let files = ["--junit", &path("v.xml"), "--sarif", &path("v.sarif"), "--statements", &path("evidence")];
    let output = images().to_str().expect("UTF-8");
    let done = goldsmith(
        repository(),
        &[&["verify", "db", "--case", "told", "--json", "--output", output][..], &files].concat(),
    );
    let (said, steps) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{steps}\n{said}");
    let reports: Value = serde_json::from_str(&said).expect("JSON");
    let schema: Value = serde_json::from_slice(&goldsmith(repository(), &["schema", "verify"]).stdout).expect("JSON");
    jsonschema::validate(&schema, &reports).expect("as its schema says");
    let report = &reports[0];
    let row = |host: &str, at: &str, ports: &[u64]| (host.to_owned(), at.to_owned(), ports.to_vec());
    let mut found = exposure(report);
    found.sort();
    let mut expected = vec![
        row("peer api", "ipv4", &[22, 3306]),
        // The database listens at the address that its instance is told, which is the other one.
        row("peer api", "ipv6", &[22]),
        row("peer api", "link-local", &[]),
        row("neighbour", "ipv4", &[]),
        row("neighbour", "ipv6", &[]),
        row("neighbour", "link-local", &[]),
        row("world", "ipv4", &[]),
        row("world", "ipv6", &[]),
    ];
    expected.sort();
    assert_eq!(found, expected);
    assert!(report["exposure"][0]["probes"].as_u64() > Some(2 * 65_536), "{said}");
    let digest = json(&images().join("db/built.json"))["disks"]["disk.raw"].as_str().expect("a digest").to_owned();
    let statement = json(&folder.path().join("evidence/db.intoto.json"));
    assert_eq!(statement["predicate"]["result"], "PASSED");
    assert_eq!(format!("sha256:{}", statement["subject"][0]["digest"]["sha256"].as_str().unwrap_or_default()), digest);
    assert_eq!(json(&folder.path().join("v.sarif"))["runs"][0]["results"], Value::Array(Vec::new()));
    let xml = fs::read_to_string(folder.path().join("v.xml")).expect("a file");
    assert!(xml.contains("name=\"exposure\"") && xml.contains("failures=\"0\""), "{xml}");
    println!("{}", report["starts"]);
}

/// A drop-in for the firewall's unit, and what `verify` has to say of the image with it.
struct Mutant {
    name: &'static str,
    spoils: &'static str,
    finding: &'static str,
}

const MUTANTS: [Mutant; 5] = [
    Mutant {
        name: "a-port-too-many",
        spoils: "ExecStartPost=/usr/sbin/iptables -I INPUT -p tcp --dport 8081 -j ACCEPT",
        finding: "tcp 8081 refuses",
    },
    Mutant {
        name: "v6-forgotten",
        spoils: "ExecStartPost=/usr/sbin/ip6tables -P INPUT ACCEPT\nExecStartPost=/usr/sbin/ip6tables -F INPUT",
        finding: "at fe80::",
    },
    Mutant {
        name: "a-peer-is-everybody",
        spoils: "ExecStartPost=/usr/sbin/iptables -A peer-api -j ACCEPT",
        finding: "tcp 3306 is open",
    },
    Mutant {
        name: "a-port-too-few",
        spoils: "ExecStartPost=/usr/sbin/iptables -I INPUT -p tcp --dport 3306 -j DROP",
        finding: "tcp 3306 is silent",
    },
    Mutant {
        name: "udp-is-refused-aloud",
        spoils: "ExecStartPost=/usr/sbin/iptables -I INPUT -p udp -j REJECT",
        finding: "a control message of type 3",
    },
];

/// Each is built, started and asked: three minutes a mutant.
/// `cargo test --release --test main every_mutant_of_the_database -- --ignored --nocapture`
#[test]
#[ignore = "a quarter of an hour"]
fn every_mutant_of_the_database_is_rejected() {
    let project = checkout();
    for Mutant { name, spoils, finding } in MUTANTS {
        let overlay = project.path().join("overlays").join(name);
        let unit = overlay.join("root/etc/systemd/system/goldsmith-firewall.service.d");
        fs::create_dir_all(&unit).expect("a directory");
        fs::write(unit.join("zz-mutant.conf"), format!("[Service]\n{spoils}\n")).expect("a file");
        fs::write(overlay.join("overlay.toml"), "description = \"Spoils one thing\"\n").expect("a file");
        let recipe = format!("from = \"db\"\noverlays = [\"{name}\"]\n");
        fs::write(project.path().join(format!("recipes/{name}.toml")), recipe).expect("a file");
        fs::copy(repository().join("images/db.lock"), project.path().join(format!("images/{name}.lock")))
            .expect("a lock to begin with");
        for verb in ["lock", "build"] {
            let done = goldsmith(project.path(), &[verb, name]);
            assert!(done.status.success(), "{verb} {name}:\n{}", String::from_utf8_lossy(&done.stderr));
        }
        let _place = Place::take();
        let done = goldsmith(project.path(), &["verify", name, "--case", "told"]);
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        println!("{name}:\n{said}");
        assert_eq!(done.status.code(), Some(1), "{name}:\n{said}{}", String::from_utf8_lossy(&done.stderr));
        assert!(said.contains("FAILED exposure") && said.contains(finding), "{name}:\n{said}");
        let cleaned = goldsmith(project.path(), &["clean", name]);
        assert!(cleaned.status.success(), "{}", String::from_utf8_lossy(&cleaned.stderr));
    }
}
