//! PAM: what it asks of whoever comes with a password, becomes another, or begins a session. Nobody has a password in the image;
//! what is here holds for whoever gives out some.

use super::super::audited::Audited;
use super::super::check::{Check, Finding, Severity};
use super::super::effective::accounts::groups;
use super::super::effective::dropins;
use super::super::effective::pam::{self, Line};
use super::super::want::Want;

const LOCK: &str = "etc/security/faillock.conf";
const QUALITY: &str = "etc/security/pwquality.conf";
const HISTORY: &str = "etc/security/pwhistory.conf";

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "pam-empty-passwords",
        title: "an empty password opens nothing",
        why: "an account that somebody made without one would be everybody's",
        source: "CIS Debian 12 5.3.3.4.1; pam_unix(8) nullok",
        severity: Severity::High,
        applies: installed,
        run: empty,
    },
    Check {
        id: "pam-lockout",
        title: "after a few wrong passwords an account is closed for a while, root's too",
        why: "guessing would be a matter of time",
        source: "CIS Debian 12 5.3.2.2, 5.3.3.1; pam_faillock(8)",
        severity: Severity::Medium,
        applies: installed,
        run: lockout,
    },
    Check {
        id: "pam-quality",
        title: "whoever sets a password sets one that is hard to guess",
        why: "words and names are tried first",
        source: "CIS Debian 12 5.3.2.3, 5.3.3.2; pwquality.conf(5)",
        severity: Severity::Low,
        applies: installed,
        run: quality,
    },
    Check {
        id: "pam-history",
        title: "an old password does not come back",
        why: "one that is known stays known",
        source: "CIS Debian 12 5.3.2.4, 5.3.3.3; pam_pwhistory(8)",
        severity: Severity::Low,
        applies: installed,
        run: history,
    },
    Check {
        id: "pam-hashing",
        title: "a password is kept as yescrypt makes it, and only where the checks before it agree",
        why: "older ways are tried by the billion in a second",
        source: "CIS Debian 12 5.3.3.4.3, 5.3.3.4.4; pam_unix(8)",
        severity: Severity::Low,
        applies: installed,
        run: hashing,
    },
    Check {
        id: "pam-denies",
        title: "where no module says yes, the answer is no",
        why: "a stack without pam_deny lets in whom nobody knows",
        source: "pam_deny(8); pam.d(5)",
        severity: Severity::High,
        applies: installed,
        run: denies,
    },
    Check {
        id: "pam-umask",
        title: "what is made in a session is not for everybody to read",
        why: "files of one user would be read by all others",
        source: "CIS Debian 12 5.4.3.3; pam_umask(8)",
        severity: Severity::Low,
        applies: installed,
        run: umask,
    },
    Check {
        id: "pam-su",
        title: "nobody becomes another user by a password but members of a group that has none",
        why: "su is the first thing that an intruder with a password tries",
        source: "CIS Debian 12 5.2.7; pam_wheel(8)",
        severity: Severity::Medium,
        applies: |image| installed(image) && image.has("etc/pam.d/su"),
        run: su,
    },
    Check {
        id: "pam-keys",
        title: "a key opens an account whose password, which it does not have, is old",
        why: "sixty days after its first start nobody would get into an instance any more",
        source: "pam_unix(8) no_pass_expiry; login.defs(5) PASS_MAX_DAYS",
        severity: Severity::Low,
        applies: installed,
        run: keys,
    },
];

fn installed(image: &Audited<'_>) -> bool {
    image.has("etc/pam.d/common-auth")
}

/// The lines of one type of a file.
fn lines(image: &Audited<'_>, name: &str, kind: &str) -> Vec<Line> {
    pam::service(image, name).into_iter().filter(|line| line.kind == kind).collect()
}

/// Where the module stands among them.
fn place(lines: &[Line], module: &str) -> Option<usize> {
    lines.iter().position(|line| line.module == module)
}

fn finding(file: &str, found: &str, wanted: &str) -> Finding {
    Finding::new(format!("etc/pam.d/{file}"), found, wanted, format!("the file etc/pam.d/{file} of an overlay"))
}

