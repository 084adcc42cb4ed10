//! sshd: who gets in, how, and what they can do besides.

use super::super::audited::Audited;
use super::super::check::{Check, Finding, Severity};
use super::super::effective::sshd::Sshd;
use super::super::want::Want;

/// One row: `$id`, what holds, why, who says so, how bad; and keywords (in lower case) with what is wanted of them.
macro_rules! row {
    ($id:literal, $title:literal, $why:literal, $source:literal, $severity:ident, $($keyword:literal => $want:expr),+) => {
        Check {
            id: $id,
            title: $title,
            why: $why,
            source: $source,
            severity: Severity::$severity,
            applies: installed,
            run: |image| judge(image, &[$(($keyword, $want)),+]),
        }
    };
}

const KEX: &[&str] = &[
    "mlkem768x25519-sha256",
    "sntrup761x25519-sha512",
    "sntrup761x25519-sha512@openssh.com",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
];
const CIPHERS: &[&str] = &[
    "chacha20-poly1305@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-gcm@openssh.com",
    "aes256-ctr",
    "aes192-ctr",
    "aes128-ctr",
];
const MACS: &[&str] = &["hmac-sha2-512-etm@openssh.com", "hmac-sha2-256-etm@openssh.com", "umac-128-etm@openssh.com"];
const USER_KEYS: &[&str] = &["ssh-ed25519", "sk-ssh-ed25519@openssh.com", "rsa-sha2-512", "rsa-sha2-256"];
const HOST_KEYS: &[&str] = &[
    "/var/lib/goldsmith/ssh/ssh_host_ed25519_key",
    "/var/lib/goldsmith/ssh/ssh_host_rsa_key",
    "/etc/ssh/ssh_host_ed25519_key",
    "/etc/ssh/ssh_host_rsa_key",
];

