//! What a machine sees of a network: one that QEMU plays (slirp), with nobody on it but this machine at 10.0.2.2.
//!
//! ```text
//! 127.0.0.1:8443 ──forward──▶ 10.0.2.15:443 of the machine, from 10.0.2.2      (`restrict=on`: nothing leads the other way)
//! ```

use std::net::{Ipv4Addr, TcpListener};
use std::str::FromStr;

use super::MachineError;

/// Who knocks through a forward, as the machine sees it.
pub const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// What a machine sees of a network.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// Ports of this machine's loopback that lead to ports of the guest.
    pub forwards: Vec<Forward>,
    /// More of QEMU's `-netdev user` (`net=…`, `guestfwd=…`), each one property.
    pub more: Vec<String>,
}

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
    /// The one word of `-netdev`.
    pub(super) fn word(&self) -> String {
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
        let network =
            Network { forwards: vec![Forward { host: 2222, guest: 22 }], more: vec!["net=10.9.0.0/24".to_owned()] };
        assert_eq!(network.word(), "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:2222-:22,net=10.9.0.0/24");
    }
}
