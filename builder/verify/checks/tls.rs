//! TLS, as Apache speaks it: Mozilla's server-side guideline, intermediate.

use super::super::audited::Audited;
use super::super::check::{Check, Finding, Severity};
use super::super::effective::apache::Directive;
use super::apache::{PLACE, apache, header, installed};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "tls-protocols",
        title: "TLS 1.2 and 1.3 only",
        why: "older versions can be broken on the way",
        source: "Mozilla server-side TLS, intermediate; RFC 8996; CIS Apache 2.4 7.4",
        severity: Severity::High,
        applies: serves_tls,
        run: protocols,
    },
    Check {
        id: "tls-ciphers",
        title: "only ciphers with forward secrecy and authentication",
        why: "what is recorded today is read when the key leaks",
        source: "Mozilla server-side TLS, intermediate; CIS Apache 2.4 7.5",
        severity: Severity::High,
        applies: serves_tls,
        run: ciphers,
    },
    Check {
        id: "tls-settings",
        title: "no compression, no session tickets, no renegotiation",
        why: "each of them undid the secrecy of TLS once",
        source: "Mozilla server-side TLS; CIS Apache 2.4 7.6, 7.7",
        severity: Severity::Medium,
        applies: serves_tls,
        run: settings,
    },
    Check {
        id: "tls-only",
        title: "who comes in the clear is sent to TLS, and comes back over TLS for two years",
        why: "the first request could be answered by somebody else",
        source: "RFC 6797; Mozilla server-side TLS",
        severity: Severity::Medium,
        applies: serves_tls,
        run: only,
    },
];

/// Apache is there, and the recipe opens 443.
fn serves_tls(image: &Audited<'_>) -> bool {
    installed(image)
        && image.claims().open.iter().any(|opening| !opening.udp && (opening.ports.0..=opening.ports.1).contains(&443))
}

/// Every value of a directive, at the server's level and in virtual hosts; and a finding if there is none.
fn everywhere(image: &Audited<'_>, name: &str, fits: fn(&str) -> bool, wanted: &str) -> Vec<Finding> {
    let apache = apache(image);
    let mut any = false;
    let mut findings = Vec::new();
    for directive in apache.all(name) {
        any = true;
        // Debian's ssl.conf sets some that later files replace at the same level.
        let later = apache
            .directives
            .iter()
            .rev()
            .find(|other| other.name.eq_ignore_ascii_case(name) && other.context == directive.context);
        if later == Some(directive) && !fits(&directive.value) {
            findings.push(Finding::new(&directive.place, format!("{name} {}", directive.value), wanted, "set it so"));
        }
    }
    if !any {
        findings.push(Finding::new(name, "not set", wanted, PLACE));
    }
    findings
}

fn protocols(image: &Audited<'_>) -> Vec<Finding> {
    let mut findings = everywhere(
        image,
        "SSLProtocol",
        |value| {
            let words: Vec<String> = value.split_whitespace().map(str::to_ascii_lowercase).collect();
            let only = words
                .iter()
                .all(|word| matches!(word.as_str(), "-all" | "+tlsv1.2" | "+tlsv1.3" | "tlsv1.2" | "tlsv1.3"));
            let without = words.first().is_some_and(|word| word == "all")
                && ["-sslv3", "-tlsv1", "-tlsv1.1"].iter().all(|word| words.iter().any(|other| other == word));
            only || without
        },
        "-all +TLSv1.2 +TLSv1.3",
    );
    let apache = apache(image);
    if !apache.modules.contains("ssl_module") {
        findings.push(Finding::new("ssl_module", "not loaded", "loaded", "a link in etc/apache2/mods-enabled"));
    }
    if !apache.all("SSLEngine").any(|directive| directive.value.eq_ignore_ascii_case("on")) {
        findings.push(Finding::new(
            "SSLEngine",
            "off",
            "on, in the virtual host of port 443",
            "a site in etc/apache2/sites-enabled",
        ));
    }
    findings
}

