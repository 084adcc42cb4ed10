//! What an image does, as its own programs say: each prints its configuration with everything included and nothing left out.
//!
//! ```text
//! root file system, a copy ─▶ sshd -T, apache2 -D DUMP_CONFIG, php-fpm -i, mariadbd --help, … ─▶ lines, sorted where order is nothing
//! rules.v4, rules.v6 ───────▶ a packet to each port ─▶ which are reached, from where
//! ```
//!
//! Files can change without meaning anything else, and mean something else without changing (a new version has another default).
//! This is the other half of a comparison: the settings that are in force.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::netfilter::{Packet, Protocol, parse::parse};
use crate::rootfs::Rootfs;
use crate::sandbox::{Sandbox, SandboxError};

/// A program that prints its configuration.
struct Program {
    /// What people call it.
    name: &'static str,
    /// Where it is: an image without it has no such configuration. `*` stands for a version.
    path: &'static str,
    /// For `sh -euc`: prints the settings to standard output.
    script: &'static str,
}

/// What Apache looks for when it starts, and an instance makes: its certificate, its folders.
const APACHE: &str = "\
    mkdir -p /run/lock/apache2 /run/apache2 /var/log/apache2
    if [ -x /usr/lib/goldsmith/tls ]; then /usr/lib/goldsmith/tls >&2; fi
    . /etc/apache2/envvars
    info=/usr/lib/apache2/modules/mod_info.so
    apache2 -C \"LoadModule info_module $info\" -t -D DUMP_CONFIG > /tmp/apache
    grep -v '^#' /tmp/apache";

/// The programs, by what the issue of a patch is most often about.
const PROGRAMS: [Program; 7] = [
    Program {
        name: "sshd",
        path: "usr/sbin/sshd",
        // Some key it must have; an instance makes its own.
        script: "mkdir -p /run/sshd; ssh-keygen -q -t ed25519 -N '' -f /tmp/key; sshd -T -h /tmp/key | sed '/^hostkey /d' | sort",
    },
    Program { name: "apache", path: "usr/sbin/apache2", script: APACHE },
    Program {
        name: "php",
        path: "usr/sbin/php-fpm*",
        script: "for fpm in /usr/sbin/php-fpm[0-9]*; do $fpm -i | grep ' => .* => ' | sort; done",
    },
    Program {
        name: "mariadb",
        path: "usr/sbin/mariadbd",
        script: "mariadbd --verbose --help --user=mysql > /tmp/said; sed -n '/^Variables (/,/^To see/p' /tmp/said | grep '^[a-z]' | sort",
    },
    Program {
        name: "sysctl",
        path: "usr/lib/systemd/systemd-sysctl",
        // What is said last holds (sysctl.d(5)).
        script: "/usr/lib/systemd/systemd-sysctl --cat-config > /tmp/said
            sed -n 's/^ *-\\{0,1\\}\\([^#; ][^= ]*\\) *= */\\1 = /p' /tmp/said | awk '{ last[$1] = $0 } END { for (key in last) print last[key] }' | sort",
    },
    Program {
        name: "fail2ban",
        path: "usr/bin/fail2ban-client",
        script: "fail2ban-client -d > /tmp/said; sort /tmp/said",
    },
    Program {
        name: "units",
        path: "usr/bin/systemctl",
        script: "systemctl --root=/ --no-pager --no-legend list-unit-files > /tmp/said; tr -s ' ' < /tmp/said | sort",
    },
];

/// The settings in force in `rootfs`, by the name of what has them, a line each; `sandbox` runs programs in a copy of it.
///
/// # Errors
/// No program can be run. What a program refuses to print stands in its place: it is a change like any other.
pub fn configured(rootfs: &Rootfs, sandbox: &Sandbox) -> Result<BTreeMap<&'static str, String>, SandboxError> {
    let mut all = BTreeMap::new();
    for program in PROGRAMS.iter().filter(|program| is_there(rootfs, program.path)) {
        let script =
            format!("( {} ) 2> /tmp/errors || {{ echo \"it does not say:\"; cat /tmp/errors; }}", program.script);
        let output = sandbox.run(&["sh", "-euc", script.as_str()])?;
        all.insert(program.name, output.text);
    }
    all.insert("firewall", firewall(rootfs));
    Ok(all)
}

