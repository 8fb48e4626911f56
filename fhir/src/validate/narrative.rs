//! What a Narrative's XHTML may hold: formatting, never anything that runs.
//! <https://hl7.org/fhir/R4/narrative.html#Narrative> (txt-1, txt-2)

/// The elements of HTML 4.0's chapters 7 to 11 and 15, with links and images.
const ELEMENTS: [&str; 60] = [
    "a",
    "abbr",
    "acronym",
    "address",
    "area",
    "b",
    "bdo",
    "big",
    "blockquote",
    "br",
    "caption",
    "center",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "del",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "font",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "ins",
    "kbd",
    "li",
    "map",
    "ol",
    "p",
    "pre",
    "q",
    "s",
    "samp",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "tt",
    "u",
    "ul",
    "var",
];

/// What is wrong with a narrative, if anything.
pub(super) fn fault(text: &str) -> Option<&'static str> {
    let trimmed = text.trim_ascii();
    if !trimmed.starts_with("<div") || !trimmed.ends_with('>') {
        return Some("A narrative is one XHTML div element.");
    }
    let mut rest = text;
    while let Some(opened) = rest.find('<') {
        rest = &rest[opened + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = &comment[comment.find("-->").unwrap_or(comment.len())..];
            continue;
        }
        let tag = rest.strip_prefix('/').unwrap_or(rest);
        let end = tag.bytes().position(|b| !b.is_ascii_alphanumeric());
        let name = &tag[..end.unwrap_or(tag.len())];
        if ELEMENTS.binary_search(&name).is_err() {
            return Some("A narrative may hold formatting, links and images only.");
        }
    }
    None
}
