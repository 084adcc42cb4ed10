//! From a recipe's `[firewall]` to the rules of iptables, one file a family: pure, the same text for the same value.
//!
//! ```text
//! INPUT    loopback ▸ spoofed ▸ what IPv6 lives on ▸ INVALID ▸ answers ▸ no SYN ▸ limits ▸ accept… ▸ log ▸ DROP
//!                                                                                            └▶ peer-NAME (empty)
//! OUTPUT   metadata services: root only ▸ [listed: answers ▸ what a network needs ▸ allow… ▸ log ▸ REJECT]
//! ```
//!
//! The format is that of iptables-restore(8), the matches are those of iptables-extensions(8). What ICMPv6 is let in follows
//! RFC 4890 §4.4. Chains `peer-NAME` and `egress-NAME` are empty: who is meant is told to the instance, whose unit fills them.
//!
//! *Bans.* Answers (ESTABLISHED) are let in early here, and yet a banned attacker's open connection dies: fail2ban drops in a
//! table of its own, whose chain is hooked at priority `filter - 1` and so sees every packet before INPUT does.
//!
//! *Floods.* Limits count each source by itself (an IPv4 address; of IPv6 a /64, which is what one customer has), and only
//! what asks for an open port, so that a scan of the others fills no table. Half-open connections from forged addresses are
//! SYN cookies' affair (`net.ipv4.tcp_syncookies`): a limit over all sources together would let such a flood shut out
//! everybody. One from more forged addresses within ten seconds than a table remembers still shuts out whoever is new; whoever
//! is connected stays.

use std::fmt::Write as _;

use ipnet::IpNet;

use crate::recipe::firewall::{
    Accept, Allow, Destination, Egress, Firewall, Limits, Period, Ports, Protocol, Rate, Source,
};

/// Which of the two the rules are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// rules.v4, iptables.
    V4,
    /// rules.v6, ip6tables.
    V6,
}

/// Sources that a limit remembers at most; whoever is new is dropped while its table is full. The kernel's default, eight
/// times its buckets, is small enough to be filled on purpose.
const SOURCES: u32 = 131_072;

/// iptables' multiport takes so many; a range counts twice.
const MULTIPORT: usize = 15;

/// Where clouds tell instances who they are (and whoever may ask learns the instance's secrets): address, TCP ports.
const METADATA_V4: &[(&str, &[u16], &str)] = &[
    ("169.254.169.254", &[80], "Amazon, Google, OpenStack, Azure and others"),
    ("100.100.100.200", &[80], "Alibaba"),
    ("168.63.129.16", &[80, 32526], "Azure's WireServer (its resolver on port 53 is for all)"),
];

/// The same by IPv6.
const METADATA_V6: &[(&str, &[u16], &str)] =
    &[("fd00:ec2::254", &[80], "Amazon"), ("fd20:ce::254", &[80], "Google"), ("fe80::a9fe:a9fe", &[80], "OpenStack")];

/// The rules of `firewall` for `family`, as iptables-restore reads them.
pub fn rules(firewall: &Firewall, family: Family) -> String {
    let listed = firewall.egress != Egress::Any;
    let mut rules = Rules { family, text: HEAD.to_owned() };
    let _ = writeln!(rules.text, "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]");
    let _ = writeln!(rules.text, ":OUTPUT {} [0:0]", if listed { "DROP" } else { "ACCEPT" });
    for name in firewall.peers().keys() {
        let _ = writeln!(rules.text, ":peer-{name} - [0:0]");
    }
    for name in firewall.destinations().keys() {
        let _ = writeln!(rules.text, ":egress-{name} - [0:0]");
    }
    rules.basics();
    rules.limits(&firewall.accept, firewall.limits);
    for accept in &firewall.accept {
        rules.accept(accept);
    }
    rules.add("What was dropped can be found, and cannot fill the log.", &log("INPUT", "goldsmith drop: "));
    rules.add("Said again at the end, so that it can be asked for after loading.", "INPUT -j DROP");
    rules.add("This is no router, whatever a sysctl says.", "FORWARD -j DROP");
    rules.metadata();
    if listed {
        rules.egress_basics();
        for allow in firewall.egress.allowed() {
            rules.allow(allow);
        }
        rules.add("An intruder who calls home is seen.", &log("OUTPUT", "goldsmith reject: "));
        let prohibited = if family == Family::V4 { "icmp-admin-prohibited" } else { "icmp6-adm-prohibited" };
        let rest = format!("OUTPUT -j REJECT --reject-with {prohibited}");
        rules.add("Whoever may not go out is told at once, in place of waiting.", &rest);
    }
    rules.text.push_str("COMMIT\n");
    rules.text
}

