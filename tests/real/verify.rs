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
use super::{Layout, checkout, images, repository};
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

/// Every jail of the database, attacked for real; the ban by its recipe's word, in IPv4 and IPv6, past two restarts, to its end.
/// `cargo test --release --test main every_jail_of_the_database -- --ignored --nocapture`
#[test]
#[ignore = "six minutes"]
fn every_jail_of_the_database_bans_at_its_limit_and_for_its_time() {
    let _place = Place::take();
    let output = images().to_str().expect("UTF-8");
    let done = goldsmith(repository(), &["verify", "db", "--case", "attacked", "--json", "--output", output]);
    let (said, steps) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{steps}\n{said}");
    let reports: Value = serde_json::from_str(&said).expect("JSON");
    let text = |ban: &Value, key: &str| ban[key].as_str().expect("text").to_owned();
    let bans = reports[0]["bans"].as_array().expect("a list").iter();
    let bans: Vec<[String; 3]> = bans.map(|ban| ["jail", "who", "closes"].map(|key| text(ban, key))).collect();
    let expected = [
        ["recidive", "10.1.0.2", "22 3306"],
        ["mariadb-auth", "10.1.0.1", "3306"],
        ["sshd", "10.1.0.3", "22"],
        ["sshd", "2001:db8:bad:100::7", "22"],
    ];
    assert_eq!(bans, expected.map(|ban| ban.map(str::to_owned)), "{said}");
    println!("{}", reports[0]["bans"]);
}

/// What spoils an image, and what `verify` has to say of it.
struct Mutant {
    name: &'static str,
    /// A file of the image, or what its recipe says beside.
    spoils: Spoils,
    cases: &'static [&'static str],
    /// The step that fails, and what it finds.
    step: &'static str,
    finding: &'static str,
}

