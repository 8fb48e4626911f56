//! A resource's text with the gaps that only the writer can fill: its version and time, and whose it is.
//!
//! The client's text is kept member by member, number by number; only white space goes. The
//! server's `id` stands where the client's stood (else after `resourceType`), and so does `meta`,
//! which begins with the server's `versionId` and `lastUpdated`. The custodian, if it is not the region
//! itself, is the first of `meta.tag`; tags by which a client names one are not stored.

use bytes::Bytes;
use fhir::instant::format_instant;
use fhir::json::{minify, push_string};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::custody::{Custodian, SYSTEM};

/// What stands between the version and the time.
const UPDATED: &[u8] = br#"","lastUpdated":""#;

/// A resource ready to be given its version.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    before: Vec<u8>,
    /// What stands between the time and the tags.
    between: Vec<u8>,
    /// The client's tags, without the brackets.
    tags: Vec<u8>,
    after: Vec<u8>,
    claims: Vec<Claim>,
}

/// A tag by which a client says whose a resource is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Which of the tags it is.
    pub place: usize,
    /// The code in it.
    pub code: String,
}

impl Draft {
    /// Prepares the text of a valid resource to be stored under `id`.
    ///
    /// # Errors
    /// If the text is not a JSON object, which validation has ruled out.
    pub fn new(text: &[u8], id: &str) -> Result<Self, serde_json::Error> {
        let text = minify(text);
        let members = members(&text)?;
        let before = Vec::with_capacity(text.len() + 128);
        let mut draft = Self { before, ..Self::default() };
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
    pub fn render(&self, version: i64, updated_micros: i64, custodian: &Custodian) -> Bytes {
        let tag = custodian.tag();
        let pieces = self.pieces(&tag);
        let length: usize = pieces.iter().copied().map(<[u8]>::len).sum();
        let mut out = Vec::with_capacity(self.before.len() + length + 64);
        out.extend_from_slice(&self.before);
        out.extend_from_slice(version.to_string().as_bytes());
        out.extend_from_slice(UPDATED);
        out.extend_from_slice(format_instant(updated_micros).as_bytes());
        out.push(b'"');
        for piece in pieces {
            out.extend_from_slice(piece);
        }
        out.into()
    }

    /// Whether storing this over `body` would change nothing but the version and its time.
    pub fn says_the_same_as(&self, body: &[u8], custodian: &Custodian) -> bool {
        let tag = custodian.tag();
        let same = || {
            let version = body.strip_prefix(&*self.before)?;
            let digits = version.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let time = version[digits..].strip_prefix(UPDATED)?;
            let end = time.iter().position(|byte| *byte == b'"')?;
            let mut rest = &time[end + 1..];
            for piece in self.pieces(&tag) {
                rest = rest.strip_prefix(piece)?;
            }
            Some(rest.is_empty())
        };
        same().unwrap_or(false)
    }

    /// The tags by which the client says whose the resource is.
    pub fn claims(&self) -> &[Claim] {
        &self.claims
    }

    /// What follows the time; `tag` is the custodian's.
    fn pieces<'a>(&'a self, tag: &'a [u8]) -> [&'a [u8]; 7] {
        let (own, clients) = (!tag.is_empty(), !self.tags.is_empty());
        let only = |yes: bool, text: &'static [u8]| if yes { text } else { b"" };
        [
            &self.between,
            only(own || clients, br#","tag":["#),
            tag,
            only(own && clients, b","),
            &self.tags,
            only(own || clients, b"]"),
            &self.after,
        ]
    }

    fn id(&mut self, id: &str) {
        self.name("id");
        push_string(self.tail(), id);
    }

    /// Opens `meta` up to the version; what the client said of it follows.
    fn meta(&mut self, value: &RawValue) -> Result<(), serde_json::Error> {
        self.name("meta");
        self.before.extend_from_slice(br#"{"versionId":""#);
        if value.get() != "null" {
            let mut part = &mut self.between;
            for (name, value) in members(value.get().as_bytes())? {
                match name.as_str() {
                    "versionId" | "lastUpdated" => {}
                    "tag" => {
                        (self.tags, self.claims) = tags(value)?;
                        part = &mut self.after;
                    }
                    _ => {
                        part.push(b',');
                        push_string(part, &name);
                        part.push(b':');
                        part.extend_from_slice(value.get().as_bytes());
                    }
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

/// A client's tags: those that are kept, and those that say whose the resource is.
fn tags(value: &RawValue) -> Result<(Vec<u8>, Vec<Claim>), serde_json::Error> {
    #[derive(Deserialize)]
    struct Coding {
        #[serde(default)]
        system: String,
        #[serde(default)]
        code: String,
    }

    let (mut kept, mut claims) = (Vec::new(), Vec::new());
    let tags: Vec<&RawValue> = serde_json::from_str(value.get())?;
    for (place, tag) in tags.into_iter().enumerate() {
        let Coding { system, code } = serde_json::from_str(tag.get())?;
        if system == SYSTEM {
            claims.push(Claim { place, code });
            continue;
        }
        if !kept.is_empty() {
            kept.push(b',');
        }
        kept.extend_from_slice(tag.get().as_bytes());
    }
    Ok((kept, claims))
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
        stored_for(text, &Custodian::default())
    }

    fn stored_for(text: &str, custodian: &Custodian) -> String {
        let bytes = Draft::new(text.as_bytes(), "a").unwrap().render(2, 0, custodian);
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
        let own = Custodian::default();
        let body = draft(first).render(7, 1_000, &own);
        assert!(draft(first).says_the_same_as(&body, &own));
        for other in [
            r#"{"resourceType":"Basic","code":{"text":"y"}}"#,
            r#"{"resourceType":"Basic","meta":{"source":"s"},"code":{"text":"x"}}"#,
            r#"{"resourceType":"Basic"}"#,
        ] {
            assert!(!draft(other).says_the_same_as(&body, &own), "{other}");
        }
        let tagged = draft(r#"{"resourceType":"Basic","meta":{"source":"s"}}"#).render(1, 0, &own);
        assert!(!draft(r#"{"resourceType":"Basic"}"#).says_the_same_as(&tagged, &own));
        let theirs = Custodian::stored("RX1");
        let body = draft(first).render(7, 1_000, &theirs);
        assert!(draft(first).says_the_same_as(&body, &theirs));
        assert!(!draft(first).says_the_same_as(&body, &own));
        // What was read is sent back.
        let back = draft(std::str::from_utf8(&body).unwrap());
        assert!(back.says_the_same_as(&body, &theirs));
    }

    #[test]
    fn the_custodian_is_the_first_tag_and_there_once() {
        const RX1: &str = r#"{"system":"urn:shared-record:custodian","code":"RX1"}"#;
        let escaped = r#"{"code":"RX1","display":"x","system":"urn:shared\u002drecord:custodian"}"#;
        let kept = r#"{"code":"t"}"#;
        for (sent, own, theirs) in [
            (String::new(), String::new(), format!(r#","tag":[{RX1}]"#)),
            (
                r#""source":"s""#.to_owned(),
                r#","source":"s""#.to_owned(),
                format!(r#","source":"s","tag":[{RX1}]"#),
            ),
            (
                format!(r#""tag":[{escaped}],"source":"s""#),
                r#","source":"s""#.to_owned(),
                format!(r#","tag":[{RX1}],"source":"s""#),
            ),
            (
                format!(r#""source":"s","tag":[{kept},{escaped}]"#),
                format!(r#","source":"s","tag":[{kept}]"#),
                format!(r#","source":"s","tag":[{RX1},{kept}]"#),
            ),
        ] {
            let text = format!(r#"{{"resourceType":"Basic","meta":{{{sent}}}}}"#);
            let with = |rest: &str| {
                format!(r#"{{"resourceType":"Basic","id":"a","meta":{{{META}{rest}}}}}"#)
            };
            assert_eq!(stored(&text), with(&own), "{sent}");
            assert_eq!(stored_for(&text, &Custodian::stored("RX1")), with(&theirs), "{sent}");
        }
    }

    #[test]
    fn meta_before_the_type_and_no_id() {
        let text = r#"{"meta":{"source":"s"},"resourceType":"Basic","y":2}"#;
        let expected =
            format!(r#"{{"meta":{{{META},"source":"s"}},"resourceType":"Basic","id":"a","y":2}}"#);
        assert_eq!(stored(text), expected);
    }
}
