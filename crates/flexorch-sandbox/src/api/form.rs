//! `application/x-www-form-urlencoded`, as the SDKs send it.

/// The fields in their order, decoded. What is not a valid escape stands for itself, as in the URL standard.
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
    let bytes = part.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = (byte == b'%').then(|| hex_pair(bytes.get(at + 1..at + 3)?)).flatten();
        match (byte, escaped) {
            (_, Some(value)) => {
                decoded.push(value);
                at += 2;
            }
            (b'+', None) => decoded.push(b' '),
            (other, None) => decoded.push(other),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex_pair(pair: &[u8]) -> Option<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let value = digit(pair.first()?)? * 16 + digit(pair.get(1)?)?;
    u8::try_from(value).ok()
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
