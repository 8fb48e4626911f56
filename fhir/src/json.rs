//! JSON at the level of its text: nothing is re-read, no number changes a digit.

/// Appends `text` as a JSON string, quoted and escaped.
pub fn push_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("writing a string into memory cannot fail");
}

/// Drops the white space outside strings from well-formed JSON text.
pub fn minify(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let (mut in_string, mut escaped) = (false, false);
    for &byte in text {
        if in_string {
            out.push(byte);
            in_string = escaped || byte != b'"';
            escaped = byte == b'\\' && !escaped;
        } else if !byte.is_ascii_whitespace() {
            out.push(byte);
            in_string = byte == b'"';
        }
    }
    out
}

/// Well-formed JSON text with a line for each member and item; every other byte is kept.
pub fn pretty(text: &[u8]) -> Vec<u8> {
    let text = minify(text);
    let mut out = Vec::with_capacity(text.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let line = |out: &mut Vec<u8>, depth| {
        out.push(b'\n');
        out.resize(out.len() + 2 * depth, b' ');
    };
    for (at, &byte) in text.iter().enumerate() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = byte == b'\\' && !escaped;
            out.push(byte);
            continue;
        }
        let closes = |byte: Option<&u8>| matches!(byte, Some(b'}' | b']'));
        match byte {
            b'{' | b'[' => {
                depth += 1;
                out.push(byte);
                if !closes(text.get(at + 1)) {
                    line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if !matches!(out.last(), Some(b'{' | b'[')) {
                    line(&mut out, depth);
                }
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            _ => {
                in_string = byte == b'"';
                out.push(byte);
            }
        }
    }
    out
}

/// How deep well-formed JSON text is nested.
pub fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for &byte in text {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = byte == b'\\' && !escaped;
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minify_touches_nothing_inside_strings() {
        let text = "{ \"a\" : [ 1.00 ,\n\t\"b \\\" c\\\\\" , true ] }";
        let expected = "{\"a\":[1.00,\"b \\\" c\\\\\",true]}";
        assert_eq!(String::from_utf8_lossy(&minify(text.as_bytes())), expected);
    }

    #[test]
    fn pretty_has_a_line_for_each_member_and_keeps_every_digit() {
        let text = br#"{"a":[1.00,{}],"b":"x, {y}: \"","c":[]}"#;
        let expected =
            "{\n  \"a\": [\n    1.00,\n    {}\n  ],\n  \"b\": \"x, {y}: \\\"\",\n  \"c\": []\n}";
        assert_eq!(String::from_utf8_lossy(&pretty(text)), expected);
        assert_eq!(minify(&pretty(text)), text);
    }

    #[test]
    fn depth_counts_objects_and_arrays_outside_strings() {
        assert_eq!(depth(br#"{"a":[1,{"b":"[[[\"["}],"c":{}}"#), 3);
        assert_eq!(depth(b"1"), 0);
    }

    #[test]
    fn strings_are_escaped() {
        let mut out = Vec::new();
        push_string(&mut out, "a\"b\n");
        assert_eq!(out, br#""a\"b\n""#);
    }
}
