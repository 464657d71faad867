//! All that goes to standard output and standard error, apart from the log.

use std::io::{ErrorKind, IsTerminal, Write};

use super::failure::Failure;

/// Prints `text` and a line's end, if it has none.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let written =
        out.write_all(text.as_bytes()).and_then(|()| out.write_all(end.as_bytes())).and_then(|()| out.flush());
    written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::nobody_reads(),
        _ => Failure::running(format!("cannot write to standard output: {error}")),
    })
}

/// Prints a value as JSON over several lines.
pub(super) fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::running)?;
    print(&text)
}

/// Says something on standard error. When that is closed too, there is nobody left to tell.
pub(super) fn complain(text: &str) {
    _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Whether a person looks at standard output.
pub(super) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}
