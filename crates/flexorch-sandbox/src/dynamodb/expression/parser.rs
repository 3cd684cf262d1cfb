//! Tokens → conditions, projections and updates, by recursive descent.

use std::ops::Range;

use super::super::error::DynamoError;
use super::condition::{Comparator, Condition, Operand};
use super::lexer::{Token, tokens};
use super::path::{Path, Step};
use super::placeholders::{Placeholders, is_reserved};
use super::update::{Source, Update};

/// The deepest nesting of parentheses and NOT: more would be a mistake, and could exhaust the stack.
const DEEPEST: usize = 100;

/// Parses a condition. `expression` is the parameter's name, for errors.
pub(in super::super) fn condition(
    text: &str,
    expression: &'static str,
    placeholders: &mut Placeholders,
) -> Result<Condition, DynamoError> {
    let mut parser = Parser::new(text, expression, placeholders)?;
    let condition = parser.or()?;
    parser.end(condition)
}

/// Parses `ProjectionExpression`.
pub(in super::super) fn projection(text: &str, placeholders: &mut Placeholders) -> Result<Vec<Path>, DynamoError> {
    let mut parser = Parser::new(text, "ProjectionExpression", placeholders)?;
    let paths = parser.list(Parser::path)?;
    parser.end(paths)
}

/// Parses `UpdateExpression`.
pub(in super::super) fn update(text: &str, placeholders: &mut Placeholders) -> Result<Update, DynamoError> {
    let mut parser = Parser::new(text, "UpdateExpression", placeholders)?;
    let mut update = Update::default();
    while parser.peek().is_some() {
        if parser.keyword("SET") {
            update.set.extend(parser.list(Parser::assignment)?);
        } else if parser.keyword("REMOVE") {
            update.remove.extend(parser.list(Parser::attribute)?);
        } else if parser.keyword("ADD") {
            update.add.extend(parser.list(|parser| Ok((parser.attribute()?, parser.value()?)))?);
        } else {
            return Err(parser.unexpected());
        }
    }
    let mut names: Vec<&str> = update.attributes().collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        let message = format!(
            "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [{0}], path two: [{0}]",
            pair[0]
        );
        return Err(DynamoError::validation(format!("Invalid UpdateExpression: {message}")));
    }
    Ok(update)
}

struct Parser<'a> {
    tokens: Vec<Token>,
    place: usize,
    depth: usize,
    /// The tokens of the last condition in parentheses.
    group: Option<Range<usize>>,
    expression: &'static str,
    placeholders: &'a mut Placeholders,
}

