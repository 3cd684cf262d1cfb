//! The month's credits, which are used up long before the rate of a small plan is.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::{CallError, Management};
use crate::text::friendly;
use flexorch_s3_ingester::flexorch::response::ApiError;

/// What is only shown is not waited for longer than this.
pub(crate) const SHOWN_WITHIN: Duration = Duration::from_secs(5);

/// A document costs 1 credit with the deterministic engine and 2 to 3 with local AI; a premium model costs 5 to 15 (FlexOrch
/// documentation, `concepts.mdx`).
const USUAL_CREDITS_PER_DOCUMENT: u64 = 3;

/// The month's credits, as far as FlexOrch names them. Nothing in it is an error if it is missing: what is not known is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Credits {
    pub(crate) plan: Option<String>,
    /// Whether FlexOrch says that there is no limit.
    pub(crate) unlimited: bool,
    /// Credits used this month.
    pub(crate) used: Option<u64>,
    /// Credits of a month.
    pub(crate) limit: Option<u64>,
    /// Credits left this month.
    pub(crate) remaining: Option<u64>,
    /// When the trial ends, as FlexOrch writes it.
    pub(crate) trial_ends_at: Option<String>,
}

/// How many documents some credits are enough for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Documents {
    /// With local AI. A premium model takes up to five times as many credits.
    pub(crate) at_least: u64,
    /// With the deterministic engine.
    pub(crate) at_most: u64,
}

/// Returns how many credits these documents need at least and, without a premium model, at most.
pub(crate) fn credits_for(documents: u64) -> (u64, u64) {
    (documents, documents.saturating_mul(USUAL_CREDITS_PER_DOCUMENT))
}

impl Management {
    /// Reads the month's credits: `GET /usage`. A response of an unknown shape is not an error, but names no credits.
    pub(crate) async fn credits(&self) -> Result<Credits, CallError> {
        Ok(Credits::from_json(&self.get("usage").await?.value()))
    }

    /// Reads them for a plan, where they are only shown, so a slow response is not waited for.
    pub(crate) async fn credits_in_time(&self) -> Result<Credits, CallError> {
        tokio::time::timeout(SHOWN_WITHIN, self.credits()).await.unwrap_or_else(|_| {
            let error = ApiError::transport(format!("no response within {}", friendly(SHOWN_WITHIN)));
            Err(CallError { call: "GET /usage".to_owned(), error, retry_in: None })
        })
    }
}

impl Credits {
    /// Reads the shape of FlexOrch's SDKs (`usage.credits.remaining`), the same without its outer objects, and flat fields
    /// (`credits_remaining`).
    pub(crate) fn from_json(value: &Value) -> Self {
        let usage = value.get("usage").unwrap_or(value);
        let credits = usage.get("credits").filter(|credits| credits.is_object());
        let number = |name: &str| match credits {
            Some(credits) => &credits[name],
            None => &usage[format!("credits_{name}").as_str()],
        };
        let is_unlimited = |place: Option<&Value>| place.is_some_and(|place| place["unlimited"] == Value::Bool(true));
        // A negative limit is a common way to write that there is none.
        let unlimited = is_unlimited(credits)
            || is_unlimited(Some(value))
            || number("limit").as_f64().is_some_and(|limit| limit < 0.0);
        let [used, limit, remaining] = ["used", "limit", "remaining"].map(|name| whole(number(name)));
        let limit = limit.filter(|_| !unlimited);
        Self {
            plan: value["plan"].as_str().map(str::to_owned),
            unlimited,
            used,
            limit,
            remaining: remaining.filter(|_| !unlimited).or_else(|| Some(limit?.saturating_sub(used?))),
            trial_ends_at: value["trial"]["trial_ends_at"].as_str().map(str::to_owned),
        }
    }

    /// Returns how many documents the rest of the month's credits is enough for, if that is known.
    pub(crate) fn documents(&self) -> Option<Documents> {
        let left = self.remaining?;
        Some(Documents { at_least: left / USUAL_CREDITS_PER_DOCUMENT, at_most: left })
    }
}

/// Returns a number rounded down, and 0 for a negative one: more may have been used than the plan has.
fn whole(number: &Value) -> Option<u64> {
    number.as_u64().or_else(|| number.as_f64().map(|number| number as u64))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn credits_are_read_from_every_shape() {
        for shape in [
            json!({"plan": "starter", "usage": {"credits": {"used": 500, "limit": 1200, "remaining": 700}}}),
            json!({"plan": "starter", "credits": {"used": 500.25, "limit": 1200.0, "remaining": 700.75}}),
            json!({"plan": "starter", "credits_used": 500, "credits_limit": 1200}),
        ] {
            let credits = Credits::from_json(&shape);
            let seen = (credits.used, credits.limit, credits.remaining, credits.plan.as_deref());
            assert_eq!(seen, (Some(500), Some(1200), Some(700), Some("starter")), "{shape}");
            assert_eq!(credits.documents(), Some(Documents { at_least: 233, at_most: 700 }));
        }
        let over = json!({"usage": {"credits": {"used": 1210, "limit": 1200, "remaining": -10}}});
        assert_eq!(Credits::from_json(&over).remaining, Some(0));
    }

    #[test]
    fn no_limit_and_an_unknown_one_are_told_apart() {
        for shape in
            [json!({"unlimited": true}), json!({"usage": {"credits": {"used": 7, "limit": -1, "remaining": -1}}})]
        {
            let credits = Credits::from_json(&shape);
            assert!(credits.unlimited && credits.limit.is_none() && credits.remaining.is_none(), "{shape}");
        }
        for shape in [json!(null), json!([]), json!({"usage": "many"}), json!({"usage": {"credits": {"limit": null}}})]
        {
            assert_eq!(Credits::from_json(&shape), Credits::default(), "{shape}");
        }
    }
}
