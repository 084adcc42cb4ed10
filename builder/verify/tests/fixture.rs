//! A small image, in memory, that every check passes: as little of Debian as they look at, written out.

use std::collections::BTreeMap;

use crate::digest::Digest;
use crate::epoch::Epoch;
use crate::rootfs::Rootfs;
use crate::rootfs::entry::{Content, Entry, Kind, Origin};
use crate::verify::claims::{Claims, Opening, Whom};

/// What is done to the healthy image.
#[derive(Debug)]
pub enum Change {
    /// A file has this text.
    Write(&'static str, &'static str),
    /// A file has this line more.
    Append(&'static str, &'static str),
    /// In a file, the first text becomes the second.
    Swap(&'static str, &'static str, &'static str),
    /// There is nothing here any more.
    Remove(&'static str),
    /// Permissions.
    Mode(&'static str, u32),
    /// Owner and group.
    Owner(&'static str, u32, u32),
    /// A link.
    Link(&'static str, &'static str),
    /// A time.
    Time(&'static str, i64),
    /// A capability.
    Capability(&'static str),
}

/// Everything is from then.
const EPOCH: i64 = 1_757_663_741;

/// What the image claims: the web to the world, sshd to a network and to a peer; in both families.
pub fn claims() -> Claims {
    let tcp = |port, to| Opening { udp: false, ports: (port, port), to };
    Claims {
        image: "api".to_owned(),
        open: vec![
            tcp(22, Whom::Network("203.0.113.0/24".parse().unwrap())),
            tcp(80, Whom::World),
            tcp(443, Whom::World),
            tcp(3306, Whom::Peer("app".to_owned())),
        ],
        exceptions: Vec::new(),
    }
}

/// The text of a file of the healthy image.
pub fn text(path: &str) -> &'static str {
    FILES.iter().find(|(name, ..)| *name == path).map(|(_, _, text)| *text).unwrap()
}

/// The image, changed.
pub fn healthy(changes: &[Change]) -> Rootfs {
    let mut entries = BTreeMap::new();
    let entry = |kind, mode| Entry {
        kind,
        mode,
        uid: 0,
        gid: 0,
        mtime: EPOCH,
        xattrs: BTreeMap::new(),
        origin: Origin::Generated,
    };
    let mut put = |path: &str, kind: Kind, mode: u32| {
        for (at, _) in path.match_indices('/') {
            entries.entry(path[..at].to_owned()).or_insert_with(|| entry(Kind::Directory, 0o755));
        }
        entries.insert(path.to_owned(), entry(kind, mode));
    };
    put("", Kind::Directory, 0o755);
    for (path, mode, text) in FILES {
        put(path, file(text), *mode);
    }
    for (path, target) in LINKS {
        put(path, Kind::Symlink((*target).to_owned()), 0o777);
    }
    put("tmp", Kind::Directory, 0o1777);
    put("var/tmp", Kind::Directory, 0o1777);
    put("root", Kind::Directory, 0o700);
    put("var/lib/mysql", Kind::Directory, 0o700);
    put("var/lib/mysql-files", Kind::Directory, 0o700);
    for path in ["var/lib/mysql", "var/lib/mysql-files"] {
        let entry = entries.get_mut(path).unwrap();
        (entry.uid, entry.gid) = (907, 907);
    }
    for change in changes {
        apply(&mut entries, change);
    }
    Rootfs::new(entries, Epoch(EPOCH))
}

fn file(text: &str) -> Kind {
    let bytes = text.as_bytes();
    Kind::File { size: bytes.len() as u64, digest: Digest::of(bytes), content: Content::Bytes(bytes.into()) }
}

fn apply(entries: &mut BTreeMap<String, Entry>, change: &Change) {
    let new = |kind| Entry {
        kind,
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: EPOCH,
        xattrs: BTreeMap::new(),
        origin: Origin::Generated,
    };
    let old = |entries: &BTreeMap<String, Entry>, path: &str| match &entries[path].kind {
        Kind::File { content: Content::Bytes(bytes), .. } => String::from_utf8(bytes.to_vec()).unwrap(),
        other => panic!("{path} is {other:?}"),
    };
    if let Change::Write(path, _) | Change::Link(path, _) | Change::Mode(path, _) = *change {
        for (at, _) in path.match_indices('/') {
            entries.entry(path[..at].to_owned()).or_insert_with(|| Entry { mode: 0o755, ..new(Kind::Directory) });
        }
    }
    match *change {
        Change::Write(path, text) => match entries.get_mut(path) {
            Some(entry) => entry.kind = file(text),
            None => drop(entries.insert(path.to_owned(), new(file(text)))),
        },
        Change::Append(path, line) => {
            let text = format!("{}{line}\n", old(entries, path));
            entries.get_mut(path).unwrap().kind = file(&text);
        }
        Change::Swap(path, from, to) => {
            let text = old(entries, path);
            assert!(text.contains(from), "{path} has no {from:?}: the mutant would be no mutant");
            entries.get_mut(path).unwrap().kind = file(&text.replace(from, to));
        }
        Change::Remove(path) => assert!(entries.remove(path).is_some(), "there is no {path}"),
        Change::Mode(path, mode) => match entries.get_mut(path) {
            Some(entry) => entry.mode = mode,
            None => drop(entries.insert(path.to_owned(), Entry { mode, ..new(file("x")) })),
        },
        Change::Owner(path, uid, gid) => {
            let entry = entries.get_mut(path).unwrap();
            (entry.uid, entry.gid) = (uid, gid);
        }
        Change::Link(path, target) => drop(entries.insert(path.to_owned(), new(Kind::Symlink(target.to_owned())))),
        Change::Time(path, seconds) => entries.get_mut(path).unwrap().mtime = seconds,
        Change::Capability(path) => {
            entries.get_mut(path).unwrap().xattrs.insert("security.capability".to_owned(), vec![1, 0, 0, 2]);
        }
    }
}

const LINKS: &[(&str, &str)] = &[
    ("bin", "usr/bin"),
    ("lib", "usr/lib"),
    ("sbin", "usr/sbin"),
    ("usr/sbin/init", "../lib/systemd/systemd"),
    ("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf"),
    ("usr/lib/systemd/system/default.target", "multi-user.target"),
    ("etc/systemd/system-generators/systemd-ssh-generator", "/dev/null"),
    ("etc/systemd/system/apt-daily.timer", "/dev/null"),
    ("etc/systemd/system/ctrl-alt-del.target", "/dev/null"),
    ("etc/systemd/system/multi-user.target.wants/ssh.service", "/usr/lib/systemd/system/ssh.service"),
    ("etc/systemd/system/multi-user.target.wants/fail2ban.service", "/usr/lib/systemd/system/fail2ban.service"),
    ("etc/systemd/system/multi-user.target.wants/apache2.service", "/usr/lib/systemd/system/apache2.service"),
    ("etc/systemd/system/multi-user.target.wants/mariadb.service", "/usr/lib/systemd/system/mariadb.service"),
    (
        "etc/systemd/system/multi-user.target.wants/systemd-networkd.service",
        "/usr/lib/systemd/system/systemd-networkd.service",
    ),
    (
        "etc/systemd/system/sysinit.target.wants/systemd-timesyncd.service",
        "/usr/lib/systemd/system/systemd-timesyncd.service",
    ),
    (
        "etc/systemd/system/sysinit.target.requires/goldsmith-firewall.service",
        "/usr/lib/systemd/system/goldsmith-firewall.service",
    ),
    ("etc/apache2/mods-enabled/headers.load", "../mods-available/headers.load"),
];

const SANDBOX: &str = "[Service]\nProtectSystem=full\nProtectHome=yes\nPrivateTmp=yes\nNoNewPrivileges=yes\nProtectKernelModules=yes\n\
    ProtectKernelTunables=yes\nRestrictAddressFamilies=AF_UNIX AF_INET AF_INET6\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\n";
const REQUIRES: &str = "[Unit]\nRequires=goldsmith-firewall.service\nAfter=goldsmith-firewall.service\n";
const SERVICE: &str = "[Service]\nExecStart=/usr/bin/true\n";

const FILES: &[(&str, u32, &str)] = &[
    (
        "etc/passwd",
        0o644,
        "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\nmysql:x:907:907::/:/bin/false\n",
    ),
    ("etc/shadow", 0o640, "root:*:1:0:99999:7:::\nwww-data:*:1::::::\nmysql:!:1::::::\n"),
    ("etc/group", 0o644, "root:x:0:\nshadow:x:42:\nwww-data:x:33:\nmysql:x:907:\n"),
    ("etc/gshadow", 0o640, "root:*::\nshadow:*::\nwww-data:!::\nmysql:!::\n"),
    ("etc/login.defs", 0o644, "# UMASK 022\nUMASK\t\t027\nENCRYPT_METHOD YESCRYPT\n"),
    ("etc/sudoers", 0o440, "Defaults use_pty\nroot ALL=(ALL:ALL) ALL\n"),
    ("etc/cron.allow", 0o600, "root\n"),
    ("usr/bin/crontab", 0o755, "program"),
    ("usr/bin/su", 0o4755, "program"),
    ("usr/bin/bash", 0o755, "program"),
    ("usr/bin/apt", 0o755, "program"),
    ("etc/apt/sources.list", 0o644, "# none\n"),
    ("etc/machine-id", 0o444, ""),
    ("etc/issue.net", 0o644, "Authorised use only.\n"),
    (
        "var/lib/dpkg/status",
        0o644,
        "Package: bash\nStatus: install ok installed\nVersion: 1\n\nPackage: python3-systemd\nStatus: install ok installed\nVersion: 1\n",
    ),
    ("boot/vmlinuz-6.12", 0o644, "kernel"),
    ("boot/initrd.img-6.12", 0o644, INITRD),
    ("usr/lib/modules/6.12/modules.dep", 0o644, "x:\n"),
    ("usr/sbin/update-initramfs", 0o755, "program"),
    // sshd
    ("usr/sbin/sshd", 0o755, "program"),
    ("etc/ssh/sshd_config", 0o600, "# sshd\nInclude /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\nX11Forwarding yes\n"),
    ("etc/ssh/sshd_config.d/00-goldsmith.conf", 0o600, SSHD),
    ("etc/ssh/moduli", 0o644, "# Time Type Tests Tries Size Generator Modulus\n20241018083318 2 6 100 3071 2 C0\n"),
    // The kernel
    ("etc/sysctl.d/99-goldsmith.conf", 0o644, SYSCTL),
    ("etc/modprobe.d/goldsmith.conf", 0o644, MODPROBE),
    // The firewall
    ("etc/iptables/rules.v4", 0o600, RULES_V4),
    ("etc/iptables/rules.v6", 0o600, RULES_V6),
    (
        "usr/lib/systemd/system/goldsmith-firewall.service",
        0o644,
        "[Unit]\nDefaultDependencies=no\nBefore=systemd-networkd.service\n[Service]\nExecStart=/usr/lib/goldsmith/firewall\n",
    ),
    ("etc/systemd/system/systemd-networkd.service.d/00-goldsmith.conf", 0o644, REQUIRES),
    // systemd
    ("usr/lib/systemd/systemd", 0o755, "program"),
    ("usr/lib/systemd/systemd-networkd", 0o755, "program"),
    ("usr/lib/systemd/systemd-resolved", 0o755, "program"),
    ("usr/lib/systemd/systemd-journald", 0o755, "program"),
    ("usr/lib/systemd/systemd-coredump", 0o755, "program"),
    ("usr/lib/systemd/system-generators/systemd-ssh-generator", 0o755, "program"),
    ("usr/lib/systemd/system/multi-user.target", 0o644, "[Unit]\n"),
    ("usr/lib/systemd/system/ctrl-alt-del.target", 0o644, "[Unit]\n"),
    ("usr/lib/systemd/system/ssh.service", 0o644, SERVICE),
    ("usr/lib/systemd/system/fail2ban.service", 0o644, SERVICE),
    ("usr/lib/systemd/system/apache2.service", 0o644, SERVICE),
    ("usr/lib/systemd/system/mariadb.service", 0o644, SERVICE),
    ("usr/lib/systemd/system/systemd-networkd.service", 0o644, SERVICE),
    ("usr/lib/systemd/system/systemd-timesyncd.service", 0o644, SERVICE),
    ("usr/lib/systemd/system/apt-daily.timer", 0o644, "[Timer]\nOnCalendar=daily\n"),
    ("etc/systemd/system/ssh.service.d/00-goldsmith.conf", 0o644, SANDBOX),
    ("etc/systemd/system/fail2ban.service.d/00-goldsmith.conf", 0o644, SANDBOX),
    ("etc/systemd/system/apache2.service.d/00-goldsmith.conf", 0o644, SANDBOX),
    ("etc/systemd/system/mariadb.service.d/00-goldsmith.conf", 0o644, SANDBOX),
    (
        "usr/lib/systemd/system-preset/00-goldsmith.preset",
        0o644,
        "enable ssh.service\nenable goldsmith-firewall.service\nenable fail2ban.service\nenable apache2.service\nenable mariadb.service\ndisable *\n",
    ),
    ("usr/lib/systemd/system-preset/90-systemd.preset", 0o644, "enable apt-daily.timer\n"),
    ("etc/systemd/journald.conf.d/00-goldsmith.conf", 0o644, "[Journal]\nStorage=persistent\nSystemMaxUse=200M\n"),
    ("etc/systemd/coredump.conf.d/00-goldsmith.conf", 0o644, "[Coredump]\nStorage=none\n"),
    ("etc/systemd/resolved.conf.d/00-goldsmith.conf", 0o644, "[Resolve]\nLLMNR=no\nMulticastDNS=no\n"),
    ("etc/security/limits.d/goldsmith.conf", 0o644, "* hard core 0\n"),
    // cloud-init
    ("usr/bin/cloud-init", 0o755, "program"),
    (
        "etc/cloud/cloud.cfg",
        0o644,
        "users:\n   - default\ndisable_root: true\nsystem_info:\n  default_user:\n    sudo: ALL=(ALL) NOPASSWD:ALL\n",
    ),
    ("etc/cloud/cloud.cfg.d/99-goldsmith.cfg", 0o644, CLOUD),
    ("etc/cloud/cloud.cfg.d/99-groups.cfg", 0o644, "system_info:\n  default_user: {groups: [adm]}\n"),
    // fail2ban
    ("usr/bin/fail2ban-server", 0o755, "program"),
    ("usr/sbin/nft", 0o755, "program"),
    (
        "etc/fail2ban/fail2ban.conf",
        0o644,
        "[Definition]\ndbfile = /var/lib/fail2ban/fail2ban.sqlite3\ndbpurgeage = 1d\n",
    ),
    ("etc/fail2ban/fail2ban.d/goldsmith.local", 0o644, "[Definition]\ndbpurgeage = 8d\n"),
    (
        "etc/fail2ban/jail.conf",
        0o644,
        "[INCLUDES]\nbefore = paths-debian.conf\n[DEFAULT]\nfilter = %(__name__)s\nbanaction = iptables-multiport\nignoreself = true\nbackend = auto\naction_ = %(banaction)s[port=\"%(port)s\"]\naction = %(action_)s\nport = 0:65535\n[sshd]\nport = ssh\n",
    ),
    ("etc/fail2ban/jail.d/goldsmith.local", 0o644, JAILS),
    ("etc/fail2ban/action.d/nftables.conf", 0o644, ""),
    ("etc/fail2ban/filter.d/sshd.conf", 0o644, ""),
    ("etc/fail2ban/filter.d/recidive.conf", 0o644, ""),
    ("etc/fail2ban/filter.d/apache-auth.conf", 0o644, ""),
    ("etc/fail2ban/filter.d/apache-badbots.conf", 0o644, ""),
    ("etc/fail2ban/filter.d/apache-noscript.conf", 0o644, ""),
    ("etc/fail2ban/filter.d/apache-overflows.conf", 0o644, ""),
    ("etc/fail2ban/filter.d/apache-botsearch.conf", 0o644, ""),
    ("etc/fail2ban/filter.d/php-url-fopen.conf", 0o644, ""),
    ("etc/fail2ban/filter.d/mysqld-auth.conf", 0o644, ""),
    ("usr/lib/tmpfiles.d/goldsmith.conf", 0o644, "f /var/log/apache2/error.log 0640 root adm -\n"),
    // Apache
    ("usr/sbin/apache2", 0o755, "program"),
    ("etc/apache2/apache2.conf", 0o644, APACHE),
    (
        "etc/apache2/mods-available/headers.load",
        0o644,
        "LoadModule headers_module /usr/lib/apache2/modules/mod_headers.so\n",
    ),
    (
        "etc/apache2/mods-enabled/ssl.load",
        0o644,
        "LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so\nLoadModule reqtimeout_module /usr/lib/apache2/modules/mod_reqtimeout.so\n",
    ),
    (
        "etc/apache2/conf-enabled/security.conf",
        0o644,
        "ServerTokens OS\n<IfModule mod_nothing.c>\n    TraceEnable On\n</IfModule>\n",
    ),
    ("etc/apache2/conf-enabled/zz-goldsmith.conf", 0o644, APACHE_OWN),
    ("etc/apache2/sites-enabled/000-api.conf", 0o644, SITE),
    ("var/www/html/index.html", 0o644, "hello\n"),
    // PHP
    ("etc/php/8.4/apache2/php.ini", 0o644, "[PHP]\nexpose_php = On\ndisplay_errors = On ; for developers\n"),
    ("etc/php/8.4/apache2/conf.d/99-goldsmith.ini", 0o644, PHP),
    ("etc/php/8.4/cli/php.ini", 0o644, "[PHP]\nmysqli.allow_local_infile = Off\n"),
    // MariaDB
    ("usr/sbin/mariadbd", 0o755, "program"),
    (
        "etc/mysql/my.cnf",
        0o644,
        "[client-server]\nsocket = /run/mysqld/mysqld.sock\n!includedir /etc/mysql/mariadb.conf.d/\n",
    ),
    (
        "etc/mysql/mariadb.conf.d/50-server.cnf",
        0o644,
        "[mysqld]\nuser = mysql\nbind-address = 0.0.0.0 # loopback is said later\n",
    ),
    ("etc/mysql/mariadb.conf.d/60-goldsmith.cnf", 0o644, MARIADB),
];

/// Larger than what an empty initial RAM disk has.
const INITRD: &str = match std::str::from_utf8(&[b'i'; 2048]) {
    Ok(text) => text,
    Err(_) => "",
};

const SSHD: &str = "PermitRootLogin no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nHostbasedAuthentication no\nGSSAPIAuthentication no\n\
PermitEmptyPasswords no\nAuthenticationMethods publickey\nAllowGroups ops\nPermitUserEnvironment no\nPermitUserRC no\nLoginGraceTime 30\nMaxAuthTries 3\n\
MaxSessions 10\nMaxStartups 10:30:60\nClientAliveInterval 300\nClientAliveCountMax 3\nX11Forwarding no\nAllowAgentForwarding no\nAllowTcpForwarding no\n\
AllowStreamLocalForwarding no\nPermitTunnel no\nGatewayPorts no\nHostKey /etc/ssh/ssh_host_ed25519_key\nHostKeyAlgorithms ssh-ed25519\n\
KexAlgorithms mlkem768x25519-sha256,sntrup761x25519-sha512@openssh.com\nCiphers chacha20-poly1305@openssh.com,aes256-gcm@openssh.com\n\
MACs hmac-sha2-512-etm@openssh.com\nRequiredRSASize 3072\nCompression no\nLogLevel VERBOSE\nDebianBanner no\nBanner /etc/issue.net\n\
Match Group jump\n    AllowTcpForwarding local\n    PermitOpen 10.0.0.20:22\n";

const SYSCTL: &str = "kernel.kptr_restrict = 2\nkernel.dmesg_restrict = 1\nkernel.perf_event_paranoid = 3\nkernel.unprivileged_bpf_disabled = 1\n\
net.core.bpf_jit_harden = 2\nkernel.yama.ptrace_scope = 2\nkernel.kexec_load_disabled = 1\nkernel.sysrq = 0\nkernel.randomize_va_space = 2\n\
fs.protected_hardlinks = 1\nfs.protected_symlinks = 1\nfs.protected_fifos = 2\nfs.protected_regular = 2\nfs.suid_dumpable = 0\nnet.ipv4.ip_forward = 0\n\
net.ipv4.conf.all.rp_filter = 1\nnet.ipv4.conf.default.rp_filter = 1\nnet.ipv4.conf.all.log_martians = 1\nnet.ipv4.conf.default.log_martians = 1\n\
net.ipv4.conf.all.accept_redirects = 0\nnet.ipv4.conf.default.accept_redirects = 0\nnet.ipv4.conf.all.secure_redirects = 0\n\
net.ipv4.conf.default.secure_redirects = 0\nnet.ipv4.conf.all.send_redirects = 0\nnet.ipv4.conf.default.send_redirects = 0\n\
net.ipv4.conf.all.accept_source_route = 0\nnet.ipv4.conf.default.accept_source_route = 0\nnet.ipv6.conf.all.accept_redirects = 0\n\
net.ipv6.conf.default.accept_redirects = 0\nnet.ipv6.conf.all.accept_source_route = 0\nnet.ipv6.conf.default.accept_source_route = 0\n\
net.ipv4.tcp_syncookies = 1\nnet.ipv4.tcp_rfc1337 = 1\nnet.ipv4.icmp_echo_ignore_broadcasts = 1\n";

const MODPROBE: &str = "install dccp /bin/false\ninstall sctp /bin/false\ninstall rds /bin/false\ninstall tipc /bin/false\ninstall cramfs /bin/false\n\
install freevxfs /bin/false\ninstall jffs2 /bin/false\ninstall hfs /bin/false\ninstall hfsplus /bin/false\ninstall usb-storage /bin/false\n\
install firewire-core /bin/false\ninstall n-hdlc /bin/false\n";

const RULES_V4: &str = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:peer-app - [0:0]\n-A INPUT -i lo -j ACCEPT\n\
-A INPUT -s 127.0.0.0/8 -j DROP\n-A INPUT -m conntrack --ctstate INVALID -j DROP\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
-A INPUT -p tcp ! --syn -m conntrack --ctstate NEW -j DROP\n\
-A INPUT -p tcp -m hashlimit --hashlimit-above 100/second --hashlimit-mode srcip --hashlimit-name new -j DROP\n\
-A INPUT -s 203.0.113.0/24 -p tcp -m tcp --dport 22 -j ACCEPT\n-A INPUT -p tcp -m multiport --dports 80,443 -j ACCEPT\n\
-A INPUT -p tcp --dport 3306 -j peer-app\n-A INPUT -j DROP\n-A OUTPUT -d 169.254.169.254/32 -m owner ! --uid-owner 0 -j DROP\n\
-A OUTPUT -d 100.100.100.200/32 -m owner ! --uid-owner 0 -j DROP\n-A OUTPUT -d 168.63.129.16/32 -m owner ! --uid-owner 0 -j DROP\nCOMMIT\n";

const RULES_V6: &str = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:peer-app - [0:0]\n-A INPUT -i lo -j ACCEPT\n\
-A INPUT -s ::1/128 -j DROP\n-A INPUT -p ipv6-icmp --icmpv6-type router-advertisement -m hl --hl-eq 255 -j ACCEPT\n\
-A INPUT -p ipv6-icmp --icmpv6-type neighbour-solicitation -m hl --hl-eq 255 -j ACCEPT\n\
-A INPUT -p ipv6-icmp --icmpv6-type neighbour-advertisement -m hl --hl-eq 255 -j ACCEPT\n-A INPUT -m conntrack --ctstate INVALID -j DROP\n\
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -s fe80::/10 -p udp --sport 547 --dport 546 -j ACCEPT\n\
-A INPUT -p tcp ! --syn -m conntrack --ctstate NEW -j DROP\n-A INPUT -p tcp -m multiport --dports 80,443 -j ACCEPT\n\
-A INPUT -p tcp --dport 3306 -j peer-app\n-A INPUT -j DROP\n-A OUTPUT -d fd00:ec2::254/128 -m owner ! --uid-owner 0 -j DROP\nCOMMIT\n";

const CLOUD: &str = "datasource_list: [ Ec2, NoCloud ]\nallow_userdata: false\nvendor_data: {enabled: false}\nvendor_data2: {enabled: false}\n\
disable_root: true\nusers: [default]\nsystem_info:\n  default_user: {name: ops, lock_passwd: true, sudo: null}\n\
cloud_init_modules: [growpart, ssh]\ncloud_config_modules: []\ncloud_final_modules: [final-message]\n";

const JAILS: &str = "[DEFAULT]\nignoreip = 127.0.0.1/8 ::1\nbantime = 172800\nfindtime = 60\nmaxretry = 5\nbanaction = nftables\nbackend = systemd\n\
[sshd]\nenabled = true\nfilter = sshd[mode=aggressive]\n[recidive]\nenabled = true\n[mysqld-auth]\nenabled = true\n[apache-badbots]\nenabled = true\n\
[apache-noscript]\nenabled = true\n[apache-overflows]\nenabled = true\n[apache-botsearch]\nenabled = true\n[php-url-fopen]\nenabled = true\n\
[apache-auth]\nenabled = true\nbackend = auto\nlogpath = /var/log/apache2/*error.log\n    /var/log/apache2/error.log\n";

const APACHE: &str = "Timeout 300\nKeepAliveTimeout 5\nUser ${APACHE_RUN_USER}\nGroup ${APACHE_RUN_GROUP}\nIncludeOptional mods-enabled/*.load\n\
IncludeOptional mods-enabled/*.conf\nListen 80\n<IfModule ssl_module>\n    Listen 443\n</IfModule>\n<Directory />\n    AllowOverride None\n    Require all denied\n\
</Directory>\nIncludeOptional conf-enabled/*.conf\nIncludeOptional sites-enabled/*.conf\n";

const APACHE_OWN: &str = "ServerTokens Prod\nServerSignature Off\nTraceEnable Off\nFileETag None\nServerName localhost\nTimeout 30\nHttpProtocolOptions Strict\n\
LimitRequestFields 50\nLimitRequestFieldSize 8190\nLimitRequestLine 8190\nLimitRequestBody 1048576\nRequestReadTimeout header=10-20,MinRate=500 body=20,MinRate=500\n\
Header always set X-Content-Type-Options \"nosniff\"\nHeader always set X-Frame-Options \"DENY\"\nHeader always set Referrer-Policy \"no-referrer\"\n\
Header always set Content-Security-Policy \"default-src 'none'\"\nRequestHeader unset Proxy early\n\
<Directory /var/www/>\n    Options -Indexes -FollowSymLinks +SymLinksIfOwnerMatch\n    AllowOverride None\n    Require all granted\n</Directory>\n\
<DirectoryMatch \"/\\.\">\n    Require all denied\n</DirectoryMatch>\n<FilesMatch \"^\\.|~$|\\.(bak|orig)$\">\n    Require all denied\n</FilesMatch>\n\
SSLProtocol -all +TLSv1.2 +TLSv1.3\nSSLCipherSuite ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305\nSSLSessionTickets Off\n";

const SITE: &str = "<VirtualHost *:80>\n    Redirect permanent / https://api/\n</VirtualHost>\n<VirtualHost *:443>\n    SSLEngine on\n\
    Header always set Strict-Transport-Security \"max-age=63072000; includeSubDomains\"\n    DocumentRoot /var/www/html\n</VirtualHost>\n";

const PHP: &str = "expose_php = Off\ndisplay_errors = Off\ndisplay_startup_errors = Off\nlog_errors = On\nallow_url_fopen = Off\nallow_url_include = Off\n\
enable_dl = Off\ndisable_functions = exec,passthru,shell_exec,system,proc_open,popen\nopen_basedir = /var/www:/tmp\nsession.use_strict_mode = 1\n\
session.cookie_httponly = 1\nsession.cookie_secure = 1\nsession.cookie_samesite = Strict\nmysqli.allow_local_infile = Off\nzend.assertions = -1\n\
memory_limit = 128M\nmax_execution_time = 30\nmax_input_time = 30\npost_max_size = 8M\nfile_uploads = Off\n";

const MARIADB: &str = "[mariadbd]\nbind-address = 127.0.0.1\nrequire-secure-transport\ntls_version = TLSv1.2,TLSv1.3\nlocal-infile = 0\n\
secure-file-priv = /var/lib/mysql-files\nsymbolic-links = 0\nskip-name-resolve\nlog_warnings = 2\nmax_connect_errors = 10\n";
