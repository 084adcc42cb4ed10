//! Secrets in files, found by what they look like.

use super::super::audited::Audited;
use super::super::check::{Check, Finding, Severity};
use crate::rootfs::entry::{Content, Kind};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "secrets-keys",
        title: "no private key is baked in",
        why: "it would be every machine's, and known to whoever has the image",
        source: "AWS Marketplace AMI policies; RFC 7468",
        severity: Severity::High,
        applies: |_| true,
        run: keys,
    },
    Check {
        id: "secrets-tokens",
        title: "no token of a cloud or a forge is baked in",
        why: "whoever has the image could act as whoever built it",
        source: "AWS Marketplace AMI policies; the issuers' documented formats",
        severity: Severity::High,
        applies: |_| true,
        run: tokens,
    },
    Check {
        id: "secrets-files",
        title: "no file is there that only ever holds secrets",
        why: "credentials of whoever built the image",
        source: "virt-sysprep; the programs' manual pages",
        severity: Severity::High,
        applies: |_| true,
        run: files,
    },
    Check {
        id: "secrets-settings",
        title: "no configuration holds a password",
        why: "it would be every machine's",
        source: "OWASP ASVS 2.10.4",
        severity: Severity::High,
        applies: |_| true,
        run: settings,
    },
];

/// Configuration of Debian's packages with a password in an example that opens nothing.
const SAMPLES: [&str; 1] = ["etc/ssl/openssl.cnf"];

/// Files of Debian's packages that hold test keys on purpose, below these folders; nothing uses them.
const EXAMPLES: [&str; 2] = ["usr/share/doc/", "usr/lib/python3/dist-packages/twisted/test/"];

/// The bytes of every regular file but binaries and what is too long to be typed.
fn texts<'a>(image: &Audited<'a>) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    image.entries().filter_map(|(path, entry)| match &entry.kind {
        Kind::File { content: Content::Bytes(bytes), size, .. }
            if *size < 1 << 20 && !bytes.starts_with(b"\x7fELF") =>
        {
            Some((path, &**bytes))
        }
        _ => None,
    })
}

/// `-----BEGIN … PRIVATE KEY-----` at the beginning of a line, with a line of base64 after it: no program that names the format.
fn keys(image: &Audited<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, bytes) in texts(image) {
        if EXAMPLES.iter().any(|folder| path.starts_with(folder)) {
            continue;
        }
        let found = memchr::memmem::find_iter(bytes, b"PRIVATE KEY-----").any(|at| is_key(bytes, at));
        if found {
            findings.push(Finding::new(
                path,
                "a private key",
                "none",
                "remove it; a machine makes its own, or is given it",
            ));
        }
    }
    findings
}

fn is_key(bytes: &[u8], at: usize) -> bool {
    let start = bytes[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let rest = &bytes[at + b"PRIVATE KEY-----".len()..];
    let mut lines = rest.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).skip(1);
    // Old keys have headers (`Proc-Type: 4,ENCRYPTED`) and an empty line before their bytes.
    let body = lines.find(|line| !line.is_empty() && !line.contains(&b':'));
    let base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
    bytes[start..at].starts_with(b"-----BEGIN ") && body.is_some_and(|line| line.len() >= 40 && line.iter().all(base64))
}

/// What tokens begin with, and how many letters of which alphabet follow.
const TOKENS: [(&[u8], usize, &str); 6] = [
    (b"AKIA", 16, "a key of AWS"),
    (b"LTAI5t", 18, "a key of Alibaba Cloud"),
    (b"ghp_", 36, "a token of GitHub"),
    (b"github_pat_", 40, "a token of GitHub"),
    (b"glpat-", 20, "a token of GitLab"),
    (b"xoxb-", 20, "a token of Slack"),
];

fn tokens(image: &Audited<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let own = |path: &str| {
        ["etc/", "root/", "home/", "var/", "opt/", "srv/", "usr/local/"].iter().any(|start| path.starts_with(start))
    };
    for (path, bytes) in texts(image).filter(|(path, _)| own(path)) {
        for (start, length, what) in TOKENS {
            let whole = |at: usize| {
                let rest = bytes.get(at + start.len()..at + start.len() + length);
                rest.is_some_and(|rest| rest.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)))
            };
            if memchr::memmem::find_iter(bytes, start).any(whole) {
                findings.push(Finding::new(path, what, "none", "remove it, and revoke it: it is known now"));
            }
        }
    }
    findings
}

fn files(image: &Audited<'_>) -> Vec<Finding> {
    let names =
        [".netrc", ".pgpass", ".my.cnf", ".git-credentials", ".npmrc", ".pypirc", "id_rsa", "id_ed25519", "id_ecdsa"];
    let ends = ["/.aws/credentials", "/.docker/config.json", "/.kube/config", "/.config/gcloud/credentials.db"];
    let is = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        names.contains(&name) || ends.iter().any(|end| path.ends_with(end)) || path == "etc/krb5.keytab"
    };
    let all = image.entries().filter(|(path, entry)| is(path) && !matches!(entry.kind, Kind::Directory));
    all.map(|(path, _)| Finding::new(path, "it is there", "nothing", "remove it")).collect()
}

/// `password = …` in configuration, other than empty ones and names of files.
fn settings(image: &Audited<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, bytes) in texts(image).filter(|(path, _)| path.starts_with("etc/") && !path.starts_with("etc/pam")) {
        let ends = [".conf", ".cnf", ".ini", ".env", ".php", ".local", ".cfg"];
        let ours = ends.iter().any(|end| path.ends_with(end)) || path.starts_with("etc/default/");
        if !ours || SAMPLES.contains(&path) {
            continue;
        }
        for line in String::from_utf8_lossy(bytes).lines() {
            let Some((key, value)) = line.split_once('=') else { continue };
            let (key, value) = (key.trim().to_ascii_lowercase(), value.trim().trim_matches(['"', '\'']));
            let secret = ["password", "passwd", "secret", "api_key", "token"].iter().any(|end| {
                key == *end
                    || key.ends_with(&format!("_{end}"))
                    || key.ends_with(&format!("-{end}"))
                    || key.ends_with(&format!(".{end}"))
            });
            let real =
                !value.is_empty() && !value.starts_with(['/', '$', '%', '<', ';', '#']) && !key.starts_with(['#', ';']);
            let switch = matches!(
                value.to_ascii_lowercase().as_str(),
                "on" | "off" | "yes" | "no" | "true" | "false" | "0" | "1" | "none"
            );
            if secret && real && !switch {
                findings.push(Finding::new(path, format!("a value for {key}"), "none", "let the instance be told it"));
            }
        }
    }
    findings
}
