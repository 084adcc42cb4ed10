//! `iptables-save` notation (iptables-restore(8)) as a [`RuleSet`].

use ipnet::IpNet;

use super::packet::{Protocol, State};
use super::rule::{Chain, Match, Rule, RuleSet, Target};

/// Reads the text of `rules.v4` or `rules.v6` (`v6`). Nothing is an error: what can't be read is said in the result.
pub fn parse(text: &str, v6: bool) -> RuleSet {
    let mut rules = RuleSet::default();
    let mut table = String::new();
    for (index, line) in text.lines().enumerate() {
        let (number, line) = (index + 1, line.trim());
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('*') {
            table = name.to_owned();
            rules.committed &= table != "filter";
        } else if table != "filter" {
            // An empty chain with a policy that accepts does nothing.
            let idle = line == "COMMIT" || line.split(' ').nth(1) == Some("ACCEPT") && line.starts_with(':');
            if !idle {
                rules.elsewhere.push((number, line.to_owned()));
            }
        } else if line == "COMMIT" {
            rules.committed = true;
        } else if !filter_line(&mut rules, (number, line), v6) {
            rules.unreadable.push((number, line.to_owned()));
        }
    }
    rules
}

/// One line of the table `filter`; says whether it could be read.
fn filter_line(rules: &mut RuleSet, (number, line): (usize, &str), v6: bool) -> bool {
    if let Some(chain) = line.strip_prefix(':') {
        let mut words = chain.split_whitespace();
        let (Some(name), Some(policy)) = (words.next(), words.next()) else { return false };
        let policy = match policy {
            "ACCEPT" => Some(Target::Accept),
            "DROP" => Some(Target::Drop),
            "-" => None,
            _ => return false,
        };
        rules.chains.insert(name.to_owned(), Chain { policy, rules: Vec::new() });
        return true;
    }
    let Some(mut words) = words(line) else { return false };
    if words.len() < 2 || words[0] != "-A" && words[0] != "--append" {
        return false;
    }
    let chain = words.remove(1);
    words.remove(0);
    let Some(chain) = rules.chains.get_mut(&chain) else { return false };
    match rule(number, &words, v6) {
        Some(rule) => {
            chain.rules.push(rule);
            true
        }
        None => false,
    }
}

/// The words of a line, quotes taken off; none if a quote does not end.
fn words(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => (quoted, any) = (!quoted, true),
            '\\' if quoted => word.extend(letters.next()),
            ' ' | '\t' if !quoted => {
                if any || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            _ => word.push(letter),
        }
    }
    if any || !word.is_empty() {
        words.push(word);
    }
    (!quoted).then_some(words)
}

/// One rule; none where a value is missing or malformed, so that iptables-restore would refuse the file.
fn rule(line: usize, words: &[String], v6: bool) -> Option<Rule> {
    let mut rule = Rule { line, matches: Vec::new(), target: None };
    let mut words = words.iter().map(String::as_str).peekable();
    let mut not = false;
    let mut module = "";
    while let Some(word) = words.next() {
        let turned = std::mem::take(&mut not);
        match word {
            "!" => not = true,
            "-m" | "--match" => module = words.next()?,
            "-j" | "--jump" => rule.target = Some(target(words.next()?)),
            "-g" | "--goto" => rule.target = Some(Target::Unknown(format!("goto {}", words.next()?))),
            "--syn" => rule.matches.push(Match::Syn(turned)),
            // What a target or a limit is told after its name changes nothing about where packets go.
            _ if is_option_of_target(rule.target.as_ref()) => drop(words.next_if(|next| !next.starts_with('-'))),
            _ if is_limit(module) && word.starts_with("--") => {
                let value = words.next_if(|next| !next.starts_with('-')).unwrap_or_default();
                limit(&mut rule, module, &format!("{}{word} {value}", if turned { "! " } else { "" }));
            }
            _ if module == "comment" && word == "--comment" => drop(words.next()?),
            _ => {
                let value = words.next_if(|next| !next.starts_with('-'));
                rule.matches.push(matching(word, value, turned, v6)?);
            }
        }
    }
    (!not).then_some(rule)
}

/// Whether what follows belongs to the target: the text of a log, the answer of a `REJECT`.
fn is_option_of_target(target: Option<&Target>) -> bool {
    matches!(target, Some(Target::Note | Target::Drop | Target::Unknown(_)))
}

fn is_limit(module: &str) -> bool {
    matches!(module, "limit" | "hashlimit" | "connlimit" | "recent")
}

/// All that one limit is told is one match.
fn limit(rule: &mut Rule, module: &str, option: &str) {
    match rule.matches.last_mut() {
        Some(Match::Limit(text)) if text.starts_with(module) => *text = format!("{text} {option}"),
        _ => rule.matches.push(Match::Limit(format!("{module} {option}"))),
    }
}

