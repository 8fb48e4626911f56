//! The text of expressions, where quotes and parentheses hide what would separate something.

/// The text with what stands between quotes blanked: what is found in it is no part of a string, and
/// stands at the same place in the text.
fn blanked(text: &str) -> String {
    let mut within = false;
    let mut blank = |c: char| {
        within ^= c == '\'';
        if within { "_".repeat(c.len_utf8()) } else { c.to_string() }
    };
    text.chars().map(&mut blank).collect()
}

pub(super) fn split_once<'t>(text: &'t str, separator: &str) -> Option<(&'t str, &'t str)> {
    let at = blanked(text).find(separator)?;
    Some((&text[..at], &text[at + separator.len()..]))
}

pub(super) fn split(text: &str, separator: char) -> Vec<&str> {
    let blanked = blanked(text);
    let mut ends: Vec<usize> = blanked.match_indices(separator).map(|(at, _)| at).collect();
    ends.push(text.len());
    let mut start = 0;
    let part = |end| {
        let part = &text[start..end];
        start = text.len().min(end + separator.len_utf8());
        part
    };
    ends.into_iter().map(part).collect()
}

/// The text without every `part` that stands outside of quotes.
pub(super) fn without(text: &str, part: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = split_once(rest, part) {
        out.push_str(before);
        rest = after;
    }
    out + rest
}

/// What a term has in its parentheses, and what follows them.
pub(super) fn in_parentheses(term: &str) -> Option<(&str, &str)> {
    let inner = term.strip_prefix('(')?;
    let at = blanked(inner).rfind(')')?;
    Some((&inner[..at], &inner[at + 1..]))
}

/// The steps of a path; a dot within parentheses or quotes separates nothing.
pub(super) fn steps(path: &str) -> Vec<&str> {
    let (mut depth, mut start) = (0, 0);
    let mut steps = Vec::new();
    for (at, c) in blanked(path).char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            '.' if depth == 0 => {
                steps.push(&path[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    steps.push(&path[start..]);
    steps.retain(|step| !step.is_empty());
    steps
}

pub(super) fn inside<'t>(step: &'t str, opening: &str) -> Option<&'t str> {
    step.strip_prefix(opening)?.strip_suffix(')')
}

/// A value of a condition as the table has it: what would separate something there is written as in
/// URLs.
pub(super) fn escaped(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let escape = |byte: u8| {
        if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    value.bytes().map(escape).collect()
}

/// A value of a condition as it is, from how the table has it.
pub(in crate::definitions) fn unescaped(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        bytes.push(match byte {
            b'%' => (digit(rest.next())? << 4 | digit(rest.next())?) as u8,
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}
