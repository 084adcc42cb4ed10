//! What a person may write in `[firewall]`, and what is said about the rest.

use std::collections::BTreeMap;

use super::*;
use crate::recipe::fold::fold;
use crate::recipe::problem::Problem;

const START: &str = "suite = \"trixie\"\n";

/// The firewall of a recipe that says this, or what is wrong, each with line and column (the text begins in line 2).
fn firewall(text: &str) -> Result<Firewall, Vec<String>> {
    let texts = BTreeMap::from([("web".to_owned(), format!("{START}{text}"))]);
    match fold("web", &texts) {
        Ok(folded) => Ok(folded.recipe.firewall.unwrap()),
        Err(problems) => Err(said(&problems)),
    }
}

fn said(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(|problem| problem.to_string().replacen("recipes/web.toml:", "", 1)).collect()
}

/// One TCP rule called `name`.
fn rule(name: &str, rest: &str) -> String {
    format!("[[firewall.accept]]\nname = \"{name}\"\n{rest}\n")
}

/// The one thing that is wrong with a rule that has this beside its name, in line 4, and what to do about it.
fn wrong(rest: &str) -> (String, String) {
    let texts = BTreeMap::from([("web".to_owned(), format!("{START}{}", rule("one", rest)))]);
    let problems = fold("web", &texts).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    (said(&problems).remove(0), problems[0].help.clone().unwrap_or_default())
}

fn ports(first: u16, last: u16) -> Ports {
    Ports { first, last }
}

#[test]
fn a_rule_says_ports_and_one_source() {
    let text = [
        rule("ssh", "ports = [22]\npeer = \"bastion\"\nrate = \"10/minute\"\nconnections = 4"),
        rule("http", "ports = [443, 80, \"8000-8010\"]\nfrom = \"anywhere\""),
        rule("dns", "protocol = \"udp\"\nports = [53]\nfrom = [\"fd00:1::/64\", \"10.0.0.0/8\", \"192.0.2.1/32\"]"),
    ];
    let firewall = firewall(&text.concat()).unwrap();
    let rate = Rate { count: 10, per: Period::Minute };
    let [ssh, http, dns] = firewall.accept.as_slice() else { panic!("{firewall:?}") };
    assert_eq!((ssh.rate, ssh.connections, &ssh.from), (Some(rate), Some(4), &Source::Peer("bastion".into())));
    assert_eq!(http.ports, [ports(80, 80), ports(443, 443), ports(8000, 8010)]);
    assert_eq!((http.protocol, &http.from), (Protocol::Tcp, &Source::Anywhere));
    let networks = ["10.0.0.0/8", "192.0.2.1/32", "fd00:1::/64"].map(|text| text.parse().unwrap());
    assert_eq!((dns.protocol, &dns.from), (Protocol::Udp, &Source::Networks(networks.to_vec())));
    assert_eq!(firewall.peers(), BTreeMap::from([("bastion", vec![(Protocol::Tcp, ports(22, 22))])]));
    assert_eq!((firewall.egress, firewall.limits), (Egress::Any, Limits::default()));
}

#[test]
fn a_recipe_that_does_not_speak_of_a_firewall_has_none_and_an_empty_one_drops_everything() {
    let texts = BTreeMap::from([("web".to_owned(), START.to_owned())]);
    assert_eq!(fold("web", &texts).unwrap().recipe.firewall, None);
    let closed = Firewall { accept: vec![], egress: Egress::Any, limits: Limits::default() };
    assert_eq!(firewall("[firewall]\n"), Ok(closed));
}

#[test]
fn ports_that_are_none_or_stand_twice_are_refused() {
    let with = |list: &str| wrong(&format!("ports = [{list}]\nfrom = \"anywhere\"")).0;
    assert_eq!(with(""), "4:9: error: `ports` is empty");
    assert_eq!(with("0"), "4:10: error: each of `ports` must be from 1 to 65535");
    assert_eq!(with("65536"), "4:10: error: each of `ports` must be from 1 to 65535");
    assert_eq!(
        with("true"),
        "4:10: error: each of `ports` must be a whole number or a string, and this is true or false"
    );
    assert_eq!(with("\"0-22\""), "4:10: error: `0-22` begins with port 0");
    assert_eq!(with("\"ssh\""), "4:10: error: `ssh` is neither a port nor a range of ports");
    assert_eq!(with("\"8010-8000\""), "4:10: error: `8010-8000` is no range of ports");
    assert_eq!(with("\"22-70000\""), "4:10: error: `22-70000` is neither a port nor a range of ports");
    assert_eq!(with("22, 22"), "4:14: error: the port 22 is listed twice");
    assert_eq!(with("80, \"70-90\""), "4:14: error: the port 80 is listed twice");
    let many: Vec<String> = (1..=16).map(|port| port.to_string()).collect();
    assert_eq!(with(&many.join(", ")), "4:9: error: 16 ports are too many for one rule");
    assert_eq!(wrong("ports = [\"22\"]\npeer = \"a\"").1, "write the number without quotes: 22");
}

