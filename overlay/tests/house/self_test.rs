//! The rules themselves under test: a rule that never fails is no rule.

use super::house::{self, File, code_only, const_list, shipped_code};

fn file(path: &str, text: &str) -> File {
    File { path: path.to_owned(), text: text.to_owned() }
}

#[test]
fn comments_and_literals_are_blanked_and_lines_stay() {
    let text = "a /* x /* y */\n z */ b // c\nd \"e \\\" f\" g r#\"h \" i\"# j 'k' '\\'' l 'é' &'m n b\"o\" br\"p\"";
    let code = code_only(text);
    assert_eq!(code.lines().count(), text.lines().count());
    let words: Vec<&str> = code.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
    assert_eq!(words, ["a", "b", "d", "g", "j", "l", "m", "n", "b", "b"]);
    assert!(house::without_comments("\"kept\" // gone").contains("kept"));
    assert!(!house::without_comments("\"kept\" // gone").contains("gone"));
}

#[test]
fn test_items_are_no_shipped_code() {
    let text = "use a;\n#[cfg(test)]\nmod tests {\n fn f() { std::fs::read(\"}\") }\n}\n#[cfg(test)]\nuse b;\nuse c;\n";
    let code = shipped_code(&file("overlay/src/x.rs", text));
    assert!(code.contains("use a") && code.contains("use c"), "{code}");
    assert!(!code.contains("std::fs") && !code.contains("use b"), "{code}");
    assert_eq!(shipped_code(&file("overlay/src/x/tests.rs", text)), "");
}

#[test]
fn unsafe_is_found_as_a_keyword_only() {
    let text = "// unsafe\n#![deny(unsafe_code)]\nlet a = \"unsafe\";\nunsafe { b() }\n";
    let places = super::unsafe_outside(&file("dataplane/src/worker/mod.rs", text));
    assert_eq!(places.iter().map(|v| v.line).collect::<Vec<_>>(), [4]);
    assert_eq!(super::unsafe_outside(&file("dataplane/src/dpdk/mbuf.rs", text)), []);
}

#[test]
fn impurity_is_found_as_a_path_and_in_a_group() {
    for text in [
        "use std::fs;",
        "let t = std::time::Instant::now();",
        "use std::{fmt, thread};",
        "std::net::TcpStream::connect",
    ] {
        assert_eq!(super::impure(&file("overlay/src/x.rs", text)).len(), 1, "{text}");
    }
    for text in
        ["use std::net::IpAddr;", "use core::time::Duration;", "use std::{fmt, mem};", "external", "use std::iter;"]
    {
        assert_eq!(super::impure(&file("overlay/src/x.rs", text)), [], "{text}");
    }
}

#[test]
fn a_list_is_read_by_its_name() {
    let text = "mod a;\nmod b;\n/// [`LIST`]\npub const LIST: &[&[Spec<Cx>]] = &[a::SPEC, &[b::SPEC]];\nmod c;";
    let list = const_list(text, "LIST").expect("the list");
    assert!(list.contains(&"a".to_owned()) && list.contains(&"b".to_owned()) && !list.contains(&"c".to_owned()));
    assert_eq!(const_list(text, "OTHER"), None);
}

#[test]
fn broken_links_are_found() {
    let text = "# A b: c\n[x](#a-b-c) [y](../README-that-is-not.md)\n[z](#nowhere)\n```\n[code](no)\n```\n[w](https://example.org)\n";
    let page = file("docs/page-of-this-test.md", text);
    let lines: Vec<usize> =
        super::broken_links(&page, &[file("docs/page-of-this-test.md", text)]).iter().map(|v| v.line).collect();
    // The page exists in this test only, so its links to itself are broken as well.
    assert_eq!(lines, [2, 2, 3]);
    assert_eq!(super::normal("docs/adr", "../../overlay/src"), "overlay/src");
    assert_eq!(super::slug("## What, and `why`?"), "what-and-why");
}
