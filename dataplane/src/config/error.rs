//! What is wrong with a configuration, where, and what to do about it.

use std::fmt;
use std::ops::Range;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Weir refuses the configuration.
    Error,
    /// Weir runs with it, but it is probably not what was meant.
    Warning,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// Stable short name of the check, such as `vni-twice`.
    pub code: &'static str,
    /// The file, as it was named to us.
    pub file: String,
    /// Line of the place, from 1; 0 where there is none.
    pub line: usize,
    /// Column of the place in characters, from 1; 0 where there is none.
    pub column: usize,
    /// What was found and what was expected.
    pub message: String,
    /// What to do.
    pub help: String,
    /// The source line.
    pub source_line: String,
    /// How many characters the place has.
    pub width: usize,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        if self.file.is_empty() {
            write!(f, "{severity}: {}", self.message)?;
        } else if self.line == 0 {
            write!(f, "{}: {severity}: {}", self.file, self.message)?;
        } else {
            writeln!(f, "{}:{}:{}: {severity}: {}", self.file, self.line, self.column, self.message)?;
            let gutter = self.line.to_string().len();
            // A tab before the place must stay a tab, or the caret stands elsewhere.
            let before: String = self
                .source_line
                .chars()
                .take(self.column.saturating_sub(1))
                .map(|c| if c == '\t' { '\t' } else { ' ' })
                .collect();
            writeln!(f, "{:gutter$} |", "")?;
            writeln!(f, "{} | {}", self.line, self.source_line)?;
            write!(f, "{:gutter$} | {before}{}", "", "^".repeat(self.width.max(1)))?;
        }
        if !self.help.is_empty() {
            write!(f, "\n  help: {}", self.help)?;
        }
        Ok(())
    }
}

/// Everything that is wrong with a configuration; at least one entry is an error.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct ConfigErrors(pub Vec<Diagnostic>);

impl ConfigErrors {
    /// The findings in order of place.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.0
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n\n")?;
            }
            diagnostic.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Collects findings about one text.
pub(super) struct Report<'a> {
    file: &'a str,
    text: &'a str,
    pub(super) found: Vec<Diagnostic>,
}

impl<'a> Report<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, found: Vec::new() }
    }

    /// Notes an error at `span` (octets of the text) or about the whole file.
    pub(super) fn error(&mut self, code: &'static str, span: Option<Range<usize>>, message: &str, help: &str) {
        self.add(Severity::Error, code, span, message, help);
    }

    /// Notes a warning.
    pub(super) fn warn(&mut self, code: &'static str, span: Option<Range<usize>>, message: &str, help: &str) {
        self.add(Severity::Warning, code, span, message, help);
    }

    /// Where a place is, as `line N`, for messages about two places.
    pub(super) fn line(&self, span: &Range<usize>) -> String {
        format!("line {}", self.place(span).0)
    }

    /// Whether there is an error among the findings.
    pub(super) fn failed(&self) -> bool {
        self.found.iter().any(|d| d.severity == Severity::Error)
    }

    /// The findings in order of place.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|d| (d.line, d.column));
        self.found
    }

    fn add(&mut self, severity: Severity, code: &'static str, span: Option<Range<usize>>, message: &str, help: &str) {
        let (line, column, source_line, width) = match span {
            Some(span) => self.place(&span),
            None => (0, 0, String::new(), 0),
        };
        let (file, message, help) = (self.file.to_owned(), message.to_owned(), help.to_owned());
        self.found.push(Diagnostic { severity, code, file, line, column, message, help, source_line, width });
    }

    /// Line, column, the line itself, and how much of it the place covers.
    fn place(&self, span: &Range<usize>) -> (usize, usize, String, usize) {
        let start = self.text.floor_char_boundary(span.start);
        let before = self.text.get(..start).unwrap_or_default();
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let source = self.text.get(line_start..).unwrap_or_default().split('\n').next().unwrap_or_default();
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        let end = self.text.floor_char_boundary(span.end.min(line_start + source.len()));
        let width = self.text.get(start..end).unwrap_or_default().chars().count().max(1);
        (line, column, source.trim_end_matches('\r').to_owned(), width)
    }
}
