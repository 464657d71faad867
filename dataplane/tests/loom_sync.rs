//! Model check of the shipped `sync` types: run by `make loom`.
//!
//! The payload is a loom `UnsafeCell`, which reports a race when the reader's access and the writer's are not ordered by
//! the epochs alone. With `--cfg weir_weaken` (release becomes relaxed) these tests must fail; `make loom` checks that
//! they do.
#![cfg(weir_loom)]

use dataplane::sync::Epochs;
use loom::cell::UnsafeCell;
use loom::thread;
use std::sync::Arc;

/// What was written before `advance` is seen by whoever observes the epoch; what is freed after `passed` is seen by
/// nobody.
#[test]
fn publication_and_grace_period_are_ordered() {
    loom::model(|| {
        let epochs = Arc::new(Epochs::new(1));
        let old = Arc::new(UnsafeCell::new(1));
        let new = Arc::new(UnsafeCell::new(0));
        let mut reader = epochs.reader(0).expect("one reader");
        reader.online();

        let worker = {
            let (old, new) = (Arc::clone(&old), Arc::clone(&new));
            thread::spawn(move || {
                old.with(|_| ());
                if reader.changed() {
                    reader.observe();
                    new.with(|_| ());
                    reader.quiesce();
                } else {
                    old.with(|_| ());
                    reader.offline();
                }
            })
        };

        new.with_mut(|_| ());
        let epoch = epochs.advance();
        if epochs.passed(epoch) {
            old.with_mut(|_| ());
        }
        worker.join().expect("worker");
        assert!(epochs.passed(epoch));
        old.with_mut(|_| ());
    });
}

/// A subscriber never holds a value older than the epoch it has quiesced at, and the writer frees the old one.
#[test]
fn subscribers_follow_the_writer() {
    use dataplane::sync::Published;
    loom::model(|| {
        let epochs = Arc::new(Epochs::new(1));
        let published = Published::new(Arc::new(1), Arc::clone(&epochs));
        let mut subscriber = published.subscribe(0).expect("one reader");
        let mut held = subscriber.start();
        let worker = thread::spawn(move || {
            for _ in 0..2 {
                if subscriber.changed() {
                    subscriber.refresh(&mut held);
                    subscriber.quiesce();
                    assert_eq!(*held, 2);
                }
            }
            drop(held);
            subscriber.stop();
        });
        let (epoch, old) = published.publish(Arc::new(2));
        if epochs.passed(epoch) {
            assert_eq!(Arc::strong_count(&old), 1, "freed on the writer's thread");
        }
        worker.join().expect("worker");
    });
}
