//! What a Narrative's XHTML may hold: formatting, never anything that runs.
//! <https://hl7.org/fhir/R4/narrative.html#Narrative> (txt-1, txt-2)
//!
//! Read as XML is: every tag closed, every attribute quoted, every entity one of XML's own. So nothing is left
//! that two readers could take differently. Elements, attributes and URL schemes are those of a list; styles may
//! not fetch or compute. White space alone counts as content, for HL7 publishes such narratives.

mod allowed;

use std::borrow::Cow;

use allowed::{ATTRIBUTES, ELEMENTS, LINKS, SCHEMES, STYLES_REFUSED};

/// Elements may be nested this deep.
const NARRATIVE_DEPTH_MAX: usize = 128;

const XHTML: &str = "http://www.w3.org/1999/xhtml";

const ONE_DIV: &str = "A narrative is one XHTML div element.";
const NOT_ALLOWED: &str = "A narrative may hold formatting, links and images only.";
const ATTRIBUTE: &str = "A narrative's attributes may only format: none that runs or fetches.";
const UNBALANCED: &str = "A narrative must be well-formed XHTML: every tag closed, in order.";
const UNQUOTED: &str = "A narrative must be well-formed XHTML: attributes quoted, each given once.";
const ENTITY: &str = "A narrative may name only XML's own five entities and characters by number.";
const MARKUP: &str =
    "A narrative may have no document type, no CDATA and no processing instruction.";
const COMMENT: &str = "A narrative's comments must be closed, and hold no two hyphens in a row.";
const LINK: &str = "A narrative's links may be relative, or of http, https, mailto and the like.";
const STYLE: &str = "A narrative's styles may not fetch, compute or escape anything.";
const NAMESPACE: &str = "A narrative's namespace is http://www.w3.org/1999/xhtml.";
const EMPTY: &str = "A narrative may not be empty.";
const TOO_DEEP: &str = "A narrative's elements may be nested at most 128 deep.";

/// What is wrong with a narrative, if anything.
pub(super) fn fault(text: &str) -> Option<&'static str> {
    let text = text.trim_ascii();
    if !text.starts_with("<div") {
        return Some(ONE_DIV);
    }
    let mut scan = Scan { rest: text, open: Vec::with_capacity(8), filled: false };
    scan.document().err()
}

type Checked = Result<(), &'static str>;

/// The narrative from here on.
struct Scan<'t> {
    rest: &'t str,
    /// The elements that are open.
    open: Vec<&'t str>,
    /// Whether the div holds anything.
    filled: bool,
}

impl<'t> Scan<'t> {
    fn document(&mut self) -> Checked {
        loop {
            let start = self.rest.find('<').ok_or(UNBALANCED)?;
            let (text, tag) = self.rest.split_at(start);
            entities(text)?;
            self.filled |= !text.is_empty();
            self.rest = &tag[1..];
            self.markup()?;
            if self.open.is_empty() {
                return match (self.rest.is_empty(), self.filled) {
                    (false, _) => Err(ONE_DIV),
                    (true, false) => Err(EMPTY),
                    (true, true) => Ok(()),
                };
            }
        }
    }

    /// What follows a `<`.
    fn markup(&mut self) -> Checked {
        if let Some(comment) = self.rest.strip_prefix("!--") {
            return self.comment(comment);
        }
        if self.rest.starts_with(['!', '?']) {
            return Err(MARKUP);
        }
        if let Some(tag) = self.rest.strip_prefix('/') {
            self.rest = tag;
            let name = self.name();
            if self.open.pop() != Some(name) {
                return Err(UNBALANCED);
            }
            self.rest = self.rest.trim_ascii_start().strip_prefix('>').ok_or(UNBALANCED)?;
            return Ok(());
        }
        let name = self.name();
        if ELEMENTS.binary_search(&name).is_err() {
            return Err(NOT_ALLOWED);
        }
        self.filled |= !self.open.is_empty();
        if self.open.len() >= NARRATIVE_DEPTH_MAX {
            return Err(TOO_DEEP);
        }
        self.attributes(name)
    }

    fn comment(&mut self, comment: &'t str) -> Checked {
        let end = comment.find("--").ok_or(COMMENT)?;
        // Old browsers run what a conditional comment holds.
        if comment.starts_with(['[', '>', '-']) {
            return Err(COMMENT);
        }
        self.rest = comment[end..].strip_prefix("-->").ok_or(COMMENT)?;
        Ok(())
    }