pub(super) const CHECKS: &[Check] = &[
    row!("ssh-root-login", "root cannot log in", "the one name that every guesser knows would be worth guessing",
        "CIS Debian 12 5.1.20; sshd_config(5) PermitRootLogin", High,
        "permitrootlogin" => Want::Is("no"),
        "denyusers" => Want::Holds(&["root"])),
    row!("ssh-passwords", "no password opens the door", "passwords are guessed; keys are not",
        "CIS Debian 12 5.1.19; dev-sec sshd-19; sshd_config(5)", High,
        "passwordauthentication" => Want::Is("no"),
        "kbdinteractiveauthentication" => Want::Is("no"),
        "permitemptypasswords" => Want::Is("no"),
        "authenticationmethods" => Want::Is("publickey")),
    row!("ssh-other-methods", "no other method than keys is offered", "what nobody uses is still tried, and may have holes",
        "CIS Debian 12 5.1.9, 5.1.10; dev-sec sshd-25 ff.", Medium,
        "hostbasedauthentication" => Want::Is("no"),
        "gssapiauthentication" => Want::Is("no"),
        "kerberosauthentication" => Want::Is("no"),
        "ignorerhosts" => Want::Is("yes"),
        "ignoreuserknownhosts" => Want::Is("yes")),
    row!("ssh-groups", "only members of named groups log in", "an account that a package made could be let in by a key file",
        "CIS Debian 12 5.1.4; sshd_config(5) AllowGroups", Medium, "allowgroups" => Want::Set),
    row!("ssh-user-environment", "what users keep at home does not change how they are let in",
        "a file in a home could choose the libraries of what runs at login", "CIS Debian 12 5.1.21; dev-sec sshd-32", Medium,
        "permituserenvironment" => Want::Is("no"),
        "permituserrc" => Want::Is("no"),
        "strictmodes" => Want::Is("yes")),
    row!("ssh-attempts", "attempts are few, short and slow", "guessing is cheap otherwise, and half-open logins fill the queue",
        "CIS Debian 12 5.1.13, 5.1.16, 5.1.17, 5.1.18", Medium,
        "logingracetime" => Want::Within(1, 60),
        "maxauthtries" => Want::Within(1, 4),
        "maxsessions" => Want::Within(1, 10),
        "maxstartups" => Want::OneOf(&["10:30:60", "10:30:100", "5:30:60"])),
    row!("ssh-idle", "a dead client is let go", "a stolen open session lasts for ever otherwise", "CIS Debian 12 5.1.7", Low,
        "clientaliveinterval" => Want::Within(1, 600),
        "clientalivecountmax" => Want::Within(1, 3),
        "tcpkeepalive" => Want::Is("no")),
    row!("ssh-names", "who connects is known by his address, and PAM is asked about his session", "a name is asked of the network at each connection, and can be forged",
        "sshd_config(5) UseDNS, UsePAM, SyslogFacility", Low,
        "usedns" => Want::Is("no"),
        "usepam" => Want::Is("yes"),
        "syslogfacility" => Want::OneOf(&["auth", "authpriv"])),
    row!("ssh-user-keys", "users come with keys of modern kinds, and so do those who vouch for them", "SHA-1 and short curves can be forged by the rich",
        "ssh-audit hardening guide; sshd_config(5) PubkeyAcceptedAlgorithms", Medium,
        "pubkeyacceptedalgorithms" => Want::Only(USER_KEYS),
        "casignaturealgorithms" => Want::Only(USER_KEYS)),
    Check {
        id: "ssh-forwarding",
        title: "the machine is no way through to others",
        why: "a key for one machine would open the network behind it",
        source: "CIS Debian 12 5.1.8; dev-sec sshd-35 ff.; sshd_config(5)",
        severity: Severity::Medium,
        applies: installed,
        run: forwarding,
    },
    row!("ssh-kex", "keys are exchanged only in ways that hold", "what is recorded today is read when the old ways break",
        "CIS Debian 12 5.1.12; ssh-audit hardening guide", High, "kexalgorithms" => Want::Only(KEX)),
    row!("ssh-kex-post-quantum", "the exchange of keys holds against quantum computers",
        "what is recorded today could be read then", "ssh-audit hardening guide; openssh.com/pq.html", Medium,
        "kexalgorithms" => Want::Holds(&["mlkem768x25519-sha256"])),
    row!("ssh-ciphers", "only strong ciphers", "CBC and small blocks leak", "CIS Debian 12 5.1.6; ssh-audit hardening guide", High,
        "ciphers" => Want::Only(CIPHERS)),
    row!("ssh-macs", "only strong checksums, encrypt-then-MAC", "the others let an attacker probe what is encrypted",
        "CIS Debian 12 5.1.15; ssh-audit hardening guide", Medium, "macs" => Want::Only(MACS)),
    row!("ssh-host-keys", "host keys are Ed25519 or RSA", "NIST's curves and DSA are weaker than needed, or easy to get wrong",
        "ssh-audit hardening guide; dev-sec sshd-14", Medium, "hostkey" => Want::Only(HOST_KEYS)),
    row!("ssh-host-key-algorithms", "clients are offered modern signatures only", "SHA-1 and short curves can be forged by the rich",
        "ssh-audit hardening guide; sshd_config(5) HostKeyAlgorithms", Medium,
        "hostkeyalgorithms" => Want::Only(&["ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256", "sk-ssh-ed25519@openssh.com"])),
    row!("ssh-rsa-size", "RSA keys have 3072 bits or more", "shorter ones are within reach of the rich",
        "BSI TR-02102-4; sshd_config(5) RequiredRSASize", Medium, "requiredrsasize" => Want::AtLeast(3072)),
    row!("ssh-log", "it is logged which key failed", "fail2ban and people see nothing otherwise",
        "CIS Debian 12 5.1.14; sshd_config(5) LogLevel", Medium, "loglevel" => Want::OneOf(&["verbose", "info"])),
    row!("ssh-tells-little", "strangers learn no more than the protocol demands", "a version chooses the exploit",
        "dev-sec sshd-38; Debian's sshd_config(5) DebianBanner", Low,
        "debianbanner" => Want::Is("no"),
        "compression" => Want::Is("no")),
    row!("ssh-banner", "a notice comes before the login", "nobody can claim not to have known", "CIS Debian 12 5.1.5", Low,
        "banner" => Want::Set),
    Check {
        id: "ssh-client",
        title: "whoever goes on from here by ssh does so in ways that hold, and hands nothing on",
        why: "an agent that is handed on is a key to all other machines for whoever is root on the next",
        source: "dev-sec ssh-baseline, ssh-*; ssh_config(5)",
        severity: Severity::Low,
        applies: |image| image.has("etc/ssh/ssh_config"),
        run: client,
    },
    Check {
        id: "ssh-match",
        title: "nothing is loosened for some connections",
        why: "a Match block beats what stands at the top, and is easily overlooked",
        source: "sshd_config(5) Match",
        severity: Severity::High,
        applies: installed,
        run: matched,
    },
    Check {
        id: "ssh-first",
        title: "the image's own settings are read before all others",
        why: "the first value counts: cloud-init writes 50-cloud-init.conf, and user-data could allow passwords again",
        source: "sshd_config(5); cloud-init cc_set_passwords",
        severity: Severity::High,
        applies: installed,
        run: first,
    },
    Check {
        id: "ssh-moduli",
        title: "groups for key exchange have 3072 bits or more",
        why: "short ones are within reach of the rich; and one day somebody adds a group exchange",
        source: "ssh-audit hardening guide; moduli(5)",
        severity: Severity::Low,
        applies: |image| image.has("etc/ssh/moduli"),
        run: moduli,
    },
];

