//! The roles, baked locked down: the audit of what ships, the units in the image's own hands, and configurations that the
//! image's own programs refuse before there is an image.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::project::GOLDSMITH;

use super::tools::shell;
use super::{IMAGES, checkout, images, repository};

#[test]
fn the_audit_of_both_images_finds_nothing() {
    let mut audit = Command::new(GOLDSMITH);
    let output = audit.args(["audit", "--output"]).arg(images()).args(IMAGES).current_dir(repository()).output();
    let output = output.expect("starting goldsmith");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    for image in IMAGES {
        let line = said.lines().find(|line| line.starts_with(&format!("{image}: "))).expect("a line for each image");
        assert!(line.contains(" 0 failed (0 findings)") && !line.contains(": 0 checks passed"), "{line}");
    }
}

/// As in CI, of the file that ships: the same as by name.
#[test]
fn the_audit_of_an_archive_finds_what_it_is_and_says_the_same() {
    let said = |arguments: &[&std::ffi::OsStr]| {
        let output =
            Command::new(GOLDSMITH).args(["audit", "--all"]).args(arguments).current_dir(repository()).output();
        let output = output.expect("starting goldsmith");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let archive = images().join("db/db.oci.tar");
    assert_eq!(said(&[archive.as_os_str()]), said(&["--output".as_ref(), images().as_os_str(), "db".as_ref()]));
}

/// What an instance is told, right and wrong, to the program that reads it (golden/instance/cases.json).
#[test]
fn an_instance_takes_facts_that_are_right_and_refuses_the_others_whole() {
    images();
    let show = format!("{}:/repository", repository().display());
    let (code, said) = shell("api", &["--show", &show], &["python3", "/repository/tests/instance.py"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("112 cases, 0 wrong"), "{said}");
}

/// Rules files that are missing, empty, broken, or open more than they should, to the image's own firewall unit.
#[test]
fn the_firewall_fails_closed_whatever_is_wrong_with_its_files() {
    images();
    let show = format!("{}:/fail-closed", repository().join("tests/fail-closed").display());
    for image in IMAGES {
        let (code, said) = shell(image, &["--show", &show], &["sh", "/fail-closed"]);
        assert_eq!(code, Some(0), "{image}:\n{said}");
        assert!(said.lines().filter(|line| line.starts_with("ok")).count() >= 16, "{image}: {said}");
    }
}

/// One mistake for each program that reads a configuration: every one of them is found, and no image is written.
#[test]
fn what_the_images_own_programs_refuse_becomes_no_image() {
    let project = checkout();
    let append = |path: &str, text: &str| {
        let path = project.path().join(path);
        let old = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        fs::write(&path, old + text).expect("writing a file");
    };
    append("overlays/debian-13/root/etc/ssh/sshd_config", "\nPermitRootLogin perhaps\n");
    append("overlays/base/root/etc/cloud/cloud.cfg.d/99-goldsmith.cfg", "\nhostnme: x\n");
    append("overlays/base/root/usr/lib/systemd/system/goldsmith-instance.service", "\n[Service]\nUser\n");
    append("overlays/apache/root/etc/apache2/conf-available/hardening.conf", "\nServerTokns Prod\n");
    append("overlays/php/root/etc/php/goldsmith/api.conf", "\npm.max_childrn = 3\n");
    append("overlays/mariadb/root/etc/mysql/mariadb.conf.d/60-goldsmith.cnf", "\nlocal-infil = 0\n");
    let recipe = project.path().join("recipes/base.toml");
    let text = fs::read_to_string(&recipe).expect("a recipe");
    let told = text.replacen("Invalid user admin from 203.0.113.9", "Welcome, dear admin of 203.0.113.9", 1);
    assert_ne!(told, text, "the sample is in the recipe");
    fs::write(&recipe, told).expect("writing a recipe");

    let refused = |image: &str| {
        let out = project.path().join("out");
        let mut build = Command::new(GOLDSMITH);
        build.args(["build", "--offline", image, "--output"]).arg(&out).current_dir(project.path());
        let output = build.output().expect("starting goldsmith");
        assert_eq!(output.status.code(), Some(1));
        assert!(!Path::new(&out).join(image).join("oci").exists(), "an image was written");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = refused("api");
    for proof in ["sshd", "cloud-init", "units", "apache", "php-fpm", "jail sshd"] {
        assert!(said.contains(&format!("\n  {proof}: it is not proved that ")), "{proof}:\n{said}");
    }
    let said = refused("db");
    assert!(said.contains("\n  mariadb: it is not proved that "), "{said}");
}