fn is_there(rootfs: &Rootfs, path: &str) -> bool {
    match path.strip_suffix('*') {
        None => rootfs.entries().contains_key(path),
        Some(start) => {
            rootfs.entries().range(start.to_owned()..).next().is_some_and(|(found, _)| found.starts_with(start))
        }
    }
}

/// Where packets come from, for a firewall that knows nobody yet: from anywhere, and from networks that nobody routes.
const SOURCES: [(&str, IpAddr); 4] = [
    ("everybody, ipv4", IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7))),
    ("10.0.0.0/8", IpAddr::V4(Ipv4Addr::new(10, 9, 8, 7))),
    ("everybody, ipv6", IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, 7))),
    ("the link, ipv6", IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 7))),
];

/// Which ports are reached from where, and which of others it reaches.
fn firewall(rootfs: &Rootfs) -> String {
    let mut lines = String::new();
    for (name, source) in SOURCES {
        let path = if source.is_ipv4() { "etc/iptables/rules.v4" } else { "etc/iptables/rules.v6" };
        let mut text = String::new();
        if !rootfs.entries().contains_key(path) {
            lines.push_str(&format!("{name}: there is no {path}\n"));
            continue;
        }
        if let Err(why) = rootfs.open(path).and_then(|mut file| file.read_to_string(&mut text)) {
            lines.push_str(&format!("{name}: {path} cannot be read: {why}\n"));
            continue;
        }
        let rules = parse(&text, source.is_ipv6());
        for (word, protocol) in [("tcp", Protocol::TCP), ("udp", Protocol::UDP)] {
            let coming = Packet::knock(source, protocol, 0);
            let going = Packet { destination: source, source: coming.destination, ..coming.clone() };
            for (direction, chain, packet) in [("from", "INPUT", coming), ("to", "OUTPUT", going)] {
                let (open, undecided) = rules.open(chain, &packet);
                let ports = open.iter().map(|(first, last)| match first == last {
                    true => first.to_string(),
                    false => format!("{first}-{last}"),
                });
                let ports = ports.chain(undecided).collect::<Vec<_>>().join(" ");
                lines.push_str(&format!("{word} {direction} {name}: {ports}\n"));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::digest::Digest;
    use crate::epoch::Epoch;
    use crate::rootfs::entry::{Content, Entry, Kind, Origin};

    #[test]
    fn a_firewall_is_what_it_lets_through_and_not_how_it_is_written() {
        let shown = |rules: &str| {
            let bytes = rules.as_bytes();
            let content = Content::Bytes(Arc::from(bytes));
            let kind = Kind::File { size: bytes.len() as u64, digest: Digest::of(bytes), content };
            let (xattrs, origin) = (BTreeMap::new(), Origin::Generated);
            let entry = Entry { kind, mode: 0o644, uid: 0, gid: 0, mtime: 0, xattrs, origin };
            firewall(&Rootfs::new(BTreeMap::from([("etc/iptables/rules.v4".to_owned(), entry)]), Epoch(0)))
        };
        let head = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT DROP [0:0]\n";
        let one = shown(&format!(
            "{head}-A INPUT -p tcp --dport 443 -j ACCEPT\n-A INPUT -p tcp --dport 80 -j ACCEPT\nCOMMIT\n"
        ));
        let other = shown(&format!("{head}# again\n-A INPUT -p tcp -m multiport --dports 80,443 -j ACCEPT\nCOMMIT\n"));
        assert_eq!(one, other);
        assert!(one.contains("tcp from everybody, ipv4: 80 443\n") && one.contains("udp from 10.0.0.0/8: \n"), "{one}");
        assert!(one.contains("everybody, ipv6: there is no etc/iptables/rules.v6"), "{one}");
        assert_ne!(one, shown(&format!("{head}-A INPUT -p tcp -m multiport --dports 22,80,443 -j ACCEPT\nCOMMIT\n")));
    }
}
