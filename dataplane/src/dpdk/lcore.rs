//! Worker threads: EAL's lcores.
//!
//! Workers are EAL lcores and not foreign threads, because a foreign thread has no mempool cache, and registering one
//! keeps dumpcap and proc-info out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use dpdk_sys as sys;

use super::error::DpdkError;

/// An lcore that can run a worker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lcore {
    /// EAL's number.
    pub id: u32,
    /// The CPUs its thread may run on.
    pub cpus: Vec<u32>,
    /// NUMA node; -1 = unknown.
    pub socket: i32,
}

/// A function running on an lcore.
#[derive(Debug)]
#[must_use = "an lcore's task is waited for before EAL is cleaned up"]
pub struct LcoreTask {
    lcore: u32,
    panic: Arc<Mutex<Option<String>>>,
}

/// The number of the calling thread's lcore; `None` on other threads.
#[inline]
pub fn current() -> Option<u32> {
    // SAFETY: reads a thread-local integer.
    let id = unsafe { sys::weir_lcore_id() };
    (id != u32::MAX).then_some(id)
}

/// All lcores but main.
pub(super) fn workers() -> Vec<Lcore> {
    let mut lcores = Vec::new();
    let mut id = u32::MAX;
    loop {
        // SAFETY: takes any number; skip_main = 1, wrap = 0; returns RTE_MAX_LCORE at the end.
        id = unsafe { sys::rte_get_next_lcore(id, 1, 0) };
        if id >= sys::WEIR_MAX_LCORE {
            return lcores;
        }
        let mut cpus = vec![0; 1024];
        // SAFETY: `cpus` has the room it is said to have; the lcore exists.
        let count = unsafe { sys::weir_lcore_cpus(id, cpus.as_mut_ptr(), cpus.len() as u32) };
        cpus.truncate(count as usize);
        // SAFETY: the lcore exists.
        let socket = unsafe { sys::rte_lcore_to_socket_id(id) }.cast_signed();
        lcores.push(Lcore { id, cpus, socket });
    }
}

struct Job {
    work: Box<dyn FnOnce() + Send>,
    panic: Arc<Mutex<Option<String>>>,
}

unsafe extern "C" fn run(argument: *mut std::ffi::c_void) -> i32 {
    // SAFETY: `argument` is the box that `launch` gave away, once.
    let job = unsafe { Box::from_raw(argument.cast::<Job>()) };
    let Job { work, panic } = *job;
    // A panic must not unwind into C. What the closure captured is dropped with it, so nothing broken is seen later.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(work)) {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".into());
        *panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
        return -1;
    }
    0
}

pub(super) fn launch(lcore: u32, work: Box<dyn FnOnce() + Send>) -> Result<LcoreTask, DpdkError> {
    let object = format!("lcore {lcore}");
    if !workers().iter().any(|worker| worker.id == lcore) {
        return Err(DpdkError::refused(&object, "there is no such worker lcore: choose one that EAL was started with"));
    }
    let panic = Arc::new(Mutex::new(None));
    let job = Box::into_raw(Box::new(Job { work, panic: Arc::clone(&panic) }));
    // SAFETY: `run` takes the box; the lcore exists and is not main.
    let answer = unsafe { sys::rte_eal_remote_launch(Some(run), job.cast(), lcore) };
    if answer != 0 {
        // SAFETY: the launch failed, so nobody else will take the box.
        drop(unsafe { Box::from_raw(job) });
        return Err(DpdkError::refused(&object, "it is still running another worker"));
    }
    Ok(LcoreTask { lcore, panic })
}

impl LcoreTask {
    /// The lcore it runs on.
    pub fn lcore(&self) -> u32 {
        self.lcore
    }

    /// Whether it still runs.
    pub fn is_running(&self) -> bool {
        // SAFETY: the lcore exists.
        unsafe { sys::rte_eal_get_lcore_state(self.lcore) == sys::RUNNING }
    }

    /// Waits until the function has returned; an error carries the text of its panic.
    pub fn wait(self) -> Result<(), DpdkError> {
        // SAFETY: the lcore exists; the calling thread is not that lcore, or it would wait for itself: a task is handed
        // out by `Eal`, which lives on the main thread.
        unsafe { sys::rte_eal_wait_lcore(self.lcore) };
        match self.panic.lock().unwrap_or_else(PoisonError::into_inner).take() {
            None => Ok(()),
            Some(text) => {
                Err(DpdkError::refused(&format!("lcore {}", self.lcore), format!("the worker panicked: {text}")))
            }
        }
    }
}
