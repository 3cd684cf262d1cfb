//! How a fault is written down, and what makes sense together.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use wildmatch::WildMatch;

use super::{CannedAnswer, Effect, Fault, Filter, flag};

/// A fault as it is written: every field by itself, not yet checked. [`Fault`] is what it means.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "kebab-case",
    deny_unknown_fields,
    default,
    expecting = "a fault, such as {\"status\": 503, \"times\": 3}"
)]
#[expect(missing_docs, reason = "each field is the key of the same name that `Fault` describes")]
pub struct FaultSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    #[serde(alias = "content_type", skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(alias = "retry_after", skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<NumberOrText>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub header: Vec<String>,
    #[serde(skip_serializing_if = "is_false")]
    pub hang: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub reset: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub truncate: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub endless: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reject: Option<String>,
    #[serde(alias = "fail_job", skip_serializing_if = "Option::is_none")]
    pub fail_job: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    pub processed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector: Option<NumberOrText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub random: Option<f64>,
}

/// A `Retry-After` or a connector's id, which people write as a number as well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum NumberOrText {
    /// Without quotes in JSON.
    Number(u64),
    /// Any text, an HTTP date for example.
    Text(String),
}

impl fmt::Display for NumberOrText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Why a fault cannot be understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// A key that no fault has.
    #[error(
        "a fault has no {0:?}: use status, code, message, body, content-type, retry-after, header, hang, reset, \
         truncate, endless, reject, fail-job, reason, latency, processed, key, connector, path, method, after, times \
         or random"
    )]
    UnknownKey(String),
    /// A value that is not of the key's kind.
    #[error("{key}={value:?} is not {expected}")]
    BadValue {
        /// The key.
        key: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// Two effects in one fault.
    #[error("one fault has one effect, and this one has {0} and {1}: write two faults (they are tried in their order)")]
    TwoEffects(&'static str, &'static str),
    /// A key that says more about an effect that is not there.
    #[error("{0} means nothing without {1}")]
    Without(&'static str, &'static str),
    /// Neither an effect nor a latency.
    #[error(
        "the fault says nothing about what goes wrong: add status, latency, hang, reset, truncate, endless, reject or fail-job"
    )]
    Nothing,
}

/// The `error.code` that FlexOrch documents for a status, or the nearest there is.
pub(crate) fn default_code(status: u16) -> &'static str {
    match status {
        400 => "MISSING_INPUT",
        401 => "INVALID_API_KEY",
        402 => "TRIAL_EXPIRED",
        403 => "PLAN_UPGRADE_REQUIRED",
        404 => "NOT_FOUND",
        408 => "REQUEST_TIMEOUT",
        413 => "FILE_TOO_LARGE",
        415 => "UNSUPPORTED_FILE",
        422 => "VALIDATION_ERROR",
        429 => "RATE_LIMIT_EXCEEDED",
        502 => "BAD_GATEWAY",
        503 => "SERVICE_UNAVAILABLE",
        504 => "GATEWAY_TIMEOUT",
        500..=599 => "INTERNAL_ERROR",
        _ => "ERROR",
    }
}

