//! The disks boot: as they ship, from each firmware, with a bundle and without one, and closed where they are broken.
//!
//! A machine takes some 40 s on two quiet processors, if QEMU has to translate; at most two run side by side.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::Duration;

use super::{IMAGES, images, repository};
use crate::harness::project::GOLDSMITH;

/// Ends with a code of its own, so that no other failure is taken for it.
const END: &str = "exit 7";

/// What every machine is asked, one `KEY VALUE` a line.
const ASKED: &str = "
    echo \"state $(systemctl is-system-running)\"
    systemctl list-units --failed --plain --no-legend | sed 's/^/failed /'
    for unit in goldsmith-firewall goldsmith-instance ssh fail2ban auditd apparmor apache2 php8.4-fpm mariadb; do
        echo \"$unit $(systemctl is-active $unit)\"
    done
    echo \"firmware $([ -d /sys/firmware/efi ] && echo uefi || echo bios)\"
    echo \"secure-boot $(od -An -tu1 -j4 /sys/firmware/efi/efivars/SecureBoot-* 2>/dev/null | tr -d ' ')\"
    echo \"lockdown $(cat /sys/kernel/security/lockdown)\"
    echo \"root $(findmnt -no FSTYPE,OPTIONS /)\"
    echo \"gibibytes $(df -B1G --output=size / | tail -1 | tr -d ' ')\"
    echo \"drop $(iptables -S INPUT | head -1) $(ip6tables -S INPUT | head -1)\"
    echo \"addresses $(ip -4 -o address show scope global | wc -l)\"
    echo \"machine-id $(cat /etc/machine-id)\"
    echo \"host-key $(ssh-keygen -lf /var/lib/goldsmith/ssh/ssh_host_ed25519_key.pub | cut -d' ' -f2)\"
    echo \"certificate $(find /var/lib/goldsmith /run/goldsmith -name '*cert*' -type f | sort | xargs -r sha256sum | sha256sum)\"
    echo \"seed $(sha256sum /var/lib/systemd/random-seed | cut -d' ' -f1)\"
    echo \"listening $(ss -Hltn | awk '{print $4}' | sort | tr '\\n' ' ')\"
    echo \"needless $(systemctl show -P ConditionResult ldconfig systemd-hwdb-update systemd-journal-catalog-update | sort -u | xargs)\"
    systemd-analyze | head -1 | sed 's/^/time /'
";

/// Two at most: each has the memory and the processors of a small cloud server.
static SIDE_BY_SIDE: (Mutex<u32>, Condvar) = (Mutex::new(2), Condvar::new());

/// One of the machines that may run now.
pub(super) struct Place;

impl Place {
    pub(super) fn take() -> Self {
        let free = SIDE_BY_SIDE.0.lock().expect("no test panics with it");
        *SIDE_BY_SIDE.1.wait_while(free, |free| *free == 0).expect("no test panics with it") -= 1;
        Self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Ok(mut free) = SIDE_BY_SIDE.0.lock() {
            *free += 1;
        }
        SIDE_BY_SIDE.1.notify_one();
    }
}

/// What a machine answered, by key; a key that came several times has its lines joined.
pub(super) type Answers = BTreeMap<String, String>;

/// Boots `image` with these options, asks it, runs `more` in it, and gives the answers. How long it took is printed.
#[track_caller]
fn boot(image: &str, options: &[&str], more: &str) -> Answers {
    let output = images().to_str().expect("UTF-8");
    let answers = boot_in(repository(), image, &[options, &["--output", output]].concat(), more);
    assert!(answers["root"].starts_with("ext4 rw"), "{answers:#?}");
    answers
}

/// The same for an image of another project.
#[track_caller]
pub(super) fn boot_in(project: &Path, image: &str, options: &[&str], more: &str) -> Answers {
    let _place = Place::take();
    let command = format!("{ASKED}\n{more}\n{END}");
    let mut boot = Command::new(GOLDSMITH);
    boot.args(["boot", image, "--processors", "1", "--timeout", "1200", "--exec", &command]).args(options);
    let output = boot.current_dir(project).output().expect("starting goldsmith");
    let (said, steps) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(7), "{image} {options:?}\n{steps}\n{said}");
    let milestones = steps.lines().last().unwrap_or_default();
    println!("{image} {}: {milestones}", options.first().unwrap_or(&""));
    let mut answers = Answers::new();
    for line in said.lines() {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        let joined = answers.entry(key.to_owned()).or_default();
        *joined = format!("{joined}\n{value}").trim().to_owned();
    }
    answers.insert("milestones".to_owned(), milestones.to_owned());
    println!("    {}", answers.get("time").map_or("", String::as_str));
    answers
}

