//! The MAC table against a hash map.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const SEED: u64 = 0x0123_4567_89ab_cdef;

fn key(network: u16, station: u32) -> MacKey {
    let [a, b, c, d] = station.to_be_bytes();
    MacTable::key(NetworkId(network), MacAddr([2, 0, a, b, c, d]))
}

fn port(id: u16) -> MacDestination {
    MacDestination::port(PortId(id), 0)
}

#[test]
fn keys_and_destinations_are_packed_without_loss() {
    let mac = MacAddr([0xff, 1, 2, 3, 4, 5]);
    let key = MacTable::key(NetworkId(0xfffe), mac);
    assert_eq!((key.network(), key.mac()), (NetworkId(0xfffe), mac));
    for (destination, target) in [
        (MacDestination::port(PortId(0xfffe), 4095), MacTarget::Port(PortId(0xfffe), 4095)),
        (MacDestination::port(PortId(0), 0), MacTarget::Port(PortId(0), 0)),
        (MacDestination::tunnel(TunnelId(0xfffe)), MacTarget::Tunnel(TunnelId(0xfffe))),
    ] {
        assert_eq!(destination.target(), target);
        assert!(!destination.is_static() && destination.pinned().is_static());
        assert_eq!(destination.pinned().target(), target);
        assert!(destination.same_place(destination.pinned()));
        assert_eq!(MacDestination::from_bits(destination.to_bits()), destination);
    }
    assert!(!MacDestination::port(PortId(1), 0).same_place(MacDestination::tunnel(TunnelId(1))));
    assert!(!MacDestination::port(PortId(1), 0).same_place(MacDestination::port(PortId(1), 7)));
}

#[test]
fn the_key_of_no_station_is_neither_inserted_nor_found() {
    let mut writer = MacTable::new(8, SEED);
    let nobody = MacTable::key(NetworkId(0), MacAddr::ZERO);
    assert_eq!(writer.insert(nobody, port(1), 0), Inserted::Full);
    assert_eq!(writer.table().lookup(nobody), None);
    assert_eq!(writer.remove(nobody), None);
    assert!(writer.is_empty());
}

#[test]
fn static_entries_are_neither_moved_nor_aged_by_packets() {
    let mut writer = MacTable::new(8, SEED);
    let here = port(1).pinned();
    assert_eq!(writer.insert(key(1, 1), port(2), 0), Inserted::New);
    assert_eq!(writer.insert(key(1, 1), here, 0), Inserted::Moved(port(2)));
    assert_eq!(writer.insert(key(1, 1), port(2), 1), Inserted::Static(here));
    assert_eq!(writer.insert(key(1, 1), port(1), 1), Inserted::Refreshed);
    assert_eq!(writer.age(1_000_000, |_| Some(1)), 0);
    assert_eq!(writer.table().lookup(key(1, 1)).map(|hit| hit.destination), Some(here));
    assert_eq!(writer.insert(key(1, 1), port(3).pinned(), 1), Inserted::Moved(here));
    assert_eq!(writer.remove(key(1, 1)), Some(port(3).pinned()));
}

#[test]
fn an_entry_lives_as_long_as_it_is_seen() {
    let mut writer = MacTable::new(8, SEED);
    writer.insert(key(1, 1), port(1), 100);
    writer.insert(key(2, 1), port(1), 100);
    writer.insert(key(3, 1), port(1), 100);
    let hit = writer.table().lookup(key(1, 1)).unwrap();
    writer.table().touch(hit.slot, 130);
    let ageing = |network: NetworkId| (network != NetworkId(3)).then_some(20);
    assert_eq!(writer.age(120, ageing), 0, "as old as allowed");
    assert_eq!(writer.age(90, ageing), 0, "a worker's clock may be ahead");
    assert_eq!(writer.age(121, ageing), 1);
    assert_eq!(writer.table().lookup(key(2, 1)), None);
    assert!(writer.table().lookup(key(3, 1)).is_some(), "network 3 does not age");
    assert_eq!(writer.age(151, ageing), 1);
    assert_eq!(writer.len(), 1);
}

#[test]
fn the_promised_capacity_is_there_and_a_full_table_loses_nothing() {
    for capacity in [1, 7, 100, 1000, 7168] {
        let mut writer = MacTable::new(capacity, SEED);
        let mut inserted = 0;
        while writer.insert(key(9, inserted), port(inserted as u16), 5) == Inserted::New {
            inserted += 1;
        }
        assert!(inserted as usize >= capacity, "{inserted} of {capacity}");
        assert_eq!(writer.len(), inserted as usize);
        assert!(writer.len() <= writer.table().capacity());
        assert_eq!(writer.iter().count(), writer.len());
        for station in 0..inserted {
            let hit = writer.table().lookup(key(9, station)).unwrap();
            assert_eq!(hit.destination, port(station as u16));
        }
        assert_eq!(writer.table().lookup(key(9, inserted)), None);
        assert_eq!(writer.remove_where(|key, _| key.mac().0[5] & 1 == 0), (inserted as usize).div_ceil(2));
        assert_eq!(writer.table().lookup(key(9, 1)).is_some(), inserted > 1);
        assert_eq!(writer.table().lookup(key(9, 0)), None);
    }
}

