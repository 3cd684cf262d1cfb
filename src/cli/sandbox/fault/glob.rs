//! The patterns that faults name keys and paths by.

use std::fmt;

/// A pattern in which `*` stands for any characters, `/` among them, and `?` for exactly one.
///
/// A key of S3 has no folders, only slashes, so `*` does not stop at one.
#[derive(Clone, PartialEq, Eq)]
pub struct Glob(String);

impl Glob {
    /// Any text is a pattern.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self(pattern.into())
    }

    /// The pattern as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole of `text` fits.
    pub fn matches(&self, text: &str) -> bool {
        let pattern: Vec<char> = self.0.chars().collect();
        let text: Vec<char> = text.chars().collect();
        let (mut p, mut t) = (0, 0);
        // Where the last `*` stands, and the text that it is tried to end before. Only the last one ever has to give
        // way, which keeps this linear in practice and quadratic at worst.
        let mut star: Option<(usize, usize)> = None;
        while t < text.len() {
            match pattern.get(p) {
                Some('*') => {
                    star = Some((p, t));
                    p += 1;
                }
                Some(&c) if c == '?' || c == text[t] => {
                    p += 1;
                    t += 1;
                }
                _ => match star {
                    Some((at, end)) => {
                        p = at + 1;
                        t = end + 1;
                        star = Some((at, t));
                    }
                    None => return false,
                },
            }
        }
        pattern[p..].iter().all(|&c| c == '*')
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_cross_slashes_and_question_marks_take_one_character() {
        for (pattern, text) in [
            ("*", ""),
            ("*.bad*", "a/b.bad.pdf"),
            ("*.exe", "tools/setup.exe"),
            ("a*b*c", "a-b-b-c"),
            ("?.pdf", "é.pdf"),
            ("invoices/*", "invoices/2026/01.pdf"),
            ("**", "x"),
        ] {
            assert!(Glob::new(pattern).matches(text), "{pattern} {text}");
        }
        for (pattern, text) in [("", "a"), ("*.exe", "setup.exe.pdf"), ("a*b", "abc"), ("?", ""), ("A.pdf", "a.pdf")] {
            assert!(!Glob::new(pattern).matches(text), "{pattern} {text}");
        }
    }
}
