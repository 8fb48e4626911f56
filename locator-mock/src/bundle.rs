//! The NRL's searchset: `total` and `entry`, nothing in an entry but its resource.

use fhir::json::push_string;

/// A searchset with its matches; a consumer's has a self link.
pub(crate) fn searchset<'a>(
    self_link: Option<&str>,
    resources: impl ExactSizeIterator<Item = &'a [u8]>,
) -> Vec<u8> {
    let mut out = head(self_link, resources.len());
    out.extend_from_slice(br#","entry":["#);
    for (index, resource) in resources.enumerate() {
        out.extend_from_slice(if index == 0 { br#"{"resource":"# } else { br#",{"resource":"# });
        out.extend_from_slice(resource);
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    out
}

/// A searchset that says only how many matches there are.
pub(crate) fn count(self_link: Option<&str>, total: usize) -> Vec<u8> {
    let mut out = head(self_link, total);
    out.push(b'}');
    out
}

fn head(self_link: Option<&str>, total: usize) -> Vec<u8> {
    let mut out = br#"{"resourceType":"Bundle","type":"searchset","#.to_vec();
    if let Some(url) = self_link {
        out.extend_from_slice(br#""link":[{"relation":"self","url":"#);
        push_string(&mut out, url);
        out.extend_from_slice(b"}],");
    }
    out.extend_from_slice(format!(r#""total":{total}"#).as_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_searchset_with_no_match_has_an_empty_entry() {
        let none: [&[u8]; 0] = [];
        let text = searchset(None, none.into_iter());
        let expected = br#"{"resourceType":"Bundle","type":"searchset","total":0,"entry":[]}"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn a_count_has_no_entry() {
        let text = count(Some("http://h?a|b"), 3);
        let expected = br#"{"resourceType":"Bundle","type":"searchset","link":[{"relation":"self","url":"http://h?a|b"}],"total":3}"#;
        assert_eq!(text, expected);
    }
}
