//! The text after a backend's name: a first word, then `key` or `key=value`, separated by commas.

use std::fmt::Display;
use std::str::FromStr;

/// Options that have not been taken yet.
#[derive(Debug)]
pub(super) struct Options<'a> {
    first: &'a str,
    rest: Vec<(&'a str, Option<&'a str>)>,
}

impl<'a> Options<'a> {
    /// Splits `text`; its first word is positional.
    pub(super) fn with_first(text: &'a str) -> Self {
        let (first, rest) = text.split_once(',').unwrap_or((text, ""));
        Self { first, rest: pairs(rest) }
    }

    /// Splits `text` into keys only.
    pub(super) fn keys(text: &'a str) -> Self {
        Self { first: "", rest: pairs(text) }
    }

    /// The first word; an error names what is missing.
    pub(super) fn required(&self, what: &str) -> Result<&'a str, String> {
        if self.first.is_empty() { Err(format!("{what} is missing")) } else { Ok(self.first) }
    }

    /// The first word, which may be empty.
    pub(super) fn first(&self) -> &'a str {
        self.first
    }

    /// Takes the next word without a value that is not a known flag: a second positional.
    pub(super) fn positional(&mut self, flags: &[&str]) -> Option<&'a str> {
        match self.rest.first() {
            Some(&(word, None)) if !flags.contains(&word) => {
                self.rest.remove(0);
                Some(word)
            }
            _ => None,
        }
    }

    #[allow(clippy::option_option, reason = "absent, present without a value, present with one")]
    fn take(&mut self, key: &str) -> Option<Option<&'a str>> {
        let at = self.rest.iter().position(|(name, _)| *name == key)?;
        Some(self.rest.remove(at).1)
    }

    /// Whether the flag is there: `key`, `key=1` or `key=0`.
    pub(super) fn flag(&mut self, key: &str) -> Result<bool, String> {
        match self.take(key) {
            None | Some(Some("0")) => Ok(false),
            Some(None | Some("1")) => Ok(true),
            Some(Some(value)) => Err(format!("{key}={value}: write {key} or leave it out")),
        }
    }

    /// The value of a key, if it is there.
    pub(super) fn text(&mut self, key: &str) -> Result<Option<&'a str>, String> {
        match self.take(key) {
            None => Ok(None),
            Some(Some(value)) if !value.is_empty() => Ok(Some(value)),
            Some(_) => Err(format!("{key} needs a value: {key}=…")),
        }
    }

    /// The value of a key, parsed.
    pub(super) fn value<T>(&mut self, key: &str) -> Result<Option<T>, String>
    where
        T: FromStr,
        T::Err: Display,
    {
        let Some(text) = self.text(key)? else { return Ok(None) };
        text.parse().map(Some).map_err(|error| format!("{key}={text}: {error}"))
    }

    /// The value of a key as a number within bounds.
    pub(super) fn number(&mut self, key: &str, least: u64, most: u64) -> Result<Option<u64>, String> {
        match self.value::<u64>(key)? {
            Some(number) if number < least || number > most => {
                Err(format!("{key}={number}: allowed is {least} to {most}"))
            }
            number => Ok(number),
        }
    }

    /// An error if something was not taken.
    pub(super) fn end(self, known: &str) -> Result<(), String> {
        match self.rest.first() {
            None => Ok(()),
            Some((key, _)) if known.is_empty() => Err(format!("{key:?}: it takes no options")),
            Some((key, _)) => Err(format!("unknown option {key:?}: known are {known}")),
        }
    }
}

fn pairs(text: &str) -> Vec<(&str, Option<&str>)> {
    text.split(',')
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once('=').map_or((part, None), |(key, value)| (key, Some(value))))
        .collect()
}

/// Refuses what cannot be a network interface's name (netdevice(7): at most 15 octets, no slash, no space).
pub(super) fn interface(name: &str) -> Result<&str, String> {
    if name.is_empty() || name.len() > 15 || name.contains(|c: char| c == '/' || c.is_whitespace() || c == ',') {
        return Err(format!("{name:?} is not an interface name: 1 to 15 octets without spaces and slashes"));
    }
    Ok(name)
}