fn ciphers(image: &Audited<'_>) -> Vec<Finding> {
    everywhere(
        image,
        "SSLCipherSuite",
        |value| {
            let list = value.trim_start_matches("TLSv1.3").trim();
            let good = |name: &str| {
                let name = name.trim_matches('"');
                name.starts_with("TLS_")
                    || (name.starts_with("ECDHE-") || name.starts_with("DHE-"))
                        && (name.contains("GCM") || name.contains("CHACHA20"))
            };
            !list.is_empty() && list.split(':').all(good)
        },
        "ECDHE or DHE with AES-GCM or CHACHA20 only",
    )
}

fn settings(image: &Audited<'_>) -> Vec<Finding> {
    let apache = apache(image);
    let off = |value: Option<&str>, unset: bool| value.map_or(unset, |value| value.eq_ignore_ascii_case("off"));
    let all = |name: &str, unset: bool| {
        let mut values = apache.all(name).map(|directive| directive.value.as_str()).peekable();
        if values.peek().is_none() { off(None, unset) } else { values.all(|value| off(Some(value), unset)) }
    };
    // Compression and insecure renegotiation are off unless set; tickets are on.
    let wanted = [("SSLCompression", true), ("SSLInsecureRenegotiation", true), ("SSLSessionTickets", false)];
    let on = wanted.into_iter().filter(|(name, unset)| !all(name, *unset));
    let mut findings: Vec<Finding> = on.map(|(name, _)| Finding::new(name, "on", "Off", PLACE)).collect();
    // Off unless set; and then the client chooses.
    let orders: Vec<&Directive> = apache.all("SSLHonorCipherOrder").collect();
    if orders.is_empty() || orders.iter().any(|order| !order.value.eq_ignore_ascii_case("on")) {
        findings.push(Finding::new("SSLHonorCipherOrder", "the client chooses", "On", PLACE));
    }
    let curves = apache.all("SSLOpenSSLConfCmd").find_map(|command| command.value.strip_prefix("Curves "));
    let strong = |curve: &str| ["X25519", "X25519MLKEM768", "prime256v1", "secp384r1"].contains(&curve);
    if !curves.is_some_and(|curves| curves.trim().split(':').all(strong)) {
        let found = curves.unwrap_or("whatever OpenSSL has");
        findings.push(Finding::new("SSLOpenSSLConfCmd Curves", found, "X25519:prime256v1:secp384r1", PLACE));
    }
    findings
}

fn only(image: &Audited<'_>) -> Vec<Finding> {
    let apache = apache(image);
    let mut findings = Vec::new();
    let hsts = header(apache.all("Header"), "Strict-Transport-Security");
    let age = hsts
        .as_deref()
        .and_then(|value| value.split("max-age=").nth(1)?.split([';', '"', ' ']).next()?.parse::<i64>().ok());
    if age.is_none_or(|age| age < 31_536_000) {
        findings.push(Finding::new(
            "Strict-Transport-Security",
            hsts.unwrap_or_else(|| "not set".to_owned()),
            "max-age=63072000",
            PLACE,
        ));
    }
    let plain = |directive: &&Directive| {
        directive.context.first().is_some_and(|context| context.starts_with("VirtualHost ") && context.ends_with(":80"))
    };
    let clear: Vec<&Directive> = apache.directives.iter().filter(plain).collect();
    let sent = clear.iter().any(|directive| {
        matches!(directive.name.to_ascii_lowercase().as_str(), "redirect" | "redirectmatch" | "rewriterule")
            && directive.value.contains("https://")
    });
    let opens = apache.all("Listen").any(|directive| directive.value == "80");
    if opens && !sent {
        findings.push(Finding::new(
            "<VirtualHost *:80>",
            "serves in the clear",
            "Redirect permanent to https",
            "a site in etc/apache2/sites-enabled",
        ));
    }
    findings
}
