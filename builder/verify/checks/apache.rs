//! Apache: what it tells, and what it lets requests do. (TLS is in a file of its own.)

use super::super::audited::Audited;
use super::super::check::{Check, Finding, Severity};
use super::super::effective::apache::{Apache, Directive};
use super::super::want::Want;

/// One row: directives at the server's level, with what is wanted of the last of each.
macro_rules! row {
    ($id:literal, $title:literal, $why:literal, $source:literal, $severity:ident, $($name:literal => $want:expr),+) => {
        Check {
            id: $id,
            title: $title,
            why: $why,
            source: $source,
            severity: Severity::$severity,
            applies: installed,
            run: |image| judge(image, &[$(($name, $want)),+]),
        }
    };
}

pub(super) const CHECKS: &[Check] = &[
    row!("apache-tells-little", "Apache does not say which version it is, nor what it knows of files", "a version chooses the exploit",
        "CIS Apache 2.4 8.1, 8.2, 8.4; dev-sec apache-10", Low,
        "ServerTokens" => Want::OneOf(&["Prod", "ProductOnly"]), "ServerSignature" => Want::Is("Off"), "FileETag" => Want::Is("None")),
    row!("apache-trace", "TRACE is not answered", "it sends cookies back to a script that should not see them", "CIS Apache 2.4 5.8", Medium, "TraceEnable" => Want::Is("Off")),
    row!("apache-timeouts", "slow clients do not hold workers", "a few hundred of them stop the service", "CIS Apache 2.4 9.1 to 9.4", Medium,
        "Timeout" => Want::Within(1, 60), "KeepAliveTimeout" => Want::Within(1, 15)),
    row!("apache-limits", "requests are of a size that makes sense", "large ones fill the memory", "CIS Apache 2.4 10.1 to 10.4", Medium,
        "LimitRequestFields" => Want::Within(1, 100), "LimitRequestFieldSize" => Want::Within(1, 8190),
        "LimitRequestLine" => Want::Within(1, 8190), "LimitRequestBody" => Want::Within(1, 100 << 20)),
    row!("apache-strict", "requests that are malformed are refused", "what two servers read differently smuggles a request past one of them",
        "Apache core HttpProtocolOptions; RFC 9112 section 11.2", Medium, "HttpProtocolOptions" => Want::Holds(&["Strict"])),
    row!("apache-name", "the server has a name of its own", "else it asks the network at each start", "Apache core ServerName", Low, "ServerName" => Want::Set),
    Check {
        id: "apache-modules",
        title: "only modules that are used are loaded",
        why: "each of them answers requests that nobody expects",
        source: "CIS Apache 2.4 2.2 to 2.9",
        severity: Severity::Medium,
        applies: installed,
        run: modules,
    },
    Check {
        id: "apache-reqtimeout",
        title: "a request has to arrive in time",
        why: "Slowloris sends one byte a minute",
        source: "CIS Apache 2.4 9.5, 9.6; mod_reqtimeout",
        severity: Severity::Medium,
        applies: installed,
        run: reqtimeout,
    },
    Check {
        id: "apache-headers",
        title: "browsers are told to take content for what it is, and not to frame it",
        why: "a page of others could use this one in their user's name",
        source: "OWASP Secure Headers; CIS Apache 2.4 5.14",
        severity: Severity::Low,
        applies: installed,
        run: headers,
    },
    Check {
        id: "apache-httpoxy",
        title: "a request does not choose PHP's proxy",
        why: "\"httpoxy\": the header Proxy becomes HTTP_PROXY",
        source: "CVE-2016-5387",
        severity: Severity::Medium,
        applies: installed,
        run: httpoxy,
    },
    Check {
        id: "apache-root",
        title: "what is not opened is denied, and no .htaccess opens it",
        why: "a link in the tree would lead out of it",
        source: "CIS Apache 2.4 4.1, 4.3",
        severity: Severity::High,
        applies: installed,
        run: root,
    },
    Check {
        id: "apache-options",
        title: "no listings, no links out of the tree, no includes, no CGI",
        why: "a folder without an index shows what was forgotten in it",
        source: "CIS Apache 2.4 5.1 to 5.3",
        severity: Severity::Medium,
        applies: installed,
        run: options,
    },
    Check {
        id: "apache-dot-files",
        title: "dot files and backups are not served",
        why: ".git and .env hold what the script hides",
        source: "CIS Apache 2.4 5.11, 5.12",
        severity: Severity::High,
        applies: installed,
        run: dot_files,
    },
    Check {
        id: "apache-user",
        title: "Apache runs as an account of its own, that cannot write its own files",
        why: "a hole in it would change what it serves",
        source: "CIS Apache 2.4 3.1 to 3.12",
        severity: Severity::High,
        applies: installed,
        run: user,
    },
    Check {
        id: "apache-default-site",
        title: "the default site and its icons are not there",
        why: "it says who made the server, and that nobody finished it",
        source: "CIS Apache 2.4 5.4, 5.5",
        severity: Severity::Low,
        applies: installed,
        run: default_site,
    },
];