#[test]
fn a_bucket_is_a_cache_line() {
    let writer = MacTable::new(1000, SEED);
    let storage = writer.table().storage();
    assert_eq!(size_of_val(storage), writer.table().capacity() * 16);
    assert_eq!(storage.as_ptr().addr() % 64, 0);
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u16, u32, MacDestination, u32),
    Remove(u16, u32),
    RemoveNetwork(u16),
    RemovePort(u16),
    Touch(u16, u32, u32),
    Age(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (network, station) = (|| 0..3_u16, || 0..30_u32);
    let destination = prop_oneof![
        8 => (0..4_u16, 0..2_u16).prop_map(|(id, vlan)| MacDestination::port(PortId(id), vlan)),
        8 => (0..4_u16).prop_map(|id| MacDestination::tunnel(TunnelId(id))),
        1 => (0..4_u16).prop_map(|id| port(id).pinned()),
    ];
    let step = prop_oneof![
        20 => (network(), station(), destination, 0..100_u32).prop_map(|(n, s, d, t)| Step::Insert(n, s, d, t)),
        8 => (network(), station()).prop_map(|(n, s)| Step::Remove(n, s)),
        1 => network().prop_map(Step::RemoveNetwork),
        1 => (0..4_u16).prop_map(Step::RemovePort),
        4 => (network(), station(), 0..100_u32).prop_map(|(n, s, t)| Step::Touch(n, s, t)),
        2 => (0..150_u32).prop_map(Step::Age),
    ];
    prop::collection::vec(step, 0..300)
}

proptest! {
    #[test]
    fn it_agrees_with_a_hash_map(steps in steps(), seed in any::<u64>()) {
        let mut writer = MacTable::new(90, seed);
        let mut naive: HashMap<MacKey, (MacDestination, u32)> = HashMap::new();
        for step in steps {
            match step {
                Step::Insert(network, station, destination, now) => {
                    let key = key(network, station);
                    let expected = match naive.get(&key) {
                        None => Inserted::New,
                        Some((old, _)) if old.is_static() && !destination.is_static() => {
                            if old.same_place(destination) { Inserted::Refreshed } else { Inserted::Static(*old) }
                        }
                        Some((old, _)) if old.same_place(destination) => Inserted::Refreshed,
                        Some((old, _)) => Inserted::Moved(*old),
                    };
                    if !naive.get(&key).is_some_and(|(old, _)| old.is_static() && !destination.is_static()) {
                        naive.insert(key, (destination, now));
                    }
                    prop_assert_eq!(writer.insert(key, destination, now), expected);
                }
                Step::Remove(network, station) => {
                    let key = key(network, station);
                    prop_assert_eq!(writer.remove(key), naive.remove(&key).map(|(destination, _)| destination));
                }
                Step::RemoveNetwork(network) => {
                    let before = naive.len();
                    naive.retain(|key, _| key.network() != NetworkId(network));
                    let removed = writer.remove_where(|key, _| key.network() == NetworkId(network));
                    prop_assert_eq!(removed, before - naive.len());
                }
                Step::RemovePort(id) => {
                    let at = |destination: MacDestination| matches!(destination.target(), MacTarget::Port(p, _) if p.0 == id);
                    naive.retain(|_, (destination, _)| !at(*destination));
                    writer.remove_where(|_, destination| at(destination));
                }
                Step::Touch(network, station, now) => {
                    if let Some(hit) = writer.table().lookup(key(network, station)) {
                        writer.table().touch(hit.slot, now);
                    }
                    if let Some((_, seen)) = naive.get_mut(&key(network, station)) {
                        *seen = now;
                    }
                }
                Step::Age(now) => {
                    let before = naive.len();
                    naive.retain(|_, (destination, seen)| destination.is_static() || now.saturating_sub(*seen) <= 30);
                    prop_assert_eq!(writer.age(now, |_| Some(30)), before - naive.len());
                }
            }
            prop_assert_eq!(writer.len(), naive.len());
        }
        let mut all: Vec<_> = writer.iter().map(|(key, destination, seen)| (key, destination.to_bits(), seen)).collect();
        let mut expected: Vec<_> = naive.iter().map(|(key, (to, seen))| (*key, to.to_bits(), *seen)).collect();
        all.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(all, expected);
        for (network, station) in (0..3).flat_map(|n| (0..30).map(move |s| (n, s))) {
            let key = key(network, station);
            let found = writer.table().lookup(key).map(|hit| hit.destination);
            prop_assert_eq!(found, naive.get(&key).map(|(destination, _)| *destination));
        }
    }
}
