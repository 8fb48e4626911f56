//! What a path finds. <http://hl7.org/fhirpath/N1>

use super::super::draft::Budget;
use super::super::equal::equal;
use super::super::{PatchError, PatchErrorKind};
use super::expression::{Expression, Head, Literal, Path, Step};
use super::place::Place;
use crate::instant::Interval;
use crate::tree::Tree;

/// A path's evaluation on one resource.
pub(super) struct Evaluation<'t, 'b> {
    root: &'b Place<'t>,
    budget: &'b mut Budget,
}

/// What an expression comes to.
enum Value<'e, 't> {
    Places(Vec<Place<'t>>),
    Literal(&'e Literal<'e>),
    /// `None` is FHIRPath's empty: neither true nor false.
    Truth(Option<bool>),
}

impl<'t, 'b> Evaluation<'t, 'b> {
    pub(super) fn new(root: &'b Place<'t>, budget: &'b mut Budget) -> Self {
        Self { root, budget }
    }

    /// The elements that a path finds.
    pub(super) fn places(&mut self, path: &Path<'_>) -> Result<Vec<Place<'t>>, PatchError> {
        match self.path(path, self.root)? {
            Value::Places(places) => Ok(places),
            _ => Err(PatchError::malformed("The path must lead to an element.")),
        }
    }

    fn evaluate<'e>(
        &mut self,
        expression: &'e Expression<'e>,
        focus: &Place<'t>,
    ) -> Result<Value<'e, 't>, PatchError> {
        self.budget.spend(1)?;
        Ok(match expression {
            Expression::Literal(literal) => Value::Literal(literal),
            Expression::Path(path) => self.path(path, focus)?,
            Expression::Equal { left, right, negated } => {
                let left = self.evaluate(left, focus)?;
                let right = self.evaluate(right, focus)?;
                let same = self.same(left, right)?;
                Value::Truth(same.map(|same| same != *negated))
            }
            Expression::Both(parts) => self.joined(parts, false, focus)?,
            Expression::Either(parts) => self.joined(parts, true, focus)?,
        })
    }

    /// One part that is `decisive` decides; otherwise one that is empty leaves it open.
    fn joined<'e>(
        &mut self,
        parts: &'e [Expression<'e>],
        decisive: bool,
        focus: &Place<'t>,
    ) -> Result<Value<'e, 't>, PatchError> {
        let mut all = Some(!decisive);
        for part in parts {
            let value = self.evaluate(part, focus)?;
            match truth(&value)? {
                Some(truth) if truth == decisive => return Ok(Value::Truth(Some(decisive))),
                Some(_) => {}
                None => all = None,
            }
        }
        Ok(Value::Truth(all))
    }

    fn path<'e>(
        &mut self,
        path: &'e Path<'_>,
        focus: &Place<'t>,
    ) -> Result<Value<'e, 't>, PatchError> {
        let mut value = match &path.head {
            Head::This => Value::Places(vec![focus.clone()]),
            Head::Resource => Value::Places(vec![self.root.clone()]),
            Head::Inner(expression) => self.evaluate(expression, focus)?,
        };
        for step in &path.steps {
            value = match (step, value) {
                (Step::Exists, Value::Places(places)) => Value::Truth(Some(!places.is_empty())),
                (Step::Empty, Value::Places(places)) => Value::Truth(Some(places.is_empty())),
                (Step::Not, value) => Value::Truth(truth(&value)?.map(|truth| !truth)),
                (step, Value::Places(places)) => Value::Places(self.step(step, places)?),
                _ => return Err(PatchError::malformed("In the path, only an element has parts.")),
            };
        }
        Ok(value)
    }

    fn step(
        &mut self,
        step: &Step<'_>,
        mut places: Vec<Place<'t>>,
    ) -> Result<Vec<Place<'t>>, PatchError> {
        self.budget.spend(places.len())?;
        let mut found = Vec::new();
        match step {
            Step::Member(name) => {
                for place in &places {
                    place.children(name, self.budget, &mut found)?;
                }
            }
            Step::Extension(url) => {
                for place in &places {
                    place.children("extension", self.budget, &mut found)?;
                }
                found.retain(|place| {
                    place.value.and_then(|extension| extension.text("url")) == Some(url)
                });
            }
            Step::Index(index) if *index < places.len() => found.push(places.swap_remove(*index)),
            Step::First => found.extend(places.into_iter().next()),
            Step::Last => found.extend(places.pop()),
            Step::OfType(name) => {
                places.retain(|place| place.is_of(name));
                found = places;
            }
            Step::Where(condition) => {
                for place in places {
                    let value = self.evaluate(condition, &place)?;
                    if truth(&value)? == Some(true) {
                        found.push(place);
                    }
                }
            }
            Step::Index(_) | Step::Exists | Step::Empty | Step::Not => {}
        }
        Ok(found)
    }

    fn same(
        &mut self,
        left: Value<'_, 't>,
        right: Value<'_, 't>,
    ) -> Result<Option<bool>, PatchError> {
        Ok(match (left, right) {
            (Value::Places(places), Value::Literal(literal))
            | (Value::Literal(literal), Value::Places(places)) => match places.as_slice() {
                [] => None,
                [place] => place.value.map(|value| is(value, literal)),
                _ => Some(false),
            },
            (Value::Places(left), Value::Places(right)) => {
                if left.is_empty() || right.is_empty() {
                    return Ok(None);
                }
                let pairs = left.iter().zip(&right);
                let mut same = left.len() == right.len();
                for (left, right) in pairs {
                    same &= match (left.value, right.value) {
                        (Some(left), Some(right)) => {
                            self.budget.measure(left, 0)?;
                            equal(left, right)
                        }
                        (left, right) => left.is_none() && right.is_none(),
                    };
                }
                Some(same)
            }
            (Value::Literal(left), Value::Literal(right)) => Some(left == right),
            (left, right) => truth(&left)?.zip(truth(&right)?).map(|(left, right)| left == right),
        })
    }
}

/// What a value is as a condition: an element that is no boolean is true by being there.
fn truth(value: &Value<'_, '_>) -> Result<Option<bool>, PatchError> {
    match value {
        Value::Truth(truth) => Ok(*truth),
        Value::Literal(Literal::Value(Tree::Bool(truth))) => Ok(Some(*truth)),
        Value::Literal(_) => Ok(Some(true)),
        Value::Places(places) => match places.as_slice() {
            [] => Ok(None),
            [place] => Ok(Some(place.value != Some(&Tree::Bool(false)))),
            _ => {
                let sentence = "A condition in the path finds several elements; exists() says whether any is there.";
                Err(PatchError::new(PatchErrorKind::Ambiguous, sentence))
            }
        },
    }
}

/// Whether a value is what a literal says. Dates are the same if they say the same time as precisely.
fn is(value: &Tree<'_>, literal: &Literal<'_>) -> bool {
    match literal {
        Literal::Value(literal) => equal(value, literal),
        Literal::Date(literal) => value.as_str().is_some_and(|text| {
            text == literal.trim_start_matches('T')
                || Interval::parse(text)
                    .is_some_and(|interval| Interval::parse(literal) == Some(interval))
        }),
    }
}