/// A bundle for a machine of that name; its only peer, if any, is this machine.
fn bundle(folder: &Path, name: &str, peer: Option<&str>) -> String {
    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ops";
    let output = folder.join(name);
    let mut bundle = Command::new(GOLDSMITH);
    bundle.args(["bundle", "--name", name, "--ssh-key", KEY, "--output"]).arg(&output).current_dir(repository());
    let done = bundle.args(peer.map(|peer| format!("--peer={peer}=10.0.2.2"))).output().expect("starting goldsmith");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    output.to_str().expect("UTF-8").to_owned()
}

/// All of it is up, nothing failed, and what is not opened is dropped.
#[track_caller]
pub(super) fn assert_healthy(image: &str, answers: &Answers) {
    assert_eq!(answers["state"], "running", "{answers:#?}");
    assert_eq!(answers.get("failed"), None, "{answers:#?}");
    let role: &[&str] = if image.starts_with("api") { &["apache2", "php8.4-fpm"] } else { &["mariadb"] };
    for unit in ["goldsmith-firewall", "ssh", "fail2ban", "auditd", "apparmor"].iter().chain(role) {
        assert_eq!(answers[*unit], "active", "{image}: {unit}: {answers:#?}");
    }
    assert_eq!(answers["drop"], "-P INPUT DROP -P INPUT DROP");
    assert!(answers["lockdown"].contains("[integrity]"), "{answers:#?}");
    // In this order: nobody can ask before the door is shut.
    let at = |milestone| answers["milestones"].find(milestone);
    assert!(at("locked ").is_some() && at("locked ") < at("serving "), "{answers:#?}");
    // What could be baked is: none of these three has anything to do at the first start.
    assert_eq!(answers["needless"], "no", "{answers:#?}");
}

/// What the lock of the images says of the firmware that a machine was started with.
#[track_caller]
pub(super) fn assert_started_by(firmware: &str, answers: &Answers) {
    let expected = match firmware {
        "--bios" => ("bios", ""),
        "--uefi" => ("uefi", "0"),
        _ => ("uefi", "1"),
    };
    let secure = if answers["secure-boot"].is_empty() && firmware == "--uefi" { "0" } else { &answers["secure-boot"] };
    assert_eq!((answers["firmware"].as_str(), secure), expected, "{answers:#?}");
}

/// The database, without a bundle: it is up, has no network, and lets nobody in.
fn db_without_a_bundle() -> &'static Answers {
    static ANSWERS: OnceLock<Answers> = OnceLock::new();
    ANSWERS.get_or_init(|| boot("db", &["--bios"], "iptables -S peer-api | sed 's/^/chain /'"))
}

/// The database as a small instance of a cloud has it: with a bundle, and on a disk larger than the image.
fn db_with_a_bundle() -> &'static Answers {
    static ANSWERS: OnceLock<Answers> = OnceLock::new();
    ANSWERS.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let bundle = bundle(folder.path(), "db-1", Some("api"));
        boot("db", &["--uefi", "--size", "4", "--bundle", &bundle], "iptables -S peer-api | sed 's/^/chain /'")
    })
}

#[test]
fn without_a_bundle_the_database_runs_and_is_shut() {
    let answers = db_without_a_bundle();
    assert_started_by("--bios", answers);
    assert_healthy("db", answers);
    assert_eq!(answers["chain"], "-N peer-api");
    assert!(!answers["listening"].contains("0.0.0.0:3306"), "{answers:#?}");
}

#[test]
fn with_a_bundle_the_database_is_open_to_its_peer_and_has_grown_into_its_disk() {
    let answers = db_with_a_bundle();
    assert_started_by("--uefi", answers);
    assert_healthy("db", answers);
    assert_eq!(answers["goldsmith-instance"], "active");
    assert!(answers["chain"].contains("-s 10.0.2.2/32 -j ACCEPT"), "{answers:#?}");
    assert_eq!((answers["addresses"].as_str(), answers["gibibytes"].as_str()), ("1", "4"), "{answers:#?}");
}

