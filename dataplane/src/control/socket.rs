//! The control socket: taken only if no other weir answers on it, and gone when weir is.

use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// The longest path of a unix socket, in octets: `sun_path` is 108 with the closing zero (unix(7)).
const PATH_OCTETS: usize = 107;

/// The socket could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Longer than the kernel allows.
    #[error("the control socket's path has {octets} octets, {PATH_OCTETS} are the most: {}\n  help: choose a shorter one with control.socket or -s", path.display())]
    TooLong {
        /// The path.
        path: PathBuf,
        /// Its length.
        octets: usize,
    },
    /// Somebody answers on it.
    #[error("the control socket {} is in use by another weir\n  help: stop that one, or choose another path with control.socket or -s", path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// Something else has that name.
    #[error("{} exists and is no socket\n  help: choose another path with control.socket or -s, or remove the file", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The folder is not there.
    #[error("the folder of the control socket {} does not exist\n  help: create it (install -d -m 0750 {}), or choose another path with control.socket or -s", path.display(), folder.display())]
    NoFolder {
        /// The path.
        path: PathBuf,
        /// The folder.
        folder: PathBuf,
    },
    /// Not allowed.
    #[error("no permission to {what} the control socket {}\n  help: run weir as a user who may write to that folder, or choose another path with control.socket or -s", path.display())]
    Permission {
        /// What was being done.
        what: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// Anything else.
    #[error("cannot {what} the control socket {}: {source}\n  help: choose another path with control.socket or -s", path.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// The path.
        path: PathBuf,
        /// The kernel's answer.
        source: std::io::Error,
    },
}

/// A socket that weir listens on. Its file goes with it.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode: what has the name later may be another's.
    identity: (u64, u64),
}

impl ControlSocket {
    /// Listens on `path` with these permission bits. A socket that nobody answers on is taken over.
    ///
    /// # Errors
    /// See [`SocketError`]; then nothing was changed.
    pub fn bind(path: &Path, mode: u32) -> Result<Self, SocketError> {
        let octets = path.as_os_str().len();
        if octets > PATH_OCTETS {
            return Err(SocketError::TooLong { path: path.into(), octets });
        }
        remove_stale(path)?;
        let listener = UnixListener::bind(path).map_err(|error| explain(path, "create", error))?;
        let meta = std::fs::symlink_metadata(path).map_err(|error| explain(path, "look at", error))?;
        let socket = Self { listener, path: path.into(), identity: (meta.dev(), meta.ino()) };
        let bits = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, bits).map_err(|error| explain(path, "set the mode of", error))?;
        socket.listener.set_nonblocking(true).map_err(|error| explain(path, "listen on", error))?;
        Ok(socket)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The listening end, not blocking.
    pub(super) fn listener(&self) -> std::io::Result<UnixListener> {
        self.listener.try_clone()
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path).is_ok_and(|meta| (meta.dev(), meta.ino()) == self.identity);
        if ours && let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(socket = %self.path.display(), %error, "the control socket could not be removed");
        }
    }
}

/// Removes a socket whose weir is gone.
fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let meta = match std::fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(explain(path, "look at", error)),
    };
    if !meta.file_type().is_socket() {
        return Err(SocketError::NotASocket { path: path.into() });
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(SocketError::InUse { path: path.into() }),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            tracing::info!(socket = %path.display(), "removing the control socket of a weir that is gone");
            std::fs::remove_file(path).map_err(|error| explain(path, "replace", error))
        }
        Err(error) => Err(explain(path, "try", error)),
    }
}

fn explain(path: &Path, what: &'static str, source: std::io::Error) -> SocketError {
    match source.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            let folder = path.parent().unwrap_or(Path::new("/")).into();
            SocketError::NoFolder { path: path.into(), folder }
        }
        ErrorKind::AddrInUse => SocketError::InUse { path: path.into() },
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            SocketError::Permission { what, path: path.into() }
        }
        _ => SocketError::Io { what, path: path.into(), source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of the test's own.
    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("weir-socket-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn a_socket_is_taken_once_and_goes_with_its_owner() {
        let folder = folder("once");
        let path = folder.join("weir.sock");
        let socket = ControlSocket::bind(&path, 0o600).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let error = ControlSocket::bind(&path, 0o600).unwrap_err();
        assert!(matches!(error, SocketError::InUse { .. }), "{error}");
        assert!(path.exists(), "the one that lost took nothing away");
        drop(socket);
        assert!(!path.exists());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_nobody_answers_on_is_taken_over_and_what_is_no_socket_is_not() {
        let folder = folder("stale");
        let path = folder.join("weir.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "std leaves the file behind, as a weir that was killed does");
        drop(ControlSocket::bind(&path, 0o660).unwrap());
        std::fs::write(&path, "precious").unwrap();
        let error = ControlSocket::bind(&path, 0o660).unwrap_err();
        assert!(matches!(error, SocketError::NotASocket { .. }), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn another_weirs_file_of_the_same_name_is_left_alone() {
        let folder = folder("other");
        let path = folder.join("weir.sock");
        let first = ControlSocket::bind(&path, 0o660).unwrap();
        std::fs::remove_file(&path).unwrap();
        let second = ControlSocket::bind(&path, 0o660).unwrap();
        drop(first);
        assert!(second.path().exists());
        drop(second);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_path_that_cannot_be_says_why() {
        let error = ControlSocket::bind(Path::new("/nowhere-at-all/weir.sock"), 0o660).unwrap_err();
        assert!(error.to_string().contains("install -d -m 0750 /nowhere-at-all"), "{error}");
        let long = format!("/tmp/{}", "x".repeat(103));
        let error = ControlSocket::bind(Path::new(&long), 0o660).unwrap_err();
        assert!(error.to_string().contains("108 octets, 107 are the most"), "{error}");
    }
}
