//! A resource's text with the one gap that only the writer can fill: its version and time.
//!
//! The client's text is kept member by member, number by number; only white space goes. The
//! server's `id` stands where the client's stood (else after `resourceType`), and so does `meta`,
//! which begins with the server's `versionId` and `lastUpdated`.

use bytes::Bytes;
use fhir::instant::format_instant;
use fhir::json::{minify, push_string};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What stands between the version and the time.
const UPDATED: &[u8] = br#"","lastUpdated":""#;

/// A resource ready to be given its version.
#[derive(Debug, Clone)]
pub struct Draft {
    before: Vec<u8>,
    after: Vec<u8>,
}

impl Draft {
    /// Prepares the text of a valid resource to be stored under `id`.
    ///
    /// # Errors
    /// If the text is not a JSON object, which validation has ruled out.
    pub fn new(text: &[u8], id: &str) -> Result<Self, serde_json::Error> {
        let text = minify(text);
        let members = members(&text)?;
        let mut draft = Self { before: Vec::with_capacity(text.len() + 128), after: Vec::new() };
        let (mut has_id, mut has_meta) = (false, false);
        for (name, _) in &members {
            has_id |= name == "id";
            has_meta |= name == "meta";
        }
        draft.before.push(b'{');
        for (name, value) in &members {
            match name.as_str() {
                "id" => draft.id(id),
                "meta" => draft.meta(value)?,
                _ => draft.member(name, value.get().as_bytes()),
            }
            if name == "resourceType" {
                if !has_id {
                    draft.id(id);
                }
                if !has_meta {
                    draft.meta(RawValue::NULL)?;
                }
            }
        }
        draft.after.push(b'}');
        Ok(draft)
    }

    /// The text as it is stored and served.
    pub fn render(&self, version: i64, updated_micros: i64) -> Bytes {
        let mut out = Vec::with_capacity(self.before.len() + self.after.len() + 64);
        out.extend_from_slice(&self.before);
        out.extend_from_slice(version.to_string().as_bytes());
        out.extend_from_slice(UPDATED);
        out.extend_from_slice(format_instant(updated_micros).as_bytes());
        out.push(b'"');
        out.extend_from_slice(&self.after);
        out.into()
    }

    /// Whether storing this over `body` would change nothing but the version and its time.
    pub fn says_the_same_as(&self, body: &[u8]) -> bool {
        let same = || {
            let middle = body.strip_prefix(&*self.before)?.strip_suffix(&*self.after)?;
            let digits = middle.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let time = middle[digits..].strip_prefix(UPDATED)?.strip_suffix(b"\"")?;
            Some(!time.contains(&b'"'))
        };
        same().unwrap_or(false)
    }

    fn id(&mut self, id: &str) {
        self.name("id");
        push_string(self.tail(), id);
    }

    /// Opens `meta` up to the version; what the client said of it follows in `after`.
    fn meta(&mut self, value: &RawValue) -> Result<(), serde_json::Error> {
        self.name("meta");
        self.before.extend_from_slice(br#"{"versionId":""#);
        if value.get() != "null" {
            for (name, value) in members(value.get().as_bytes())? {
                if name != "versionId" && name != "lastUpdated" {
                    self.after.push(b',');
                    push_string(&mut self.after, &name);
                    self.after.push(b':');
                    self.after.extend_from_slice(value.get().as_bytes());
                }
            }
        }
        self.after.push(b'}');
        Ok(())
    }

    fn member(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        self.tail().extend_from_slice(value);
    }

    fn name(&mut self, name: &str) {
        let first = self.before.len() == 1;
        let tail = self.tail();
        if !first {
            tail.push(b',');
        }
        push_string(tail, name);
        tail.push(b':');
    }

    /// Where text goes now: before the gap until `meta` was opened, after it from then on.
    fn tail(&mut self) -> &mut Vec<u8> {
        if self.after.is_empty() { &mut self.before } else { &mut self.after }
    }
}

/// The members of a JSON object in their order, values as text.
pub(crate) fn members(text: &[u8]) -> Result<Vec<(String, &RawValue)>, serde_json::Error> {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, &'de RawValue)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::with_capacity(16);
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }

    serde_json::Deserializer::from_slice(text).deserialize_map(Members)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn stored(text: &str) -> String {
        let bytes = Draft::new(text.as_bytes(), "a").unwrap().render(2, 0);
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    const META: &str = r#""versionId":"2","lastUpdated":"1970-01-01T00:00:00.000Z""#;

    #[test]
    fn numbers_and_order_are_kept_and_white_space_goes() {
        let text = "{ \"resourceType\" : \"Observation\", \"x\": 1.00 , \"y\":[ 1e2,\"a  b\"] }";
        let expected = format!(
            r#"{{"resourceType":"Observation","id":"a","meta":{{{META}}},"x":1.00,"y":[1e2,"a  b"]}}"#
        );
        assert_eq!(stored(text), expected);
    }

    #[test]
    fn the_clients_meta_keeps_its_place_and_loses_what_is_the_servers() {
        let text = r#"{"x":1,"id":"b","meta":{"lastUpdated":"x","tag":[{"code":"t"}],"versionId":"9"},"resourceType":"Basic","y":2}"#;
        let expected = format!(
            r#"{{"x":1,"id":"a","meta":{{{META},"tag":[{{"code":"t"}}]}},"resourceType":"Basic","y":2}}"#
        );
        assert_eq!(stored(text), expected);
    }

    #[test]
    fn the_same_content_is_known_again() {
        let draft = |text: &str| Draft::new(text.as_bytes(), "a").unwrap();
        let first = r#"{"resourceType":"Basic","code":{"text":"x"}}"#;
        let body = draft(first).render(7, 1_000);
        assert!(draft(first).says_the_same_as(&body));
        for other in [
            r#"{"resourceType":"Basic","code":{"text":"y"}}"#,
            r#"{"resourceType":"Basic","meta":{"source":"s"},"code":{"text":"x"}}"#,
            r#"{"resourceType":"Basic"}"#,
        ] {
            assert!(!draft(other).says_the_same_as(&body), "{other}");
        }
        let tagged = draft(r#"{"resourceType":"Basic","meta":{"source":"s"}}"#).render(1, 0);
        assert!(!draft(r#"{"resourceType":"Basic"}"#).says_the_same_as(&tagged));
    }

    #[test]
    fn meta_before_the_type_and_no_id() {
        let text = r#"{"meta":{"source":"s"},"resourceType":"Basic","y":2}"#;
        let expected =
            format!(r#"{{"meta":{{{META},"source":"s"}},"resourceType":"Basic","id":"a","y":2}}"#);
        assert_eq!(stored(text), expected);
    }
}