impl<'a> Parser<'a> {
    fn new(text: &str, expression: &'static str, placeholders: &'a mut Placeholders) -> Result<Self, DynamoError> {
        if text.trim().is_empty() {
            let message = format!("Invalid {expression}: The expression can not be empty;");
            return Err(DynamoError::validation(message));
        }
        let tokens = tokens(text).map_err(|c| {
            DynamoError::validation(format!("Invalid {expression}: Syntax error; token: \"{c}\", near: \"{c}\""))
        })?;
        Ok(Self { tokens, place: 0, depth: 0, group: None, expression, placeholders })
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.place)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.place += 1;
        token
    }

    /// Consumes a keyword, in any case, if it is next.
    fn keyword(&mut self, keyword: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.is_keyword(keyword));
        self.place += usize::from(found);
        found
    }

    /// Consumes a symbol if it is next.
    fn symbol(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Symbol(next)) if *next == symbol);
        self.place += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<(), DynamoError> {
        if self.symbol(symbol) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn end<T>(&self, parsed: T) -> Result<T, DynamoError> {
        if self.peek().is_none() { Ok(parsed) } else { Err(self.unexpected()) }
    }

    fn error(&self, message: impl std::fmt::Display) -> DynamoError {
        DynamoError::validation(format!("Invalid {}: {message}", self.expression))
    }

    /// Returns the error of the next token.
    fn unexpected(&self) -> DynamoError {
        let from = self.place.saturating_sub(1).min(self.tokens.len());
        let near = self.tokens[from..].iter().take(3).map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let token = self.peek().map_or_else(|| "<EOF>".to_owned(), ToString::to_string);
        self.error(format_args!("Syntax error; token: \"{token}\", near: \"{near}\""))
    }

    fn list<T>(&mut self, mut part: impl FnMut(&mut Self) -> Result<T, DynamoError>) -> Result<Vec<T>, DynamoError> {
        let mut parts = vec![part(self)?];
        while self.symbol(",") {
            parts.push(part(self)?);
        }
        Ok(parts)
    }

    fn or(&mut self) -> Result<Condition, DynamoError> {
        let mut left = self.and()?;
        while self.keyword("OR") {
            left = Condition::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Condition, DynamoError> {
        let mut left = self.not()?;
        while self.keyword("AND") {
            left = Condition::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Condition, DynamoError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.error("The expression is nested too deeply"));
        }
        let condition = if self.keyword("NOT") {
            Condition::Not(Box::new(self.not()?))
        } else if self.symbol("(") {
            let start = self.place;
            let inner = self.or()?;
            if self.group == Some(start..self.place) {
                return Err(self.error("The expression has redundant parentheses;"));
            }
            self.expect(")")?;
            self.group = Some(start - 1..self.place);
            inner
        } else {
            self.simple()?
        };
        self.depth -= 1;
        Ok(condition)
    }

    /// A function, or a comparison.
    fn simple(&mut self) -> Result<Condition, DynamoError> {
        if let Some(function) = self.function()
            && function != "size"
        {
            return self.call(&function);
        }
        let left = self.operand()?;
        if self.keyword("BETWEEN") {
            let low = self.operand()?;
            if !self.keyword("AND") {
                return Err(self.unexpected());
            }
            let high = self.operand()?;
            for operand in [&left, &low, &high] {
                self.check_type(operand, &["S", "N", "B"])?;
            }
            return Ok(Condition::Between(left, low, high));
        }
        if self.keyword("IN") {
            self.expect("(")?;
            let list = self.list(Self::operand)?;
            self.expect(")")?;
            return Ok(Condition::In(left, list));
        }
        let comparator = match self.peek() {
            Some(Token::Symbol(symbol)) => Comparator::of(symbol),
            _ => None,
        };
        let comparator = comparator.ok_or_else(|| self.unexpected())?;
        self.place += 1;
        let right = self.operand()?;
        if comparator.needs_order() {
            self.check_type(&left, &["S", "N", "B"])?;
            self.check_type(&right, &["S", "N", "B"])?;
        }
        if left == right {
            let message =
                "The first operand must be distinct from the remaining operands for this operator or function;";
            return Err(self.error(message));
        }
        Ok(Condition::Compare(left, comparator, right))
    }

    /// Refuses a value whose type an operator or a function does not have.
    fn check_type(&self, operand: &Operand, kinds: &[&str]) -> Result<(), DynamoError> {
        match operand {
            Operand::Value(value) if !kinds.contains(&value.kind()) => {
                let message = "Incorrect operand type for operator or function; operand type:";
                Err(self.error(format_args!("{message} {}", value.kind())))
            }
            _ => Ok(()),
        }
    }

    /// Returns the name of the function that is called next, if one is.
    fn function(&self) -> Option<String> {
        match (self.peek(), self.tokens.get(self.place + 1)) {
            (Some(Token::Word(name)), Some(Token::Symbol("("))) => Some(name.clone()),
            _ => None,
        }
    }

    fn call(&mut self, function: &str) -> Result<Condition, DynamoError> {
        self.place += 2;
        let condition = match function {
            "attribute_exists" => Condition::Exists(self.path()?),
            "attribute_not_exists" => Condition::NotExists(self.path()?),
            "attribute_type" => {
                let path = self.path()?;
                self.expect(",")?;
                Condition::HasType(path, self.operand()?)
            }
            "begins_with" | "contains" => {
                let value = self.operand()?;
                self.expect(",")?;
                let part = self.operand()?;
                if function == "begins_with" {
                    self.check_type(&part, &["S", "B"])?;
                }
                if function == "contains" {
                    Condition::Contains(value, part)
                } else {
                    Condition::BeginsWith(value, part)
                }
            }
            _ => return Err(self.error(format_args!("Invalid function name; function: {function}"))),
        };
        self.expect(")")?;
        Ok(condition)
    }

    fn operand(&mut self) -> Result<Operand, DynamoError> {
        if self.function().as_deref() == Some("size") {
            self.place += 2;
            let path = self.path()?;
            self.expect(")")?;
            return Ok(Operand::Size(path));
        }
        match self.peek() {
            Some(Token::ValuePlaceholder(_)) => Ok(Operand::Value(self.value()?)),
            _ => Ok(Operand::Path(self.path()?)),
        }
    }

    fn value(&mut self) -> Result<super::super::value::Value, DynamoError> {
        match self.peek().cloned() {
            Some(Token::ValuePlaceholder(name)) => {
                self.place += 1;
                self.placeholders.value(&name, self.expression)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn name(&mut self) -> Result<String, DynamoError> {
        match self.peek().cloned() {
            Some(Token::NamePlaceholder(name)) => {
                self.place += 1;
                self.placeholders.name(&name, self.expression)
            }
            Some(Token::Word(word)) if is_reserved(&word) => {
                Err(self.error(format_args!("Attribute name is a reserved keyword; reserved keyword: {word}")))
            }
            Some(Token::Word(word)) => {
                self.place += 1;
                Ok(word)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn path(&mut self) -> Result<Path, DynamoError> {
        let attribute = self.name()?;
        let mut inner = Vec::new();
        loop {
            if self.symbol(".") {
                inner.push(Step::Name(self.name()?));
            } else if self.symbol("[") {
                let Some(Token::Index(index)) = self.next() else {
                    self.place -= 1;
                    return Err(self.unexpected());
                };
                inner.push(Step::Index(index));
                self.expect("]")?;
            } else {
                return Ok(Path { attribute, inner });
            }
        }
    }

    /// A whole attribute.
    fn attribute(&mut self) -> Result<String, DynamoError> {
        let path = self.path()?;
        let name = path.whole_attribute().map(str::to_owned);
        name.ok_or_else(|| self.error("The sandbox updates whole attributes only"))
    }

    fn assignment(&mut self) -> Result<(String, Source), DynamoError> {
        let attribute = self.attribute()?;
        self.expect("=")?;
        let left = self.source()?;
        let negated = self.symbol("-");
        if !negated && !self.symbol("+") {
            return Ok((attribute, left));
        }
        Ok((attribute, Source::Sum(Box::new(left), Box::new(self.source()?), negated)))
    }

    fn source(&mut self) -> Result<Source, DynamoError> {
        if let Some(function) = self.function() {
            if function != "if_not_exists" {
                return Err(self.error(format_args!("Invalid function name; function: {function}")));
            }
            self.place += 2;
            let path = self.path()?;
            self.expect(",")?;
            let other = self.source()?;
            self.expect(")")?;
            return Ok(Source::IfNotExists(path, Box::new(other)));
        }
        match self.operand()? {
            Operand::Value(value) => Ok(Source::Value(value)),
            Operand::Path(path) => Ok(Source::Path(path)),
            Operand::Size(_) => Err(self.error("Invalid function name; function: size")),
        }
    }
}