impl FaultSpec {
    /// The one effect that the fields describe.
    fn effect(&self) -> Result<Effect, FaultError> {
        let mut found: Option<(&'static str, Effect)> = None;
        let mut add = |name, effect: Option<Effect>| match (&found, effect) {
            (_, None) => Ok(()),
            (Some((first, _)), Some(_)) => Err(FaultError::TwoEffects(first, name)),
            (None, Some(effect)) => {
                found = Some((name, effect));
                Ok(())
            }
        };
        add("status", self.answer()?.map(Effect::Answer))?;
        add("hang", self.hang.then_some(Effect::Hang))?;
        add("reset", self.reset.then_some(Effect::Reset))?;
        add("truncate", self.truncate.then_some(Effect::Truncate))?;
        add("endless", self.endless.then_some(Effect::Endless))?;
        let code = self.code.as_deref().unwrap_or("UNSUPPORTED_FILE");
        let reject =
            self.reject.as_ref().map(|files| Effect::Reject { files: WildMatch::new(files), code: code.to_owned() });
        add("reject", reject)?;
        let reason = self.reason.as_deref().unwrap_or("rehearsed failure");
        let fail_job = self
            .fail_job
            .as_ref()
            .map(|files| Effect::FailJob { files: WildMatch::new(files), reason: reason.to_owned() });
        add("fail-job", fail_job)?;
        match found {
            Some((_, effect)) => Ok(effect),
            None if self.latency.is_some() => Ok(Effect::Delay),
            None => Err(FaultError::Nothing),
        }
    }

    fn answer(&self) -> Result<Option<CannedAnswer>, FaultError> {
        let Some(status) = self.status else {
            return Ok(None);
        };
        if !(200..=599).contains(&status) {
            return Err(bad("status", status, "an HTTP status from 200 to 599"));
        }
        // A line break would end the header early.
        let lines = [&self.content_type].into_iter().flatten();
        for line in self.header.iter().chain(lines) {
            if line.chars().any(char::is_control) {
                return Err(bad("header", line.escape_debug(), "one line"));
            }
        }
        if let Some(header) = self.header.iter().find(|line| !line.contains(':')) {
            return Err(bad("header", header, "a header, Name: value"));
        }
        Ok(Some(CannedAnswer {
            status,
            code: self.code.clone(),
            message: self.message.clone(),
            body: self.body.clone(),
            content_type: self.content_type.clone(),
            retry_after: self.retry_after.as_ref().map(ToString::to_string),
            headers: self.header.clone(),
        }))
    }

    /// Refuses the keys that would be ignored, because a rehearsal that does nothing looks like a passed one.
    fn refuse_strays(&self) -> Result<(), FaultError> {
        if self.status.is_none() {
            let strays = [
                ("message", self.message.is_some()),
                ("body", self.body.is_some()),
                ("content-type", self.content_type.is_some()),
                ("retry-after", self.retry_after.is_some()),
                ("header", !self.header.is_empty()),
            ];
            if let Some((stray, _)) = strays.into_iter().find(|(_, given)| *given) {
                return Err(FaultError::Without(stray, "status"));
            }
            if self.code.is_some() && self.reject.is_none() {
                return Err(FaultError::Without("code", "status or reject"));
            }
        }
        if self.reason.is_some() && self.fail_job.is_none() {
            return Err(FaultError::Without("reason", "fail-job"));
        }
        Ok(())
    }
}

impl TryFrom<FaultSpec> for Fault {
    type Error = FaultError;

    fn try_from(spec: FaultSpec) -> Result<Self, FaultError> {
        let effect = spec.effect()?;
        spec.refuse_strays()?;
        if let Some(chance) = spec.random
            && !(0.0..=1.0).contains(&chance)
        {
            return Err(bad("random", chance, "a chance from 0 to 1"));
        }
        let latency = match &spec.latency {
            Some(latency) => flag::latency(latency)?,
            None => Duration::ZERO,
        };
        Ok(Self {
            filter: Filter {
                key: spec.key.as_deref().map(WildMatch::new),
                connector: spec.connector.map(|id| id.to_string()),
                path: spec.path.as_deref().map(WildMatch::new),
                method: spec.method,
                after: spec.after.unwrap_or(0),
                times: spec.times,
                random: spec.random,
            },
            latency,
            effect,
            processed: spec.processed,
        })
    }
}

impl From<&Fault> for FaultSpec {
    fn from(fault: &Fault) -> Self {
        let filter = &fault.filter;
        let pattern = |pattern: &Option<WildMatch>| pattern.as_ref().map(WildMatch::pattern);
        let mut spec = Self {
            latency: (!fault.latency.is_zero()).then(|| format!("{}ms", fault.latency.as_millis())),
            processed: fault.processed,
            key: pattern(&filter.key),
            connector: filter.connector.clone().map(NumberOrText::Text),
            path: pattern(&filter.path),
            method: filter.method.clone(),
            after: (filter.after > 0).then_some(filter.after),
            times: filter.times,
            random: filter.random,
            ..Self::default()
        };
        match &fault.effect {
            Effect::Delay => {}
            Effect::Answer(answer) => {
                spec.status = Some(answer.status);
                spec.code = answer.code.clone();
                spec.message = answer.message.clone();
                spec.body = answer.body.clone();
                spec.content_type = answer.content_type.clone();
                spec.retry_after = answer.retry_after.clone().map(NumberOrText::Text);
                spec.header = answer.headers.clone();
            }
            Effect::Hang => spec.hang = true,
            Effect::Reset => spec.reset = true,
            Effect::Truncate => spec.truncate = true,
            Effect::Endless => spec.endless = true,
            Effect::Reject { files, code } => {
                spec.reject = Some(files.pattern());
                spec.code = Some(code.clone());
            }
            Effect::FailJob { files, reason } => {
                spec.fail_job = Some(files.pattern());
                spec.reason = Some(reason.clone());
            }
        }
        spec
    }
}

impl Serialize for Fault {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        FaultSpec::from(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Fault {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        FaultSpec::deserialize(deserializer)?.try_into().map_err(serde::de::Error::custom)
    }
}

pub(super) fn bad(key: &'static str, value: impl ToString, expected: &'static str) -> FaultError {
    FaultError::BadValue { key, value: value.to_string(), expected }
}

#[cfg(test)]
#[path = "spec_tests.rs"]
mod tests;
