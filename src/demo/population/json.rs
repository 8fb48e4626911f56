//! JSON text in the order it is written: FHIR's member order and a decimal's digits survive.

use std::fmt;

/// A JSON value as text; empty text is a value that is absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Json(String);

/// A JSON object; members whose value is absent are left out. Callers import [`Json`].
macro_rules! object {
    ($($name:expr => $value:expr),+ $(,)?) => {
        Json::object(&[
            $(($name, Json::from($value))),+
        ])
    };
}

/// A JSON array; values that are absent are left out. Callers import [`Json`].
macro_rules! array {
    ($($value:expr),+ $(,)?) => {
        Json::from(vec![
            $(Json::from($value)),+
        ])
    };
}

pub(super) use {array, object};

impl Json {
    /// An object of `members`, in that order.
    pub(super) fn object(members: &[(&str, Self)]) -> Self {
        let members: Vec<String> = members
            .iter()
            .filter(|(_, value)| !value.0.is_empty())
            .map(|(name, value)| format!("{}:{value}", Self::from(*name)))
            .collect();
        Self(format!("{{{}}}", members.join(",")))
    }

    /// `scaled` divided by ten to the power of `places`, with every place written: `540` and 2
    /// are `5.40`. Quantities here are never negative.
    pub(super) fn decimal(scaled: u32, places: u32) -> Self {
        let unit = 10_u32.pow(places);
        if places == 0 {
            return Self(scaled.to_string());
        }
        let width = places as usize;
        Self(format!("{}.{:0width$}", scaled / unit, scaled % unit))
    }

    /// The text.
    pub(super) fn into_text(self) -> String {
        self.0
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self(serde_json::Value::from(text).to_string())
    }
}

impl From<&String> for Json {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<u32> for Json {
    fn from(number: u32) -> Self {
        Self(number.to_string())
    }
}

impl From<bool> for Json {
    fn from(flag: bool) -> Self {
        Self(flag.to_string())
    }
}

impl<T: Into<Self>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Self {
        value.map_or_else(|| Self(String::new()), Into::into)
    }
}

impl From<Vec<Self>> for Json {
    fn from(values: Vec<Self>) -> Self {
        let values: Vec<String> =
            values.into_iter().map(|value| value.0).filter(|text| !text.is_empty()).collect();
        Self(format!("[{}]", values.join(",")))
    }
}
