//! What listens, and which names are asked of whom.

use super::super::audited::Audited;
use super::super::check::{Check, Finding, Severity};
use super::super::effective::apache::Apache;
use super::super::effective::sshd::Sshd;
use super::super::effective::unit::{self, Unit};
use super::super::effective::{dropins, ini};
use super::super::want::Want;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "network-llmnr",
        title: "names are asked of name servers only",
        why: "LLMNR and mDNS listen on every address, and believe whoever answers on the link",
        source: "resolved.conf(5) LLMNR=, MulticastDNS=",
        severity: Severity::High,
        applies: |image| image.has("usr/lib/systemd/systemd-resolved"),
        run: llmnr,
    },
    Check {
        id: "network-ssh-generator",
        title: "sshd is started by its own unit only",
        why: "systemd binds a second sshd to AF_VSOCK and AF_UNIX, past the firewall",
        source: "systemd-ssh-generator(8)",
        severity: Severity::High,
        applies: |image| image.has("usr/lib/systemd/system-generators/systemd-ssh-generator"),
        run: ssh_generator,
    },
    Check {
        id: "network-sockets",
        title: "no socket is opened to the network but those that are known",
        why: "a service that nobody asked for waits for strangers",
        source: "CIS Debian 12 2.1.22; systemd.socket(5)",
        severity: Severity::High,
        applies: |_| true,
        run: sockets,
    },
    Check {
        id: "network-ports",
        title: "services listen on the ports that the firewall opens",
        why: "a port that is open and answers nothing, or a service behind a shut one, is a mistake in one of the two",
        source: "the recipe's [firewall]",
        severity: Severity::Medium,
        applies: |image| image.has("usr/sbin/sshd") || image.has("usr/sbin/apache2"),
        run: ports,
    },
    Check {
        id: "network-time",
        title: "the clock is set from the network",
        why: "certificates and logs are worth nothing with a wrong clock",
        source: "CIS Debian 12 2.3.1",
        severity: Severity::Low,
        applies: |_| true,
        run: time,
    },
];

fn llmnr(image: &Audited<'_>) -> Vec<Finding> {
    let settings = dropins::systemd(image, "resolved.conf");
    let judge = |key| {
        let value = ini::last(&settings, &["Resolve"], key);
        Want::OneOf(&["no", "false", "off", "0"]).judge(key, value, "etc/systemd/resolved.conf.d")
    };
    ["LLMNR", "MulticastDNS"].into_iter().filter_map(judge).collect()
}

/// Masked: a link to /dev/null of its name in /etc.
fn ssh_generator(image: &Audited<'_>) -> Vec<Finding> {
    use crate::rootfs::entry::Kind;
    let path = "etc/systemd/system-generators/systemd-ssh-generator";
    match image.lookup(path).map(|entry| &entry.kind) {
        Some(Kind::Symlink(target)) if target == "/dev/null" => Vec::new(),
        Some(Kind::File { size: 0, .. }) => Vec::new(),
        _ => vec![Finding::new(path, "the generator runs", "a link to /dev/null", "an overlay with the link")],
    }
}

/// Enabled socket units with a port.
fn sockets(image: &Audited<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in unit::pulled(image).keys().filter(|name| name.ends_with(".socket")) {
        let Some(unit) = Unit::of(image, name) else { continue };
        for key in ["ListenStream", "ListenDatagram"] {
            for address in unit.lines("Socket", key).into_iter().filter(|address| !address.starts_with(['/', '@', '%']))
            {
                let found = format!("{key}={address}");
                findings.push(Finding::new(name, found, "no port", "mask the socket, or name its port in the recipe"));
            }
        }
    }
    findings
}

/// sshd's and Apache's ports are opened by the recipe.
fn ports(image: &Audited<'_>) -> Vec<Finding> {
    let mut listening: Vec<(&str, u16)> = Vec::new();
    if image.has("usr/sbin/sshd") {
        let sshd = Sshd::of(image).unwrap_or_default();
        let ports = sshd.value("port").unwrap_or("22").to_owned();
        listening.extend(ports.split_whitespace().filter_map(|port| port.parse().ok()).map(|port| ("sshd", port)));
    }
    if let Some(apache) = Apache::of(image).filter(|_| image.has("usr/sbin/apache2")) {
        let port = |value: &str| value.split_whitespace().next()?.rsplit(':').next()?.parse().ok();
        listening
            .extend(apache.all("Listen").filter_map(|directive| port(&directive.value)).map(|port| ("apache2", port)));
    }
    let open =
        |port: u16| image.claims().open.iter().any(|one| !one.udp && (one.ports.0..=one.ports.1).contains(&port));
    let shut = listening.iter().filter(|(_, port)| !open(*port));
    let mut findings: Vec<Finding> = shut
        .map(|(service, port)| {
            Finding::new(
                *service,
                format!("listens on {port}, which is shut"),
                "an open port",
                "open it in the recipe, or do not listen",
            )
        })
        .collect();
    let mut known: Vec<u16> = listening.iter().map(|(_, port)| *port).collect();
    if image.has("usr/sbin/mariadbd") || image.has("usr/sbin/mysqld") {
        known.push(3306);
    }
    for opening in image.claims().open.iter().filter(|opening| !opening.udp) {
        if !known.iter().any(|port| (opening.ports.0..=opening.ports.1).contains(port)) {
            let found = format!("{} is open, and nothing listens", opening.ports.0);
            findings.push(Finding::new("recipe", found, "a service", "shut it in the recipe, or listen"));
        }
    }
    findings
}

fn time(image: &Audited<'_>) -> Vec<Finding> {
    let pulled = unit::pulled(image);
    let keepers = ["systemd-timesyncd.service", "chrony.service", "ntpsec.service"];
    match keepers.iter().any(|name| pulled.contains_key(*name)) {
        true => Vec::new(),
        false => {
            vec![Finding::new("systemd-timesyncd.service", "not enabled", "enabled", "enable it in the base overlay")]
        }
    }
}
