//! How a command ends when it does not succeed.

use std::process::ExitCode;

use super::out;

/// Something failed while running.
pub(super) const FAILED: u8 = 1;
/// The input or the configuration is wrong.
pub(super) const BAD_INPUT: u8 = 2;

/// A command did not succeed.
#[derive(Debug)]
pub(super) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// The user has to change something first.
    #[expect(clippy::needless_pass_by_value, reason = "for map_err")]
    pub(super) fn bad_input(message: impl ToString) -> Self {
        Self { code: BAD_INPUT, message: message.to_string() }
    }

    /// It was not the input's fault.
    #[expect(clippy::needless_pass_by_value, reason = "for map_err")]
    pub(super) fn running(message: impl ToString) -> Self {
        Self { code: FAILED, message: message.to_string() }
    }

    /// Nobody reads any more what we write: an end, and no failure (`weir show macs | head`).
    pub(super) fn nobody_reads() -> Self {
        Self { code: 0, message: String::new() }
    }

    /// All that there is to say has been said.
    pub(super) fn said(code: u8) -> Self {
        Self { code, message: String::new() }
    }

    /// Says it on standard error.
    pub(super) fn report(self) -> ExitCode {
        if !self.message.is_empty() {
            // Messages about a place in a file begin with that place.
            let begin = if self.message.contains("error: ") { "" } else { "error: " };
            out::complain(&format!("{begin}{}", self.message));
        }
        ExitCode::from(self.code)
    }
}
