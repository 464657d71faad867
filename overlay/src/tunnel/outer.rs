//! What all tunnels over UDP have in common: addresses, TTL, DSCP, port and checksum of the outer header.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// What the outer header's DSCP is made from. The ECN field is not a matter of choice: see [`super::ecn`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dscp {
    /// Copied from the inner IP header; 0 when the inner packet is not IP (uniform model, RFC 2983 § 3).
    #[default]
    Copy,
    /// Always this value, 0 to 63 (pipe model, RFC 2983 § 3). Higher bits are ignored.
    Fixed(u8),
}

/// Why an [`Outer`] cannot be built.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OuterError {
    /// One address is IPv4, the other IPv6.
    #[error("tunnel addresses {local} and {remote} are of different families; both must be IPv4 or both IPv6")]
    Families {
        /// The local address.
        local: IpAddr,
        /// The remote address.
        remote: IpAddr,
    },
    /// Not a unicast address.
    #[error("tunnel address {0} is not a unicast address; give the address of one endpoint")]
    NotUnicast(IpAddr),
}

/// The outer header's parameters of one tunnel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outer {
    /// Our address.
    pub local: IpAddr,
    /// The remote endpoint's address, of the same family.
    pub remote: IpAddr,
    /// TTL or hop limit of the outer header.
    pub ttl: u8,
    /// DSCP of the outer header.
    pub dscp: Dscp,
    /// Destination port.
    pub udp_port: u16,
    /// Whether a UDP checksum is computed; else the field is zero (IPv4: RFC 768; IPv6: RFC 6935, which asks for the
    /// receiver's consent).
    pub udp_checksum: bool,
    /// IPv4's DF bit. Set, the identification is 0 (RFC 6864 § 4.1); a tunnel endpoint must not let its packets be
    /// fragmented (RFC 7348 § 4.3).
    pub dont_fragment: bool,
}

impl Outer {
    /// The usual parameters between two endpoints: TTL 64, DSCP copied, DF set, and a UDP checksum over IPv6 only.
    pub fn new(local: IpAddr, remote: IpAddr, udp_port: u16) -> Result<Self, OuterError> {
        if local.is_ipv4() != remote.is_ipv4() {
            return Err(OuterError::Families { local, remote });
        }
        for address in [local, remote] {
            let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
            if address.is_unspecified() || address.is_multicast() || broadcast {
                return Err(OuterError::NotUnicast(address));
            }
        }
        Ok(Self {
            local,
            remote,
            ttl: 64,
            dscp: Dscp::Copy,
            udp_port,
            udp_checksum: remote.is_ipv6(),
            dont_fragment: true,
        })
    }

    /// Whether the outer header is IPv6.
    #[inline]
    pub const fn is_ipv6(&self) -> bool {
        self.remote.is_ipv6()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_must_be_unicast_and_of_one_family() {
        let v4: IpAddr = "192.0.2.1".parse().unwrap();
        let v6: IpAddr = "2001:db8::1".parse().unwrap();
        assert_eq!(Outer::new(v4, v6, 4789), Err(OuterError::Families { local: v4, remote: v6 }));
        for bad in ["0.0.0.0", "239.1.1.1", "255.255.255.255"] {
            let bad: IpAddr = bad.parse().unwrap();
            assert_eq!(Outer::new(v4, bad, 4789), Err(OuterError::NotUnicast(bad)));
        }
        for bad in ["::", "ff02::1"] {
            let bad: IpAddr = bad.parse().unwrap();
            assert_eq!(Outer::new(bad, v6, 4789), Err(OuterError::NotUnicast(bad)));
        }
    }

    #[test]
    fn the_checksum_is_computed_over_ipv6_only() {
        let outer = |a: &str, b: &str| Outer::new(a.parse().unwrap(), b.parse().unwrap(), 4789).unwrap();
        assert!(!outer("192.0.2.1", "192.0.2.2").udp_checksum);
        assert!(outer("2001:db8::1", "2001:db8::2").udp_checksum);
    }
}
