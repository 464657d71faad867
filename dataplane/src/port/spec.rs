//! A device text, understood.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use overlay::num::MacAddr;

use super::eth::EthSpec;
use super::fault::FaultSpec;
use super::source::SourceSpec;
use super::{BACKENDS, raw};

/// A port's device, parsed from its text; shows as that text.
#[derive(Clone, PartialEq, Debug)]
pub struct PortSpec {
    text: String,
    kind: Kind,
}

/// What has to be opened.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Kind {
    Eth(EthSpec),
    VhostUser { path: PathBuf, client: bool, queues: Option<u16> },
    Tap { name: String, netns: Option<String>, mac: Option<MacAddr> },
    Source(SourceSpec),
    Fault { spec: FaultSpec, inner: Box<Kind> },
}

/// A device text that says nothing we know.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PortSpecError {
    /// The word before the colon is no backend.
    #[error("device {text:?}: {word:?} is not a kind of port; known are:{}", forms())]
    Unknown {
        /// The whole text.
        text: String,
        /// The word.
        word: String,
    },
    /// The options are wrong.
    #[error("device {text:?}: {why} (write {syntax})")]
    Options {
        /// The whole text.
        text: String,
        /// What is wrong.
        why: String,
        /// How the backend is written.
        syntax: &'static str,
    },
}

fn forms() -> String {
    let mut text = String::new();
    for backend in BACKENDS {
        for part in ["\n  ", backend.syntax, "\n      ", backend.help] {
            text.push_str(part);
        }
    }
    text
}

impl PortSpec {
    pub(super) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Whether packets are made by weir itself.
    pub fn is_source(&self) -> bool {
        fn look(kind: &Kind) -> bool {
            match kind {
                Kind::Source(_) => true,
                Kind::Fault { inner, .. } => look(inner),
                _ => false,
            }
        }
        look(&self.kind)
    }

    /// Whether a peer has to connect before packets flow.
    pub fn is_vhost_user(&self) -> bool {
        fn look(kind: &Kind) -> bool {
            match kind {
                Kind::VhostUser { .. } => true,
                Kind::Fault { inner, .. } => look(inner),
                _ => false,
            }
        }
        look(&self.kind)
    }
}

/// The kind of port that `text` describes.
pub(super) fn parse_kind(text: &str) -> Result<Kind, PortSpecError> {
    let (word, options) = text.split_once(':').unwrap_or((text, ""));
    let backend = if raw::is_one(text) {
        &raw::BACKEND
    } else {
        BACKENDS
            .iter()
            .find(|backend| backend.name == word)
            .ok_or_else(|| PortSpecError::Unknown { text: text.to_owned(), word: word.to_owned() })?
    };
    let options = if raw::is_one(text) { text } else { options };
    (backend.parse)(options).map_err(|why| PortSpecError::Options {
        text: text.to_owned(),
        why,
        syntax: backend.syntax,
    })
}

impl FromStr for PortSpec {
    type Err = PortSpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self { text: text.to_owned(), kind: parse_kind(text)? })
    }
}

impl fmt::Display for PortSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