/// Nothing that identifies a machine is in the image.
#[test]
fn two_machines_of_one_image_share_no_key_id_certificate_or_seed() {
    let (one, other) = (db_without_a_bundle(), db_with_a_bundle());
    for what in ["machine-id", "host-key", "certificate", "seed"] {
        assert!(one[what].len() >= 32, "{what}: {one:#?}");
        assert_ne!(one[what], other[what], "{what}");
    }
}

/// With Secure Boot, and seen from outside: port 80 sends to 443, and 22 speaks ssh.
#[test]
fn the_api_boots_with_secure_boot_and_answers() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let bundle = bundle(folder.path(), "api-1", None);
    let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port").local_addr().expect("a port").port();
    let (http, ssh) = (free(), free());
    let forwards = [format!("--forward={http}:80"), format!("--forward={ssh}:22")];
    let ended = AtomicBool::new(false);
    let (answers, heard) = thread::scope(|scope| {
        let knocking = scope.spawn(|| {
            let mut heard = [String::new(), String::new()];
            while !ended.load(Ordering::Relaxed) && heard.iter().any(String::is_empty) {
                thread::sleep(Duration::from_secs(1));
                let asked = [(http, "GET / HTTP/1.0\r\nHost: api\r\n\r\n"), (ssh, "")];
                for ((port, request), heard) in asked.into_iter().zip(&mut heard) {
                    *heard = if heard.is_empty() { knock(port, request) } else { heard.clone() };
                }
            }
            heard
        });
        let options = ["--secure-boot", "--bundle", &bundle, &forwards[0], &forwards[1]];
        let answers = thread::Builder::new().spawn_scoped(scope, move || boot("api", &options, "sleep 8"));
        let answers = answers.expect("a thread").join();
        ended.store(true, Ordering::Relaxed);
        (answers, knocking.join().expect("a thread"))
    });
    let answers = answers.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    assert_started_by("--secure-boot", &answers);
    assert_healthy("api", &answers);
    assert!(heard[0].starts_with("HTTP/1.1 30") && heard[0].contains("https://"), "{heard:?}");
    assert!(heard[1].starts_with("SSH-2.0-"), "{heard:?}");
}

/// What a port says within some seconds; nothing, if nobody is there.
fn knock(port: u16, request: &str) -> String {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return String::new() };
    let (mut said, mut bytes) = (Vec::new(), [0; 512]);
    let asked =
        stream.set_read_timeout(Some(Duration::from_secs(5))).and_then(|()| stream.write_all(request.as_bytes()));
    while asked.is_ok() && !said.ends_with(b"\n") {
        match stream.read(&mut bytes) {
            Ok(count @ 1..) => said.extend(&bytes[..count]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// A rules file that cannot be loaded: the machine comes up, says so, and has no address. (The unit sees another file there,
/// for which the hypervisor asks; the image is the one that ships.)
#[test]
fn with_a_broken_firewall_there_is_no_network() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let bundle = bundle(folder.path(), "db-2", Some("api"));
    let broken = "--credential=systemd.unit-dropin.goldsmith-firewall.service~broken=[Service]\n\
                  BindReadOnlyPaths=/usr/lib/os-release:/etc/iptables/rules.v4\n";
    let answers = boot(
        "db",
        &["--bios", "--bundle", &bundle, broken],
        "iptables -P INPUT ACCEPT; ip -br address | sed 's/^/link /'",
    );
    assert_eq!(answers["goldsmith-firewall"], "failed", "{answers:#?}");
    assert_eq!(answers["addresses"], "0", "{answers:#?}");
    assert_ne!(answers["ssh"], "active", "{answers:#?}");
    assert_eq!(answers["state"], "degraded", "{answers:#?}");
    assert!(!answers["milestones"].contains("locked") && !answers["milestones"].contains("serving"), "{answers:#?}");
}

/// Every image from every firmware. `cargo test --release --test main every_image_boots -- --ignored --nocapture` prints the
/// table; some five minutes on two quiet processors.
#[test]
#[ignore = "the rest of the matrix: six machines"]
fn every_image_boots_from_every_firmware() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    for image in IMAGES {
        let bundle = bundle(folder.path(), image, (image == "db").then_some("api"));
        for firmware in ["--bios", "--uefi", "--secure-boot"] {
            let answers = boot(image, &[firmware, "--bundle", &bundle], "");
            assert_started_by(firmware, &answers);
            assert_healthy(image, &answers);
        }
    }
}
