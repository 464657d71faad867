//! Names of ports and networks.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// The name of a port or a network: 1 to 32 of `a-z A-Z 0-9 . _ -`, beginning with a letter or digit. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Name(#[serde(serialize_with = "serialize_arc")] Arc<str>);

fn serialize_arc<S: serde::Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

impl Name {
    /// The longest name, in octets.
    pub const MAX_OCTETS: usize = 32;

    /// `None` when `text` is not a name.
    pub fn new_checked(text: &str) -> Option<Self> {
        let letters = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let good = text.len() <= Self::MAX_OCTETS
            && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
            && text.bytes().all(letters);
        good.then(|| Self(Arc::from(text)))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