const HEAD: &str = "\
# Made from the recipe's [firewall]: everything is dropped but what is listed here. Loaded before any interface is up; if it
# cannot be loaded, the network stays down.
";

/// A file of rules in the making.
struct Rules {
    family: Family,
    text: String,
}

impl Rules {
    /// One rule, and above it what it prevents.
    fn add(&mut self, why: &str, rule: &str) {
        let _ = writeln!(self.text, "# {why}\n-A {rule}");
    }

    /// What every machine is told, before anybody is let in.
    fn basics(&mut self) {
        self.add("A machine speaks with itself.", "INPUT -i lo -j ACCEPT");
        match self.family {
            Family::V4 => {
                self.add(
                    "Loopback's addresses come from nowhere else: whoever forges them is not trusted for it.",
                    "INPUT -s 127.0.0.0/8 -j DROP",
                );
            }
            Family::V6 => {
                self.add(
                    "Loopback's address comes from nowhere else: whoever forges it is not trusted for it.",
                    "INPUT -s ::1/128 -j DROP",
                );
                self.icmpv6();
            }
        }
        self.add(
            "What belongs to no connection and opens none is a scan or a forgery.",
            "INPUT -m conntrack --ctstate INVALID -j DROP",
        );
        self.add(
            "Answers, and errors about them (path MTU). A ban ends open connections all the same: fail2ban's chain is \
             hooked before this one.",
            "INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        );
        if self.family == Family::V6 {
            self.add(
                "DHCPv6 answers come from the link, and conntrack does not know them: without, the lease runs out.",
                "INPUT -s fe80::/10 -p udp --sport 547 --dport 546 -j ACCEPT",
            );
        }
        self.add(
            "A new connection begins with SYN: conntrack would let scanners' bare ACKs count as new ones.",
            "INPUT -p tcp ! --syn -m conntrack --ctstate NEW -j DROP",
        );
        let echo = match self.family {
            Family::V4 => "-p icmp --icmp-type echo-request",
            Family::V6 => "-p ipv6-icmp --icmpv6-type echo-request",
        };
        self.add(
            "Ping answers, and a flood of pings is not answered.",
            &format!("INPUT {echo} -m limit --limit 20/sec --limit-burst 40 -j ACCEPT"),
        );
    }

    /// RFC 4890 §4.4.1: what must not be dropped. Neighbours and routers are on the link: no router lowered their hop limit.
    /// Redirects and router solicitations stay out.
    fn icmpv6(&mut self) {
        let neighbours = [
            (
                "router-advertisement",
                "-s fe80::/10 ",
                255,
                "Without routers there is no way out; forged ones come from afar.",
            ),
            (
                "neighbour-solicitation",
                "",
                255,
                "Without neighbours nobody finds this machine; forged ones come from afar.",
            ),
            ("neighbour-advertisement", "", 255, "Without neighbours it finds nobody; forged ones come from afar."),
            ("130", "-s fe80::/10 ", 1, "Without multicast listener queries, switches stop to deliver solicitations."),
        ];
        for (kind, from, hops, why) in neighbours {
            let rule = format!("INPUT {from}-p ipv6-icmp --icmpv6-type {kind} -m hl --hl-eq {hops} -j ACCEPT");
            self.add(why, &rule);
        }
        for kind in ["destination-unreachable", "packet-too-big", "time-exceeded", "parameter-problem"] {
            let rule = format!("INPUT -p ipv6-icmp --icmpv6-type {kind} -j ACCEPT");
            self.add("Without such errors connections hang: nobody on the way splits a packet of IPv6.", &rule);
        }
    }

    /// What one source may ask for of all open ports together.
    fn limits(&mut self, accept: &[Accept], limits: Limits) {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let of_protocol = accept.iter().filter(|accept| accept.protocol == protocol);
            let mut ports: Vec<Ports> = of_protocol.flat_map(|accept| accept.ports.iter().copied()).collect();
            ports.sort();
            ports.dedup();
            for ports in in_rules(&ports) {
                let open = format!("INPUT {} {}", dports(protocol, &ports), new(protocol));
                if protocol == Protocol::Tcp {
                    self.add(
                        "One source does not take all connections that the servers have.",
                        &format!("{open} {} -j DROP", self.connlimit("above", limits.connections)),
                    );
                }
                self.add(
                    "One source does not flood the open ports with new connections.",
                    &format!("{open} {} -j DROP", self.hashlimit("above", limits.new, &format!("new-{protocol}"))),
                );
            }
        }
    }

