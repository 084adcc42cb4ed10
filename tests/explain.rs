//! `goldsmith explain`: of the recipes of this repository, from their locks and overlays.

use std::process::Command;

use crate::harness::project::GOLDSMITH;

/// What it says, and its exit code.
fn explain(arguments: &[&str]) -> (String, Option<i32>) {
    let mut command = Command::new(GOLDSMITH);
    command.arg("explain").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.output().expect("starting goldsmith");
    let said = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&said).into_owned(), output.status.code())
}

/// The text of the line that `said` names as `PATH:NUMBER`.
fn line(said: &str, path: &str) -> String {
    let number = said.split(&format!("{path}:")).nth(1).and_then(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<usize>().ok()
    });
    let text = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a recipe");
    text.lines().nth(number.unwrap_or_else(|| panic!("no line of {path} in {said}")) - 1).unwrap_or_default().to_owned()
}

#[test]
fn a_port_leads_to_the_rule_that_opens_it_or_to_nobody() {
    let (said, _) = explain(&["port", "3306"]);
    assert!(said.contains("db: tcp 3306 is open to the peer `api`"), "{said}");
    assert!(said.contains("api: tcp 3306 is closed: no rule opens it"), "{said}");
    assert!(said.contains("api: tcp 3306 of others is reached"), "the API calls it: {said}");
    assert_eq!(
        line(said.split("db: tcp 3306 is open").nth(1).expect("it is"), "recipes/db.toml"),
        "name = \"database\""
    );
    let (said, _) = explain(&["port", "53/udp", "--image", "db"]);
    assert!(said.contains("db: udp 53 is closed") && said.contains("db: udp 53 of everybody is reached"), "{said}");
    assert_eq!(explain(&["port", "0"]).1, Some(2));
}

#[test]
fn a_package_leads_to_who_asked_for_it() {
    let (said, code) = explain(&["package", "libapache2-mod-nothing"]);
    assert!(code == Some(2) && said.contains("there is no package libapache2-mod-nothing"), "{said}");
    let (said, code) = explain(&["package", "apache2-bin", "--image", "api"]);
    assert!(code == Some(0) && said.contains("apache2 Depends it") && said.contains("asked for by recipes/"), "{said}");
    assert!(line(&said, "recipes/api.toml").contains("\"apache2\""), "{said}");
}

#[test]
fn a_file_leads_to_the_overlay_that_laid_it() {
    let (said, code) = explain(&["file", "/etc/iptables/rules.v4", "--image", "db"]);
    assert!(code == Some(0) && said.contains("the tables of the recipe ([firewall], [fail2ban])"), "{said}");
    let path = "/etc/systemd/system/ssh.service.d/00-goldsmith.conf";
    let (said, code) = explain(&["file", path, "--image", "db"]);
    assert!(code == Some(0) && said.contains(&format!("overlays/base/root{path}")), "{said}");
    assert!(line(&said, "recipes/base.toml").contains("\"base\""), "{said}");
}
