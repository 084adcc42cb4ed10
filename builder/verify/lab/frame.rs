//! Frames of Ethernet: those that a host of the lab sends, and what those of the guest say.
//!
//! ```text
//! Ends: who to whom ─▶ syn, rst, datagram, icmp ─▶ bytes        bytes ─▶ Heard: who to whom, and what
//! ```
//!
//! Written and read by etherparse. Sources: RFC 826 (ARP), RFC 792 and 4443 (ICMP), RFC 4861 (neighbours, routers), RFC 9293 (TCP).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{
    ArpHardwareId, ArpOperation, ArpPacket, EtherType, IpHeaders, NetSlice, PacketBuilder, PacketBuilderStep,
    SlicedPacket, TransportSlice,
};

/// A hardware address.
pub type Mac = [u8; 6];

/// Of everybody on the link.
pub const EVERYBODY: Mac = [0xff; 6];

/// How long the head of a frame is, in bytes: two hardware addresses, and the type of what follows.
pub const HEADER: usize = 14;

/// Who sends to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The sender's hardware.
    pub from: Mac,
    /// The receiver's; or that of the router to it.
    pub to: Mac,
    /// The sender's address.
    pub source: IpAddr,
    /// The receiver's, of the same family.
    pub destination: IpAddr,
}

/// A frame of the guest, as far as the lab looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The sender's hardware.
    pub from: Mac,
    /// The sender's address.
    pub source: IpAddr,
    /// Whose it is meant to be.
    pub destination: IpAddr,
    /// What it says.
    pub said: Said,
}

/// What a frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Who has the destination's address?
    WhoHas,
    /// The source's address is the sender's.
    Has,
    /// A segment of TCP.
    Tcp {
        /// The sender's port.
        from: u16,
        /// The receiver's.
        to: u16,
        /// Its number.
        acknowledged: u32,
        /// Whether it opens a connection (SYN and ACK), as the answer of an open port; or refuses one (RST).
        kind: Segment,
    },
    /// A datagram.
    Udp {
        /// The sender's port.
        from: u16,
        /// The receiver's.
        to: u16,
    },
    /// A message of ICMP, or ICMPv6, as the family of the addresses is.
    Icmp {
        /// Its type.
        kind: u8,
        /// Its code.
        code: u8,
    },
    /// Something else: the number of its protocol.
    Other(u8),
}

/// What a segment of TCP does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segment {
    /// SYN and ACK: the port is open.
    Opens,
    /// RST: nobody listens, and somebody answers.
    Refuses,
    /// SYN: the guest calls somebody.
    Calls,
    /// Anything within a connection.
    Goes,
}

/// The type of an echo request, and of its reply: in IPv4 (RFC 792), and in IPv6 (RFC 4443 §4).
pub fn echo(is_ipv6: bool) -> (u8, u8) {
    if is_ipv6 { (128, 129) } else { (8, 0) }
}

/// An address is asked for, and told, by these (RFC 4861 §4).
const ROUTER_ADVERTISEMENT: u8 = 134;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

