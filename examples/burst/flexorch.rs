//! FlexOrch as it is seen from outside: a plan's requests in a minute, 429 with `Retry-After` over it, and a memory of contents.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use flexorch_s3_ingester::flexorch::key_results::{KeyResult, SubmissionResult};
use flexorch_s3_ingester::flexorch::response::{RawResponse, Response, read_response};
use flexorch_s3_ingester::redaction::Redactor;

/// The plan's minute.
const MINUTE: Duration = Duration::from_secs(60);

/// The kind of response to a request over the rate (FlexOrch API documentation, "Errors").
const RATE_LIMITED: &[u8] = br#"{"error": {"code": "RATE_LIMIT_EXCEEDED", "message": "Rate limit exceeded"}}"#;

/// FlexOrch, with one customer.
pub struct FlexOrch {
    rpm: u32,
    /// The present minute: it begins with the first request after the last one, as in `flexorch-s3 sandbox`.
    began: Option<SystemTime>,
    used: u32,
    known: Vec<bool>,
    /// Keys whose content it had not seen.
    pub taken_keys: u32,
    /// Keys that were sent again although it had accepted them.
    pub duplicates: u32,
    /// Requests that it took.
    pub taken: u64,
    /// Requests to which it responded with 429.
    pub rate_limited: u64,
    last_minute: VecDeque<SystemTime>,
    /// The most requests, accepted or not, that arrived in any 60 seconds.
    pub busiest_minute: usize,
}

/// FlexOrch's response: accepted, or the `Retry-After` of a 429 in seconds.
pub type Verdict = Result<(), u64>;

impl FlexOrch {
    /// Nothing has been sent yet.
    pub fn new(rpm: u32, objects: u32) -> Self {
        Self {
            rpm,
            began: None,
            used: 0,
            known: vec![false; objects as usize],
            taken_keys: 0,
            duplicates: 0,
            taken: 0,
            rate_limited: 0,
            last_minute: VecDeque::new(),
            busiest_minute: 0,
        }
    }

    /// A request arrives.
    pub fn arrive(&mut self, keys: impl Iterator<Item = u32>, now: SystemTime) -> Verdict {
        self.count(now);
        let began = match self.began {
            Some(began) if now < began + MINUTE => began,
            _ => {
                self.used = 0;
                *self.began.insert(now)
            }
        };
        if self.used >= self.rpm {
            self.rate_limited += 1;
            let left = (began + MINUTE).duration_since(now).unwrap_or_default();
            return Err((left.as_secs_f64().ceil() as u64).max(1));
        }
        self.used += 1;
        self.taken += 1;
        for key in keys {
            if std::mem::replace(&mut self.known[key as usize], true) {
                self.duplicates += 1;
            } else {
                self.taken_keys += 1;
            }
        }
        Ok(())
    }

    fn count(&mut self, now: SystemTime) {
        while self.last_minute.front().is_some_and(|first| now >= *first + MINUTE) {
            self.last_minute.pop_front();
        }
        self.last_minute.push_back(now);
        self.busiest_minute = self.busiest_minute.max(self.last_minute.len());
    }
}

/// FlexOrch's response to a request with so many keys, as the function reads it.
pub fn response_of(verdict: Verdict, keys: usize, now: SystemTime) -> Response {
    match verdict {
        Ok(()) => {
            let per_key = vec![KeyResult::Accepted { job_id: None, duplicate: false }; keys];
            Response::Accepted(SubmissionResult { per_key, note: None })
        }
        Err(retry_after) => {
            let seconds = retry_after.to_string();
            let raw = RawResponse { status: 429, retry_after: Some(&seconds), body: RATE_LIMITED, is_complete: true };
            read_response(raw, &["key"], &Redactor::default(), now)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agenda::start;

    #[test]
    fn a_minute_takes_the_plans_requests_and_says_when_the_next_begins() {
        let mut flexorch = FlexOrch::new(2, 3);
        let at = |millis| start() + Duration::from_millis(millis);
        assert_eq!(flexorch.arrive([0].into_iter(), at(0)), Ok(()));
        assert_eq!(flexorch.arrive([1].into_iter(), at(10_000)), Ok(()));
        assert_eq!(flexorch.arrive([2].into_iter(), at(20_500)), Err(40));
        assert_eq!(flexorch.arrive([2, 0].into_iter(), at(60_000)), Ok(()));
        assert_eq!((flexorch.taken, flexorch.rate_limited, flexorch.busiest_minute), (3, 1, 3));
        assert_eq!((flexorch.taken_keys, flexorch.duplicates), (3, 1));
    }

    #[test]
    fn the_function_reads_the_429_as_a_rate_limit_with_a_time() {
        let read = response_of(Err(40), 1, start());
        let named = start() + Duration::from_secs(40);
        assert!(matches!(read, Response::Transient { rate_limited: true, retry_at: Some(time), .. } if time == named));
    }
}