    /// The rules of one `[[firewall.accept]]`.
    fn accept(&mut self, accept: &Accept) {
        let mut matches = format!("{} {}", dports(accept.protocol, &accept.ports), new(accept.protocol));
        if let Some(connections) = accept.connections {
            let _ = write!(matches, " {}", self.connlimit("upto", connections));
        }
        if let Some(rate) = accept.rate {
            let _ = write!(matches, " {}", self.hashlimit("upto", rate, &format!("rate-{}", accept.name)));
        }
        let name = &accept.name;
        match &accept.from {
            Source::Anywhere => self.add(&format!("{name}: open to the world."), &format!("INPUT {matches} -j ACCEPT")),
            Source::Peer(peer) => self.add(
                &format!("{name}: for {peer} alone; until the instance is told its address, for nobody."),
                &format!("INPUT {matches} -j peer-{peer}"),
            ),
            Source::Networks(networks) => {
                for network in self.own(networks) {
                    self.add(
                        &format!("{name}: for {network} alone."),
                        &format!("INPUT -s {network} {matches} -j ACCEPT"),
                    );
                }
            }
        }
    }

    /// What keeps the instance's secrets from whoever runs as another user than root: a server that is made to fetch URLs, say.
    fn metadata(&mut self) {
        for (address, ports, whose) in self.services() {
            let there = self.service(address, ports);
            let why = format!("The metadata service ({whose}) tells secrets to whoever asks: only root does.");
            let refuse = format!("OUTPUT {there} -m owner ! --uid-owner 0 -j REJECT --reject-with tcp-reset");
            self.add(&why, &refuse);
        }
    }

