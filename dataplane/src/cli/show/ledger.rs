//! `weir show ledger`: where the cycles go.

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::super::client::Client;
use super::super::failure::Failure;
use super::super::{Asking, out};
use crate::control::{Report, render};

/// Where every cycle went: accounts, stages, c_IO, c_task and c_busy, capacity.
#[derive(Debug, Args)]
pub(super) struct LedgerArgs {
    /// Show window after window until interrupted.
    #[arg(short, long, conflicts_with = "since_start")]
    watch: bool,
    /// Length of the window in seconds, 0.001 to 600.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    window: f64,
    /// Everything since start instead of a window.
    #[arg(long, conflicts_with = "window")]
    since_start: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if (0.001..=600.0).contains(&value) { Ok(value) } else { Err("a window lasts 0.001 to 600 seconds".into()) }
}

impl LedgerArgs {
    pub(super) fn run(&self, asking: &Asking) -> Result<(), Failure> {
        let client = Client::new(&asking.socket);
        if self.since_start {
            return show(&client.get("/v1/ledger?since=start")?, asking.json);
        }
        let window = Duration::from_secs_f64(self.window);
        let path = format!("/v1/ledger?window_ms={}", window.as_millis());
        loop {
            let answer = client.get_slow(&path, window)?;
            if !self.watch {
                return show(&answer, asking.json);
            }
            if asking.json {
                // One line a window.
                out::print(&answer.to_string())?;
            } else {
                let text = text(&answer)?;
                // A terminal is cleared; a file gets one window after the other.
                let begin = if out::is_terminal() { "\x1b[H\x1b[2J".into() } else { format!("{}\n", "=".repeat(72)) };
                out::print(&format!("{begin}{text}"))?;
            }
        }
    }
}

fn show(answer: &Value, json: bool) -> Result<(), Failure> {
    if json { out::print_json(answer) } else { out::print(&text(answer)?) }
}

fn text(answer: &Value) -> Result<String, Failure> {
    let reports: Vec<Report> = serde::Deserialize::deserialize(answer).map_err(|error| {
        Failure::running(format!("this weir and the running one are of different versions: {error}"))
    })?;
    Ok(reports.iter().map(render).collect::<Vec<_>>().join("\n"))
}
