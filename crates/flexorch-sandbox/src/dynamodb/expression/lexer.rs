//! The tokens of an expression.

use std::fmt;

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A name or a keyword, unchanged.
    Word(String),
    /// `#name`, with the sign.
    NamePlaceholder(String),
    /// `:value`, with the sign.
    ValuePlaceholder(String),
    /// An operator, a parenthesis or a comma.
    Symbol(&'static str),
}

/// Longer ones first.
const SYMBOLS: [&str; 8] = ["<=", ">=", "<", ">", "=", "(", ")", ","];

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(text) | Self::NamePlaceholder(text) | Self::ValuePlaceholder(text) => f.write_str(text),
            Self::Symbol(symbol) => f.write_str(symbol),
        }
    }
}

/// Splits an expression into tokens; the error is the character that begins none.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, char> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '#' | ':' => {
                let length = 1 + word_length(&rest[1..]);
                let name = rest[..length].to_owned();
                if length == 1 {
                    return Err(first);
                }
                (if first == '#' { Token::NamePlaceholder(name) } else { Token::ValuePlaceholder(name) }, length)
            }
            _ if is_of_word(first) => {
                let length = word_length(rest);
                (Token::Word(rest[..length].to_owned()), length)
            }
            _ => {
                let symbol = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol)).ok_or(first)?;
                (Token::Symbol(symbol), symbol.len())
            }
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn word_length(text: &str) -> usize {
    text.find(|c| !is_of_word(c)).unwrap_or(text.len())
}
