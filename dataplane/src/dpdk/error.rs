//! What DPDK says when it refuses.

use std::ffi::{CStr, NulError};
use std::fmt;

use dpdk_sys as sys;

/// A DPDK or system error number, always positive, shown with its text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(pub i32);

impl Errno {
    /// The calling thread's `rte_errno`.
    pub fn last() -> Self {
        // SAFETY: reads a thread-local integer.
        Self(unsafe { sys::weir_errno() })
    }

    /// From a function that returns `-errno`, or -1 with `rte_errno` set.
    pub fn from_return(value: i32) -> Self {
        if value == -1 {
            let last = Self::last();
            if last.0 != 0 {
                return last;
            }
        }
        Self(value.saturating_abs())
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: rte_strerror accepts any number and returns a NUL-terminated text that is static or the calling
        // thread's own, valid until this thread's next call.
        let text = unsafe { CStr::from_ptr(sys::rte_strerror(self.0)) };
        write!(f, "{} (error {})", text.to_string_lossy(), self.0)
    }
}

/// A DPDK call that failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DpdkError {
    /// The function failed on the object.
    #[error("{object}: {what} failed: {errno}")]
    Call {
        /// What the user calls the thing: a device, a pool, a socket.
        object: String,
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        errno: Errno,
    },
    /// The request cannot be met.
    #[error("{object}: {why}{}", helped(.help))]
    Refused {
        /// What the user calls the thing.
        object: String,
        /// What is wrong.
        why: String,
        /// What to do; empty where `why` says it.
        help: String,
    },
    /// A name or path holds a NUL octet.
    #[error("{object:?}: a name must not contain a NUL octet")]
    Nul {
        /// The offending text.
        object: String,
    },
}

impl DpdkError {
    pub(crate) fn call(object: &str, what: &'static str, errno: Errno) -> Self {
        Self::Call { object: object.to_owned(), what, errno }
    }

    pub(crate) fn refused(object: &str, why: impl Into<String>) -> Self {
        Self::refused_for(object, why, "")
    }

    /// The same with what to do about it.
    pub(crate) fn refused_for(object: &str, why: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Refused { object: object.to_owned(), why: why.into(), help: help.into() }
    }

    /// What is wrong and, if it is known, what to do.
    pub fn parts(&self) -> (String, &str) {
        match self {
            Self::Refused { object, why, help } => (format!("{object}: {why}"), help),
            Self::Call { .. } | Self::Nul { .. } => (self.to_string(), ""),
        }
    }
}

impl From<NulError> for DpdkError {
    fn from(error: NulError) -> Self {
        Self::Nul { object: String::from_utf8_lossy(&error.into_vec()).into_owned() }
    }
}

fn helped(help: &str) -> String {
    if help.is_empty() { String::new() } else { format!("\n  help: {help}") }
}

/// `Ok` when a DPDK function returned zero or more.
pub(crate) fn check(value: i32, object: &str, what: &'static str) -> Result<i32, DpdkError> {
    if value < 0 { Err(DpdkError::call(object, what, Errno::from_return(value))) } else { Ok(value) }
}