#[test]
fn a_source_is_written_so_that_it_opens_no_more_than_it_says() {
    let with = |from: &str| wrong(&format!("ports = [22]\nfrom = {from}"));
    let world = "write `from = \"anywhere\"`, which means both IPv4 and IPv6, if that is meant";
    for text in ["0.0.0.0/0", "::/0", "10.0.0.1/0"] {
        let message = format!("5:9: error: `{text}` is the whole world of one family");
        assert_eq!(with(&format!("[\"{text}\"]")), (message, world.to_owned()));
    }
    assert_eq!(with("\"0.0.0.0/0\"").1, "write `from = \"anywhere\"`, if that is meant");
    assert_eq!(with("\"10.0.0.0/8\"").1, "write `from = [\"10.0.0.0/8\"]`");
    assert_eq!(with("[\"anywhere\"]").1, "write `from = \"anywhere\"`, without a list");
    assert_eq!(with("[]").0, "5:8: error: `from` is an empty list, which is nobody");
    let number = firewall(&rule("one", "ports = [22]\nfrom = 7")).unwrap_err();
    assert_eq!(number[1], "5:8: error: `from` must be a string or a list, and this is a whole number");
    assert_eq!(
        with("[\"10.0.0.1/8\"]"),
        (
            "5:9: error: `10.0.0.1/8` has bits behind its prefix".to_owned(),
            "write `10.0.0.0/8`, or `10.0.0.1/32`".to_owned()
        )
    );
    assert_eq!(with("[\"10.0.0.1\"]").1, "write `10.0.0.1/32`, if that one address is meant");
    assert_eq!(with("[\"api.example.org\"]").0, "5:9: error: `api.example.org` is not a network");
    assert_eq!(with("[\"10.0.0.0/8\", \"10.1.0.0/16\"]").0, "5:23: error: 10.1.0.0/16 and 10.0.0.0/8 overlap");
    for text in ["128.0.0.0/1", "2000::/3"] {
        assert_eq!(with(&format!("[\"{text}\"]")).0, format!("5:9: error: `{text}` is a great part of the world"));
    }
    for (text, why) in [
        ("127.0.0.0/8", "it is loopback's, which is let in anyway"),
        ("::1/128", "it is loopback's, which is let in anyway"),
        ("224.0.0.1/32", "it is multicast"),
        ("::ffff:10.0.0.0/104", "it is IPv4's: write it so"),
    ] {
        assert_eq!(with(&format!("[\"{text}\"]")).0, format!("5:9: error: `{text}` is nobody's address: {why}"));
    }
}

#[test]
fn a_rule_has_one_source_and_no_other() {
    assert_eq!(wrong("ports = [22]").0, "3:8: error: `one` has neither `from` nor `peer`");
    assert_eq!(
        wrong("ports = [22]\nfrom = \"anywhere\"\npeer = \"api\"").0,
        "3:8: error: `one` has both `from` and `peer`"
    );
    assert_eq!(
        wrong("ports = [22]\npeer = \"a-peer-with-a-longer-name\"").1,
        "use at most 23 characters: it becomes part of a chain's name, and iptables allows 28"
    );
}

#[test]
fn limits_that_make_no_sense_are_refused() {
    let with = |line: &str| wrong(&format!("ports = [22]\nfrom = \"anywhere\"\n{line}")).0;
    assert_eq!(with("rate = \"0/minute\""), "6:8: error: `0/minute` lets nobody in");
    assert_eq!(with("rate = \"10\""), "6:8: error: `10` is not a rate");
    assert_eq!(with("rate = \"10/day\""), "6:8: error: `10/day` is not a rate");
    assert_eq!(with("rate = \"2000000/second\""), "6:8: error: `2000000/second` is faster than the kernel counts");
    assert_eq!(with("connections = 0"), "6:15: error: `connections` must be from 1 to 4294967295");
    assert_eq!(
        with("rate = \"200/second\""),
        "3:8: error: `one` has a rate, 200/second, above that of all rules together"
    );
    assert_eq!(
        with("connections = 257"),
        "3:8: error: `one` has a limit, 257 connections, above that of all rules together"
    );
    assert_eq!(
        wrong("protocol = \"udp\"\nports = [53]\nfrom = \"anywhere\"\nconnections = 3").0,
        "7:15: error: `one` counts connections, which UDP has none of"
    );
}

