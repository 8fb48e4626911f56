//! A generated query: SQL text with `$1`, `$2`, … and its arguments, the same for both engines.

use bytes::Bytes;

/// An argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
}

/// SQL and its arguments. Only this type carries generated SQL, and only names fixed in this crate
/// are ever put into its text: values are arguments.
#[derive(Debug, Clone, Default)]
pub struct Query {
    sql: String,
    arguments: Vec<Argument>,
}

impl Query {
    /// The text.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// The arguments, `$1` first.
    pub fn arguments(&self) -> &[Argument] {
        &self.arguments
    }

    /// Appends SQL.
    pub fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    /// Appends the placeholder of a number.
    pub fn number(&mut self, number: i64) -> &mut Self {
        self.argument(Argument::Number(number))
    }

    /// Appends the placeholder of a text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.argument(Argument::Text(text.to_owned()))
    }

    /// Appends a list of placeholders in parentheses.
    pub fn numbers(&mut self, numbers: &[i64]) -> &mut Self {
        self.push("(");
        for (place, number) in numbers.iter().enumerate() {
            self.push(if place == 0 { "" } else { "," }).number(*number);
        }
        self.push(")")
    }

    /// Appends a list of placeholders of texts in parentheses.
    pub fn texts(&mut self, texts: &[&str]) -> &mut Self {
        self.push("(");
        for (place, text) in texts.iter().enumerate() {
            self.push(if place == 0 { "" } else { "," }).text(text);
        }
        self.push(")")
    }

    fn argument(&mut self, argument: Argument) -> &mut Self {
        self.arguments.push(argument);
        let placeholder = format!("${}", self.arguments.len());
        self.push(&placeholder)
    }
}

/// A resource found by a search.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its key.
    pub key: i64,
    /// The value by which the search is ordered.
    pub order: i64,
    /// Its id.
    pub id: String,
    /// Its text.
    pub body: Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_count_up_with_their_arguments() {
        let mut query = Query::default();
        query.push("a = ").text("x").push(" AND b IN ").numbers(&[1, 2]);
        assert_eq!(query.sql(), "a = $1 AND b IN ($2,$3)");
        assert_eq!(query.arguments().len(), 3);
    }
}
