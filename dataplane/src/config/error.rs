//! What is wrong with a configuration, where, and what to do about it.

use std::fmt;

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
        if self.line == 0 {
            write!(f, "{}: {severity}: {}", self.file, self.message)?;
        } else {
            writeln!(f, "{}:{}:{}: {severity}: {}", self.file, self.line, self.column, self.message)?;
            let gutter = self.line.to_string().len();
            // A tab before the place must stay a tab, or the caret stands elsewhere.
            let before: String =
                self.source_line.chars().take(self.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
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
