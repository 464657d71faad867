//! `weir apply`: brings a running weir to the state of a file.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::client::{Client, query_escape};
use super::failure::{BAD_INPUT, Failure};
use super::{Asking, check, out};

/// Change a running weir to what a file says, without losing packets on what stays.
///
/// All of it or nothing: when a step cannot be made, nothing has changed. Settings that are read at start only are refused.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  weir apply --dry-run weir.toml          what would change
  weir apply weir.toml

One line for each change: + new, ~ changed in place, ± device closed and opened anew, - gone, ! needs a restart.

Exit codes: 0 applied (or nothing to change), 1 no weir answers or it failed, 2 refused: nothing was changed.")]
pub(super) struct ApplyArgs {
    /// The file.
    file: PathBuf,
    /// Only say what would change.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    asking: Asking,
}

impl ApplyArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let name = self.file.display().to_string();
        let text = std::fs::read_to_string(&self.file);
        // Here first: a wrong file is told without a running weir, too.
        let (_, warnings) = check::load(&self.file).map_err(Failure::bad_input)?;
        let text = text.map_err(|error| Failure::bad_input(format!("{name}: error: cannot be read: {error}")))?;
        if !self.asking.json {
            for warning in &warnings {
                out::complain(&format!("{warning}\n"));
            }
        }
        let path = format!("/v1/apply?dry_run={}&file={}", self.dry_run, query_escape(&name));
        let answer = Client::new(&self.asking.socket).post(&path, text)?;
        if self.asking.json {
            out::print_json(&answer)?;
        } else {
            out::print(&told(&answer))?;
        }
        match answer.get("refused").and_then(Value::as_str) {
            Some(why) => {
                out::complain(&format!("error: this would be refused: {why}"));
                Err(Failure::said(BAD_INPUT))
            }
            None => Ok(()),
        }
    }
}

/// The answer as people read it.
fn told(answer: &Value) -> String {
    let list = |key: &str| answer.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let diff: Vec<&str> = list("diff").iter().filter_map(Value::as_str).collect();
    if diff.is_empty() {
        return "nothing to change".into();
    }
    let mut text = diff.join("\n");
    if answer.get("dry_run") == Some(&Value::Bool(true)) {
        text.push_str("\n\ndry run: nothing was changed");
        return text;
    }
    let changes = if diff.len() == 1 { "1 change".into() } else { format!("{} changes", diff.len()) };
    let _ = write!(text, "\n\napplied {changes}; held up:");
    let hz = answer.get("tsc_hz").and_then(Value::as_f64).filter(|hz| *hz > 0.0);
    for (worker, cycles) in list("blocked_cycles").iter().filter_map(Value::as_u64).enumerate() {
        let micros = hz.map_or_else(String::new, |hz| format!(" = {:.1} µs", cycles as f64 / hz * 1e6));
        let _ = write!(text, "\n  worker {worker}: {cycles} cycles{micros}");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn blocked_time_is_told_in_cycles_and_microseconds() {
        let answer = json!({
            "dry_run": false, "diff": ["+ network green vni 300"], "blocked_cycles": [2600, 0], "tsc_hz": 2_600_000_000_u64
        });
        let expected = "+ network green vni 300\n\napplied 1 change; held up:\n  worker 0: 2600 cycles = 1.0 µs\n  worker 1: 0 cycles = 0.0 µs";
        assert_eq!(super::told(&answer), expected);
        assert_eq!(super::told(&json!({ "diff": [] })), "nothing to change");
    }
}
