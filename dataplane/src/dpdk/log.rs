//! EAL's log, bridged into tracing under the target `eal`.

use std::collections::VecDeque;
use std::ffi::c_char;
use std::slice;
use std::sync::{Mutex, PoisonError};

use dpdk_sys as sys;

/// The latest errors, for the message of a failed start.
static RECENT: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());
const RECENT_MAX: usize = 8;

/// DPDK's highest level that counts as an error (RTE_LOG_ERR).
const ERR: u32 = 4;

/// Sends EAL's log to tracing. To be called before `rte_eal_init`.
pub(super) fn bridge() {
    // SAFETY: `write` never unwinds and keeps nothing. A failure leaves EAL's own stderr logging as it is.
    if unsafe { sys::weir_log_bridge(Some(write)) } != 0 {
        tracing::warn!("EAL's log could not be bridged; it goes to stderr");
    }
}

/// The latest error lines, oldest first; empties them.
pub(super) fn take_recent() -> Vec<String> {
    RECENT.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
}

unsafe extern "C" fn write(level: u32, _kind: u32, text: *const c_char, octets: usize) {
    // SAFETY: stdio gives `octets` readable octets at `text`.
    let text = unsafe { slice::from_raw_parts(text.cast::<u8>(), octets) };
    for line in String::from_utf8_lossy(text).lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        // Levels of rte_log.h: 1 emergency … 4 error, 5 warning, 6 notice, 7 info, 8 debug.
        match level {
            0..=ERR => {
                let mut recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
                if recent.len() == RECENT_MAX {
                    recent.pop_front();
                }
                recent.push_back(line.to_owned());
                drop(recent);
                tracing::error!(target: "eal", "{line}");
            }
            5 => tracing::warn!(target: "eal", "{line}"),
            6 | 7 => tracing::info!(target: "eal", "{line}"),
            _ => tracing::debug!(target: "eal", "{line}"),
        }
    }
}
