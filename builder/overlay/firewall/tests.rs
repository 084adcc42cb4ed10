//! What the rules of both families say, line by line.

use super::*;

fn firewall(accept: Vec<Accept>, egress: Egress) -> Firewall {
    Firewall { accept, egress, limits: Limits::default() }
}

/// TCP 22 from there.
fn ssh(from: Source) -> Accept {
    let ports = vec![Ports { first: 22, last: 22 }];
    Accept { name: "ssh".into(), protocol: Protocol::Tcp, ports, from, rate: None, connections: None }
}

/// The rules that end in `target`, without comments.
fn ending_in(rules: &str, target: &str) -> Vec<String> {
    rules.lines().filter(|line| line.ends_with(target)).map(str::to_owned).collect()
}

#[test]
fn a_network_is_in_the_rules_of_its_own_family_only() {
    let networks = ["10.0.0.0/8", "fd00:1::/64"].map(|text| text.parse().unwrap());
    let firewall = firewall(vec![ssh(Source::Networks(networks.to_vec()))], Egress::Any);
    let (v4, v6) = (rules(&firewall, Family::V4), rules(&firewall, Family::V6));
    assert!(v4.contains("-s 10.0.0.0/8 -p tcp --dport 22 --syn") && !v4.contains("fd00:1::"), "{v4}");
    assert!(v6.contains("-s fd00:1::/64 -p tcp --dport 22 --syn") && !v6.contains("10.0.0.0"), "{v6}");
}

#[test]
fn without_accepted_ports_nothing_new_is_let_in() {
    for family in [Family::V4, Family::V6] {
        let rules = rules(&firewall(vec![], Egress::Any), family);
        let opened = rules.lines().filter(|line| line.contains("--ctstate NEW") && !line.ends_with("-j DROP"));
        assert_eq!(opened.collect::<Vec<_>>(), [""; 0]);
        assert!(rules.contains(":INPUT DROP") && rules.contains(":FORWARD DROP"), "{rules}");
        assert_eq!(ending_in(&rules, "-j DROP").last().unwrap(), "-A FORWARD -j DROP");
    }
}

#[test]
fn a_peer_has_an_empty_chain_in_both_families() {
    for family in [Family::V4, Family::V6] {
        let rules = rules(&firewall(vec![ssh(Source::Peer("api".into()))], Egress::Any), family);
        assert_eq!(rules.matches(":peer-api - [0:0]\n").count(), 1, "{rules}");
        assert_eq!(ending_in(&rules, "-j peer-api").len(), 1);
        assert!(!rules.contains("-A peer-api"), "{rules}");
    }
}

#[test]
fn every_rule_has_a_comment_above_it() {
    let egress = Egress::Listed(vec![]);
    for family in [Family::V4, Family::V6] {
        let rules = rules(&firewall(vec![ssh(Source::Anywhere)], egress.clone()), family);
        let lines: Vec<&str> = rules.lines().collect();
        let bare = lines.windows(2).filter(|pair| pair[1].starts_with("-A") && !pair[0].starts_with("# "));
        assert_eq!(bare.collect::<Vec<_>>(), Vec::<&[&str]>::new());
    }
}

#[test]
fn a_way_out_that_is_a_list_ends_in_a_reject_and_drops_by_policy() {
    let rules = rules(&firewall(vec![], Egress::Listed(vec![])), Family::V4);
    assert!(rules.contains(":OUTPUT DROP [0:0]"), "{rules}");
    let output: Vec<&str> = rules.lines().filter(|line| line.starts_with("-A OUTPUT")).collect();
    assert_eq!(output.last(), Some(&"-A OUTPUT -j REJECT --reject-with icmp-admin-prohibited"));
}

#[test]
fn more_ports_than_multiport_takes_are_spread_over_rules() {
    let ports: Vec<Ports> = (1..=20).map(|port| Ports { first: port * 10, last: port * 10 + port % 2 }).collect();
    let rules = in_rules(&ports);
    let slots = |rule: &Vec<Ports>| rule.iter().map(|one| if one.first == one.last { 1 } else { 2 }).sum::<usize>();
    assert!(rules.iter().all(|rule| slots(rule) <= MULTIPORT), "{rules:?}");
    assert_eq!(rules.concat(), ports);
}
