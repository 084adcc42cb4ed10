//! The images on their way to a cloud: what its importer looks at, what hands them over, and how they find themselves there.

use std::process::{Command, Output};

use super::{images, repository};
use crate::harness::project::GOLDSMITH;

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
    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ops";
    let made =
        goldsmith(&["bundle", "--name", "db-1", "--ssh-key", KEY, "--peer=api=100.100.100.2", "--output", bundle]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let output = images().to_str().expect("UTF-8");
    let more = ["--bundle", bundle, "--cloud", cloud, "--timeout", "1200", "--exec", ASKED];
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
/// for it: `cargo test --test main real::cloud -- --ignored`.
#[test]
#[ignore = "cloud-init waits four minutes for a token"]
fn a_metadata_service_without_tokens_is_not_believed_and_everything_stays_shut() {
    let said = on("alibaba-without-tokens");
    assert!(!said.contains("cloud aliyun\n") && !said.contains("-j ACCEPT"), "{said}");
}
