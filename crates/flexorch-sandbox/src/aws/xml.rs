//! Elements of AWS's XML documents. Pure.

/// Adds an element with this text.
pub(crate) fn element(xml: &mut String, name: &str, text: &str) {
    for part in ["<", name, ">"] {
        xml.push_str(part);
    }
    escape(xml, text);
    for part in ["</", name, ">"] {
        xml.push_str(part);
    }
}

/// Adds text, escaped. S3 writes references even to characters of a key that XML 1.0 does not allow; `encoding-type=url` is there for
/// parsers that refuse them.
pub(crate) fn escape(xml: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '&' => xml.push_str("&amp;"),
            '"' => xml.push_str("&quot;"),
            '\'' => xml.push_str("&apos;"),
            // Parsers would read a bare CR as LF.
            '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                xml.push_str(&format!("&#x{:x};", u32::from(c)));
            }
            c => xml.push(c),
        }
    }
}