enum Spoils {
    /// A drop-in of the unit that loads the rules.
    Firewall(&'static str),
    /// A drop-in of fail2ban's. (What its own files say, a build proves: with a mutant of those there is no image.)
    Bans(&'static str),
    /// A file that fail2ban reads after all that the recipe says.
    Jails(&'static str),
    /// Another file.
    File(&'static str, &'static str),
    /// Lines of the recipe.
    Recipe(&'static str),
    /// A host key that comes with the image, and is kept by whoever has been told nothing.
    HostKey,
    /// A password of root's.
    Password,
    /// Somebody whom the recipe never bans, and a file that is read later bans too.
    Ignored,
}

use Spoils::{Bans, File, Firewall, HostKey, Ignored, Jails, Password, Recipe};

impl Spoils {
    /// Files of the image that it puts there, each with what `overlay.toml` says of it.
    fn files(&self) -> Vec<(&'static str, String, &'static str)> {
        match self {
            Firewall(lines) => {
                let path = "etc/systemd/system/goldsmith-firewall.service.d/zz-mutant.conf";
                vec![(path, format!("[Service]\n{lines}\n"), "")]
            }
            Bans(lines) => {
                let path = "etc/systemd/system/fail2ban.service.d/zz-mutant.conf";
                vec![(path, format!("[Service]\n{lines}\n"), "")]
            }
            Ignored => Jails("[DEFAULT]\nignoreip = 127.0.0.1\n").files(),
            Jails(text) => vec![("etc/fail2ban/jail.d/zz-mutant.local", (*text).to_owned(), "")],
            File(path, text) => vec![(path, (*text).to_owned(), "")],
            Recipe(_) => vec![("etc/mutant", "only a file\n".to_owned(), "")],
            HostKey => {
                let made = "ssh-keygen -q -t ed25519 -N '' -f /tmp/key && cat /tmp/key && cat /tmp/key.pub";
                let made = goldsmith(repository(), &["shell", "db", "--", "sh", "-c", made]);
                let end = "-----END OPENSSH PRIVATE KEY-----\n";
                let text = String::from_utf8(made.stdout).expect("UTF-8");
                let (key, public) = text.split_once(end).expect("a key");
                vec![
                    ("usr/share/mutant/ssh_host_ed25519_key", format!("{key}{end}"), "mode = \"0600\"\n"),
                    ("usr/share/mutant/ssh_host_ed25519_key.pub", public.to_owned(), ""),
                    (
                        "etc/ssh/sshd_config.d/00-aa-mutant.conf",
                        "HostKey /usr/share/mutant/ssh_host_ed25519_key\n".to_owned(),
                        "",
                    ),
                ]
            }
            Password => {
                let shadow = Layout::of(images(), "db").tree()["etc/shadow"].bytes.clone();
                let text = String::from_utf8(shadow).expect("UTF-8");
                let given = text.replace("root:*:", "root:$y$j9T$mutant$mutantmutantmutantmutantmutantmutantmutant:");
                assert_ne!(text, given, "root is not locked by an asterisk");
                vec![("etc/shadow", given, "mode = \"0640\"\ngroup = \"shadow\"\n")]
            }
        }
    }
}

const TOLD: &[&str] = &["told"];
const ATTACKED: &[&str] = &["attacked"];

const MUTANTS: [Mutant; 16] = [
    Mutant {
        name: "a-port-too-many",
        spoils: Firewall("ExecStartPost=/usr/sbin/iptables -I INPUT -p tcp --dport 8081 -j ACCEPT"),
        cases: TOLD,
        step: "exposure",
        finding: "tcp 8081 refuses",
    },
    Mutant {
        name: "v6-forgotten",
        spoils: Firewall(
            "ExecStartPost=/usr/sbin/ip6tables -P INPUT ACCEPT\nExecStartPost=/usr/sbin/ip6tables -F INPUT",
        ),
        cases: TOLD,
        step: "exposure",
        finding: "at fe80::",
    },
    Mutant {
        name: "a-peer-is-everybody",
        spoils: Firewall("ExecStartPost=/usr/sbin/iptables -A peer-api -j ACCEPT"),
        cases: TOLD,
        // Until the instance knows its peers.
        step: "told",
        finding: "tcp 3306 refuses",
    },
    Mutant {
        name: "a-port-too-few",
        spoils: Firewall("ExecStartPost=/usr/sbin/iptables -I INPUT -p tcp --dport 3306 -j DROP"),
        cases: TOLD,
        step: "exposure",
        finding: "tcp 3306 is silent",
    },
    Mutant {
        name: "udp-is-refused-aloud",
        spoils: Firewall("ExecStartPost=/usr/sbin/iptables -I INPUT -p udp -j REJECT"),
        cases: TOLD,
        step: "exposure",
        finding: "icmp type 3",
    },
    // Open while it starts, and closed long before anybody scans it.
    Mutant {
        name: "rules-come-late",
        spoils: Firewall(
            "ExecStart=\nExecStart=/bin/true\nExecStartPost=/bin/sh -c '(sleep 45; iptables-restore /etc/iptables/rules.v4; \
             ip6tables-restore /etc/iptables/rules.v6) >/dev/null 2>&1 &'",
        ),
        cases: TOLD,
        step: "told",
        finding: "refuses at",
    },
    Mutant {
        name: "one-id-for-all",
        spoils: Recipe("[image]\nkernel_arguments = [\"systemd.machine_id=0123456789abcdef0123456789abcdef\"]\n"),
        cases: &["told", "untold"],
        step: "clones",
        finding: "both have 0123456789abcdef0123456789abcdef",
    },
    Mutant {
        name: "one-host-key-for-all",
        spoils: HostKey,
        cases: &["untold", "nonsense"],
        step: "clones",
        finding: "host-key:/usr/share/mutant/ssh_host_ed25519_key",
    },
    Mutant {
        name: "a-password-for-all",
        spoils: Password,
        cases: &["no-firewall"],
        step: "audit",
        finding: "a password",
    },
    // The recipe says that somebody is never banned; a file that is read later says that nobody is.
    Mutant {
        name: "bans-of-the-ignored",
        spoils: Ignored,
        cases: ATTACKED,
        step: "bans",
        finding: "an answer: the recipe says that it is never banned",
    },
    Mutant {
        name: "bans-block-nothing",
        spoils: Bans("BindReadOnlyPaths=/usr/bin/true:/usr/sbin/nft"),
        cases: ATTACKED,
        step: "bans",
        finding: "not banned after 5 attempts",
    },
    Mutant {
        name: "bans-close-one-port",
        spoils: Jails("[recidive]\nport = 22\n"),
        cases: ATTACKED,
        step: "bans",
        finding: "tcp 3306 still answers",
    },
    Mutant {
        name: "bans-come-early",
        spoils: Jails("[sshd]\nmaxretry = 2\n"),
        cases: ATTACKED,
        step: "bans",
        finding: "banned after 4 attempts at most",
    },
    // As with a backend that reads a file that nobody writes.
    Mutant {
        name: "bans-read-nothing",
        spoils: Jails("[sshd]\njournalmatch = _SYSTEMD_UNIT=sshd.service\n"),
        cases: ATTACKED,
        step: "bans",
        finding: "this jail's ban",
    },
    Mutant {
        name: "bans-are-forgotten",
        // What it has not written down it finds in the journal, or does not.
        spoils: Bans(
            "ExecStartPre=+/bin/sh -c 'rm -f /var/lib/fail2ban/*.sqlite3; journalctl --rotate --vacuum-time=1s'",
        ),
        cases: ATTACKED,
        step: "bans",
        finding: "not banned any more after fail2ban was restarted",
    },
    Mutant {
        name: "passwords-open-it-too",
        spoils: File(
            "etc/ssh/sshd_config.d/00-aa-mutant.conf",
            "PasswordAuthentication yes\nAuthenticationMethods any\n",
        ),
        cases: ATTACKED,
        step: "administrator",
        finding: "password",
    },
];

/// Builds it, starts it and asks; whether it is refused, and for what is wrong with it.
fn is_rejected(Mutant { name, spoils, cases, step, finding }: &Mutant) -> bool {
    let project = checkout();
    let overlay = project.path().join("overlays").join(name);
    let mut recipe = format!("from = \"db\"\noverlays = [\"{name}\"]\n");
    match spoils {
        Recipe(lines) => recipe.push_str(lines),
        Ignored => recipe.push_str("[fail2ban]\nignore = [\"10.1.0.150\"]\n"),
        _ => {}
    }
    let mut description = "description = \"Spoils one thing\"\n".to_owned();
    for (path, text, mode) in spoils.files() {
        let file = overlay.join("root").join(path);
        fs::create_dir_all(file.parent().expect("a folder")).expect("a directory");
        fs::write(file, text).expect("a file");
        description.push_str(&format!("[[entry]]\npath = \"{path}\"\nwhy = \"a mutant\"\n{mode}"));
    }
    fs::write(overlay.join("overlay.toml"), description).expect("a file");
    fs::write(project.path().join(format!("recipes/{name}.toml")), recipe).expect("a file");
    fs::copy(repository().join("images/db.lock"), project.path().join(format!("images/{name}.lock")))
        .expect("a lock to begin with");
    for verb in ["lock", "build"] {
        let done = goldsmith(project.path(), &[verb, name]);
        assert!(done.status.success(), "{verb} {name}:\n{}", String::from_utf8_lossy(&done.stderr));
    }
    let _place = Place::take();
    let asked: Vec<&str> = cases.iter().flat_map(|case| ["--case", case]).collect();
    let done = goldsmith(project.path(), &[&["verify", name][..], &asked].concat());
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    println!("{name}:\n{said}{}", String::from_utf8_lossy(&done.stderr));
    done.status.code() == Some(1) && said.contains(&format!("FAILED {step}")) && said.contains(finding)
}

/// One of them every time; the others take too long for that.
#[test]
fn an_image_with_a_port_too_many_is_rejected() {
    let [first, ..] = &MUTANTS;
    assert_eq!(first.name, "a-port-too-many");
    assert!(is_rejected(first));
}

/// All of them: two to five minutes each; `MUTANT=bans cargo test …`, those of that name alone.
/// `cargo test --release --test main mutant -- --ignored --nocapture`
#[test]
#[ignore = "an hour"]
fn every_mutant_of_the_database_is_rejected() {
    let only = std::env::var("MUTANT").unwrap_or_default();
    let asked = MUTANTS.iter().filter(|mutant| mutant.name.contains(&only));
    let missed: Vec<&str> = asked.filter(|mutant| !is_rejected(mutant)).map(|mutant| mutant.name).collect();
    assert_eq!(missed, [""; 0], "not rejected, or not for what is wrong with them");
}

/// The API says that it answers what it does not: the machines of the fleet are started, asked, and that is found.
/// `cargo test --release --test main mutant -- --ignored --nocapture`
#[test]
#[ignore = "four minutes"]
fn a_mutant_that_promises_another_answer_is_rejected() {
    let project = checkout();
    let recipe = project.path().join("recipes/api.toml");
    let text = fs::read_to_string(&recipe).expect("a recipe");
    let (promise, other) = ("contains = \"from afar\"", "contains = \"from nowhere\"");
    assert_eq!(text.matches(promise).count(), 1);
    fs::write(&recipe, text.replace(promise, other)).expect("a recipe");
    for verb in [&["lock", "api"][..], &["build"]] {
        let done = goldsmith(project.path(), verb);
        assert!(done.status.success(), "{verb:?}:\n{}", String::from_utf8_lossy(&done.stderr));
    }
    let _place = Place::take();
    let done = goldsmith(project.path(), &["verify", "--function", "--case", "no-firewall"]);
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    println!("{said}{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("FAILED function") && said.contains("wanted 200, and in it from nowhere"), "{said}");
    assert_eq!(said.matches("FAILED").count(), 1, "{said}");
}