    /// What goes out in any case, when the way out is a list.
    fn egress_basics(&mut self) {
        self.add("A machine speaks with itself.", "OUTPUT -o lo -j ACCEPT");
        self.add(
            "Answers to whoever was let in, and errors about them.",
            "OUTPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        );
        let dhcp = match self.family {
            Family::V4 => "OUTPUT -p udp --sport 68 --dport 67 -j ACCEPT",
            Family::V6 => "OUTPUT -p udp --sport 546 --dport 547 -j ACCEPT",
        };
        self.add("Without DHCP the lease runs out.", dhcp);
        if self.family == Family::V6 {
            let link = [
                ("router-solicitation", 255, "Asks for a router."),
                ("neighbour-solicitation", 255, "Asks for neighbours."),
                ("neighbour-advertisement", 255, "Answers neighbours."),
                ("143", 1, "Tells switches what to deliver (multicast listener report)."),
            ];
            for (kind, hops, why) in link {
                let rule = format!("OUTPUT -p ipv6-icmp --icmpv6-type {kind} -m hl --hl-eq {hops} -j ACCEPT");
                self.add(why, &rule);
            }
        }
        for (address, ports, whose) in self.services() {
            let there = self.service(address, ports);
            let why = format!("The metadata service ({whose}), for root.");
            self.add(&why, &format!("OUTPUT {there} -m owner --uid-owner 0 -j ACCEPT"));
        }
    }

    /// The rules of one `[[firewall.egress.allow]]`.
    fn allow(&mut self, allow: &Allow) {
        let matches = format!("{} {}", dports(allow.protocol, &allow.ports), new(allow.protocol));
        let name = &allow.name;
        match &allow.to {
            Destination::Anywhere => self.add(&format!("{name}: anywhere."), &format!("OUTPUT {matches} -j ACCEPT")),
            Destination::Instance(there) => self.add(
                &format!("{name}: to {there} alone; until the instance is told its address, to nobody."),
                &format!("OUTPUT {matches} -j egress-{there}"),
            ),
            Destination::Networks(networks) => {
                for network in self.own(networks) {
                    self.add(
                        &format!("{name}: to {network} alone."),
                        &format!("OUTPUT -d {network} {matches} -j ACCEPT"),
                    );
                }
            }
        }
    }

    /// The metadata services of this family.
    fn services(&self) -> &'static [(&'static str, &'static [u16], &'static str)] {
        match self.family {
            Family::V4 => METADATA_V4,
            Family::V6 => METADATA_V6,
        }
    }

    fn service(&self, address: &str, ports: &[u16]) -> String {
        let ports: Vec<Ports> = ports.iter().map(|&port| Ports { first: port, last: port }).collect();
        format!("-d {address}/{} {}", self.bits(), dports(Protocol::Tcp, &ports))
    }

    /// Those of this family.
    fn own<'n>(&self, networks: &'n [IpNet]) -> impl Iterator<Item = &'n IpNet> + use<'n> {
        let v4 = self.family == Family::V4;
        networks.iter().filter(move |network| network.addr().is_ipv4() == v4)
    }

    /// The length of an address.
    fn bits(&self) -> u8 {
        if self.family == Family::V4 { 32 } else { 128 }
    }

    /// The length of the prefix that counts as one source.
    fn source(&self) -> u8 {
        if self.family == Family::V4 { 32 } else { 64 }
    }

    /// Matches while a source has `upto` so many connections, or `above`.
    fn connlimit(&self, side: &str, connections: u32) -> String {
        format!("-m connlimit --connlimit-{side} {connections} --connlimit-mask {} --connlimit-saddr", self.source())
    }

    /// Matches while a source opens connections `upto` that fast, or `above`. A source is forgotten when its bucket is full
    /// again: sooner, and silence would fill it; and not within ten seconds, so that a table is not built anew all the time.
    fn hashlimit(&self, side: &str, rate: Rate, table: &str) -> String {
        let per = match rate.per {
            Period::Second => "sec",
            Period::Minute => "min",
            Period::Hour => "hour",
        };
        let (count, mask, forgotten) = (rate.count, self.source(), rate.seconds().max(10) * 1000);
        format!(
            "-m hashlimit --hashlimit-{side} {count}/{per} --hashlimit-burst {count} --hashlimit-mode srcip \
             --hashlimit-srcmask {mask} --hashlimit-name {table} --hashlimit-htable-max {SOURCES} \
             --hashlimit-htable-expire {forgotten}"
        )
    }
}

/// What opens a connection.
fn new(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "--syn -m conntrack --ctstate NEW",
        Protocol::Udp => "-m conntrack --ctstate NEW",
    }
}

/// A few lines a minute of what comes to the end of `chain`.
fn log(chain: &str, prefix: &str) -> String {
    format!("{chain} -m limit --limit 6/min --limit-burst 10 -j LOG --log-prefix \"{prefix}\"")
}

/// The protocol and its ports; `--syn` may follow.
fn dports(protocol: Protocol, ports: &[Ports]) -> String {
    let word = |ports: &Ports| match ports.first == ports.last {
        true => ports.first.to_string(),
        false => format!("{}:{}", ports.first, ports.last),
    };
    match ports {
        [one] => format!("-p {protocol} --dport {}", word(one)),
        many => {
            let list: Vec<String> = many.iter().map(word).collect();
            format!("-p {protocol} -m multiport --dports {}", list.join(","))
        }
    }
}

/// `ports` in as many rules as multiport needs.
fn in_rules(ports: &[Ports]) -> Vec<Vec<Ports>> {
    let mut rules: Vec<Vec<Ports>> = Vec::new();
    let mut free = 0;
    for ports in ports {
        let slots = if ports.first == ports.last { 1 } else { 2 };
        if free < slots {
            rules.push(Vec::new());
            free = MULTIPORT;
        }
        free -= slots;
        if let Some(last) = rules.last_mut() {
            last.push(*ports);
        }
    }
    rules
}

#[cfg(test)]
mod tests;