fn installed(image: &Audited<'_>) -> bool {
    image.has("usr/sbin/sshd")
}

/// What is wrong with these keywords.
fn judge(image: &Audited<'_>, wanted: &[(&str, Want)]) -> Vec<Finding> {
    let sshd = Sshd::of(image).unwrap_or_default();
    let place = "etc/ssh/sshd_config.d/00-goldsmith.conf";
    wanted.iter().filter_map(|(keyword, want)| want.judge(keyword, sshd.value(keyword), place)).collect()
}

/// The first value of each keyword, in whatever `Host` it stands (ssh_config(5)).
fn client(image: &Audited<'_>) -> Vec<Finding> {
    let path = "etc/ssh/ssh_config";
    let text = image.text(path).unwrap_or_default();
    let value = |keyword: &str| {
        let mut lines = text.lines().filter_map(|line| line.trim().split_once(char::is_whitespace));
        lines.find(|(name, _)| name.eq_ignore_ascii_case(keyword)).map(|(_, value)| value.trim())
    };
    let wanted = [
        ("ForwardAgent", Want::Is("no")),
        ("ForwardX11", Want::Is("no")),
        ("ForwardX11Trusted", Want::Is("no")),
        ("Tunnel", Want::Is("no")),
        ("PermitLocalCommand", Want::Is("no")),
        ("PasswordAuthentication", Want::Is("no")),
        ("KbdInteractiveAuthentication", Want::Is("no")),
        ("HostbasedAuthentication", Want::Is("no")),
        ("GSSAPIAuthentication", Want::Is("no")),
        ("GSSAPIDelegateCredentials", Want::Is("no")),
        ("StrictHostKeyChecking", Want::OneOf(&["ask", "yes"])),
        ("CheckHostIP", Want::Is("yes")),
        ("HashKnownHosts", Want::Is("yes")),
        ("HostKeyAlgorithms", Want::Only(USER_KEYS)),
        ("KexAlgorithms", Want::Only(KEX)),
        ("Ciphers", Want::Only(CIPHERS)),
        ("MACs", Want::Only(MACS)),
        ("RequiredRSASize", Want::AtLeast(3072)),
    ];
    wanted.iter().filter_map(|(keyword, want)| want.judge(keyword, value(keyword), path)).collect()
}

