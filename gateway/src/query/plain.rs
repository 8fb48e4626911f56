//! Text of a record is somebody else's: a terminal obeys control characters, and a person is misled
//! by those that turn the direction of writing. They are shown, not sent.

use std::fmt::Write as _;

/// The text with every such character in a form that can be seen: `\u{1b}`.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

/// The same for JSON text, which stays the same JSON: there such a character stands in strings only.
/// White space between members is left alone.
pub fn plain_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_unsafe(c) && !matches!(c, '\n' | '\r' | '\t') {
            // None of them lies beyond U+FFFF.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}')
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_reaches_it() {
        let text = "a\u{1b}[2Jb\rc\nd\u{9b}31m\u{7}\u{7f}\u{202e}é→ü";
        let shown = plain(text);
        assert!(!shown.chars().any(is_unsafe), "{shown}");
        assert!(shown.starts_with(r"a\u{1b}[2Jb\u{d}c\u{a}d\u{9b}31m") && shown.ends_with("é→ü"));
    }

    #[test]
    fn json_for_a_terminal_is_the_same_json() {
        let json = "{\"a\":\n \"x\u{9b}y\u{7f}\u{202e}é\"}";
        let shown = plain_json(json);
        assert!(!shown.contains(['\u{9b}', '\u{7f}', '\u{202e}']) && shown.contains("é"));
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&shown), read(json));
    }
}
