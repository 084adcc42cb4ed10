//! The images on their way to a cloud: what its importer looks at, what hands them over, and how they find themselves there.

use std::fs;
use std::process::{Command, Output};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::{images, repository};
use crate::harness::project::GOLDSMITH;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ops";

const TARGETS: [&str; 6] = ["alibaba", "aws", "azure", "gcp", "kvm", "openstack"];

fn goldsmith(arguments: &[&str]) -> Output {
    Command::new(GOLDSMITH).args(arguments).current_dir(repository()).output().expect("starting goldsmith")
}

/// What the importers look at, on the images and disks themselves: about 10 s an image and target.
#[test]
fn the_images_keep_every_rule_of_the_targets_that_their_recipes_name() {
    for image in super::IMAGES {
        let named = goldsmith(&["show", image, "--json"]);
        let named = String::from_utf8_lossy(&named.stdout).into_owned();
        for target in TARGETS.iter().filter(|target| named.contains(&format!("\"{target}\""))) {
            let output = images().to_str().expect("UTF-8");
            let checked = goldsmith(&["check", "--target", target, "--output", output, image]);
            let said = String::from_utf8_lossy(&checked.stdout).into_owned();
            assert!(checked.status.success() && said.contains(" 0 broken\n"), "{image}, {target}:\n{said}");
        }
    }
}

/// What a machine on a cloud is asked.
const ASKED: &str = "
    echo \"cloud $(cloud-init query cloud_name)\"
    echo \"name $(hostname)\"
    echo \"addresses $(ip -4 -o address show scope global | wc -l)\"
    echo \"facts $(cat /run/goldsmith/facts.json)\"
    iptables -S peer-api | sed 's/^/chain /'
    ask='import urllib.request as u; print(u.urlopen(\"http://100.100.100.200/\", timeout=5).status)'
    echo \"root $(python3 -c \"$ask\" 2>&1 | tail -n 1)\"
    echo \"nobody $(setpriv --reuid=65534 --clear-groups python3 -c \"$ask\" 2>&1 | tail -n 1)\"
    exit 7
";

/// What the database says when it has booted on `cloud`.
fn on(cloud: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let bundle = folder.path().join("db-1");
    let bundle = bundle.to_str().expect("UTF-8");
    let made =
        goldsmith(&["bundle", "--name", "db-1", "--ssh-key", KEY, "--peer=api=100.100.100.2", "--output", bundle]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let output = images().to_str().expect("UTF-8");
    let more = ["--bundle", bundle, "--cloud", cloud, "--processors", "1", "--timeout", "1200", "--exec", ASKED];
    let ran = goldsmith(&[&["boot", "db", "--output", output][..], &more].concat());
    assert_eq!(ran.status.code(), Some(7), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

/// As on Alibaba Cloud with the hardened metadata service: one boot, some 40 s where it is quiet.
#[test]
fn on_alibaba_cloud_the_database_is_told_by_the_metadata_service_alone_and_only_root_may_ask_it() {
    let said = on("alibaba");
    for line in ["cloud aliyun\n", "name db-1\n", "addresses 1\n", "chain -A peer-api -s 100.100.100.2/32 -j ACCEPT\n"]
    {
        assert!(said.contains(line), "no {line:?} in\n{said}");
    }
    assert!(said.contains("\nroot urllib.error.HTTPError: HTTP Error 404"), "root reaches it:\n{said}");
    let nobody = said.lines().find(|line| line.starts_with("nobody ")).expect("an answer");
    assert!(nobody.contains("refused") || nobody.contains("timed out") || nobody.contains("not permitted"), "{nobody}");
}

/// A service that gives no tokens is not believed: nobody is told anything, and peers stay out. Slow, since cloud-init waits
/// for it: `cargo test --release --test main real::cloud -- --ignored`.
#[test]
#[ignore = "cloud-init waits four minutes for a token"]
fn a_metadata_service_without_tokens_is_not_believed_and_everything_stays_shut() {
    let said = on("alibaba-without-tokens");
    assert!(!said.contains("cloud aliyun\n") && !said.contains("-j ACCEPT"), "{said}");
}

/// A recipe that lays `cooperative` over the database, and says to the audit that it means to.
const COOPERATIVE: &str = "from = \"db\"\noverlays = [\"cooperative\"]\n
[[exception]]\ncheck = \"cloud-init-user-data\"\nreason = \"whoever launches an instance of it is meant to run what they like\"\n
[[exception]]\ncheck = \"cloud-init-modules\"\nreason = \"the same\"\n";

/// Which is run, and tells the facts.
const HELPFUL: &str = "#cloud-config\nwrite_files:\n- path: /etc/goldsmith/instance\n  permissions: '0600'\n  content: |\n    \
                       #goldsmith-instance\n    {\"version\": 1, \"peers\": {\"api\": [\"100.100.100.2\"]}}\nruncmd: [[touch, /run/ran]]\n";

/// Which is run, and opens sshd to root.
const WEAKENING: &str = "#cloud-config\nwrite_files:\n- path: /etc/ssh/sshd_config.d/00-a.conf\n  content: PermitRootLogin yes\n\
                         runcmd: [[touch, /run/ran]]\n";

/// User-data is code in an image with `cooperative`: it is run, and shuts the network if it weakens the image. A build and two
/// boots: `cargo test --release --test main real::cloud -- --ignored`.
#[test]
#[ignore = "four minutes"]
fn a_cooperative_image_runs_user_data_and_is_shut_by_what_weakens_it() {
    let project = super::checkout();
    fs::write(project.path().join("recipes/open.toml"), COOPERATIVE).expect("writing a recipe");
    let in_project = |arguments: &[&str]| {
        Command::new(GOLDSMITH).args(arguments).current_dir(project.path()).output().expect("starting goldsmith")
    };
    for verb in ["lock", "build", "audit"] {
        let done = in_project(&[verb, "open"]);
        let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{verb}:\n{said}");
    }
    let bundle = in_project(&["bundle", "--name", "open-1", "--ssh-key", KEY, "--output", "told"]);
    assert!(bundle.status.success(), "{}", String::from_utf8_lossy(&bundle.stderr));
    let boot = |user_data: &str| {
        fs::write(project.path().join("told/cloud-user-data"), BASE64_STANDARD.encode(user_data)).expect("a file");
        let asked =
            "ls /run/ran; systemctl is-active goldsmith-assert ssh mariadb; iptables -S peer-api; iptables -S INPUT
                     journalctl -b -o cat -u goldsmith-assert; exit 7";
        let options = ["--bundle", "told", "--cloud", "alibaba", "--timeout", "1200", "--exec", asked];
        let ran = in_project(&[&["boot", "open"][..], &options].concat());
        assert_eq!(ran.status.code(), Some(7), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8_lossy(&ran.stdout).into_owned()
    };
    let said = boot(HELPFUL);
    assert!(said.starts_with("/run/ran\nactive\nactive\nactive\n"), "{said}");
    assert!(said.contains("-A peer-api -s 100.100.100.2/32 -j ACCEPT\n") && said.contains("-j peer-api\n"), "{said}");
    let said = boot(WEAKENING);
    assert!(said.starts_with("/run/ran\nfailed\n") && said.contains("sshd: not permitrootlogin no"), "{said}");
    assert!(said.contains("-P INPUT DROP\n-A INPUT -i lo -j ACCEPT\n") && !said.contains("-j peer-api"), "{said}");
}
