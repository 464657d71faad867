//! The MAC table under the model checker: `RUSTFLAGS="--cfg weir_loom" cargo test -p overlay --release --test loom_mac`.
//!
//! With `--cfg weir_weaken` added, entries are published without release, and these tests must fail.
#![cfg(weir_loom)]

use std::sync::Arc;
use std::sync::Mutex;

use loom::model::Builder;
use loom::thread;
use overlay::fib::mac::{Inserted, MacDestination, MacKey, MacTable, MacWriter};
use overlay::num::{MacAddr, NetworkId, PortId};

const SEED: u64 = 0x0123_4567_89ab_cdef;

fn key(station: u16) -> MacKey {
    let [a, b] = station.to_be_bytes();
    MacTable::key(NetworkId(1), MacAddr([2, 0, 0, 0, a, b]))
}

fn at(station: u16) -> MacDestination {
    MacDestination::port(PortId(station), 0)
}

/// All interleavings with at most three preemptions: what a reader and a writer need to meet at every store.
fn check(test: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    // Filling a table before the race begins counts too.
    builder.max_branches = 100_000;
    builder.check(test);
}

/// One answer of a computation inside the model, which is the only place where its atomics work.
fn compute<T: Clone + Send + 'static>(test: impl Fn() -> T + Sync + Send + 'static) -> T {
    let answer = Arc::new(Mutex::new(None));
    let inside = Arc::clone(&answer);
    check(move || *inside.lock().unwrap() = Some(test()));
    let answer = answer.lock().unwrap().clone();
    answer.unwrap()
}

fn table_of(capacity: usize, stations: &[u16]) -> MacWriter {
    let mut writer = MacTable::new(capacity, SEED);
    for &station in stations {
        assert_eq!(writer.insert(key(station), at(station), 0), Inserted::New);
    }
    writer
}

#[test]
fn a_new_entry_is_seen_whole_or_not_at_all() {
    check(|| {
        let mut writer = table_of(1, &[]);
        let table = Arc::clone(writer.table());
        let reader = thread::spawn(move || {
            if let Some(hit) = table.lookup(key(7)) {
                assert_eq!(hit.destination, at(7));
            }
        });
        writer.insert(key(7), at(7), 0);
        reader.join().unwrap();
    });
}

/// A place is emptied, lent to another station and given back, while a reader is between key and destination.
#[test]
fn a_reader_never_sees_another_stations_destination() {
    // A station whose first bucket is that of station 1: in an empty table it gets the same place.
    let twin = compute(|| {
        let place = |station| table_of(1, &[station]).table().lookup(key(station)).map(|hit| hit.slot);
        (2..100).find(|station| place(*station) == place(1)).unwrap()
    });
    check(move || {
        let mut writer = table_of(1, &[1]);
        let table = Arc::clone(writer.table());
        let reader = thread::spawn(move || {
            if let Some(hit) = table.lookup(key(1)) {
                assert!([at(1), at(1000)].contains(&hit.destination), "{:?}", hit.destination);
            }
        });
        writer.remove(key(1));
        writer.insert(key(twin), at(twin), 0);
        writer.remove(key(twin));
        writer.insert(key(1), at(1000), 0);
        reader.join().unwrap();
    });
}

/// Stations from `start` on that a table takes as they come, the next, and the one that this moves.
fn first_displacement_from(start: u16) -> Option<(Vec<u16>, u16, u16)> {
    let mut writer = table_of(12, &[]);
    let places = |writer: &MacWriter, stations: &[u16]| -> Vec<_> {
        stations.iter().map(|station| writer.table().lookup(key(*station)).map(|hit| hit.slot)).collect()
    };
    let mut stations = Vec::new();
    for station in start.. {
        let before = places(&writer, &stations);
        if writer.insert(key(station), at(station), 0) != Inserted::New {
            return None;
        }
        let after = places(&writer, &stations);
        if let Some(index) = (0..stations.len()).find(|index| before[*index] != after[*index]) {
            return Some((stations.clone(), station, stations[index]));
        }
        stations.push(station);
    }
    None
}

#[test]
fn displacement_never_hides_an_entry() {
    // Stations to fill a table of four buckets with, until one more moves one of them to another place.
    let (stations, last, moved) = compute(|| (1..100).find_map(first_displacement_from).unwrap());
    check(move || {
        let mut writer = table_of(12, &stations);
        let table = Arc::clone(writer.table());
        let reader = thread::spawn(move || {
            assert_eq!(table.lookup(key(moved)).map(|hit| hit.destination), Some(at(moved)));
        });
        assert_eq!(writer.insert(key(last), at(last), 0), Inserted::New);
        reader.join().unwrap();
    });
}

#[test]
fn a_move_is_seen_before_or_after() {
    check(|| {
        let mut writer = table_of(1, &[1]);
        let table = Arc::clone(writer.table());
        let reader = thread::spawn(move || {
            let hit = table.lookup(key(1)).expect("it is there all the time");
            assert!([at(1), at(2)].contains(&hit.destination));
            table.touch(hit.slot, 5);
        });
        assert_eq!(writer.insert(key(1), at(2), 0), Inserted::Moved(at(1)));
        reader.join().unwrap();
    });
}
