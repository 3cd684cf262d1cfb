//! A fault as a flag's value: `status=503,times=3`.

use std::{str::FromStr, time::Duration};

use jiff::SignedDuration;

use super::{
    Fault,
    spec::{FaultError, FaultSpec, NumberOrText, bad},
};

impl FromStr for FaultSpec {
    type Err = FaultError;

    /// Reads `key=value,flag,key=value`. A comma inside a value is written `\,`.
    fn from_str(text: &str) -> Result<Self, FaultError> {
        let mut spec = Self::default();
        for part in split_at_commas(text) {
            let (key, value) = part.split_once('=').unwrap_or((&part, ""));
            spec.set(key.trim(), value)?;
        }
        Ok(spec)
    }
}

impl FaultSpec {
    fn set(&mut self, key: &str, value: &str) -> Result<(), FaultError> {
        let text = || Some(value.to_owned());
        match key {
            "" => {}
            "status" => self.status = Some(number("status", value)?),
            "code" => self.code = text(),
            "message" => self.message = text(),
            "body" => self.body = text(),
            "content-type" => self.content_type = text(),
            "retry-after" => self.retry_after = Some(NumberOrText::Text(value.to_owned())),
            "header" => self.header.push(value.to_owned()),
            "hang" => self.hang = flag("hang", value)?,
            "reset" => self.reset = flag("reset", value)?,
            "truncate" => self.truncate = flag("truncate", value)?,
            "endless" => self.endless = flag("endless", value)?,
            "reject" => self.reject = text(),
            "fail-job" => self.fail_job = text(),
            "reason" => self.reason = text(),
            "latency" => self.latency = text(),
            "processed" => self.processed = flag("processed", value)?,
            "key" => self.key = text(),
            "connector" => self.connector = text().map(NumberOrText::Text),
            "path" => self.path = text(),
            "method" => self.method = text(),
            "after" => self.after = Some(number("after", value)?),
            "times" => self.times = Some(number("times", value)?),
            "random" => self.random = Some(number("random", value)?),
            _ => return Err(FaultError::UnknownKey(key.to_owned())),
        }
        Ok(())
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    /// Reads a flag's value: `status=503,times=3`.
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

fn number<T: FromStr>(key: &'static str, value: &str) -> Result<T, FaultError> {
    value.trim().parse().map_err(|_| bad(key, value, "a number of its kind"))
}

fn flag(key: &'static str, value: &str) -> Result<bool, FaultError> {
    match value.trim() {
        "" | "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(bad(key, value, "true or false")),
    }
}

/// Parses a fault's `latency`, such as `250ms`, `1h 30m` or `PT1H`.
pub(super) fn latency(text: &str) -> Result<Duration, FaultError> {
    let parsed = text.trim().parse::<SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
    parsed.ok_or_else(|| bad("latency", text, "a time such as 250ms, 2s, 1m or 1h"))
}