impl Ends {
    fn ip(&self, hops: u8) -> PacketBuilderStep<IpHeaders> {
        let link = PacketBuilder::ethernet2(self.from, self.to);
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => link.ipv4(source.octets(), destination.octets(), hops),
            (source, destination) => link.ipv6(v6(source).octets(), v6(destination).octets(), hops),
        }
    }

    /// A packet of IP, whoever made it.
    pub fn packet(&self, packet: &[u8]) -> Vec<u8> {
        let kind = if self.source.is_ipv4() { EtherType::IPV4 } else { EtherType::IPV6 };
        [&self.to[..], &self.from, &kind.0.to_be_bytes(), packet].concat()
    }

    /// The first segment of a connection.
    pub fn syn(&self, (from, to): (u16, u16), number: u32) -> Vec<u8> {
        let builder = self.ip(64).tcp(from, to, number, 64240).syn();
        written(builder.size(0), |bytes| builder.write(bytes, &[]).is_ok())
    }

    /// Ends a connection at once.
    pub fn rst(&self, (from, to): (u16, u16), number: u32) -> Vec<u8> {
        let builder = self.ip(64).tcp(from, to, number, 0).rst();
        written(builder.size(0), |bytes| builder.write(bytes, &[]).is_ok())
    }

    /// A datagram.
    pub fn datagram(&self, (from, to): (u16, u16), payload: &[u8]) -> Vec<u8> {
        let builder = self.ip(64).udp(from, to);
        written(builder.size(payload.len()), |bytes| builder.write(bytes, payload).is_ok())
    }

    /// A message of ICMP, or ICMPv6, of this type, whose header ends in `rest`, after so many hops.
    pub fn icmp(&self, (kind, hops): (u8, u8), rest: [u8; 4], payload: &[u8]) -> Vec<u8> {
        match self.source.is_ipv4() {
            true => {
                let builder = self.ip(hops).icmpv4_raw(kind, 0, rest);
                written(builder.size(payload.len()), |bytes| builder.write(bytes, payload).is_ok())
            }
            false => {
                let builder = self.ip(hops).icmpv6_raw(kind, 0, rest);
                written(builder.size(payload.len()), |bytes| builder.write(bytes, payload).is_ok())
            }
        }
    }

    /// Asks for the hardware of the destination's address: to everybody in IPv4, to its group in IPv6.
    pub fn who_has(&self) -> Vec<u8> {
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                arp(ArpOperation::REQUEST, (self.from, source), (EVERYBODY, destination))
            }
            (_, destination) => {
                let target = v6(destination).octets();
                let mut group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0).octets();
                group[13..].copy_from_slice(&target[13..]);
                let to = [0x33, 0x33, 0xff, target[13], target[14], target[15]];
                let asked = Self { to, destination: IpAddr::V6(group.into()), ..*self };
                asked.icmp((SOLICITATION, 255), [0; 4], &[&target[..], &[1, 1], &self.from].concat())
            }
        }
    }

    /// Says that the source's address is the sender's.
    pub fn has(&self) -> Vec<u8> {
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                arp(ArpOperation::REPLY, (self.from, source), (self.to, destination))
            }
            (source, _) => {
                // Solicited, and in place of what was known before (RFC 4861 §4.4).
                let flags = [0x60, 0, 0, 0];
                self.icmp((ADVERTISEMENT, 255), flags, &[&v6(source).octets()[..], &[2, 1], &self.from].concat())
            }
        }
    }

    /// Says, as a router on the link, that `prefix` of 64 bits is here, and that the sender is the way out.
    pub fn router(&self, prefix: Ipv6Addr) -> Vec<u8> {
        let lifetime = 1800_u32.to_be_bytes();
        // Hop limit 64, no DHCPv6, a router for half an hour (RFC 4861 §4.2); then the prefix, on the link and for addresses.
        let rest = [64, 0, lifetime[2], lifetime[3]];
        let about = [[3, 4, 64, 0xc0], lifetime, lifetime, [0; 4]].concat();
        let payload = [&[0; 8][..], &about, &prefix.octets(), &[1, 1], &self.from].concat();
        self.icmp((ROUTER_ADVERTISEMENT, 255), rest, &payload)
    }
}

fn v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// What `write` writes; nothing, if that cannot be said in a frame (longer than any packet), which none here is.
fn written(size: usize, write: impl FnOnce(&mut Vec<u8>) -> bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size);
    if write(&mut bytes) { bytes } else { Vec::new() }
}

fn arp(operation: ArpOperation, from: (Mac, Ipv4Addr), to: (Mac, Ipv4Addr)) -> Vec<u8> {
    let asked = if to.0 == EVERYBODY { [0; 6] } else { to.0 };
    let packet = ArpPacket::new(
        ArpHardwareId::ETHERNET,
        EtherType::IPV4,
        operation,
        &from.0,
        &from.1.octets(),
        &asked,
        &to.1.octets(),
    );
    let Ok(packet) = packet else { return Vec::new() };
    let builder = PacketBuilder::ethernet2(from.0, to.0).arp(packet);
    written(builder.size(), |bytes| builder.write(bytes).is_ok())
}

impl Heard {
    /// Reads a frame; none, if it carries neither IP nor ARP, or is not whole.
    pub fn read(frame: &[u8]) -> Option<Self> {
        let packet = SlicedPacket::from_ethernet(frame).ok()?;
        let from = frame.get(6..12)?.try_into().ok()?;
        match &packet.net {
            Some(NetSlice::Arp(arp)) => {
                let arp = arp.to_packet().try_eth_ipv4().ok()?;
                let said = if arp.operation == ArpOperation::REQUEST { Said::WhoHas } else { Said::Has };
                let (source, destination) = (arp.sender_ipv4_addr(), arp.target_ipv4_addr());
                Some(Self { from, source: source.into(), destination: destination.into(), said })
            }
            Some(NetSlice::Ipv4(ip)) => {
                let (source, destination) = (ip.header().source_addr(), ip.header().destination_addr());
                let said = said(&packet, ip.payload_ip_number().0);
                Some(Self { from, source: source.into(), destination: destination.into(), said })
            }
            Some(NetSlice::Ipv6(ip)) => {
                let (source, destination) = (ip.header().source_addr(), ip.header().destination_addr());
                let said = said(&packet, ip.payload().ip_number.0);
                let heard = Self { from, source: source.into(), destination: destination.into(), said };
                Some(heard.neighbours(&packet).unwrap_or(heard))
            }
            None => None,
        }
    }

