//! A fault as a flag's value: `status=503,times=3`.

use std::str::FromStr;

use super::definition::Fault;
use super::keys::{FaultError, FaultSpec};

impl FromStr for FaultSpec {
    type Err = FaultError;

    /// Parses `key=value,flag,key=value`. A comma inside a value is written `\,`.
    fn from_str(text: &str) -> Result<Self, FaultError> {
        let mut spec = Self::default();
        for part in split_at_commas(text) {
            let (key, value) = part.split_once('=').unwrap_or((&part, ""));
            if !key.trim().is_empty() {
                spec.set(key.trim(), value)?;
            }
        }
        Ok(spec)
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    /// Parses a flag's value: `status=503,times=3`.
    fn from_str(text: &str) -> Result<Self, FaultError> {
        text.parse::<FaultSpec>()?.try_into()
    }
}

fn split_at_commas(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let escaped = c == '\\' && characters.next_if_eq(&',').is_some();
        if c == ',' {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(if escaped { ',' } else { c });
        }
    }
    parts
}
