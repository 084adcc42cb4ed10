use super::*;

/// A fleet without mistakes; tests change a word of it.
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

/// What is said of [`FLEET`] with `before` replaced by `after`, each with line and column.
fn said(before: &str, after: &str) -> Vec<String> {
    assert!(FLEET.contains(before), "{before} is not there");
    match parse(&FLEET.replacen(before, after, 1), "vpc.toml") {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(|problem| problem.to_string().replacen("vpc.toml:", "", 1)).collect(),
    }
}

/// The help of the only problem.
fn helped(before: &str, after: &str) -> String {
    let problems = parse(&FLEET.replacen(before, after, 1), "vpc.toml").unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].help.clone().unwrap_or_default()
}

#[test]
fn a_fleet_is_read_whole() {
    let fleet = parse(FLEET, "recipes/vpc.toml").unwrap();
    assert_eq!(fleet.name, "vpc");
    assert_eq!(fleet.instances.keys().collect::<Vec<_>>(), ["api-1", "db-1"]);
    assert_eq!(fleet.instances["db-1"].address.unwrap().to_string(), "10.0.0.20/24");
    assert_eq!(fleet.instances["db-1"].network, "vpc");
    assert_eq!(fleet.files().len(), 1, "a file that all have is one file");
    assert_eq!((fleet.database.name.as_str(), fleet.database.user.as_str()), ("app", "app"));
}

#[test]
fn whoever_is_named_is_there_and_the_nearest_name_is_offered() {
    assert_eq!(said(r#"["api-1"]"#, r#"["api-2"]"#), ["12:14: error: there is no instance `api-2`"]);
    assert_eq!(helped(r#"["api-1"]"#, r#"["api-2"]"#), "did you mean `api-1`?");
    assert_eq!(said(r#"["api-1"]"#, r#"["db-1"]"#), ["12:14: error: `db-1` names itself"]);
    assert_eq!(said(r#"["api-1"]"#, r#"["api-1", "api-1"]"#), ["12:23: error: `api-1` is listed twice"]);
    assert!(said(r#"["api-1"]"#, "[]").is_empty(), "nobody is somebody");
}

#[test]
fn a_peer_without_an_address_is_nobody_that_could_be_let_in() {
    assert_eq!(
        said("address = \"10.0.0.10\"\n", ""),
        ["11:14: error: `api-1` has no address: nothing can be opened to it"]
    );
}

#[test]
fn addresses_are_one_hosts_in_its_own_network() {
    let with = |address: &str| said("\"10.0.0.20\"", &format!("\"{address}\""));
    assert_eq!(with("10.0.0.10"), ["11:11: error: 10.0.0.10 is the address of `api-1` and of `db-1`"]);
    assert_eq!(with("10.0.1.20"), ["11:11: error: 10.0.1.20 is not in 10.0.0.0/24, the network `vpc`"]);
    assert_eq!(with("10.0.0.1"), ["11:11: error: 10.0.0.1 is the gateway of `vpc`"]);
    assert_eq!(
        with("10.0.0.255"),
        ["11:11: error: 10.0.0.255 cannot be the address of a host: it is the network's broadcast"]
    );
    assert_eq!(with("10.0.0.20/24"), ["11:11: error: `10.0.0.20/24` is not an address"]);
    assert_eq!(with("0.0.0.0"), ["11:11: error: 0.0.0.0 is nobody's address"]);
}

#[test]
fn networks_are_private_whole_and_apart() {
    let with = |range: &str| said("\"10.0.0.0/24\"", &format!("\"{range}\""));
    assert_eq!(with("10.0.0.7/24"), ["4:9: error: `10.0.0.7/24` has bits beside its prefix"]);
    assert_eq!(with("0.0.0.0/0"), ["4:9: error: `0.0.0.0/0` is no private network"]);
    assert_eq!(with("10.0.0.0"), ["4:9: error: `10.0.0.0` is not a network"]);
    assert_eq!(said("\"10.0.0.1\"", "\"10.0.1.1\""), ["5:11: error: the gateway 10.0.1.1 is not in 10.0.0.0/24"]);
    let second = "[network.b]\nrange = \"10.0.0.128/25\"\n[instance.api-1]\nnetwork = \"vpc\"";
    let problems = said("[instance.api-1]", second);
    assert!(problems.contains(&"4:9: error: 10.0.0.0/24 and 10.0.0.128/25 overlap".to_owned()), "{problems:?}");
    assert!(problems.iter().any(|line| line.ends_with("`db-1` does not say in which network it is")), "{problems:?}");
    assert_eq!(helped("image = \"db\"", "image = \"db\"\nnetwork = \"vcp\""), "did you mean `vpc`?");
    assert_eq!(said("gateway = \"10.0.0.1\"\n", "").len(), 2, "neither has a way out");
    assert!(said("gateway = \"10.0.0.1\"", "dhcp = true").is_empty());
}

#[test]
fn the_world_is_no_peer() {
    let with = |address: &str| {
        said("[instance.api-1]", &format!("[outside.vpn]\naddresses = [\"{address}\"]\n[instance.api-1]"))
    };
    assert_eq!(with("0.0.0.0/0"), ["7:14: error: `0.0.0.0/0` is the whole world"]);
    assert_eq!(with("::/0"), ["7:14: error: `::/0` is the whole world"]);
    assert_eq!(with("10.0.0.0/8"), ["7:14: error: `10.0.0.0/8` is too many to be a peer"]);
    assert_eq!(with("127.0.0.1"), ["7:14: error: `127.0.0.1` is nobody's address"]);
    assert_eq!(with("vpn.example.org"), ["7:14: error: `vpn.example.org` is neither an address nor a network"]);
    assert!(with("10.9.0.0/28").is_empty());
}

#[test]
fn keys_are_good_ones_and_somebody_has_one() {
    let with = |key: &str| said("\"ops.pub\"", &format!("\"{key}\""));
    assert_eq!(with("../ops.pub"), ["2:9: error: the file `../ops.pub` is not inside the project"]);
    assert!(
        with("ssh-dss AAAAB3NzaC1kc3M= x")[0].starts_with("2:9: error: keys of the type `ssh-dss` are not accepted")
    );
    assert!(with("ssh-ed25519 AAAA x")[0].starts_with("2:9: error: the `ssh-ed25519` key is damaged"));
    assert_eq!(
        said("keys = [\"ops.pub\"]\n", ""),
        [
            "5:11: error: no key opens `api-1`: nobody could log in",
            "8:11: error: no key opens `db-1`: nobody could log in"
        ]
    );
}

#[test]
fn unknown_keys_and_impossible_names_are_refused() {
    assert_eq!(helped("image = \"db\"", "image = \"db\"\npeer.api = []"), "did you mean `peers`?");
    assert_eq!(said("[instance.db-1]", "[instance.DB]"), ["9:11: error: `DB` cannot be the name of an instance"]);
    assert_eq!(
        said("purpose", "database.name = \"mysql\"\npurpose"),
        ["1:17: error: `mysql` cannot be the schema of the application"]
    );
    assert_eq!(
        said("purpose", "database.host = \"rds.example.org\"\npurpose"),
        ["1:17: error: nobody vouches for `rds.example.org`"]
    );
    assert_eq!(
        said("image = \"api\"", "image = \"api\"\ncertificate = \"api.pem\""),
        ["8:15: error: a certificate and its key belong together"]
    );
}
