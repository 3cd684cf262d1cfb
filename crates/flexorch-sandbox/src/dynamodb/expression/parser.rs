//! Tokens → a condition.

use super::super::error;
use super::super::value::Value;
use super::condition::{Comparator, Condition, Term, Test};
use super::lexer::{Token, tokens};
use super::placeholders::{Placeholders, is_reserved};
use crate::aws::error::AwsError;

/// Parses a condition. `expression` is the parameter's name, for errors.
pub(in super::super) fn condition(
    text: &str,
    expression: &'static str,
    placeholders: &mut Placeholders,
) -> Result<Condition, AwsError> {
    let mut parser = Parser::new(text, expression, placeholders)?;
    let mut terms = vec![parser.term()?];
    while parser.keyword("AND") {
        terms.push(parser.term()?);
    }
    match parser.peek() {
        None => Ok(Condition(terms)),
        Some(_) => Err(parser.unexpected()),
    }
}

struct Parser<'a> {
    tokens: Vec<Token>,
    place: usize,
    expression: &'static str,
    placeholders: &'a mut Placeholders,
}

impl<'a> Parser<'a> {
    fn new(text: &str, expression: &'static str, placeholders: &'a mut Placeholders) -> Result<Self, AwsError> {
        if text.trim().is_empty() {
            let message = format!("Invalid {expression}: The expression can not be empty;");
            return Err(error::validation(message));
        }
        let tokens = tokens(text).map_err(|c| {
            error::validation(format!("Invalid {expression}: Syntax error; token: \"{c}\", near: \"{c}\""))
        })?;
        Ok(Self { tokens, place: 0, expression, placeholders })
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.place)
    }

    /// Consumes a keyword, in any case, if it is next.
    fn keyword(&mut self, keyword: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(keyword));
        self.place += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<(), AwsError> {
        match self.peek() {
            Some(Token::Symbol(next)) if *next == symbol => {
                self.place += 1;
                Ok(())
            }
            _ => Err(self.unexpected()),
        }
    }

    fn error(&self, message: impl std::fmt::Display) -> AwsError {
        error::validation(format!("Invalid {}: {message}", self.expression))
    }

    /// Returns the error of the next token.
    fn unexpected(&self) -> AwsError {
        let from = self.place.saturating_sub(1).min(self.tokens.len());
        let near = self.tokens[from..].iter().take(3).map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let token = self.peek().map_or_else(|| "<EOF>".to_owned(), ToString::to_string);
        self.error(format_args!("Syntax error; token: \"{token}\", near: \"{near}\""))
    }

    /// Parses a function's call or a comparison.
    fn term(&mut self) -> Result<Term, AwsError> {
        if let (Some(Token::Word(name)), Some(Token::Symbol("("))) = (self.peek(), self.tokens.get(self.place + 1)) {
            let name = name.clone();
            self.place += 2;
            return self.call(&name);
        }
        let attribute = self.attribute()?;
        if self.keyword("BETWEEN") {
            let low = self.value(&["S", "N"])?;
            if !self.keyword("AND") {
                return Err(self.unexpected());
            }
            return Ok(Term { attribute, test: Test::Between(low, self.value(&["S", "N"])?) });
        }
        let comparator = match self.peek() {
            Some(Token::Symbol(symbol)) => Comparator::of(symbol),
            _ => None,
        };
        let comparator = comparator.ok_or_else(|| self.unexpected())?;
        self.place += 1;
        let value = match comparator {
            Comparator::Equal => self.value(&["S", "N", "BOOL", "L", "M"])?,
            _ => self.value(&["S", "N"])?,
        };
        Ok(Term { attribute, test: Test::Compare(comparator, value) })
    }

    /// Parses a function's parameters and its closing parenthesis.
    fn call(&mut self, function: &str) -> Result<Term, AwsError> {
        let attribute = self.attribute()?;
        let test = match function {
            "attribute_exists" => Test::Exists,
            "attribute_not_exists" => Test::NotExists,
            "begins_with" => {
                self.expect(",")?;
                Test::BeginsWith(self.value(&["S"])?)
            }
            "contains" => {
                self.expect(",")?;
                Test::Contains(self.value(&["S"])?)
            }
            _ => return Err(self.error(format_args!("Invalid function name; function: {function}"))),
        };
        self.expect(")")?;
        Ok(Term { attribute, test })
    }

    /// Parses the placeholder of a value of one of these types.
    fn value(&mut self, kinds: &[&str]) -> Result<Value, AwsError> {
        let Some(Token::ValuePlaceholder(name)) = self.peek().cloned() else {
            return Err(self.unexpected());
        };
        self.place += 1;
        let value = self.placeholders.value(&name, self.expression)?;
        if !kinds.contains(&value.kind()) {
            let message = "Incorrect operand type for operator or function; operand type:";
            return Err(self.error(format_args!("{message} {}", value.kind())));
        }
        Ok(value)
    }

    /// Parses an attribute's name or its placeholder.
    fn attribute(&mut self) -> Result<String, AwsError> {
        let name = match self.peek().cloned() {
            Some(Token::NamePlaceholder(name)) => self.placeholders.name(&name, self.expression)?,
            Some(Token::Word(word)) if is_reserved(&word) => {
                return Err(self.error(format_args!("Attribute name is a reserved keyword; reserved keyword: {word}")));
            }
            Some(Token::Word(word)) => word,
            _ => return Err(self.unexpected()),
        };
        self.place += 1;
        Ok(name)
    }
}