    /// Takes a name: what the lists do not know is refused, so any run of plain characters will do.
    fn name(&mut self) -> &'t str {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b) || !b.is_ascii();
        let end = self.rest.bytes().position(|b| !plain(b)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        name
    }

    /// The rest of an opening tag.
    fn attributes(&mut self, element: &'t str) -> Checked {
        let mut given: Vec<&str> = Vec::new();
        loop {
            let rest = self.rest.trim_ascii_start();
            let spaced = rest.len() < self.rest.len();
            if let Some(rest) = rest.strip_prefix('>') {
                self.rest = rest;
                self.open.push(element);
                return Ok(());
            }
            if let Some(rest) = rest.strip_prefix("/>") {
                self.rest = rest;
                return Ok(());
            }
            self.rest = rest;
            let name = self.name();
            if name.is_empty() || !spaced {
                return Err(UNBALANCED);
            }
            let value = self.quoted()?;
            // As many as the list has names can be told apart quickly enough.
            if given.contains(&name) || given.len() > ATTRIBUTES.len() {
                return Err(UNQUOTED);
            }
            given.push(name);
            attribute(element, name, value)?;
        }
    }

    fn quoted(&mut self) -> Result<&'t str, &'static str> {
        let rest = self.rest.trim_ascii_start().strip_prefix('=').ok_or(UNQUOTED)?;
        let rest = rest.trim_ascii_start();
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\'')).ok_or(UNQUOTED)?;
        let (value, rest) = rest[1..].split_once(quote).ok_or(UNQUOTED)?;
        if value.contains('<') {
            return Err(UNQUOTED);
        }
        self.rest = rest;
        Ok(value)
    }
}

fn attribute(element: &str, name: &str, value: &str) -> Checked {
    entities(value)?;
    match name {
        "xmlns" if value != XHTML => Err(NAMESPACE),
        "style" => style(&decoded(value)),
        _ => match LINKS.iter().find(|(link, _)| *link == name) {
            Some((_, elements)) if elements.contains(&element) => link(element, &decoded(value)),
            None if ATTRIBUTES.binary_search(&name).is_ok() => Ok(()),
            _ => Err(ATTRIBUTE),
        },
    }
}

/// Browsers pass over white space and control characters in a URL, so they count for nothing here.
fn link(element: &str, url: &str) -> Checked {
    let passed_over = |c: char| c.is_whitespace() || c.is_control() || c == '\u{ad}';
    let url: String = url.chars().filter(|c| !passed_over(*c)).collect();
    let Some(colon) = url.find([':', '/', '?', '#']).filter(|at| url[*at..].starts_with(':'))
    else {
        return Ok(());
    };
    let scheme = url[..colon].to_ascii_lowercase();
    let image = || element == "img" && url[colon..].to_ascii_lowercase().starts_with(":image/");
    if SCHEMES.contains(&&*scheme) || (scheme == "data" && image()) { Ok(()) } else { Err(LINK) }
}

fn style(style: &str) -> Checked {
    let style = style.to_ascii_lowercase();
    let refused = STYLES_REFUSED.iter().any(|refused| style.contains(refused));
    if refused { Err(STYLE) } else { Ok(()) }
}

/// Whether every `&` of a text begins an entity that XML knows without a document type.
fn entities(text: &str) -> Checked {
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        let (_, after) = entity(&rest[start..]).ok_or(ENTITY)?;
        rest = after;
    }
    Ok(())
}

/// The text with its entities replaced by what they stand for.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let (mut decoded, mut rest) = (String::new(), text);
    while let Some(start) = rest.find('&') {
        decoded.push_str(&rest[..start]);
        let Some((character, after)) = entity(&rest[start..]) else { break };
        decoded.push(character);
        rest = after;
    }
    decoded.push_str(rest);
    Cow::Owned(decoded)
}

/// The character that the entity at the start of a text stands for, and what follows it.
fn entity(text: &str) -> Option<(char, &str)> {
    let (name, after) = text.strip_prefix('&')?.split_once(';')?;
    let character = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let number = match number.strip_prefix('x') {
                Some(digits) => unsigned(digits, 16),
                None => unsigned(number, 10),
            };
            let character = char::from_u32(number?)?;
            let plain = !character.is_control() || matches!(character, '\t' | '\r' | '\n');
            plain.then_some(character)?
        }
    };
    Some((character, after))
}

fn unsigned(digits: &str, radix: u32) -> Option<u32> {
    let plain = digits.bytes().all(|b| b.is_ascii_alphanumeric());
    plain.then(|| u32::from_str_radix(digits, radix).ok()).flatten()
}
