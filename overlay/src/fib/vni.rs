//! VNI → network: built once per configuration, then only read.

use super::Duplicate;
use crate::num::{NetworkId, Vni};

/// Which network a VNI is. Open addressing at a load of at most one half.
#[derive(Clone, Debug)]
pub struct VniTable {
    /// `vni << 16 | network`; [`EMPTY`] where there is none. The length is a power of two.
    places: Box<[u64]>,
    shift: u32,
}

const EMPTY: u64 = u64::MAX;

impl VniTable {
    /// Builds the table.
    ///
    /// # Errors
    /// A VNI that is given twice, even with the same network.
    pub fn from_pairs(pairs: &[(Vni, NetworkId)]) -> Result<Self, Duplicate<Vni>> {
        let places = (pairs.len() * 2).next_power_of_two().max(2);
        let mut table = Self { places: vec![EMPTY; places].into(), shift: 64 - places.ilog2() };
        for &(vni, network) in pairs {
            let start = table.start(vni);
            for probe in 0..places {
                let Some(place) = table.places.get_mut((start + probe) & (places - 1)) else { break };
                if *place == EMPTY {
                    *place = u64::from(vni.get()) << 16 | u64::from(network.0);
                    break;
                }
                if *place >> 16 == u64::from(vni.get()) {
                    return Err(Duplicate(vni));
                }
            }
        }
        Ok(table)
    }

    /// The network with this VNI.
    #[inline]
    pub fn lookup(&self, vni: Vni) -> Option<NetworkId> {
        let mask = self.places.len() - 1;
        let mut at = self.start(vni);
        loop {
            let place = *self.places.get(at)?;
            if place >> 16 == u64::from(vni.get()) {
                return Some(NetworkId(place as u16));
            }
            if place == EMPTY {
                return None;
            }
            at = (at + 1) & mask;
        }
    }

    /// Multiplicative hashing: the high bits of the product (Knuth, TAOCP 3, § 6.4).
    #[inline(always)]
    fn start(&self, vni: Vni) -> usize {
        (u64::from(vni.get()).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn a_vni_given_twice_is_refused_by_name() {
        let vni = Vni::from_low_bits(Vni::MAX);
        let error = VniTable::from_pairs(&[(vni, NetworkId(1)), (vni, NetworkId(1))]).unwrap_err();
        assert_eq!(error, Duplicate(vni));
        assert!(error.to_string().starts_with("16777215 is given twice"), "{error}");
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_hash_map(
            pairs in prop::collection::hash_map(prop_oneof![0..64_u32, 0..=Vni::MAX], any::<u16>(), 0..200),
            asked in prop::collection::vec(prop_oneof![0..64_u32, 0..=Vni::MAX], 0..200),
        ) {
            let naive: HashMap<_, _> =
                pairs.into_iter().map(|(vni, id)| (Vni::from_low_bits(vni), NetworkId(id))).collect();
            let pairs: Vec<_> = naive.iter().map(|(vni, id)| (*vni, *id)).collect();
            let table = VniTable::from_pairs(&pairs).unwrap();
            for vni in asked.into_iter().map(Vni::from_low_bits).chain(naive.keys().copied()) {
                prop_assert_eq!(table.lookup(vni), naive.get(&vni).copied());
            }
        }
    }
}