    /// The same, if it asks for a neighbour or is one: with the address that is spoken of.
    fn neighbours(&self, packet: &SlicedPacket<'_>) -> Option<Self> {
        let Some(TransportSlice::Icmpv6(message)) = &packet.transport else { return None };
        let target: [u8; 16] = message.slice().get(8..24)?.try_into().ok()?;
        let target = IpAddr::from(target);
        match message.type_u8() {
            SOLICITATION => Some(Self { said: Said::WhoHas, destination: target, ..*self }),
            ADVERTISEMENT => Some(Self { said: Said::Has, source: target, ..*self }),
            _ => None,
        }
    }
}

fn said(packet: &SlicedPacket<'_>, protocol: u8) -> Said {
    match &packet.transport {
        Some(TransportSlice::Tcp(tcp)) => {
            let kind = match (tcp.syn(), tcp.ack(), tcp.rst()) {
                (_, _, true) => Segment::Refuses,
                (true, true, _) => Segment::Opens,
                (true, false, _) => Segment::Calls,
                _ => Segment::Goes,
            };
            let (from, to, acknowledged) = (tcp.source_port(), tcp.destination_port(), tcp.acknowledgment_number());
            Said::Tcp { from, to, acknowledged, kind }
        }
        Some(TransportSlice::Udp(udp)) => Said::Udp { from: udp.source_port(), to: udp.destination_port() },
        Some(TransportSlice::Icmpv4(message)) => Said::Icmp { kind: message.type_u8(), code: message.code_u8() },
        Some(TransportSlice::Icmpv6(message)) => Said::Icmp { kind: message.type_u8(), code: message.code_u8() },
        None => Said::Other(protocol),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Mac = [2, 0, 0, 0, 0, 1];
    const B: Mac = [2, 0, 0, 0, 0, 2];

    fn ends(source: &str, destination: &str) -> Ends {
        Ends { from: A, to: B, source: source.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    #[test]
    fn what_is_sent_is_read_as_what_it_is() {
        for ends in [ends("10.0.0.1", "10.0.0.2"), ends("fe80::1", "fe80::2")] {
            let heard = |frame: Vec<u8>| {
                let heard = Heard::read(&frame).unwrap();
                assert_eq!((heard.from, heard.source), (A, ends.source));
                heard
            };
            let call = Said::Tcp { from: 5, to: 22, acknowledged: 0, kind: Segment::Calls };
            assert_eq!(heard(ends.syn((5, 22), 7)).said, call);
            let refused = Said::Tcp { from: 5, to: 22, acknowledged: 0, kind: Segment::Refuses };
            assert_eq!(heard(ends.rst((5, 22), 8)).said, refused);
            assert_eq!(heard(ends.datagram((5, 53), b"x")).said, Said::Udp { from: 5, to: 53 });
            assert_eq!(heard(ends.icmp((8, 64), [0; 4], b"x")).said, Said::Icmp { kind: 8, code: 0 });
            assert_eq!(heard(ends.who_has()).said, Said::WhoHas);
            assert_eq!(heard(ends.who_has()).destination, ends.destination);
            assert_eq!(heard(ends.has()).said, Said::Has);
        }
    }

    #[test]
    fn what_is_no_frame_says_nothing() {
        let frame = ends("10.0.0.1", "10.0.0.2").syn((5, 22), 7);
        for length in 0..frame.len() {
            assert_eq!(Heard::read(&frame[..length]), None, "{length}");
        }
        assert_eq!(Heard::read(&[0xff; 60]), None);
    }

    #[test]
    fn a_router_says_its_prefix() {
        let frame = ends("fe80::1", "ff02::1").router("2001:db8:a::".parse().unwrap());
        assert_eq!(Heard::read(&frame).unwrap().said, Said::Icmp { kind: ROUTER_ADVERTISEMENT, code: 0 });
        // The option of the prefix: type 3, 4 × 8 bytes, 64 bits, on the link and for addresses.
        assert!(frame.windows(4).any(|bytes| bytes == [3, 4, 64, 0xc0]));
    }
}
