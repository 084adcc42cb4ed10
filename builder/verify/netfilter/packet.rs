//! A packet, as far as rules look at it.

use std::net::IpAddr;

/// A packet that arrives or leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Where it comes from.
    pub source: IpAddr,
    /// Where it goes.
    pub destination: IpAddr,
    /// The interface it came in by, or goes out by.
    pub interface: &'static str,
    /// What it carries.
    pub protocol: Protocol,
    /// Of TCP and UDP.
    pub source_port: u16,
    /// Of TCP and UDP.
    pub port: u16,
    /// Whether it opens a connection: TCP with SYN alone.
    pub syn: bool,
    /// What the connection tracker says of it.
    pub state: State,
    /// Of ICMP.
    pub icmp_type: u8,
    /// Hops it may still make.
    pub hop_limit: u8,
    /// Of the process that sends it; none if it arrives.
    pub uid: Option<u32>,
}

/// What a packet carries: the numbers that IANA gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol(pub u8);

impl Protocol {
    /// Internet control messages, IPv4.
    pub const ICMP: Self = Self(1);
    /// The protocol of connections.
    pub const TCP: Self = Self(6);
    /// The protocol of datagrams.
    pub const UDP: Self = Self(17);
    /// Internet control messages, IPv6.
    pub const ICMPV6: Self = Self(58);

    /// By the names that iptables takes, or a number.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "icmp" => Self::ICMP,
            "tcp" => Self::TCP,
            "udp" => Self::UDP,
            "ipv6-icmp" | "icmpv6" => Self::ICMPV6,
            "dccp" => Self(33),
            "esp" => Self(50),
            "ah" => Self(51),
            "sctp" => Self(132),
            number => Self(number.parse().ok()?),
        })
    }
}

/// What the connection tracker (`conntrack` in iptables-extensions(8)) says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It begins something.
    New,
    /// It belongs to what both sides have spoken in.
    Established,
    /// It begins something that an established connection asked for.
    Related,
    /// It belongs to nothing, and begins nothing.
    Invalid,
    /// It is not tracked.
    Untracked,
}

impl State {
    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "NEW" => Self::New,
            "ESTABLISHED" => Self::Established,
            "RELATED" => Self::Related,
            "INVALID" => Self::Invalid,
            "UNTRACKED" => Self::Untracked,
            _ => return None,
        })
    }
}

impl Packet {
    /// The first packet of a TCP connection (or a lone UDP datagram) to `port`, as it arrives from outside.
    pub fn knock(source: IpAddr, protocol: Protocol, port: u16) -> Self {
        Self {
            source,
            destination: if source.is_ipv4() {
                [192, 0, 2, 1].into()
            } else {
                [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into()
            },
            interface: "eth0",
            protocol,
            source_port: 50_000,
            port,
            syn: protocol == Protocol::TCP,
            state: State::New,
            icmp_type: 0,
            hop_limit: 64,
            uid: None,
        }
    }

    /// A control message of this type, as it arrives from outside.
    pub fn control(source: IpAddr, icmp_type: u8, hop_limit: u8) -> Self {
        let protocol = if source.is_ipv4() { Protocol::ICMP } else { Protocol::ICMPV6 };
        Self { icmp_type, hop_limit, ..Self::knock(source, protocol, 0) }
    }
}
