//! JSON Pointer: where a value is. <https://www.rfc-editor.org/rfc/rfc6901>

use super::draft::Budget;
use super::{PatchError, length_is_bounded};
use crate::tree::Tree;

/// The way from the root to a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pointer {
    pub(super) tokens: Vec<String>,
}

impl Pointer {
    pub(super) fn read(text: &str) -> Result<Self, PatchError> {
        length_is_bounded(text)?;
        if text.is_empty() {
            return Ok(Self { tokens: Vec::new() });
        }
        let Some(tokens) = text.strip_prefix('/') else {
            return Err(PatchError::malformed("A path must be empty or begin with a slash."));
        };
        let tokens = tokens.split('/').map(unescape).collect::<Option<_>>();
        let sentence = "In a path, ~ must be followed by 0 or 1.";
        Ok(Self { tokens: tokens.ok_or_else(|| PatchError::malformed(sentence))? })
    }

    /// Whether it leads into what the other leads to.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        self.tokens.len() > other.tokens.len() && self.tokens.starts_with(&other.tokens)
    }

    /// The value that it leads to.
    pub(super) fn find<'t, 'a>(
        &self,
        root: &'t mut Tree<'a>,
        budget: &mut Budget,
    ) -> Result<&'t mut Tree<'a>, PatchError> {
        self.tokens.iter().try_fold(root, |node, token| self.step(node, token, budget))
    }

    /// What holds the value that it leads to, and that value's own name or index; nothing for the root.
    pub(super) fn holder<'t, 'a>(
        &self,
        root: &'t mut Tree<'a>,
        budget: &mut Budget,
    ) -> Result<Option<(&'t mut Tree<'a>, &str)>, PatchError> {
        let Some((last, tokens)) = self.tokens.split_last() else {
            return Ok(None);
        };
        let mut holder = root;
        for token in tokens {
            holder = self.step(holder, token, budget)?;
        }
        Ok(Some((holder, last)))
    }

    fn step<'t, 'a>(
        &self,
        node: &'t mut Tree<'a>,
        token: &str,
        budget: &mut Budget,
    ) -> Result<&'t mut Tree<'a>, PatchError> {
        match node {
            Tree::Array(items) => {
                let index = index(token, items.len())?;
                items.get_mut(index).ok_or_else(|| self.nothing())
            }
            Tree::Object(members) => {
                budget.pass(members.len())?;
                let found = members.iter_mut().find(|(name, _)| name == token);
                found.map(|(_, value)| value).ok_or_else(|| self.nothing())
            }
            _ => Err(self.nothing()),
        }
    }

    #[cold]
    pub(super) fn nothing(&self) -> PatchError {
        let tame = |token: &String| token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if self.tokens.len() <= 16 && self.tokens.iter().all(tame) {
            let path = self.tokens.join("/");
            return PatchError::not_found(format!("The resource has nothing at /{path}."));
        }
        PatchError::not_found("The resource has nothing at the path given.")
    }
}

/// The index that a token is; `-` is the one after the last.
pub(super) fn index(token: &str, length: usize) -> Result<usize, PatchError> {
    if token == "-" {
        return Ok(length);
    }
    let plain =
        token.bytes().all(|b| b.is_ascii_digit()) && (token == "0" || !token.starts_with('0'));
    let index = token.parse().ok().filter(|_| plain);
    let sentence =
        "In an array, a path goes on with an index: digits without leading zeros, or a dash.";
    index.ok_or_else(|| PatchError::malformed(sentence))
}

/// `~1` is a slash and `~0` a tilde.
fn unescape(token: &str) -> Option<String> {
    let mut plain = String::with_capacity(token.len());
    let mut characters = token.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '~' => match characters.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            other => other,
        });
    }
    Some(plain)
}
