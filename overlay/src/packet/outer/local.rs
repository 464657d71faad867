//! The addresses that are ours on the underlay: few, compared one after the other.

use std::net::IpAddr;

/// Why a [`LocalAddresses`] cannot be built.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LocalAddressesError {
    /// More addresses of one family than fit.
    #[error("more than {limit} local {family} addresses; remove some", limit = LocalAddresses::LIMIT)]
    TooMany {
        /// "IPv4" or "IPv6".
        family: &'static str,
    },
    /// The unspecified address or a group.
    #[error("local address {0} is not a unicast address; give an address of this host")]
    NotUnicast(IpAddr),
}

/// Up to 16 IPv4 and 16 IPv6 addresses of ours; put the one with most traffic first.
#[derive(Clone, Debug, Default)]
pub struct LocalAddresses {
    /// Unused places hold 0, which is no address of ours.
    v4: [u32; Self::LIMIT],
    v6: [u128; Self::LIMIT],
    v4_len: u8,
    v6_len: u8,
}

impl LocalAddresses {
    /// How many addresses of each family fit.
    pub const LIMIT: usize = 16;

    /// The addresses, in this order of comparison; one given twice counts once.
    pub fn new(addresses: &[IpAddr]) -> Result<Self, LocalAddressesError> {
        let mut local = Self::default();
        for &address in addresses {
            if address.is_unspecified() || address.is_multicast() {
                return Err(LocalAddressesError::NotUnicast(address));
            }
            if local.contains(address) {
                continue;
            }
            match address {
                IpAddr::V4(v4) => {
                    let place = local.v4.get_mut(usize::from(local.v4_len));
                    *place.ok_or(LocalAddressesError::TooMany { family: "IPv4" })? = v4.to_bits();
                    local.v4_len += 1;
                }
                IpAddr::V6(v6) => {
                    let place = local.v6.get_mut(usize::from(local.v6_len));
                    *place.ok_or(LocalAddressesError::TooMany { family: "IPv6" })? = v6.to_bits();
                    local.v6_len += 1;
                }
            }
        }
        Ok(local)
    }

    /// Whether this IPv4 address (as [`Ipv4Addr::to_bits`](std::net::Ipv4Addr::to_bits) gives it) is ours.
    #[inline]
    pub fn contains_v4(&self, address: u32) -> bool {
        address != 0 && (self.v4[0] == address || self.later_v4(address))
    }

    /// Whether this IPv6 address (as [`Ipv6Addr::to_bits`](std::net::Ipv6Addr::to_bits) gives it) is ours.
    #[inline]
    pub fn contains_v6(&self, address: u128) -> bool {
        address != 0 && (self.v6[0] == address || self.later_v6(address))
    }

    /// Whether this address is ours.
    #[inline]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => self.contains_v4(v4.to_bits()),
            IpAddr::V6(v6) => self.contains_v6(v6.to_bits()),
        }
    }

    #[inline(never)]
    fn later_v4(&self, address: u32) -> bool {
        self.v4.iter().take(usize::from(self.v4_len)).any(|ours| *ours == address)
    }

    #[inline(never)]
    fn later_v6(&self, address: u128) -> bool {
        self.v6.iter().take(usize::from(self.v6_len)).any(|ours| *ours == address)
    }
}