#[test]
fn a_rule_that_never_matches_is_refused() {
    let first = rule("all", "ports = [22, \"8000-8010\"]\nfrom = \"anywhere\"");
    for second in [
        "ports = [22]\nfrom = \"anywhere\"",
        "ports = [8001, 22]\nfrom = [\"10.0.0.0/8\"]",
        "ports = [\"8000-8005\"]\npeer = \"api\"",
        "ports = [22]\npeer = \"api\"\nrate = \"3/minute\"",
    ] {
        assert_eq!(
            firewall(&format!("{first}{}", rule("two", second))),
            Err(vec!["7:8: error: `two` never matches: `all` lets the same in already".to_owned()]),
            "{second}"
        );
    }
    for second in [
        "ports = [23]\nfrom = \"anywhere\"",
        "ports = [22, 23]\npeer = \"api\"",
        "protocol = \"udp\"\nports = [22]\nfrom = \"anywhere\"",
    ] {
        assert!(firewall(&format!("{first}{}", rule("two", second))).is_ok(), "{second}");
    }
    let narrow = rule("narrow", "ports = [22]\nfrom = [\"10.0.0.0/8\"]");
    assert!(firewall(&format!("{narrow}{first}")).is_ok(), "a wider rule after a narrow one is no mistake");
}

#[test]
fn a_limit_that_a_later_rule_lets_everybody_pass_is_refused() {
    let slow = rule("slow", "ports = [22]\nfrom = \"anywhere\"\nrate = \"10/minute\"");
    assert_eq!(
        firewall(&format!("{slow}{}", rule("fast", "ports = [\"20-30\"]\nfrom = \"anywhere\""))),
        Err(vec!["3:8: error: the limit of `slow` is void: `fast` lets the rest in".to_owned()])
    );
    // Who is trusted may come as often as he wants.
    assert!(firewall(&format!("{slow}{}", rule("fast", "ports = [22]\nfrom = [\"10.0.0.0/8\"]"))).is_ok());
}

#[test]
fn a_database_that_is_open_to_the_world_is_warned_of() {
    let warnings = |from: &str| {
        let text = format!("{START}{}", rule("db", &format!("ports = [\"3300-3310\"]\n{from}")));
        said(&fold("web", &BTreeMap::from([("web".to_owned(), text)])).unwrap().warnings)
    };
    let warning = "4:9: warning: `db` opens port 3306 (MySQL) to the whole world";
    assert_eq!(warnings("from = \"anywhere\""), [warning]);
    assert_eq!(warnings("peer = \"api\""), [""; 0]);
}

#[test]
fn the_way_out_is_open_or_a_list() {
    let listed = "[firewall.egress]\npolicy = \"listed\"\n";
    let dns = "[[firewall.egress.allow]]\nname = \"dns\"\nprotocol = \"udp\"\nports = [53]\nto = \"anywhere\"\n";
    let database = "[[firewall.egress.allow]]\nname = \"database\"\nports = [3306]\ninstance = \"database\"\n";
    let firewall_of = firewall;
    let firewall = firewall_of(&format!("{listed}{dns}{database}")).unwrap();
    let names: Vec<_> = firewall.egress.allowed().iter().map(|allow| allow.name.as_str()).collect();
    assert_eq!(names, ["dns", "database"]);
    assert_eq!(firewall.destinations(), BTreeMap::from([("database", vec![(Protocol::Tcp, ports(3306, 3306))])]));
    assert_eq!(firewall_of(listed).unwrap().egress, Egress::Listed(vec![]));
    assert_eq!(firewall_of(dns), Err(vec!["3:8: error: `dns` allows what is allowed anyway".to_owned()]));
    assert_eq!(
        firewall_of(&format!("{listed}{dns}{dns}")).unwrap_err(),
        [
            "10:8: error: two firewall rules have the name `dns`",
            "10:8: error: `dns` never matches: `dns` lets the same out already"
        ]
    );
}

#[test]
fn a_child_adds_rules_to_its_parents_and_replaces_none() {
    let texts = |child: &str| {
        let base =
            format!("{START}[firewall.limits]\nnew = \"50/second\"\n{}", rule("ssh", "ports = [22]\npeer = \"ops\""));
        BTreeMap::from([("base".to_owned(), base), ("web".to_owned(), format!("from = \"base\"\n{child}"))])
    };
    let added =
        fold("web", &texts(&rule("http", "ports = [80]\nfrom = \"anywhere\""))).unwrap().recipe.firewall.unwrap();
    let names: Vec<_> = added.accept.iter().map(|accept| accept.name.as_str()).collect();
    assert_eq!((names, added.limits.new), (vec!["ssh", "http"], Rate { count: 50, per: Period::Second }));
    let refused = |child: &str| said(&fold("web", &texts(child)).unwrap_err());
    assert_eq!(
        refused(&rule("ssh", "ports = [2222]\nfrom = \"anywhere\"")),
        ["3:8: error: two firewall rules have the name `ssh`"]
    );
    assert_eq!(
        refused("[firewall.limits]\nnew = \"500/second\"\n"),
        ["3:7: error: `limits.new` is said by the parent already"]
    );
}