/// Each setting of the module's own file, or what its line says.
fn values(image: &Audited<'_>, path: &str, line: Option<&Line>, wanted: &[(&str, Want)]) -> Vec<Finding> {
    let settings = pam::settings(image, path);
    let value = |key: &str| match line {
        Some(line) if line.has(key) => Some(""),
        Some(line) => line.value(key).or_else(|| settings.get(key).map(String::as_str)),
        None => settings.get(key).map(String::as_str),
    };
    wanted.iter().filter_map(|(key, want)| want.judge(key, value(key), path)).collect()
}

/// A key that is there, whatever it says.
const THERE: Want = Want::Is("");

fn empty(image: &Audited<'_>) -> Vec<Finding> {
    let files = image.names("etc/pam.d").into_iter();
    let open = files.filter(|file| {
        pam::service(image, file).iter().any(|line| line.arguments.iter().any(|word| word.starts_with("nullok")))
    });
    open.map(|file| finding(file, "nullok", "pam_unix.so without it")).collect()
}

fn lockout(image: &Audited<'_>) -> Vec<Finding> {
    let auth = lines(image, "common-auth", "auth");
    let faillock = |word: &str| auth.iter().position(|line| line.module == "pam_faillock.so" && line.has(word));
    let unix = place(&auth, "pam_unix.so");
    let mut findings = Vec::new();
    if !faillock("preauth").is_some_and(|at| auth[at].decides() && Some(at) < unix) {
        findings.push(finding("common-auth", "who is shut out is asked all the same", "pam_faillock.so preauth first"));
    }
    if !faillock("authfail").is_some_and(|at| auth[at].control == "[default=die]" && Some(at) > unix) {
        findings.push(finding("common-auth", "failures are not counted", "[default=die] pam_faillock.so authfail"));
    }
    // A success takes one line that ends the stack, and what it jumps over is what counts failures.
    let counted = |at: usize| unix.is_some_and(|unix| auth[unix].control.contains("success=1") && at == unix + 2);
    if !faillock("authsucc").is_some_and(counted) {
        findings.push(finding("common-auth", "a success does not end the count", "pam_faillock.so authsucc"));
    }
    if !lines(image, "common-account", "account").iter().any(|line| line.module == "pam_faillock.so" && line.decides())
    {
        findings.push(finding("common-account", "no pam_faillock.so", "account required pam_faillock.so"));
    }
    let wanted = [
        ("deny", Want::Within(1, 5)),
        ("fail_interval", Want::AtLeast(900)),
        ("unlock_time", Want::AtLeast(900)),
        ("even_deny_root", THERE),
        ("root_unlock_time", Want::AtLeast(60)),
        ("audit", THERE),
        ("silent", THERE),
    ];
    findings.extend(values(image, LOCK, None, &wanted));
    findings
}

/// The module is asked before the password is written, and its refusal counts.
fn before_writing(image: &Audited<'_>, module: &str) -> (Option<Line>, Vec<Finding>) {
    let password = lines(image, "common-password", "password");
    let at =
        place(&password, module).filter(|at| password[*at].decides() && Some(*at) < place(&password, "pam_unix.so"));
    let missing = || finding("common-password", "not asked, or too late", &format!("{module} before pam_unix.so"));
    (at.map(|at| password[at].clone()), if at.is_some() { Vec::new() } else { vec![missing()] })
}

fn quality(image: &Audited<'_>) -> Vec<Finding> {
    let (line, mut findings) = before_writing(image, "pam_pwquality.so");
    let wanted = [
        ("minlen", Want::AtLeast(14)),
        ("minclass", Want::Is("4")),
        ("dcredit", Want::Is("-1")),
        ("ucredit", Want::Is("-1")),
        ("ocredit", Want::Is("-1")),
        ("lcredit", Want::Is("-1")),
        ("difok", Want::AtLeast(2)),
        ("maxrepeat", Want::Within(1, 3)),
        ("maxsequence", Want::Within(1, 3)),
        ("dictcheck", Want::Is("1")),
        ("enforcing", Want::Is("1")),
        ("enforce_for_root", THERE),
    ];
    findings.extend(values(image, QUALITY, line.as_ref(), &wanted));
    findings
}

