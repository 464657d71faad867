//! Asking a running weir: HTTP over its unix socket.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;

use super::failure::Failure;

/// How long an answer may take, beyond what the question itself takes: a stuck worker is reported after five seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks the weir behind one socket.
#[derive(Debug)]
pub(super) struct Client {
    socket: PathBuf,
}

impl Client {
    pub(super) fn new(socket: &Path) -> Self {
        Self { socket: socket.into() }
    }

    /// GETs a path.
    pub(super) fn get(&self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::GET, path, String::new(), Duration::ZERO)
    }

    /// GETs a path whose answer takes that long to make.
    pub(super) fn get_slow(&self, path: &str, takes: Duration) -> Result<Value, Failure> {
        self.ask(Method::GET, path, String::new(), takes)
    }

    /// POSTs a text.
    pub(super) fn post(&self, path: &str, body: String) -> Result<Value, Failure> {
        self.ask(Method::POST, path, body, Duration::ZERO)
    }

    fn ask(&self, method: Method, path: &str, body: String, takes: Duration) -> Result<Value, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::running)?;
        let (status, body) = runtime.block_on(async {
            let exchange = self.exchange(method, path, body);
            let late = || Failure::running(format!("weir at {} does not answer", self.socket.display()));
            tokio::time::timeout(takes + PATIENCE, exchange).await.map_err(|_| late())?
        })?;
        let broken = |error| {
            let socket = self.socket.display();
            Failure::running(format!("what answers at {socket} is not weir, or another version of it: {error}"))
        };
        let value: Value = serde_json::from_slice(&body).map_err(broken)?;
        if status.is_success() { Ok(value) } else { Err(refused(status, &value)) }
    }

    async fn exchange(&self, method: Method, path: &str, body: String) -> Result<(StatusCode, Bytes), Failure> {
        let stream = tokio::net::UnixStream::connect(&self.socket).await.map_err(|error| self.no_connection(&error))?;
        let cut = |error: hyper::Error| {
            let socket = self.socket.display();
            Failure::running(format!("weir at {socket} hung up: {error}; it may have just been stopped"))
        };
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(cut)?;
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header("host", "weir");
        let request = request.body(Full::new(Bytes::from(body))).map_err(Failure::running)?;
        let response = sender.send_request(request).await.map_err(cut)?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(cut)?;
        Ok((status, body.to_bytes()))
    }

    fn no_connection(&self, error: &std::io::Error) -> Failure {
        let socket = self.socket.display();
        Failure::running(match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => format!(
                "no weir answers at {socket}\n  help: start one with `weir run -c FILE`, or name its socket with -s or WEIR_SOCKET"
            ),
            ErrorKind::PermissionDenied => format!(
                "no permission to use {socket}\n  help: become a member of the socket's group, or see control.socket_mode in docs/config.md"
            ),
            _ => format!(
                "cannot connect to {socket}: {error}\n  help: name weir's control socket with -s or WEIR_SOCKET"
            ),
        })
    }
}

/// Weir said no: the user's fault or its own.
fn refused(status: StatusCode, body: &Value) -> Failure {
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
    // What was found in a file says for each place what helps.
    let before = if body.get("diagnostics").is_some() { "\n" } else { "  help: " };
    let message = format!("{}\n{before}{}", text("error"), text("remedy"));
    if status.is_client_error() { Failure::bad_input(message) } else { Failure::running(message) }
}

/// A text as part of a query (RFC 3986 § 2.1).
pub(super) fn query_escape(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(byte);
    text.bytes().map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
