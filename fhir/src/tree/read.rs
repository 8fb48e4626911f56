//! Reads JSON text piece by piece; every piece lent is the text itself, so that no digit is lost.
//! RFC 8259 as `serde_json` reads it, but numbers of any size pass: they stay text.

use std::borrow::Cow;

use serde::de::Error as _;

use super::Tree;

/// Deeper nesting is refused, so that whoever walks a tree may recur.
const DEPTH_MAX: usize = 128;

/// Why text is not JSON, and where.
#[derive(Debug)]
pub(crate) struct Fault {
    what: &'static str,
    at: usize,
}

impl Fault {
    /// The fault with its line and column.
    #[cold]
    pub(crate) fn explain(self, text: &[u8]) -> serde_json::Error {
        let before = &text[..self.at.min(text.len())];
        let line = before.split(|b| *b == b'\n').count();
        let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let column = before.len() - line_start + 1;
        serde_json::Error::custom(format!("{} at line {line} column {column}", self.what))
    }
}

/// JSON text, and how far it has been read.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Result<Self, Fault> {
        match std::str::from_utf8(text) {
            Ok(text) => Ok(Self { text, at: 0, depth: 0 }),
            Err(error) => Err(Fault { what: "this is not UTF-8", at: error.valid_up_to() }),
        }
    }

    /// Reads one value as a tree.
    pub(crate) fn tree(&mut self) -> Result<Tree<'a>, Fault> {
        Ok(match self.peek() {
            Some(b'{') => {
                let mut members = Vec::with_capacity(8);
                self.members(|reader, name| {
                    members.push((name, reader.tree()?));
                    Ok(())
                })?;
                Tree::Object(members)
            }
            Some(b'[') => {
                let mut items = Vec::new();
                self.items(|reader| {
                    items.push(reader.tree()?);
                    Ok(())
                })?;
                Tree::Array(items)
            }
            Some(b'"') => Tree::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => Tree::Number(Cow::Borrowed(self.number()?)),
            Some(b't') => self.word("true", Tree::Bool(true))?,
            Some(b'f') => self.word("false", Tree::Bool(false))?,
            Some(b'n') => self.word("null", Tree::Null)?,
            _ => return Err(self.fault("a value is expected")),
        })
    }

    /// Passes over one value and gives its text.
    pub(crate) fn skip(&mut self) -> Result<&'a str, Fault> {
        let first = self.peek();
        let start = self.at;
        match first {
            Some(b'{') => self.members(|reader, _| reader.skip().map(|_| ()))?,
            Some(b'[') => self.items(|reader| reader.skip().map(|_| ()))?,
            Some(b'"') => drop(self.string()?),
            _ => drop(self.tree()?),
        }
        Ok(&self.text[start..self.at])
    }

    /// Reads an object; `member` reads each value, given its name.
    pub(crate) fn members(
        &mut self,
        mut member: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.list(b'{', b'}', |reader| {
            if reader.peek() != Some(b'"') {
                return Err(reader.fault("a member's name is expected"));
            }
            let name = reader.string()?;
            reader.expect(b':', "a colon is expected")?;
            member(reader, name)
        })
    }

    /// Reads an array; `item` reads each value.
    pub(crate) fn items(
        &mut self,
        item: impl FnMut(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.list(b'[', b']', item)
    }

    /// What the next value begins with.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let space = |b: &&u8| matches!(b, b' ' | b'\n' | b'\r' | b'\t');
        self.at += rest.iter().take_while(space).count();
        self.text.as_bytes().get(self.at).copied()
    }

    /// Refuses anything but white space.
    pub(crate) fn end(&mut self) -> Result<(), Fault> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.fault("nothing more is expected")),
        }
    }

    fn list(
        &mut self,
        open: u8,
        close: u8,
        mut one: impl FnMut(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.expect(open, "an object or an array is expected")?;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.fault("this is nested too deep"));
        }
        if self.peek() != Some(close) {
            one(self)?;
            while self.peek() == Some(b',') {
                self.at += 1;
                one(self)?;
            }
        }
        self.depth -= 1;
        self.expect(close, "a comma or the end of the list is expected")
    }

    fn expect(&mut self, byte: u8, otherwise: &'static str) -> Result<(), Fault> {
        if self.peek() != Some(byte) {
            return Err(self.fault(otherwise));
        }
        self.at += 1;
        Ok(())
    }

    /// A string, from its first quote on: borrowed unless it has escapes.
    fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        let start = self.at;
        let mut escaped = false;
        self.at += 1;
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            let plain = |b: &&u8| !matches!(b, b'"' | b'\\' | 0..=0x1f);
            self.at += rest.iter().take_while(plain).count();
            match self.text.as_bytes().get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    // What is escaped may be cut short by the end of the text, but never a character in two.
                    self.at += 1;
                    let next = self.text[self.at..].chars().next();
                    self.at += next.map_or(0, char::len_utf8);
                }
                Some(_) => return Err(self.fault("a control character must be escaped")),
                None => return Err(self.fault("the string does not end")),
            }
        }
        self.at += 1;
        if !escaped {
            return Ok(Cow::Borrowed(&self.text[start + 1..self.at - 1]));
        }
        let text = serde_json::from_str(&self.text[start..self.at]);
        text.map(Cow::Owned)
            .map_err(|_| Fault { what: "an escape is not one of JSON's", at: start })
    }

    fn number(&mut self) -> Result<&'a str, Fault> {
        let start = self.at;
        self.at += usize::from(self.next_is(b"-"));
        if self.next_is(b"0") {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.next_is(b".") {
            self.at += 1;
            self.digits()?;
        }
        if self.next_is(b"eE") {
            self.at += 1;
            self.at += usize::from(self.next_is(b"+-"));
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn next_is(&self, set: &[u8]) -> bool {
        self.text.as_bytes().get(self.at).is_some_and(|b| set.contains(b))
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let rest = &self.text.as_bytes()[self.at..];
        let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.fault("a digit is expected"));
        }
        self.at += count;
        Ok(())
    }

    fn word(&mut self, word: &str, tree: Tree<'a>) -> Result<Tree<'a>, Fault> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.fault("a value is expected"));
        }
        self.at += word.len();
        Ok(tree)
    }

    #[cold]
    fn fault(&self, what: &'static str) -> Fault {
        Fault { what, at: self.at }
    }
}
