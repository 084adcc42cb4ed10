//! `recipes/vpc.toml`: a network as a whole, held against its images; what each instance is told; and where its secrets are.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::harness::archive::greetings;
use crate::harness::project::{files_below, recipe};
use crate::harness::{Deb, Key, Mirror, Project, golden};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBERERERERERERERERERERERERERERERERERERERERER somebody@example.org\n";

const FLEET: &str = r#"purpose = "fleet"
keys = ["ops.pub"]
[network.vpc]
range = "10.0.0.0/24"
gateway = "10.0.0.1"
[instance.api-1]
image = "api"
address = "10.0.0.10"
[instance.db-1]
image = "db"
address = "10.0.0.20"
peers.api = ["api-1"]
"#;

const API: &str = "\n[[firewall.accept]]\nname = \"https\"\nports = [443]\nfrom = \"anywhere\"\n";

const DB: &str = "\n[[firewall.accept]]\nname = \"database\"\nports = [3306]\npeer = \"api\"\n\n\
                  [firewall.egress]\npolicy = \"listed\"\n";

/// Two recipes, their fleet, and somebody's key; nothing is locked.
fn project(fleet: &str, archive: &Key) -> Project {
    let image = |rules: &str| format!("overlays = [\"tls\"]\n{}{rules}", recipe(&["hello", "iptables-persistent"]));
    let overlay = b"description = \"A certificate.\"\n";
    let project = Project::new().keyring(archive);
    let project = project.recipe("api", &image(API)).recipe("db", &image(DB)).recipe("vpc", fleet);
    project
        .write("overlays/tls/overlay.toml", overlay)
        .write("overlays/tls/root/etc/tls", b"# So that there is one.\n")
        .write("ops.pub", KEY.as_bytes())
}

/// The same, locked.
fn locked(fleet: &str) -> (Project, Mirror) {
    let key = Key::good();
    let mirror = Mirror::serve(greetings(&key).package(Deb::new("iptables-persistent", "1.0")).files());
    let project = project(fleet, &key).mirror(&mirror);
    project.run(&["lock"]).succeeds();
    (project, mirror)
}

/// Facts, or secrets, behind the line that says which.
fn told(project: &Project, file: &str) -> Value {
    let text = project.read(file);
    let (header, json) = text.split_once('\n').expect("a first line");
    assert!(header.starts_with("#goldsmith-"), "{header}");
    serde_json::from_str(json).expect("JSON")
}

/// All files of all bundles.
fn bundles(project: &Project) -> BTreeMap<String, Vec<u8>> {
    let folder = project.path("bundles");
    let name = |path: &std::path::Path| path.strip_prefix(&folder).expect("a bundle").display().to_string();
    files_below(&folder).iter().map(|path| (name(path), fs::read(path).expect("a file"))).collect()
}

/// Each a change of one thing in the fleet, and what `check` says of it. What one file alone shows is tested beside its reader.
#[test]
fn a_fleet_is_checked_against_the_recipes_of_its_images() {
    let cases = [
        ("image = \"db\"", "image = \"bd\"", "unknown-image"),
        ("peers.api", "peers.apis", "unknown-peer"),
        ("peers.api = [\"api-1\"]\n", "", "forgotten-peer"),
        ("peers.api = [\"api-1\"]", "peers.api = []", "no-database"),
        ("purpose = \"fleet\"\n", "purpose = \"fleet\"\ntargets = [\"aws\"]\n", "no-disk"),
        (
            "[instance.db-1]",
            "[instance.db-2]\nimage = \"db\"\npeers.api = [\"api-1\"]\n[instance.db-1]",
            "two-databases",
        ),
    ];
    let key = Key::good();
    for (before, after, name) in cases {
        let run = project(&FLEET.replacen(before, after, 1), &key).run(&["check"]);
        run.code(1).stderr_is(&format!("fleet/{name}.stderr"));
    }
    project(FLEET, &key).run(&["check"]).succeeds().says("2 recipes, 1 fleet and 1 overlay: nothing is wrong");
}

