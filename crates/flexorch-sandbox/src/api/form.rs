//! `application/x-www-form-urlencoded`, which the SDKs send.

use percent_encoding::percent_decode_str;

/// Returns the fields in their order, decoded. An invalid escape is kept unchanged, as in the URL standard.
pub(crate) fn decode(body: &str) -> Vec<(String, String)> {
    body.split('&')
        .filter(|field| !field.is_empty())
        .map(|field| {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            (decode_part(name), decode_part(value))
        })
        .collect()
}

fn decode_part(part: &str) -> String {
    percent_decode_str(&part.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plus_is_a_space_and_escapes_are_utf8() {
        assert_eq!(
            decode("a=1+2%2B3&b=%C3%A9&c&=x&"),
            [("a", "1 2+3"), ("b", "é"), ("c", ""), ("", "x")].map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn a_broken_escape_stands_for_itself() {
        for broken in ["100%", "%zz", "%4", "%+1"] {
            let expected = broken.replace('+', " ");
            assert_eq!(decode(broken), [(expected, String::new())]);
        }
    }
}
