//! Remote endpoint's address → tunnel: built once per configuration, then only read.

use std::net::IpAddr;

use super::Duplicate;
use crate::num::TunnelId;

/// Which tunnel leads to an address. Open addressing at a load of at most one half, one array per family.
#[derive(Clone, Debug)]
pub struct VtepTable {
    v4: Places<u32>,
    v6: Places<u128>,
}

#[derive(Clone, Debug)]
struct Places<K> {
    /// [`TunnelId::NONE`] where there is no entry. The length is a power of two.
    places: Box<[(K, TunnelId)]>,
    shift: u32,
}

trait Key: Copy + Eq + Default {
    fn mix(self) -> u64;
}

impl Key for u32 {
    #[inline(always)]
    fn mix(self) -> u64 {
        u64::from(self)
    }
}

impl Key for u128 {
    #[inline(always)]
    fn mix(self) -> u64 {
        // Not a plain exclusive or: prefix and host part are often numbered alike.
        (self as u64) ^ ((self >> 64) as u64).wrapping_mul(0xff51_afd7_ed55_8ccd)
    }
}

impl<K: Key> Places<K> {
    fn new(entries: usize) -> Self {
        let places = (entries * 2).next_power_of_two().max(2);
        Self { places: vec![(K::default(), TunnelId::NONE); places].into(), shift: 64 - places.ilog2() }
    }

    /// `false` when the key is there already.
    fn insert(&mut self, key: K, tunnel: TunnelId) -> bool {
        let (start, mask) = (self.start(key), self.places.len() - 1);
        for probe in 0..=mask {
            let Some(place) = self.places.get_mut((start + probe) & mask) else { break };
            if !place.1.is_some() {
                *place = (key, tunnel);
                return true;
            }
            if place.0 == key {
                return false;
            }
        }
        false
    }

    #[inline(always)]
    fn lookup(&self, key: K) -> Option<TunnelId> {
        let mask = self.places.len() - 1;
        let mut at = self.start(key);
        loop {
            let (found, tunnel) = *self.places.get(at)?;
            if !tunnel.is_some() {
                return None;
            }
            if found == key {
                return Some(tunnel);
            }
            at = (at + 1) & mask;
        }
    }

    /// Multiplicative hashing: the high bits of the product (Knuth, TAOCP 3, § 6.4).
    #[inline(always)]
    fn start(&self, key: K) -> usize {
        (key.mix().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize
    }
}

impl VtepTable {
    /// Builds the table. Pairs whose tunnel is [`TunnelId::NONE`] are left out.
    ///
    /// # Errors
    /// An address that is given twice, even with the same tunnel.
    pub fn from_pairs(pairs: &[(IpAddr, TunnelId)]) -> Result<Self, Duplicate<IpAddr>> {
        let v4 = pairs.iter().filter(|(address, _)| address.is_ipv4()).count();
        let mut table = Self { v4: Places::new(v4), v6: Places::new(pairs.len() - v4) };
        for &(address, tunnel) in pairs.iter().filter(|(_, tunnel)| tunnel.is_some()) {
            let new = match address {
                IpAddr::V4(v4) => table.v4.insert(v4.to_bits(), tunnel),
                IpAddr::V6(v6) => table.v6.insert(v6.to_bits(), tunnel),
            };
            if !new {
                return Err(Duplicate(address));
            }
        }
        Ok(table)
    }

    /// The tunnel to this address.
    #[inline]
    pub fn lookup(&self, address: IpAddr) -> Option<TunnelId> {
        match address {
            IpAddr::V4(v4) => self.v4.lookup(v4.to_bits()),
            IpAddr::V6(v6) => self.v6.lookup(v6.to_bits()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    fn an_address_given_twice_is_refused_by_name() {
        for text in ["192.0.2.1", "2001:db8::1", "0.0.0.0", "::"] {
            let address: IpAddr = text.parse().unwrap();
            let error = VtepTable::from_pairs(&[(address, TunnelId(1)), (address, TunnelId(2))]).unwrap_err();
            assert!(error.to_string().starts_with(&format!("{address} is given twice")), "{error}");
        }
    }

    fn address() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            (0..32_u32).prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
            any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
            (0..32_u128).prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits << 64 | bits))),
            any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
        ]
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_hash_map(
            naive in prop::collection::hash_map(address(), 0..u16::MAX, 0..200),
            asked in prop::collection::vec(address(), 0..200),
        ) {
            let naive: HashMap<_, _> = naive.into_iter().map(|(address, id)| (address, TunnelId(id))).collect();
            let pairs: Vec<_> = naive.iter().map(|(address, id)| (*address, *id)).collect();
            let table = VtepTable::from_pairs(&pairs).unwrap();
            for address in asked.iter().chain(naive.keys()) {
                prop_assert_eq!(table.lookup(*address), naive.get(address).copied());
            }
        }
    }
}