pub(super) fn installed(image: &Audited<'_>) -> bool {
    image.has("usr/sbin/apache2")
}

pub(super) fn apache(image: &Audited<'_>) -> Apache {
    Apache::of(image).unwrap_or_default()
}

pub(super) const PLACE: &str = "etc/apache2/conf-enabled, in a file that sorts last";

fn judge(image: &Audited<'_>, wanted: &[(&str, Want)]) -> Vec<Finding> {
    let apache = apache(image);
    let mut findings: Vec<Finding> =
        wanted.iter().filter_map(|(name, want)| want.judge(name, apache.server(name), PLACE)).collect();
    // A virtual host or a folder may say otherwise.
    for (name, want) in wanted.iter().filter(|(name, _)| *name != "ServerName") {
        for directive in apache.all(name).filter(|directive| !directive.context.is_empty()) {
            findings.extend(want.judge(&directive.place, Some(&directive.value), "this place"));
        }
    }
    findings
}

fn modules(image: &Audited<'_>) -> Vec<Finding> {
    let unused = [
        "status_module",
        "info_module",
        "autoindex_module",
        "userdir_module",
        "cgi_module",
        "cgid_module",
        "include_module",
        "dav_module",
        "dav_fs_module",
        "negotiation_module",
        "proxy_module",
        "proxy_connect_module",
        "proxy_ftp_module",
        "ldap_module",
        "auth_basic_module",
        "auth_digest_module",
        "lua_module",
        "speling_module",
        "dumpio_module",
    ];
    let apache = apache(image);
    // PHP's own process is reached by mod_proxy_fcgi, which needs mod_proxy.
    let fcgi = apache.modules.contains("proxy_fcgi_module");
    let loaded = unused.into_iter().filter(|name| apache.modules.contains(*name) && !(fcgi && *name == "proxy_module"));
    loaded
        .map(|name| Finding::new(name, "loaded", "not loaded", "remove its link from etc/apache2/mods-enabled"))
        .collect()
}

fn reqtimeout(image: &Audited<'_>) -> Vec<Finding> {
    let apache = apache(image);
    let set =
        apache.server("RequestReadTimeout").is_some_and(|value| value.contains("header=") && value.contains("body="));
    let loaded = apache.modules.contains("reqtimeout_module");
    if set && loaded {
        return Vec::new();
    }
    vec![Finding::new("RequestReadTimeout", "not set, or without its module", "header=… body=…", PLACE)]
}

/// What a `Header … set NAME VALUE` at the server's level sets, quotes taken off; by name in lower case.
pub(super) fn header<'a>(directives: impl Iterator<Item = &'a Directive>, name: &str) -> Option<String> {
    let mut value = None;
    for directive in directives {
        let mut words = directive.value.split_whitespace();
        let verb = words.by_ref().find(|word| !matches!(*word, "always" | "onsuccess"));
        let named = words.next().is_some_and(|word| word.trim_matches('"').eq_ignore_ascii_case(name));
        match verb {
            Some("set" | "setifempty") if named => {
                value = Some(words.collect::<Vec<_>>().join(" ").trim_matches('"').to_owned())
            }
            Some("unset") if named => value = None,
            _ => {}
        }
    }
    value
}

fn headers(image: &Audited<'_>) -> Vec<Finding> {
    let apache = apache(image);
    let wanted = [
        ("X-Content-Type-Options", Want::Is("nosniff")),
        ("X-Frame-Options", Want::OneOf(&["DENY", "SAMEORIGIN"])),
        (
            "Referrer-Policy",
            Want::OneOf(&["no-referrer", "same-origin", "strict-origin", "strict-origin-when-cross-origin"]),
        ),
        ("Content-Security-Policy", Want::Set),
        ("Permissions-Policy", Want::Set),
        ("Cross-Origin-Opener-Policy", Want::OneOf(&["same-origin", "same-origin-allow-popups"])),
        ("Cross-Origin-Resource-Policy", Want::OneOf(&["same-origin", "same-site"])),
        ("X-Permitted-Cross-Domain-Policies", Want::Is("none")),
    ];
    let mut findings: Vec<Finding> = wanted
        .iter()
        .filter_map(|(name, want)| want.judge(name, header(apache.all("Header"), name).as_deref(), PLACE))
        .collect();
    if !apache.modules.contains("headers_module") {
        findings.push(Finding::new("headers_module", "not loaded", "loaded", "a link in etc/apache2/mods-enabled"));
    }
    findings
}

