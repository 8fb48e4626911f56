//! What a narrative may hold, and the ways to hide what it may not.

use super::issues;

const OPEN: &str = r#"<div xmlns="http://www.w3.org/1999/xhtml">"#;

fn said(div: &str) -> Vec<String> {
    let div = serde_json::to_string(div).unwrap();
    issues(&format!(r#"{{"resourceType":"Patient","text":{{"status":"generated","div":{div}}}}}"#))
}

#[test]
fn formatting_links_and_images_pass() {
    for content in [
        "text",
        "<p>a<br/>b <b title='x'>c</b></p>",
        "<p\n class = \"a\" >x</p >",
        "1 &lt; 2 &amp;&amp; 3 &gt; 2 &quot;&apos;&#160;&#xA0;",
        "<!-- a comment -->text",
        r##"<a href="Patient/1">a</a><a href="#x">b</a><a href="https://a/b?c=d:e">c</a><a href="mailto:a@b">d</a>"##,
        r#"<a href="urn:uuid:1">a</a><a name="x">b</a>"#,
        r#"<img src="data:image/png;base64,YQ==" alt="a"/><img src="http://a/b.png"/>"#,
        r#"<table border="1" class="grid"><tr><td colspan="2" style="color: red; width:10%">x</td></tr></table>"#,
        "<p>\u{1f600} onclick=\"alert(1)\" javascript:alert(1)</p>",
        // HL7 publishes narratives of white space alone.
        "\n    ",
        "<pre>\n</pre>",
    ] {
        assert_eq!(said(&format!("{OPEN}{content}</div>")), [""; 0], "{content}");
    }
    assert_eq!(said("<div>without a namespace</div>"), [""; 0]);
    assert_eq!(said(&format!("\n{OPEN}a</div> ")), [""; 0]);
}

#[test]
fn nothing_that_runs_or_fetches_passes_however_it_is_written() {
    for content in [
        "<script>a</script>",
        "<SCRIPT>a</SCRIPT>",
        "<script/src='a'/>",
        "<iframe src=\"http://a\"></iframe>",
        "<object data=\"a\"/>",
        "<svg><a/></svg>",
        "<style>a</style>",
        "<form action=\"a\"/>",
        "<xhtml:script xmlns:xhtml=\"http://www.w3.org/1999/xhtml\">a</xhtml:script>",
        "<p onclick=\"a\">x</p>",
        "<img src=\"a\" OnError=\"a\"/>",
        "<p\tonmouseover='a'>x</p>",
        "<p class=\"a\"onclick=\"a\">x</p>",
        "<p/onclick=\"a\">x</p>",
        "<a href=\"javascript:a\">x</a>",
        "<a href=\"JaVaScRiPt:a\">x</a>",
        "<a href=\" javascript:a\">x</a>",
        "<a href=\"java\nscript:a\">x</a>",
        "<a href=\"java&#9;script:a\">x</a>",
        "<a href=\"&#106;avascript:a\">x</a>",
        "<a href=\"&#x6A;&#x61;vascript&#58;a\">x</a>",
        "<a href=\"javascript&#x0003A;a\">x</a>",
        "<a href=\"&#1;javascript:a\">x</a>",
        "<a href=\"vbscript:a\">x</a>",
        "<a href=\"data:text/html,a\">x</a>",
        "<a href=\"data:image/png;base64,YQ==\">x</a>",
        "<img src=\"data:text/html;base64,YQ==\"/>",
        "<img src=\"javascript:a\"/>",
        "<area href=\"javascript:a\"/>",
        "<blockquote cite=\"javascript:a\">x</blockquote>",
        "<p href=\"a\">x</p>",
        "<p src=\"a\">x</p>",
        "<a href=\"a\" target=\"_blank\">x</a>",
        "<a xlink:href=\"a\">x</a>",
        "<table background=\"http://a\"/>",
        "<p style=\"background: url(http://a)\">x</p>",
        "<p style=\"background: URL(http://a)\">x</p>",
        "<p style=\"background: u\\72l(http://a)\">x</p>",
        "<p style=\"background: u/**/rl(http://a)\">x</p>",
        "<p style=\"background: &#117;rl(http://a)\">x</p>",
        "<p style=\"width: expression(a)\">x</p>",
        "<p style=\"behavior: a\">x</p>",
        "<p style=\"@import 'a'\">x</p>",
        "<!DOCTYPE a>x",
        "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///a\">]>&x;",
        "&x;",
        "<?php a ?>",
        "<![CDATA[<script>a</script>]]>",
        "<!--[if IE]><script>a</script><![endif]-->",
        "<!--><script>a</script>-->",
        "<!-- a -- b -->",
        "<!-- a",
    ] {
        assert_eq!(
            said(&format!("{OPEN}{content}</div>")),
            ["Patient.text.div invariant"],
            "{content}"
        );
    }
}

#[test]
fn what_is_not_one_well_formed_div_with_content_is_refused() {
    let deep = format!("{OPEN}{}{}</div>", "<b>".repeat(200), "</b>".repeat(200));
    for div in [
        "text",
        "<p>text</p>",
        "<divx>a</divx>",
        "<div>a",
        "<div>a</p>",
        "<div><b><i>a</b></i></div>",
        "<div>a</div><div>b</div>",
        "<div>a</div>b",
        "<div/>",
        "<div></div>",
        "<div><br>a</div>",
        "<div>a < b</div>",
        "<div>a & b</div>",
        "<div>&nbsp;</div>",
        "<div>&#0;</div>",
        "<div>&#xD800;</div>",
        "<div>&#x110000;</div>",
        "<div>&#;</div>",
        "<div>&#+65;</div>",
        "<div class=a>b</div>",
        "<div class>b</div>",
        "<div class=\"a\" class=\"b\">c</div>",
        "<div class=\"a<b\">c</div>",
        "<div class=\"a>b</div>",
        "<div xmlns=\"http://www.w3.org/2000/svg\">a</div>",
        "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p xmlns=\"urn:a\">a</p></div>",
        "<div",
        "<div ",
        "<div a",
        "<div a=",
        "<div a=\"",
        &deep,
    ] {
        assert_eq!(said(div), ["Patient.text.div invariant"], "{div}");
    }
}
