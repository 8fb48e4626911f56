//! Reads a path. What is not read here is refused by name rather than guessed.

use super::super::{PatchError, PatchErrorKind, length_is_bounded};
use super::expression::{Expression, Head, Literal, Path, Step};
use crate::tree::Tree;

/// Parentheses may be nested this deep.
const NESTING_MAX: usize = 32;

/// Reads the path of an operation.
pub(super) fn parse(text: &str) -> Result<Path<'_>, PatchError> {
    length_is_bounded(text)?;
    let mut parser = Parser { text, at: 0, nesting: 0 };
    let expression = parser.either()?;
    parser.space();
    if parser.at < text.len() {
        return Err(parser.stop());
    }
    match expression {
        Expression::Path(path) => Ok(path),
        _ => Err(PatchError::malformed("The path must lead to an element.")),
    }
}

struct Parser<'p> {
    text: &'p str,
    at: usize,
    nesting: usize,
}

impl<'p> Parser<'p> {
    fn either(&mut self) -> Result<Expression<'p>, PatchError> {
        self.joined("or", Self::both, Expression::Either)
    }

    fn both(&mut self) -> Result<Expression<'p>, PatchError> {
        self.joined("and", Self::equality, Expression::Both)
    }

    fn joined(
        &mut self,
        word: &str,
        part: fn(&mut Self) -> Result<Expression<'p>, PatchError>,
        join: fn(Vec<Expression<'p>>) -> Expression<'p>,
    ) -> Result<Expression<'p>, PatchError> {
        let first = part(self)?;
        if !self.word(word) {
            return Ok(first);
        }
        let mut parts = vec![first, part(self)?];
        while self.word(word) {
            parts.push(part(self)?);
        }
        Ok(join(parts))
    }

    fn equality(&mut self) -> Result<Expression<'p>, PatchError> {
        let left = self.operand()?;
        let negated = if self.take("!=") {
            true
        } else if self.take("=") {
            false
        } else {
            return Ok(left);
        };
        let right = Box::new(self.operand()?);
        Ok(Expression::Equal { left: Box::new(left), right, negated })
    }

    fn operand(&mut self) -> Result<Expression<'p>, PatchError> {
        let Some(mut path) = self.head()? else {
            return self.literal().map(Expression::Literal);
        };
        loop {
            if self.take(".") {
                let step = self.step()?;
                path.steps.extend(step);
            } else if self.take("[") {
                path.steps.push(Step::Index(self.index()?));
                self.expect("]")?;
            } else if self.word("as") {
                path.steps.push(Step::OfType(self.type_name()?));
            } else {
                return Ok(Expression::Path(path));
            }
        }
    }

    /// How a path begins; nothing if a literal begins here.
    fn head(&mut self) -> Result<Option<Path<'p>>, PatchError> {
        self.space();
        let path = |head, steps| Ok(Some(Path { head, steps }));
        match self.rest().as_bytes().first() {
            Some(b'(') => {
                let inner = self.parenthesised(Self::either)?;
                Ok(Some(match inner {
                    Expression::Path(path) => path,
                    other => Path { head: Head::Inner(Box::new(other)), steps: Vec::new() },
                }))
            }
            Some(b'$') if self.take("$this") => path(Head::This, Vec::new()),
            Some(b'%') if self.take("%resource") || self.take("%context") => {
                path(Head::Resource, Vec::new())
            }
            Some(b) if b.is_ascii_alphabetic() || matches!(b, b'_' | b'`') => {
                let start = self.at;
                if (self.word("true") || self.word("false")) && !self.rest().starts_with(['.', '('])
                {
                    self.at = start;
                    return Ok(None);
                }
                self.at = start;
                if b.is_ascii_uppercase() {
                    let steps = vec![Step::OfType(self.type_name()?)];
                    return path(Head::This, steps);
                }
                path(Head::This, self.step()?)
            }
            _ => Ok(None),
        }
    }

    /// An element's name or a function: some functions are two steps.
    fn step(&mut self) -> Result<Vec<Step<'p>>, PatchError> {
        let name = self.name()?;
        if !self.rest().starts_with('(') {
            return Ok(vec![Step::Member(name)]);
        }
        let step = match name {
            "where" => Step::Where(self.parenthesised(Self::either)?),
            "exists" if !self.is_call_without_arguments() => {
                let condition = self.parenthesised(Self::either)?;
                return Ok(vec![Step::Where(condition), Step::Exists]);
            }
            "ofType" | "as" => Step::OfType(self.parenthesised(Self::type_name)?),
            "extension" => Step::Extension(self.parenthesised(Self::string)?),
            _ => {
                let step = match name {
                    "exists" => Step::Exists,
                    "empty" => Step::Empty,
                    "not" => Step::Not,
                    "first" => Step::First,
                    "last" => Step::Last,
                    _ => return Err(unsupported(&format!("The function {name}()"))),
                };
                self.parenthesised(|_| Ok(()))?;
                step
            }
        };
        Ok(vec![step])
    }

    fn is_call_without_arguments(&self) -> bool {
        let inner = self.rest().strip_prefix('(');
        inner.is_some_and(|inner| inner.trim_ascii_start().starts_with(')'))
    }

    fn parenthesised<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, PatchError>,
    ) -> Result<T, PatchError> {
        self.expect("(")?;
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err(PatchError::malformed("The path is nested too deep."));
        }
        let inner = inner(self)?;
        self.nesting -= 1;
        self.expect(")")?;
        Ok(inner)
    }

    fn literal(&mut self) -> Result<Literal<'p>, PatchError> {
        self.space();
        let literal = match self.rest().as_bytes().first() {
            Some(b'\'') => Literal::Value(Tree::String(self.string()?.into())),
            Some(b'@') => {
                self.at += 1;
                let date = |c: char| c.is_ascii_digit() || "TZ:.+-".contains(c);
                Literal::Date(self.run(date).trim_end_matches('T'))
            }
            Some(b'-' | b'0'..=b'9') => {
                let text = self.run(|c| c.is_ascii_digit() || "-.".contains(c));
                match Tree::parse(text.as_bytes()) {
                    Ok(number) => Literal::Value(number),
                    Err(_) => return Err(self.stop()),
                }
            }
            _ if self.word("true") => Literal::Value(Tree::Bool(true)),
            _ if self.word("false") => Literal::Value(Tree::Bool(false)),
            _ => return Err(self.stop()),
        };
        Ok(literal)
    }

    fn string(&mut self) -> Result<String, PatchError> {
        self.expect("'")?;
        let mut text = String::new();
        let mut characters = self.rest().char_indices();
        while let Some((offset, character)) = characters.next() {
            text.push(match character {
                '\'' => {
                    self.at += offset + 1;
                    return Ok(text);
                }
                '\\' => match characters.next() {
                    Some((_, 'n')) => '\n',
                    Some((_, 'r')) => '\r',
                    Some((_, 't')) => '\t',
                    Some((_, 'f')) => '\u{c}',
                    Some((_, c @ ('\'' | '"' | '`' | '\\' | '/'))) => c,
                    Some((offset, 'u')) => {
                        let digits = self.rest().get(offset + 1..offset + 5);
                        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
                        let Some(escaped) = code.and_then(char::from_u32) else {
                            return Err(self.stop());
                        };
                        characters.nth(3);
                        escaped
                    }
                    _ => return Err(self.stop()),
                },
                other => other,
            });
        }
        Err(PatchError::malformed("A string in the path does not end."))
    }

    fn index(&mut self) -> Result<usize, PatchError> {
        self.space();
        self.run(|c| c.is_ascii_digit()).parse().map_err(|_| self.stop())
    }

    /// `Quantity` or `FHIR.Quantity`.
    fn type_name(&mut self) -> Result<&'p str, PatchError> {
        let name = self.name()?;
        if matches!(name, "FHIR" | "System") && self.take(".") { self.name() } else { Ok(name) }
    }

    fn name(&mut self) -> Result<&'p str, PatchError> {
        self.space();
        let quoted = self.take("`");
        let name = self.run(|c| c.is_ascii_alphanumeric() || c == '_');
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.stop());
        }
        if quoted {
            self.expect("`")?;
        }
        Ok(name)
    }

    fn rest(&self) -> &'p str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Takes the characters that are of a kind.
    fn run(&mut self, kind: impl Fn(char) -> bool) -> &'p str {
        let rest = self.rest();
        let end = rest.find(|c| !kind(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn take(&mut self, symbol: &str) -> bool {
        self.space();
        let taken = self.rest().starts_with(symbol);
        self.at += if taken { symbol.len() } else { 0 };
        taken
    }

    /// Takes a word that stands alone.
    fn word(&mut self, word: &str) -> bool {
        self.space();
        let after = self.rest().strip_prefix(word);
        let inside = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let taken = after.is_some_and(|after| !after.starts_with(inside));
        self.at += if taken { word.len() } else { 0 };
        taken
    }

    fn expect(&mut self, symbol: &str) -> Result<(), PatchError> {
        if self.take(symbol) { Ok(()) } else { Err(self.stop()) }
    }

    /// Says where the path could not be read on: by an operator that is FHIRPath's, or by what is not.
    #[cold]
    fn stop(&mut self) -> PatchError {
        const OPERATORS: [&str; 19] = [
            "|", "~", "!~", "<", ">", "+", "-", "*", "/", "&", "in", "is", "contains", "div",
            "mod", "xor", "implies", "{", "%",
        ];
        self.space();
        let found = OPERATORS.iter().find(|operator| {
            let operator = **operator;
            let is_word = operator.starts_with(|c: char| c.is_ascii_alphabetic());
            if is_word { self.word(operator) } else { self.rest().starts_with(operator) }
        });
        match found {
            Some(operator) => unsupported(&format!("{operator} in a path")),
            None => {
                let place = self.text[..self.at].chars().count() + 1;
                PatchError::malformed(format!("The path cannot be read at character {place}."))
            }
        }
    }
}

fn unsupported(what: &str) -> PatchError {
    PatchError::new(PatchErrorKind::NotSupported, format!("{what} is not supported in a patch."))
}