fn httpoxy(image: &Audited<'_>) -> Vec<Finding> {
    let unset = apache(image).all("RequestHeader").any(|directive| {
        directive.context.is_empty() && directive.value.to_ascii_lowercase().starts_with("unset proxy")
    });
    if unset {
        Vec::new()
    } else {
        vec![Finding::new("RequestHeader", "Proxy is passed on", "unset Proxy early", PLACE)]
    }
}

fn root(image: &Audited<'_>) -> Vec<Finding> {
    let apache = apache(image);
    let mut findings = Vec::new();
    let deny = apache.within(&["Directory /"], "Require");
    findings.extend(Want::Is("all denied").judge("<Directory />: Require", deny, "etc/apache2/apache2.conf"));
    for directive in apache.all("AllowOverride").filter(|directive| !directive.value.eq_ignore_ascii_case("none")) {
        findings.push(Finding::new(
            &directive.place,
            format!("AllowOverride {}", directive.value),
            "None",
            "set it so",
        ));
    }
    findings
}

/// For each folder, the last `Options`; `All`, and words without a sign, stand for themselves.
fn options(image: &Audited<'_>) -> Vec<Finding> {
    let apache = apache(image);
    let mut last = std::collections::BTreeMap::new();
    for directive in apache
        .all("Options")
        .filter(|directive| directive.context.last().is_some_and(|context| context.starts_with("Directory ")))
    {
        last.insert(directive.context.clone(), directive);
    }
    let mut findings = Vec::new();
    for (context, directive) in last {
        let loose = |word: &&str| {
            matches!(
                word.trim_start_matches('+').to_ascii_lowercase().as_str(),
                "indexes" | "followsymlinks" | "includes" | "execcgi" | "multiviews" | "all"
            )
        };
        // What is denied as a whole shows nothing.
        let denied = context.last().is_some_and(|context| context == "Directory /");
        let mut words = directive.value.split_whitespace();
        if let Some(word) = words.find(|word| loose(word) && !denied) {
            findings.push(Finding::new(
                &directive.place,
                format!("Options {word}"),
                "-Indexes -FollowSymLinks or None",
                "set it so",
            ));
        }
    }
    findings
}

/// Sections whose pattern is about names with a dot, and about backups, deny.
fn dot_files(image: &Audited<'_>) -> Vec<Finding> {
    let apache = apache(image);
    let denies = |what: fn(&str) -> bool| {
        apache.all("Require").any(|directive| {
            directive.value.eq_ignore_ascii_case("all denied")
                && directive.context.last().is_some_and(|context| what(context))
        })
    };
    let mut findings = Vec::new();
    if !denies(|context| {
        context.starts_with("FilesMatch") && (context.contains("^\\.") || context.contains("(^|/)\\."))
    }) {
        findings.push(Finding::new("FilesMatch", "files that begin with a dot are served", "denied", PLACE));
    }
    if !denies(|context| {
        (context.starts_with("DirectoryMatch") || context.starts_with("LocationMatch")) && context.contains("/\\.")
    }) {
        findings.push(Finding::new("DirectoryMatch", "folders that begin with a dot are served", "denied", PLACE));
    }
    if !denies(|context| context.starts_with("FilesMatch") && context.contains("bak")) {
        findings.push(Finding::new("FilesMatch", "backups are served", "denied", PLACE));
    }
    findings
}

/// `User` and `Group` by name or by Debian's variables, and nothing below the document roots that they may write.
fn user(image: &Audited<'_>) -> Vec<Finding> {
    let apache = apache(image);
    let mut findings = Vec::new();
    for (name, variable) in [("User", "${APACHE_RUN_USER}"), ("Group", "${APACHE_RUN_GROUP}")] {
        let value = apache.server(name);
        if value != Some("www-data") && value != Some(variable) {
            findings.push(Finding::new(name, value.unwrap_or("root"), "www-data", "etc/apache2/apache2.conf"));
        }
    }
    let uid = super::super::effective::accounts::accounts(image)
        .into_iter()
        .find(|one| one.name == "www-data")
        .map(|one| one.uid);
    for (path, entry) in image.below("var/www").chain(image.below("srv")) {
        if Some(entry.uid) == uid {
            findings.push(Finding::new(path, "Apache's own", "root's", "chown root"));
        }
    }
    findings
}

fn default_site(image: &Audited<'_>) -> Vec<Finding> {
    let apache = apache(image);
    let mut findings = Vec::new();
    for directive in apache
        .all("Alias")
        .filter(|directive| directive.value.starts_with("/icons") || directive.value.starts_with("/manual"))
    {
        findings.push(Finding::new(&directive.place, format!("Alias {}", directive.value), "none", "leave it out"));
    }
    if image.text("var/www/html/index.html").is_some_and(|text| text.contains("Apache2 Debian Default Page")) {
        findings.push(Finding::new(
            "var/www/html/index.html",
            "Debian's default page",
            "a page of the service, or none",
            "remove it",
        ));
    }
    findings
}