#[test]
fn each_instance_is_told_what_follows_from_the_whole() {
    let (project, _mirror) = locked(FLEET);
    project.run(&["fleet", "init"]).succeeds();
    project.run(&["bundle"]).succeeds();
    let (api, db) = (told(&project, "bundles/api-1/user-data"), told(&project, "bundles/db-1/user-data"));
    assert_eq!(db["peers"], serde_json::json!({ "api": ["10.0.0.10"] }));
    assert_eq!(db["addresses"], serde_json::json!(["10.0.0.20"]));
    assert_eq!(db["hosts"], serde_json::json!({ "api-1": ["10.0.0.10"] }));
    assert_eq!(api["hosts"], serde_json::json!({ "db-1": ["10.0.0.20"] }));
    assert_eq!(api["database"], db["database"]);
    assert_eq!(db["database"], serde_json::json!({ "host": "db-1", "port": 3306, "name": "app", "user": "app" }));
    assert!(api["tls"]["ca"].is_string() && db["tls"]["ca"].is_null(), "the one believes the other");
    assert_eq!(db["image"]["name"], "db");
    assert_ne!(api["image"]["plan"], db["image"]["plan"]);
    let (api, db) = (told(&project, "bundles/api-1/vendor-data"), told(&project, "bundles/db-1/vendor-data"));
    assert_eq!(api["secrets"]["database-password"], db["secrets"]["database-password"]);
    assert_ne!(api["tls"]["key"], db["tls"]["key"]);
    assert!(project.read("bundles/db-1/network-config").contains("\"10.0.0.20/24\""));
    assert!(project.read("bundles/db-1/meta-data").contains(KEY.trim()));
}

/// A recipe that changes is another image: what was bundled for the one that was is refused by the one that is.
#[test]
fn a_bundle_is_for_one_build_of_an_image() {
    let (project, _mirror) = locked(FLEET);
    project.run(&["fleet", "init"]).succeeds();
    project.run(&["bundle"]).succeeds();
    let plan =
        |project: &Project, name: &str| told(project, &format!("bundles/{name}/user-data"))["image"]["plan"].clone();
    let (api, db) = (plan(&project, "api-1"), plan(&project, "db-1"));
    let changed = project.read("recipes/db.toml").replace("[3306]", "[22, 3306]");
    fs::write(project.path("recipes/db.toml"), changed).expect("the recipe");
    project.run(&["bundle", "db-1"]).succeeds();
    assert_ne!(plan(&project, "db-1"), db);
    assert_eq!(plan(&project, "api-1"), api);
}

#[test]
fn the_same_fleet_locks_and_secrets_give_the_same_bytes() {
    let (project, _mirror) = locked(FLEET);
    project.run(&["fleet", "init"]).succeeds();
    project.run(&["bundle"]).succeeds();
    let first = bundles(&project);
    assert_eq!(first.len(), 14);
    fs::remove_dir_all(project.path("bundles")).expect("the bundles");
    project.run(&["bundle", "db-1"]).succeeds();
    project.run(&["bundle", "api-1"]).succeeds();
    assert!(bundles(&project) == first, "bundles of one fleet differ");
    // Other secrets reach no file in which there are none.
    project.run(&["fleet", "rotate"]).succeeds();
    project.run(&["bundle"]).succeeds();
    let second = bundles(&project);
    for name in ["meta-data", "network-config"] {
        assert_eq!(second[&format!("db-1/{name}")], first[&format!("db-1/{name}")]);
    }
    for name in ["vendor-data", "seed.iso", "cloud-user-data"] {
        assert_ne!(second[&format!("db-1/{name}")], first[&format!("db-1/{name}")]);
    }
}

