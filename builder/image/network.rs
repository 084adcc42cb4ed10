//! An instance's place in the network, as cloud-init's network configuration version 2 says it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An address with the length of its network's prefix: `10.0.1.5/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    /// Of the instance itself.
    pub address: IpAddr,
    /// Bits that all of its network share.
    pub prefix: u8,
}

/// How an instance gets its address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// The VPC tells it.
    #[default]
    Dhcp,
    /// It is told here.
    Static {
        /// Its own.
        address: Cidr,
        /// The way out.
        gateway: IpAddr,
        /// Name servers, in order.
        dns: Vec<IpAddr>,
    },
}

/// Why an instance cannot have such a network.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadNetwork {
    /// Not an address with a prefix.
    #[error("`{0}` is not an address with a prefix length: write it as `10.0.1.5/24`")]
    NotCidr(String),
    /// An address that no host can have.
    #[error("{0} cannot be the address of a host: it is {1}")]
    NotAHost(IpAddr, &'static str),
    /// A gateway that cannot be reached.
    #[error("the gateway {gateway} is not in the network of {address}: give one that is")]
    GatewayOutside {
        /// It.
        gateway: IpAddr,
        /// Of the instance.
        address: Cidr,
    },
}

impl Cidr {
    /// The address without the bits of the host, as a number of 128 bits (IPv4 in the upper 32).
    fn network(self) -> u128 {
        bits(self.address) & !hosts(self.prefix)
    }

    /// Whether `address` is in the same network.
    fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && bits(address) & !hosts(self.prefix) == self.network()
    }
}

/// The bits of an address, left-aligned.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The bits that a prefix leaves to the hosts.
fn hosts(prefix: u8) -> u128 {
    u128::MAX.checked_shr(u32::from(prefix)).unwrap_or(0)
}

/// What no host can have for an address, if `address` is that.
fn unfit(address: IpAddr) -> Option<&'static str> {
    if address.is_unspecified() {
        Some("no address at all")
    } else if address.is_loopback() {
        Some("this machine's own")
    } else if address.is_multicast() || matches!(address, IpAddr::V4(address) if address.is_broadcast()) {
        Some("many hosts'")
    } else {
        None
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let parts = || -> Option<Self> {
            let (address, prefix) = text.split_once('/')?;
            let (address, prefix): (IpAddr, u8) = (address.parse().ok()?, prefix.parse().ok()?);
            let longest = if address.is_ipv4() { 32 } else { 128 };
            (1..=longest).contains(&prefix).then_some(Self { address, prefix })
        };
        let cidr = parts().ok_or_else(|| BadNetwork::NotCidr(text.to_owned()))?;
        if let Some(what) = unfit(cidr.address) {
            return Err(BadNetwork::NotAHost(cidr.address, what));
        }
        // RFC 3021: in a network of two, both are hosts.
        if cidr.address.is_ipv4() && cidr.prefix < 31 {
            let own = bits(cidr.address) >> 96;
            let mask = hosts(cidr.prefix) >> 96;
            if own & mask == 0 {
                return Err(BadNetwork::NotAHost(cidr.address, "the network's own"));
            } else if own & mask == mask {
                return Err(BadNetwork::NotAHost(cidr.address, "the network's broadcast"));
            }
        }
        Ok(cidr)
    }
}

impl Network {
    /// A network of fixed addresses.
    ///
    /// # Errors
    /// The gateway is not to be reached from `address`, or one of them is no host's.
    pub fn fixed(address: Cidr, gateway: IpAddr, dns: Vec<IpAddr>) -> Result<Self, BadNetwork> {
        for host in dns.iter().chain([&gateway]) {
            if let Some(what) = unfit(*host) {
                return Err(BadNetwork::NotAHost(*host, what));
            }
        }
        // A link-local gateway is on the link whatever the prefix (RFC 4861).
        let on_link =
            matches!(gateway, IpAddr::V6(gateway) if gateway.is_unicast_link_local() && address.address.is_ipv6());
        if gateway == address.address || !(on_link || address.contains(gateway)) {
            return Err(BadNetwork::GatewayOutside { gateway, address });
        }
        Ok(Self::Static { address, gateway, dns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Result<Cidr, String> {
        text.parse().map_err(|error: BadNetwork| error.to_string())
    }

    #[test]
    fn addresses_are_those_of_hosts() {
        assert_eq!(cidr("10.0.1.5/24").unwrap().to_string(), "10.0.1.5/24");
        assert!(cidr("fd00::5/64").is_ok() && cidr("10.0.0.0/31").is_ok() && cidr("10.0.0.1/32").is_ok());
        assert_eq!(
            cidr("10.0.1.0/24").unwrap_err(),
            "10.0.1.0 cannot be the address of a host: it is the network's own"
        );
        assert_eq!(
            cidr("10.0.1.255/24").unwrap_err(),
            "10.0.1.255 cannot be the address of a host: it is the network's broadcast"
        );
        assert!(cidr("127.0.0.1/8").is_err() && cidr("224.0.0.1/4").is_err() && cidr("::/64").is_err());
    }

    #[test]
    fn what_is_no_address_with_a_prefix_is_refused() {
        for text in ["10.0.1.5", "10.0.1.5/33", "10.0.1.5/0", "fd00::1/129", "10.0.1/24", "host/24", ""] {
            assert!(cidr(text).unwrap_err().contains("is not an address with a prefix length"), "{text}");
        }
    }

    #[test]
    fn the_gateway_is_another_host_of_the_same_network() {
        let fixed = |address: &str, gateway: &str| {
            Network::fixed(cidr(address).unwrap(), gateway.parse().unwrap(), vec![]).map_err(|error| error.to_string())
        };
        assert!(fixed("10.0.1.5/24", "10.0.1.1").is_ok());
        assert!(fixed("fd00::5/64", "fe80::1").is_ok());
        assert_eq!(
            fixed("10.0.1.5/24", "10.0.2.1").unwrap_err(),
            "the gateway 10.0.2.1 is not in the network of 10.0.1.5/24: give one that is"
        );
        assert!(fixed("10.0.1.5/24", "10.0.1.5").is_err());
        assert!(fixed("10.0.1.5/24", "fe80::1").is_err());
    }
}
