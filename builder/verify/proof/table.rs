//! What is proved of every image that has the program: a table.

use super::{Judge, Trial};

/// A row.
#[derive(Debug)]
pub struct Proof {
    /// Its name.
    pub id: &'static str,
    /// What it shows: `the firewall loads`.
    pub proves: &'static str,
    /// It applies to an image that has all of these; `*` at the end: something that begins so.
    pub needs: &'static [&'static str],
    /// Where the text that is tried comes from, for whoever has to mend it.
    from: &'static str,
    /// For `sh -euc`, in a sandbox: `/run` and `/tmp` are empty, the network is the loopback of a namespace of its own.
    script: &'static str,
    judge: Judge,
}

impl Proof {
    pub(super) fn trial(&self) -> Trial {
        Trial {
            id: self.id.to_owned(),
            proves: self.proves.to_owned(),
            from: self.from.to_owned(),
            script: self.script.to_owned(),
            judge: self.judge.clone(),
        }
    }
}

/// All of them; those that take longest first.
pub const PROOFS: &[Proof] = &[
    Proof {
        id: "cloud-init",
        proves: "cloud-init's configuration fits its schema",
        needs: &["usr/bin/cloud-init", "etc/cloud/cloud.cfg.d/99-goldsmith.cfg"],
        from: "overlays/base/root/etc/cloud/cloud.cfg.d/99-goldsmith.cfg",
        script: include_str!("cloud-init.sh"),
        judge: Judge::Succeeds,
    },
    Proof {
        id: "firewall-v4",
        proves: "the IPv4 rules load",
        needs: &["usr/sbin/iptables-restore", "etc/iptables/rules.v4"],
        from: "`[firewall]` of the recipe (/etc/iptables/rules.v4)",
        script: "test -s /etc/iptables/rules.v4 || { echo 'the file is empty: everything would be open'; exit 1; }\n\
                 iptables-restore --test /etc/iptables/rules.v4",
        judge: Judge::Succeeds,
    },
    Proof {
        id: "firewall-v6",
        proves: "the IPv6 rules load",
        needs: &["usr/sbin/ip6tables-restore", "etc/iptables/rules.v6"],
        from: "`[firewall]` of the recipe (/etc/iptables/rules.v6)",
        script: "test -s /etc/iptables/rules.v6 || { echo 'the file is empty: everything would be open'; exit 1; }\n\
                 ip6tables-restore --test /etc/iptables/rules.v6",
        judge: Judge::Succeeds,
    },
    Proof {
        id: "sshd",
        proves: "sshd starts with its configuration",
        needs: &["usr/sbin/sshd", "etc/ssh/sshd_config"],
        from: "the overlays (/etc/ssh/sshd_config, /etc/ssh/sshd_config.d/)",
        // An image has no host key, and the places where its configuration looks for one are the instance's.
        script: "mkdir -p /run/sshd; ssh-keygen -q -t ed25519 -N '' -f /tmp/key\n\
                 { echo 'HostKey /tmp/key'; cat /etc/ssh/sshd_config; } > /tmp/sshd_config\n\
                 sshd -t -f /tmp/sshd_config",
        judge: Judge::Silent(&["Unable to load host key: /", "Could not load host key: /"]),
    },
    Proof {
        id: "apache",
        proves: "Apache starts with its configuration",
        needs: &["usr/sbin/apache2ctl", "etc/apache2/apache2.conf"],
        from: "the overlays (/etc/apache2/)",
        script: include_str!("apache.sh"),
        judge: Judge::Silent(&["Syntax OK"]),
    },
    Proof {
        id: "php",
        proves: "PHP starts with its configuration",
        needs: &["usr/bin/php"],
        from: "the overlays (/etc/php/)",
        script: "php -m > /dev/null",
        judge: Judge::Silent(&[]),
    },
    Proof {
        id: "php-fpm",
        proves: "PHP-FPM starts with its configuration",
        needs: &["usr/sbin/php-fpm*"],
        from: "the overlays (/etc/php/*/fpm/)",
        script: "mkdir -p /run/php; for fpm in /usr/sbin/php-fpm*; do $fpm -t 2>&1; done",
        judge: Judge::Silent(&["test is successful"]),
    },
    Proof {
        id: "mariadb",
        proves: "MariaDB understands its configuration",
        needs: &["usr/sbin/mariadbd"],
        from: "the overlays (/etc/mysql/)",
        script: "mariadbd --verbose --help 2>&1 > /dev/null",
        // No data directory, no network interface, and as many files as this machine admits.
        judge: Judge::Silent(&[
            "Could not open mysql.plugin table",
            "failed to retrieve the MAC address",
            "Could not increase number of max_open_files",
        ]),
    },
    Proof {
        id: "units",
        proves: "systemd understands our units, and our additions to Debian's",
        needs: &["usr/bin/systemd-analyze", "usr/lib/systemd/system"],
        from: "the overlays (/usr/lib/systemd/system/, /etc/systemd/system/)",
        script: include_str!("units.sh"),
        judge: Judge::Silent(&[]),
    },
];