#[test]
fn a_secret_is_in_the_files_that_carry_secrets_and_in_no_other() {
    let (project, _mirror) = locked(FLEET);
    let init = project.run(&["fleet", "init"]);
    let bundle = project.run(&["bundle", "--verbose"]);
    let secrets: Value = serde_json::from_str(&project.read("secrets/vpc.json")).expect("JSON");
    // Of a key its second line: of the first, all keys of a kind have the same start.
    let line = |key: &Value| key.as_str().expect("a key").lines().nth(2).expect("a second line").to_owned();
    let mut hidden = vec![secrets["database_password"].as_str().expect("a password").to_owned()];
    hidden.push(line(&secrets["authority"]["key"]));
    hidden.extend(["api-1", "db-1"].map(|name| line(&secrets["instances"][name]["key"])));
    let holds =
        |bytes: &[u8]| hidden.iter().any(|secret| bytes.windows(secret.len()).any(|part| part == secret.as_bytes()));
    let mut found = Vec::new();
    for path in files_below(&project.path("")) {
        let bytes = fs::read(&path).expect("a file");
        let name = path.strip_prefix(project.path("")).expect("in the project").display().to_string();
        use base64::Engine as _;
        let line = base64::prelude::BASE64_STANDARD.decode(&bytes).unwrap_or_default();
        if holds(&bytes) || holds(&line) {
            let mode = fs::metadata(&path).expect("a file").permissions().mode() & 0o777;
            found.push(format!("{mode:o} {name}"));
        }
    }
    assert_eq!(
        found,
        [
            "600 bundles/api-1/cloud-user-data",
            "600 bundles/api-1/seed.iso",
            "600 bundles/api-1/seed.vfat",
            "600 bundles/api-1/vendor-data",
            "600 bundles/db-1/cloud-user-data",
            "600 bundles/db-1/seed.iso",
            "600 bundles/db-1/seed.vfat",
            "600 bundles/db-1/vendor-data",
            "600 secrets/vpc.json",
        ]
    );
    assert!(project.read("secrets/.gitignore").lines().any(|line| line == "*"));
    let terraform = ["alibaba", "aws"].map(|cloud| project.run(&["fleet", "plan", "--terraform", cloud]));
    for run in [init, bundle, project.run(&["fleet", "plan"])].iter().chain(&terraform) {
        run.succeeds();
        assert!(!holds(run.stdout.as_bytes()) && !holds(run.stderr.as_bytes()), "a secret was printed");
    }
}

#[test]
fn init_keeps_what_fits_and_rotate_keeps_only_the_authority() {
    let (project, _mirror) = locked(FLEET);
    project.run(&["fleet", "init"]).succeeds();
    let read = || serde_json::from_str::<Value>(&project.read("secrets/vpc.json")).expect("JSON");
    let first = read();
    project.run(&["fleet", "init"]).succeeds().says("db-1: kept certificate for db-1, 10.0.0.20");
    assert_eq!(read(), first);

    fs::write(project.path("recipes/vpc.toml"), FLEET.replace("10.0.0.20", "10.0.0.30")).expect("the fleet");
    project.run(&["bundle"]).fails_with(&["no certificate stands for db-1, 10.0.0.30", "goldsmith fleet init"]);
    project.run(&["fleet", "init"]).succeeds().says("api-1: kept").says("db-1: new certificate for db-1, 10.0.0.30");
    let moved = read();
    assert_eq!(moved["instances"]["api-1"], first["instances"]["api-1"]);

    project.run(&["fleet", "rotate"]).succeeds();
    let rotated = read();
    assert_eq!(rotated["authority"], moved["authority"]);
    assert_ne!(rotated["database_password"], moved["database_password"]);
    assert_ne!(rotated["instances"]["api-1"]["key"], moved["instances"]["api-1"]["key"]);
    project.run(&["fleet", "rotate", "--authority"]).succeeds();
    assert_ne!(read()["authority"], rotated["authority"]);
}