/// One match. None where the value is missing or malformed.
fn matching(option: &str, value: Option<&str>, not: bool, v6: bool) -> Option<Match> {
    Some(match option {
        "-s" | "--source" | "--src" => Match::Source(network(value?, v6)?, not),
        "-d" | "--destination" | "--dst" => Match::Destination(network(value?, v6)?, not),
        "-i" | "--in-interface" => Match::In(value?.to_owned(), not),
        "-o" | "--out-interface" => Match::Out(value?.to_owned(), not),
        "-p" | "--protocol" => Match::Protocol(Protocol::named(value?)?, not),
        "--sport" | "--sports" | "--source-port" | "--source-ports" => Match::SourcePort(ports(value?)?, not),
        "--dport" | "--dports" | "--destination-port" | "--destination-ports" => {
            Match::DestinationPort(ports(value?)?, not)
        }
        "--ctstate" | "--state" => Match::State(value?.split(',').map(State::named).collect::<Option<Vec<_>>>()?, not),
        "--icmp-type" | "--icmpv6-type" => Match::IcmpType(icmp_type(value?, v6)?, not),
        "--hl-eq" | "--ttl-eq" => Match::HopLimit(value?.parse().ok()?, not),
        "--uid-owner" => Match::Uid(if value? == "root" { 0 } else { value?.parse().ok()? }, not),
        // `--tcp-flags FIN,SYN,RST,ACK SYN` takes two values, and is `--syn` in long: the second is met as a word of its own.
        _ => {
            let text = format!("{}{option} {}", if not { "! " } else { "" }, value.unwrap_or_default());
            Match::Unknown(text.trim_end().to_owned())
        }
    })
}

fn target(name: &str) -> Target {
    match name {
        "ACCEPT" => Target::Accept,
        "DROP" | "REJECT" => Target::Drop,
        "RETURN" => Target::Return,
        "LOG" | "NFLOG" => Target::Note,
        // Targets of extensions are in capitals; chains of one's own may be as well, and are looked up first.
        name => Target::Jump(name.to_owned()),
    }
}

/// `10.0.0.0/8`, `10.0.0.1`, `10.0.0.0/255.0.0.0`; of the file's own family.
fn network(text: &str, v6: bool) -> Option<IpNet> {
    let network: IpNet = match text.parse() {
        Ok(network) => network,
        Err(_) => match text.split_once('/') {
            Some((address, mask)) => IpNet::with_netmask(address.parse().ok()?, mask.parse().ok()?).ok()?,
            None => IpNet::from(text.parse::<std::net::IpAddr>().ok()?),
        },
    };
    (matches!(network, IpNet::V6(_)) == v6).then_some(network)
}

/// `22`, `22,80`, `1024:65535`, `:1023`. Names of services depend on /etc/services, and are refused.
fn ports(text: &str) -> Option<Vec<(u16, u16)>> {
    text.split(',')
        .map(|range| match range.split_once(':') {
            None => range.parse().ok().map(|port| (port, port)),
            Some((first, last)) => {
                let first = if first.is_empty() { 0 } else { first.parse().ok()? };
                let last = if last.is_empty() { u16::MAX } else { last.parse().ok()? };
                (first <= last).then_some((first, last))
            }
        })
        .collect()
}

/// The numbers of RFC 792 and RFC 4443 by the names that iptables has for them; a code after `/` narrows it, and is left out.
fn icmp_type(name: &str, v6: bool) -> Option<u8> {
    let name = name.split('/').next().unwrap_or(name);
    Some(match (name, v6) {
        ("echo-reply" | "pong", false) => 0,
        ("destination-unreachable" | "fragmentation-needed", false) => 3,
        ("source-quench", false) => 4,
        ("redirect", _) => {
            if v6 {
                137
            } else {
                5
            }
        }
        ("echo-request" | "ping", false) => 8,
        ("router-advertisement", false) => 9,
        ("router-solicitation", false) => 10,
        ("time-exceeded" | "ttl-exceeded", false) => 11,
        ("parameter-problem", false) => 12,
        ("timestamp-request", false) => 13,
        ("destination-unreachable", true) => 1,
        ("packet-too-big", true) => 2,
        ("time-exceeded" | "ttl-exceeded", true) => 3,
        ("parameter-problem", true) => 4,
        ("echo-request" | "ping", true) => 128,
        ("echo-reply" | "pong", true) => 129,
        ("router-solicitation", true) => 133,
        ("router-advertisement", true) => 134,
        ("neighbour-solicitation" | "neighbor-solicitation", true) => 135,
        ("neighbour-advertisement" | "neighbor-advertisement", true) => 136,
        (number, _) => return number.parse().ok(),
    })
}
