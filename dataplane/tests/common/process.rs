//! Child processes: run to their end, or kept running and killed when they go out of scope.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What a process that ended said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) command: String,
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// Its standard output; fails with everything it said when it did not succeed.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert!(self.status.success(), "{} failed ({})\n{}\n{}", self.command, self.status, self.out, self.err);
        self.out
    }
}

fn words<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(words: I) -> Vec<std::ffi::OsString> {
    words.into_iter().map(|word| word.as_ref().to_owned()).collect()
}

/// A command line as a person would type it.
fn shown(words: &[std::ffi::OsString]) -> String {
    words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn command(words: &[std::ffi::OsString]) -> Command {
    let (program, arguments) = words.split_first().expect("a program's name");
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// Runs a command to its end.
#[track_caller]
pub(crate) fn run<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(line: I) -> Said {
    let line = words(line);
    let output = command(&line).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}; run `make setup`", shown(&line)));
    Said {
        command: shown(&line),
        status: output.status,
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A process that runs beside the test.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    shown: String,
    log: PathBuf,
}

impl Running {
    /// Starts it; what it says goes to the file `log`.
    #[track_caller]
    pub(crate) fn start<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(line: I, log: &Path) -> Self {
        let line = words(line);
        let file = File::create(log).unwrap();
        let mut command = command(&line);
        command.stdin(Stdio::piped()).stdout(file.try_clone().unwrap()).stderr(file);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}; run `make setup`", shown(&line)));
        let stdin = child.stdin.take();
        Self { child, stdin, shown: shown(&line), log: log.to_owned() }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it said so far.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The end of what it said, for messages.
    pub(crate) fn tail(&self) -> String {
        let said = self.said();
        // A vhost-user handshake says a hundred lines.
        let lines: Vec<&str> = said.lines().filter(|line| !line.contains("VHOST_CONFIG")).collect();
        let from = lines.len().saturating_sub(40);
        format!("--- the end of what `{}` said:\n{}", self.shown, lines.get(from..).unwrap_or_default().join("\n"))
    }

    /// Whether it has ended, and how.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Writes to its standard input.
    pub(crate) fn tell(&mut self, text: &str) {
        if let Some(stdin) = &mut self.stdin {
            stdin.write_all(text.as_bytes()).unwrap();
        }
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        run(["sh", "-c", &format!("kill -s {name} {}", self.id())]).ok();
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(&mut self, seconds: u64) -> ExitStatus {
        let until = Instant::now() + Duration::from_secs(seconds);
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(Instant::now() < until, "`{}` did not end within {seconds} s\n{}", self.shown, self.tail());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// kill -9, as the out-of-memory killer would.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}
