//! What the keys of a fault mean together.

use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

use super::definition::{CannedResponse, Effect, Fault, Filter};
use super::keys::{FaultError, FaultSpec, NumberOrText, Role, bad};

impl FaultSpec {
    /// Refuses two effects, none, and keys that would be ignored: a rehearsal in which nothing happens looks like a passed one.
    fn check(&self) -> Result<(), FaultError> {
        let given = self.given();
        let effects: Vec<_> = given.iter().filter(|(_, role)| *role == Role::Effect).map(|(key, _)| *key).collect();
        match effects[..] {
            [] if self.latency.is_none() => return Err(FaultError::Nothing),
            [first, second, ..] => return Err(FaultError::TwoEffects(first, second)),
            _ => {}
        }
        for (key, role) in given {
            if let Role::Detail(of) = role
                && !effects.iter().any(|effect| of.contains(effect))
            {
                return Err(FaultError::Without { key, effects: of });
            }
        }
        Ok(())
    }

    /// Returns the one effect that the keys describe.
    fn effect(&self) -> Result<Effect, FaultError> {
        Ok(match self {
            Self { status: Some(status), .. } => Effect::Respond(self.response(*status)?),
            Self { hang: true, .. } => Effect::Hang,
            Self { reset: true, .. } => Effect::Reset,
            Self { truncate: true, .. } => Effect::Truncate,
            Self { endless: true, .. } => Effect::Endless,
            Self { reject: Some(files), code, .. } => Effect::Reject {
                files: WildMatch::new(files),
                code: code.clone().unwrap_or_else(|| "UNSUPPORTED_FILE".to_owned()),
            },
            Self { fail_job: Some(files), reason, .. } => Effect::FailJob {
                files: WildMatch::new(files),
                reason: reason.clone().unwrap_or_else(|| "rehearsed failure".to_owned()),
            },
            _ => Effect::Delay,
        })
    }

    fn response(&self, status: u16) -> Result<CannedResponse, FaultError> {
        if !(200..=599).contains(&status) {
            return Err(bad("status", status, "an HTTP status from 200 to 599"));
        }
        // A line break would end the header early.
        if let Some(line) = self.header.iter().chain(&self.content_type).find(|line| line.contains(char::is_control)) {
            return Err(bad("header", line.escape_debug(), "one line"));
        }
        if let Some(header) = self.header.iter().find(|line| !line.contains(':')) {
            return Err(bad("header", header, "a header, Name: value"));
        }
        Ok(CannedResponse {
            status,
            code: self.code.clone(),
            message: self.message.clone(),
            body: self.body.clone(),
            content_type: self.content_type.clone(),
            retry_after: self.retry_after.as_ref().map(ToString::to_string),
            headers: self.header.clone(),
        })
    }
}

impl TryFrom<FaultSpec> for Fault {
    type Error = FaultError;

    fn try_from(spec: FaultSpec) -> Result<Self, FaultError> {
        spec.check()?;
        if let Some(chance) = spec.random
            && !(0.0..=1.0).contains(&chance)
        {
            return Err(bad("random", chance, "a chance from 0 to 1"));
        }
        Ok(Self {
            effect: spec.effect()?,
            latency: spec.latency.as_deref().map_or(Ok(Duration::ZERO), latency)?,
            filter: Filter {
                key: spec.key.as_deref().map(WildMatch::new),
                connector: spec.connector.map(|id| id.to_string()),
                path: spec.path.as_deref().map(WildMatch::new),
                method: spec.method,
                after: spec.after.unwrap_or(0),
                times: spec.times,
                random: spec.random,
            },
            processed: spec.processed,
        })
    }
}

/// Parses a latency, such as `250ms`, `1h 30m` or `PT1H`.
fn latency(text: &str) -> Result<Duration, FaultError> {
    let parsed = text.trim().parse::<SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
    parsed.ok_or_else(|| bad("latency", text, "a time such as 250ms, 2s, 1m or 1h"))
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
            Effect::Respond(response) => {
                spec.status = Some(response.status);
                spec.code = response.code.clone();
                spec.message = response.message.clone();
                spec.body = response.body.clone();
                spec.content_type = response.content_type.clone();
                spec.retry_after = response.retry_after.clone().map(NumberOrText::Text);
                spec.header = response.headers.clone();
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

#[cfg(test)]
#[path = "meaning_tests.rs"]
mod tests;