/// Everything that goes through is off; `DisableForwarding yes` alone says so too.
fn forwarding(image: &Audited<'_>) -> Vec<Finding> {
    let all = |sshd: Sshd| sshd.value("disableforwarding").is_some_and(|value| Want::Is("yes").accepts(value));
    if Sshd::of(image).is_some_and(all) {
        return Vec::new();
    }
    let no = [
        "x11forwarding",
        "allowagentforwarding",
        "allowtcpforwarding",
        "allowstreamlocalforwarding",
        "permittunnel",
        "gatewayports",
    ];
    judge(image, &no.map(|keyword| (keyword, Want::Is("no"))))
}

/// What must not be different for some connections. (Forwarding may: that is how a jump host works.)
fn matched(image: &Audited<'_>) -> Vec<Finding> {
    let strict = [
        ("permitrootlogin", Want::Is("no")),
        ("passwordauthentication", Want::Is("no")),
        ("kbdinteractiveauthentication", Want::Is("no")),
        ("permitemptypasswords", Want::Is("no")),
        ("authenticationmethods", Want::Is("publickey")),
        ("x11forwarding", Want::Is("no")),
        ("allowagentforwarding", Want::Is("no")),
        ("permittunnel", Want::Is("no")),
        ("gatewayports", Want::Is("no")),
        ("authorizedkeysfile", Want::Is(".ssh/authorized_keys")),
        ("allowtcpforwarding", Want::OneOf(&["no", "local"])),
    ];
    let sshd = Sshd::of(image).unwrap_or_default();
    let mut findings = Vec::new();
    for (criteria, keyword, value) in &sshd.matched {
        let judged = strict.iter().find(|(name, _)| name == keyword);
        let place = format!("Match {criteria}");
        findings.extend(judged.and_then(|(_, want)| want.judge(keyword, Some(value), &place)));
        // Forwarding for some is forwarding to named places.
        let local = keyword == "allowtcpforwarding" && Want::Is("local").accepts(value);
        let named = sshd.matched.iter().any(|(other, keyword, _)| other == criteria && keyword == "permitopen");
        if local && !named {
            let found = format!("{keyword} {value} to everywhere");
            findings.push(Finding::new(place, found, "PermitOpen with host and port", "say where it may lead"));
        }
    }
    findings
}

/// The first file that is read after sshd_config itself is named so that it stays the first.
fn first(image: &Audited<'_>) -> Vec<Finding> {
    let sshd = Sshd::of(image).unwrap_or_default();
    let mut findings: Vec<Finding> = sshd
        .unreadable
        .iter()
        .map(|line| {
            Finding::new(line, "a line without a value", "keyword and value", "sshd does not start: correct it")
        })
        .collect();
    let included = sshd.files.get(1).map(String::as_str);
    // Debian's sshd_config includes its folder before it sets anything.
    let text = image.text("etc/ssh/sshd_config").unwrap_or_default();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let on_top = lines.next().is_some_and(|line| line.to_ascii_lowercase().starts_with("include "));
    let early = included.and_then(|path| path.rsplit('/').next()).is_some_and(|name| name < "50");
    if !(on_top && early) {
        findings.push(Finding::new(
            "etc/ssh/sshd_config",
            included
                .map_or_else(|| "no file is included".to_owned(), |path| format!("{path} is the first that is read")),
            "Include on top, and a file that sorts before 50-cloud-init.conf",
            "name the drop-in 00-…",
        ));
    }
    findings
}

fn moduli(image: &Audited<'_>) -> Vec<Finding> {
    let text = image.text("etc/ssh/moduli").unwrap_or_default();
    // moduli(5): time, type, tests, trials, size (bits - 1), generator, modulus.
    let sizes = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().nth(4)?.parse().ok());
    let short = sizes.filter(|size: &u32| *size < 3071).count();
    match short {
        0 => Vec::new(),
        _ => vec![Finding::new(
            "etc/ssh/moduli",
            format!("{short} groups shorter than 3072 bits"),
            "none",
            "keep only lines whose fifth word is 3071 or more",
        )],
    }
}
