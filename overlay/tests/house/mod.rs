//! What the house-rules tests of all crates share: the repository's files, and Rust code with its comments, strings and
//! test modules blanked out. Rough by intent: it knows enough Rust to find a word, not to parse it.

#![allow(dead_code, reason = "each test binary that includes this module uses a part of it")]
#![allow(clippy::expect_used, reason = "part of tests, where a failed expectation is a failed test")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A place where a rule is broken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Relative to the repository.
    pub(crate) file: String,
    /// Counted from one; 0 is the file as a whole.
    pub(crate) line: usize,
    /// What is wrong.
    pub(crate) what: String,
}

/// Makes a [`Violation`].
pub(crate) fn violation(file: &str, line: usize, what: impl Into<String>) -> Violation {
    Violation { file: file.to_owned(), line, what: what.into() }
}

/// Fails with every place and the remedy, when there is any.
#[track_caller]
pub(crate) fn check(violations: &[Violation], remedy: &str) {
    let mut list = String::new();
    for v in violations {
        let _ = writeln!(list, "  {}:{}: {}", v.file, v.line, v.what);
    }
    assert!(violations.is_empty(), "\n{list}remedy: {remedy}\n");
}

/// The repository's root folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in a workspace").to_path_buf()
}

/// A text file of the repository.
pub(crate) struct File {
    /// Relative to the repository, with forward slashes.
    pub(crate) path: String,
    /// As it is.
    pub(crate) text: String,
}

impl File {
    /// `a/b/name.rs` → `name`.
    pub(crate) fn stem(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or(&self.path);
        name.split_once('.').map_or(name, |(stem, _)| stem)
    }

    /// Whether the name ends in `.extension`.
    pub(crate) fn is(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|e| e == extension)
    }
}

/// Every text file below `folder` (empty: the whole repository), in the order of their paths. Build folders, version
/// control and binary files are left out; a folder that does not exist has no files.
pub(crate) fn files(folder: &str) -> Vec<File> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                // Cargo marks its target folder with this tag, whatever its name.
                let built = path.join("CACHEDIR.TAG").exists() || ["target", "artifacts", "corpus"].contains(&&*name);
                let hidden = name.starts_with('.') && ![".ci", ".cargo"].contains(&&*name);
                if !built && !hidden {
                    folders.push(path);
                }
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                let path = path.strip_prefix(&root).expect("below the root").to_string_lossy().replace('\\', "/");
                found.push(File { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The Rust files below `folder`.
pub(crate) fn rust_files(folder: &str) -> Vec<File> {
    files(folder).into_iter().filter(|file| file.is("rs")).collect()
}

/// The text of one file, if it exists.
pub(crate) fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(root().join(path)).ok()
}

/// The line, counted from one, of an octet offset.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&b| b == b'\n').count() + 1
}

/// Rust code with comments, strings and character literals replaced by spaces; lines stay lines.
pub(crate) fn code_only(text: &str) -> String {
    blank(text, true)
}

/// Rust code with its comments replaced by spaces; lines stay lines.
pub(crate) fn without_comments(text: &str) -> String {
    blank(text, false)
}

fn blank(text: &str, strings: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let comment = rest.starts_with(b"//") || rest.starts_with(b"/*");
        let end = if rest.starts_with(b"//") {
            at + rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            at + block_comment(rest)
        } else if let Some(len) = raw_string(bytes, at) {
            at + len
        } else if rest[0] == b'"' {
            at + quoted(rest, b'"')
        } else if rest[0] == b'\'' && is_char_literal(rest) {
            at + quoted(rest, b'\'')
        } else {
            at += 1;
            continue;
        };
        let end = end.min(bytes.len());
        if comment || strings {
            out[at..end].iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b' ');
        }
        at = end;
    }
    String::from_utf8(out).expect("only whole literals and comments were replaced by ASCII")
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match rest.get(at..at + 2) {
            Some(b"/*") => (depth, at) = (depth + 1, at + 2),
            Some(b"*/") => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

fn raw_string(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes[at] != b'r' || (at > 0 && is_word(bytes[at - 1]) && !matches!(bytes[at - 1], b'b' | b'c')) {
        return None;
    }
    let hashes = bytes[at + 1..].iter().take_while(|&&b| b == b'#').count();
    let open = at + 1 + hashes;
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let body = &bytes[open + 1..];
    let len = body.windows(close.len()).position(|w| w == close).unwrap_or(body.len());
    Some(open + 1 + len + close.len() - at)
}

/// A quote begins a character literal, not a lifetime, when a character or an escape and another quote follow.
fn is_char_literal(rest: &[u8]) -> bool {
    if rest.get(1) == Some(&b'\\') {
        return true;
    }
    let text = std::str::from_utf8(&rest[1..rest.len().min(6)]);
    let valid = match &text {
        Ok(text) => text,
        Err(e) => std::str::from_utf8(&rest[1..=e.valid_up_to()]).unwrap_or(""),
    };
    let mut chars = valid.chars();
    chars.next().is_some() && chars.next() == Some('\'')
}

/// Part of an identifier.
pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The offsets of `word` where it stands as a whole identifier (or as a path of such).
pub(crate) fn find_word<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = text.as_bytes();
    text.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let before = at.checked_sub(1).and_then(|i| bytes.get(i));
        let after = bytes.get(at + word.len());
        !before.is_some_and(|&b| is_word(b))
            && !after.is_some_and(|&b| is_word(b) && is_word(word.as_bytes()[word.len() - 1]))
    })
}

/// A Rust file's code without comments, strings, and items under `#[cfg(test)]`. Empty for a file that is itself a test
/// module: one named `tests.rs` or `…_tests.rs`, or in a folder `tests`.
pub(crate) fn shipped_code(file: &File) -> String {
    if file.stem() == "tests" || file.stem().ends_with("_tests") || file.path.contains("/tests/") {
        return String::new();
    }
    let mut code = code_only(&file.text).into_bytes();
    for marker in ["#[cfg(test)]", "#[cfg(all(test"] {
        while let Some(at) = find_bytes(&code, marker.as_bytes()) {
            let end = at + item_len(&code[at..]);
            code[at..end].iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b' ');
        }
    }
    String::from_utf8(code).expect("whole items were replaced by ASCII")
}

fn find_bytes(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|w| w == needle)
}

/// The length of an item from its first attribute to its closing brace or semicolon.
fn item_len(code: &[u8]) -> usize {
    let (mut braces, mut others) = (0_i32, 0_i32);
    for (at, byte) in code.iter().enumerate() {
        match byte {
            b'(' | b'[' => others += 1,
            b')' | b']' => others -= 1,
            b'{' => braces += 1,
            b'}' => {
                braces -= 1;
                if braces <= 0 {
                    return at + 1;
                }
            }
            b';' if braces == 0 && others == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// The identifiers inside the list that `const NAME … = &[ … ];` holds, or `None` when there is no such list.
pub(crate) fn const_list(code: &str, name: &str) -> Option<Vec<String>> {
    let start = find_word(code, name).find(|&at| {
        let before = code[..at].trim_end();
        before.ends_with("const") || before.ends_with("static")
    })?;
    let value = &code[start + code[start..].find('=')? + 1..];
    let open = value.find('[')?;
    let mut depth = 0;
    let close = value.bytes().enumerate().skip(open).find_map(|(at, b)| {
        depth += i32::from(b == b'[') - i32::from(b == b']');
        (depth == 0).then_some(at)
    })?;
    let words = value[open..close].split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|w| !w.is_empty());
    Some(words.map(str::to_owned).collect())
}