#[test]
fn what_is_missing_for_a_bundle_is_said_with_what_to_do() {
    let (project, _mirror) = locked(FLEET);
    project.run(&["bundle"]).fails_with(&["there is no secrets/vpc.json", "`goldsmith fleet init` makes it"]);
    project.run(&["fleet", "rotate"]).code(2);
    project.run(&["fleet", "init"]).succeeds();
    let run = project.run(&["bundle", "db-2"]);
    run.code(2);
    assert!(run.stderr.contains("did you mean `db-1`?"), "{run}");

    let file = project.path("secrets/vpc.json");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("the mode");
    let run = project.run(&["bundle"]);
    run.code(2);
    assert!(run.stderr.contains("others than you can read") && run.stderr.contains("chmod 600"), "{run}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("the mode");

    fs::remove_file(project.path("ops.pub")).expect("the key");
    project.run(&["bundle"]).fails_with(&["cannot read ops.pub", "cp ~/.ssh/id_ed25519.pub ops.pub"]);
    fs::write(project.path("ops.pub"), "-----BEGIN OPENSSH PRIVATE KEY-----\n").expect("a key");
    project.run(&["bundle"]).fails_with(&["recipes/vpc.toml:2:9", "this is a private key"]);
    assert!(!project.has("bundles"), "a bundle was written all the same");
}

/// A chain of certificates longer than a cloud carries.
#[test]
fn what_no_cloud_carries_is_refused_with_the_cloud_that_does_not() {
    let own = "image = \"api\"\ncertificate = \"api.pem\"\nkey = \"secrets/api.key\"";
    let (project, _mirror) = locked(&FLEET.replace("image = \"api\"", own));
    project.run(&["fleet", "init"]).succeeds();
    let pem = |name: &str, lines: usize| {
        format!("-----BEGIN {name}-----\n{}-----END {name}-----\n", "MIIBAgMIIBAgMIIBAgMIIBAg\n".repeat(lines))
    };
    let project = project.write("secrets/api.key", pem("PRIVATE KEY", 4).as_bytes());
    let project = project.write("api.pem", pem("CERTIFICATE", 40).as_bytes());
    project.run(&["bundle"]).succeeds();
    assert_eq!(told(&project, "bundles/api-1/user-data")["tls"]["certificate"], pem("CERTIFICATE", 40));
    let project = project.write("api.pem", pem("CERTIFICATE", 700).as_bytes());
    project.run(&["bundle"]).fails_with(&["recipes/vpc.toml:6:11", "`api-1` is told", "aws carries 16384"]);
}

/// The walls of the cloud are those of the images: the database's group lets in the API's group and nobody else.
#[test]
fn what_is_handed_to_terraform_mirrors_the_firewalls() {
    let (project, _mirror) = locked(FLEET);
    project.run(&["fleet", "init"]).succeeds();
    let json = |cloud: &str| -> Value {
        let run = project.run(&["fleet", "plan", "--terraform", cloud]);
        run.succeeds();
        serde_json::from_str(&run.stdout).expect("JSON")
    };
    let aws = json("aws");
    let into_db: Vec<&Value> = aws["resource"]["aws_vpc_security_group_ingress_rule"]
        .as_object()
        .expect("rules")
        .values()
        .filter(|rule| rule["security_group_id"] == "${aws_security_group.db_1.id}")
        .collect();
    assert_eq!(into_db.len(), 1);
    assert_eq!(into_db[0]["referenced_security_group_id"], "${aws_security_group.api_1.id}");
    assert_eq!((&into_db[0]["from_port"], &into_db[0]["to_port"]), (&Value::from(3306), &Value::from(3306)));
    let machine = &aws["resource"]["aws_instance"]["db_1"];
    assert_eq!((&machine["private_ip"], &machine["associate_public_ip_address"]), (&"10.0.0.20".into(), &false.into()));
    assert_eq!(machine["metadata_options"]["http_tokens"], "required");
    golden::compare("fleet/alibaba.tf.json", &project.run(&["fleet", "plan", "--terraform", "alibaba"]).stdout);
    golden::compare("fleet/plan.stdout", &until(&project.run(&["fleet", "plan"]).stdout));
}

/// Without the days, which are another's each day.
fn until(text: &str) -> String {
    let day = |line: &str| {
        line.split_once(", until ").map_or(line.to_owned(), |(before, _)| format!("{before}, until [day]"))
    };
    text.lines().map(|line| day(line) + "\n").collect()
}
