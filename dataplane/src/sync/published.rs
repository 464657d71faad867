//! A value that one thread replaces as a whole and workers pick up at a quiescent point.
//!
//! Trade-off: a replacement costs the writer a wait until every worker has come round, and each worker one short lock
//! in the round in which something changed (booked to `reconfiguration`). In return a worker reads its own `Arc`: no
//! shared reference count, no fence, no lock while packets flow, and the old value is freed on the writer's thread.

use super::{Arc, EpochReader, Epochs, Mutex};

/// The writer's side.
#[derive(Debug)]
pub struct Published<T> {
    slot: Arc<Mutex<Arc<T>>>,
    epochs: Arc<Epochs>,
}

/// One worker's side.
#[derive(Debug)]
pub struct Subscriber<T> {
    slot: Arc<Mutex<Arc<T>>>,
    reader: EpochReader,
}

impl<T> Published<T> {
    /// Publishes `value` to the readers of `epochs`.
    pub fn new(value: Arc<T>, epochs: Arc<Epochs>) -> Self {
        Self { slot: Arc::new(Mutex::new(value)), epochs }
    }

    /// Reader `index`'s side, or `None` when `epochs` has no such reader.
    pub fn subscribe(&self, index: usize) -> Option<Subscriber<T>> {
        Some(Subscriber { slot: Arc::clone(&self.slot), reader: self.epochs.reader(index)? })
    }

    /// Replaces the value. Returns the epoch to wait for and the old value, which the caller keeps until
    /// [`Epochs::passed`] says that every worker has let go of it, so that it is freed here and not on a worker.
    pub fn publish(&self, value: Arc<T>) -> (u64, Arc<T>) {
        let old = {
            let mut slot = lock(&self.slot);
            core::mem::replace(&mut *slot, value)
        };
        (self.epochs.advance(), old)
    }

    /// The value as of now.
    pub fn current(&self) -> Arc<T> {
        Arc::clone(&lock(&self.slot))
    }

    /// The epochs that count the publications.
    pub fn epochs(&self) -> &Arc<Epochs> {
        &self.epochs
    }
}

impl<T> Subscriber<T> {
    /// Starts reading: the current value, and from now on writers wait for this reader.
    pub fn start(&mut self) -> Arc<T> {
        self.reader.online();
        Arc::clone(&lock(&self.slot))
    }

    /// Whether anything was published or any epoch began since the last look. One acquire load.
    #[inline]
    pub fn changed(&self) -> bool {
        self.reader.changed()
    }

    /// Replaces `held` by the current value. The caller then calls [`Subscriber::quiesce`].
    pub fn refresh(&mut self, held: &mut Arc<T>) {
        self.reader.observe();
        let current = Arc::clone(&lock(&self.slot));
        *held = current;
    }

    /// Says that nothing from before the last [`Subscriber::refresh`] is held any more.
    pub fn quiesce(&mut self) {
        self.reader.quiesce();
    }

    /// Stops reading: writers no longer wait for this reader.
    pub fn stop(&mut self) {
        self.reader.offline();
    }
}

/// A thread that panicked while it held the lock cannot have left half an `Arc` behind: the value is whole.
fn lock<T>(mutex: &Mutex<T>) -> impl core::ops::DerefMut<Target = T> + '_ {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
