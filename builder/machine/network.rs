//! What a machine sees of a network: one that QEMU plays (slirp), with nobody on it but this machine at 10.0.2.2, or a cable to
//! a [`Switch`] with other machines at it.
//!
//! ```text
//! 127.0.0.1:8443 ──forward──▶ 10.0.2.15:443 of the machine, from 10.0.2.2      (`restrict=on`: nothing leads the other way)
//! machine ──cable──▶ switch ◀──cable── machine                                 (addresses as their bundles say)
//! ```

use std::net::{Ipv4Addr, TcpListener};
use std::str::FromStr;

use super::MachineError;
use super::switch::Switch;
use crate::digest::Digest;

/// Who knocks through a forward, as the machine sees it.
pub const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// What a machine sees of a network.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// Ports of this machine's loopback that lead to ports of the guest.
    pub forwards: Vec<Forward>,
    /// More of QEMU's `-netdev user` (`net=…`, `guestfwd=…`), each one property.
    pub more: Vec<String>,
    /// The network of other machines that it is in, in place of QEMU's own.
    pub cable: Option<Cable>,
}

/// A machine's place at a switch.
#[derive(Clone, Debug)]
pub struct Cable {
    /// Where it leads.
    pub switch: Switch,
    /// The machine's hardware address.
    address: [u8; 6],
}

/// Of addresses that are QEMU's to give away, the first half.
const QEMU: [u8; 3] = [0x52, 0x54, 0x00];

impl Cable {
    /// Of the machine that `name` is the name of, which no other at the switch has: its hardware address is made of it.
    pub fn new(switch: Switch, name: &str) -> Self {
        let mut address = [0; 6];
        address[..3].copy_from_slice(&QEMU);
        address[3..].copy_from_slice(&Digest::of(name.as_bytes()).as_bytes()[..3]);
        Self { switch, address }
    }

    /// The machine's hardware address.
    pub fn hardware(&self) -> [u8; 6] {
        self.address
    }
}

/// Where QEMU sees the directory of the switch.
pub(super) const SWITCH: &str = "/srv";

/// `HOST:GUEST`: a TCP port of 127.0.0.1 that leads to one of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Of this machine.
    pub host: u16,
    /// Of the guest.
    pub guest: u16,
}

impl Forward {
    /// From a port that is free now.
    ///
    /// # Errors
    /// There is none.
    pub fn to(guest: u16) -> Result<Self, MachineError> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        Ok(Self { host: free.map_err(MachineError::Port)?.port(), guest })
    }
}

impl FromStr for Forward {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let port = |text: &str| text.parse().ok().filter(|&port: &u16| port != 0);
        let sides =
            text.split_once(':').and_then(|(host, guest)| Some(Self { host: port(host)?, guest: port(guest)? }));
        sides.ok_or("it is HOST:GUEST, two ports, as in 8443:443")
    }
}

impl Network {
    /// The hardware address of the machine, if others see it.
    pub(super) fn address(&self) -> String {
        let bytes = self.cable.iter().flat_map(|cable| cable.address).map(|byte| format!("{byte:02x}"));
        let text = bytes.collect::<Vec<_>>().join(":");
        if text.is_empty() { text } else { format!(",mac={text}") }
    }

    /// The one word of `-netdev`.
    pub(super) fn word(&self) -> String {
        if let Some(Cable { switch, .. }) = &self.cable {
            let socket = format!("{SWITCH}/{}", switch.socket_name());
            return format!("stream,id=net,server=off,addr.type=unix,addr.path={socket},reconnect-ms=1000");
        }
        let mut word = "user,id=net,restrict=on".to_owned();
        for Forward { host, guest } in &self.forwards {
            word.push_str(&format!(",hostfwd=tcp:127.0.0.1:{host}-:{guest}"));
        }
        self.more.iter().for_each(|more| word.push_str(&format!(",{more}")));
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forward_has_two_ports() {
        assert_eq!("8443:443".parse(), Ok(Forward { host: 8443, guest: 443 }));
        for text in ["443", "a:443", "8443:", "8443:0", "70000:443", "127.0.0.1:8443:443"] {
            assert!(text.parse::<Forward>().is_err(), "{text}");
        }
    }

    #[test]
    fn nothing_leaves_the_machine_and_only_what_is_forwarded_gets_in() {
        assert_eq!(Network::default().word(), "user,id=net,restrict=on");
        let network = Network {
            forwards: vec![Forward { host: 2222, guest: 22 }],
            more: vec!["net=10.9.0.0/24".to_owned()],
            ..Network::default()
        };
        assert_eq!(network.word(), "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:2222-:22,net=10.9.0.0/24");
    }
    #[test]
    fn machines_at_a_switch_have_addresses_of_their_own() {
        let at = |name: &str| {
            let cable = Some(Cable::new(Switch::new("/run/x".as_ref(), "vpc"), name));
            Network { cable, ..Network::default() }
        };
        assert!(at("db-1").word().starts_with("stream,") && at("db-1").word().contains("path=/srv/vpc.socket,"));
        assert!(at("db-1").address().starts_with(",mac=52:54:00:"));
        assert_ne!(at("db-1").address(), at("api-1").address());
        assert_eq!(Network::default().address(), "");
    }
}
