//! Work inside a network namespace.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use super::error::{DpdkError, Errno};

/// Runs `work` on a thread of its own inside the named network namespace (as `ip netns add` makes them), so that the
/// calling thread never leaves its own.
///
/// net_tap opens its device again at queue setup and its link events at start: all of its life before packets flow has to
/// happen in here.
pub fn within<R: Send>(name: &str, work: impl FnOnce() -> R + Send) -> Result<R, DpdkError> {
    let object = format!("network namespace {name:?}");
    if name.is_empty() || name.contains('/') || name == "." || name == ".." {
        return Err(DpdkError::refused(&object, "not a name: a namespace's name has no slash"));
    }
    let path = Path::new("/run/netns").join(name);
    let file = File::open(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            DpdkError::refused(&object, format!("there is none: make it with `ip netns add {name}`"))
        }
        _ => DpdkError::refused(&object, format!("{} cannot be opened: {error}", path.display())),
    })?;
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: the descriptor is open; only the calling thread changes its namespace, and it ends after `work`.
            let answer = unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) };
            if answer == 0 {
                return Ok(work());
            }
            let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or_default();
            if errno == libc::EPERM {
                return Err(DpdkError::refused(
                    &object,
                    "it cannot be entered: CAP_SYS_ADMIN is missing (run as root)",
                ));
            }
            Err(DpdkError::call(&object, "setns", Errno(errno)))
        });
        match thread.join() {
            Ok(result) => result,
            Err(payload) => std::panic::resume_unwind(payload),
        }
    })
}

/// Runs `work` in the namespace, or where we are when there is none.
pub(crate) fn within_optional<R: Send>(name: Option<&str>, work: impl FnOnce() -> R + Send) -> Result<R, DpdkError> {
    match name {
        Some(name) => within(name, work),
        None => Ok(work()),
    }
}