fn history(image: &Audited<'_>) -> Vec<Finding> {
    let (line, mut findings) = before_writing(image, "pam_pwhistory.so");
    let wanted = [("remember", Want::AtLeast(24)), ("enforce_for_root", THERE)];
    // The line's words and the file say the same; either would do, and scanners know one or the other.
    findings.extend(values(image, HISTORY, None, &wanted));
    findings.extend(
        line.into_iter()
            .filter(|line| !line.has("use_authtok"))
            .map(|_| finding("common-password", "pam_pwhistory.so asks for another password", "use_authtok")),
    );
    findings
}

fn hashing(image: &Audited<'_>) -> Vec<Finding> {
    let password = lines(image, "common-password", "password");
    let unix = place(&password, "pam_unix.so").map(|at| &password[at]);
    let lacks = ["yescrypt", "use_authtok"].into_iter().filter(|word| !unix.is_some_and(|line| line.has(word)));
    lacks.map(|word| finding("common-password", "pam_unix.so without it", word)).collect()
}

/// What `pam_unix.so` jumps over when it says yes ends in a no.
fn denies(image: &Audited<'_>) -> Vec<Finding> {
    let stacks = [
        ("common-auth", "auth"),
        ("common-account", "account"),
        ("common-password", "password"),
        ("common-session", "session"),
        ("common-session-noninteractive", "session"),
    ];
    let open = stacks.into_iter().filter(|(file, kind)| {
        !lines(image, file, kind).iter().any(|line| line.module == "pam_deny.so" && line.control == "requisite")
    });
    open.map(|(file, kind)| finding(file, &format!("{kind}: no pam_deny.so"), "requisite pam_deny.so")).collect()
}

fn umask(image: &Audited<'_>) -> Vec<Finding> {
    let narrow = |line: &Line| {
        let umask = line.value("umask").is_some_and(|umask| matches!(umask, "027" | "0027" | "077" | "0077"));
        line.module == "pam_umask.so" && umask && line.has("nousergroups")
    };
    let files = ["common-session", "common-session-noninteractive"].into_iter();
    let open = files.filter(|file| !lines(image, file, "session").iter().any(narrow));
    open.map(|file| finding(file, "files for others to read", "pam_umask.so umask=027 nousergroups")).collect()
}

/// Before any password is asked for, whoever is not root has to be in a group, and nobody is.
fn su(image: &Audited<'_>) -> Vec<Finding> {
    let auth = lines(image, "su", "auth");
    let Some(at) = place(&auth, "pam_wheel.so").filter(|at| auth[*at].decides() && auth[*at].has("use_uid")) else {
        return vec![finding("su", "for everybody", "auth required pam_wheel.so use_uid group=…")];
    };
    let early = auth[..at].iter().filter(|line| line.module != "pam_rootok.so");
    let mut findings: Vec<Finding> =
        early.map(|line| finding("su", &format!("{} is asked first", line.module), "pam_wheel.so")).collect();
    let group = auth[at].value("group").unwrap_or("root");
    let mut members = Vec::new();
    let known = groups(image).into_iter().find(|(name, ..)| name == group);
    let listed = known.is_some();
    members.extend(known.into_iter().flat_map(|(_, _, members)| members));
    // Or systemd-sysusers makes it when the machine starts (sysusers.d(5)).
    let lines = dropins::files(image, "sysusers.d", ".conf");
    let lines = lines.iter().flat_map(|(_, text)| text.lines()).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut made = false;
    for line in lines {
        match line.as_slice() {
            ["g", name, ..] => made |= *name == group,
            ["m", member, name] if *name == group => members.push((*member).to_owned()),
            _ => {}
        }
    }
    if !members.is_empty() {
        findings.push(Finding::new("etc/group", members.join(","), "nobody", "remove them"));
    }
    if !listed && !made {
        findings.push(Finding::new("etc/group", format!("no {group}"), "an empty group", "make it by sysusers.d"));
    }
    findings
}

fn keys(image: &Audited<'_>) -> Vec<Finding> {
    let account = lines(image, "common-account", "account");
    let unix = place(&account, "pam_unix.so").map(|at| &account[at]);
    match unix.is_some_and(|line| line.has("no_pass_expiry")) {
        true => Vec::new(),
        false => vec![finding("common-account", "pam_unix.so without it", "no_pass_expiry")],
    }
}
