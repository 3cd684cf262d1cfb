//! FlexOrch as it is seen from outside: API keys, a plan's requests in a minute and its credits, and a memory of contents.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use flexorch_s3_ingester::flexorch::key_results::{KeyResult, SubmissionResult};
use flexorch_s3_ingester::flexorch::response::{RawResponse, Response, read_response};
use flexorch_s3_ingester::model::connector::Connector;
use flexorch_s3_ingester::redaction::Redactor;
use serde::Serialize;

use crate::agenda::start;
use crate::scenario::{Scenario, Secrets};

/// The plan's minute.
const MINUTE: Duration = Duration::from_secs(60);

/// FlexOrch, with an account for each API key.
pub struct FlexOrch {
    scenario: Scenario,
    secrets: Rc<Secrets>,
    accounts: Vec<Account>,
    known: Vec<bool>,
    unsupported: Vec<bool>,
    /// Keys whose content it had not seen.
    pub taken_keys: u32,
    pub requests: Requests,
}

/// What happened to the requests.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Requests {
    /// Accepted.
    pub taken: u64,
    /// Over the plan's rate: 429.
    pub rate_limited: u64,
    /// Refused for another reason: a file, the API key, the connector, the credits.
    pub refused: u64,
}

/// What an API key has used.
#[derive(Default, Clone)]
struct Account {
    /// The present minute: it begins with the first request after the last one, as in `flexorch-s3 sandbox`.
    began: Option<SystemTime>,
    used: u32,
    /// The present period, and the credits used in it.
    period: u32,
    credits_used: u32,
    last_minute: VecDeque<SystemTime>,
    busiest_minute: usize,
}

/// A refusal of a whole request (FlexOrch API documentation, "Errors").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    status: u16,
    code: &'static str,
    retry_after: Option<u64>,
}

/// FlexOrch's response to a request: accepted, or the reason why not.
pub type Verdict = Result<(), Refusal>;

impl Refusal {
    fn new(status: u16, code: &'static str) -> Self {
        Self { status, code, retry_after: None }
    }

    /// Returns the refusal of a request over the rate, which names the next minute.
    pub fn rate_limited(retry_after: u64) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(429, "RATE_LIMIT_EXCEEDED") }
    }
}

impl FlexOrch {
    /// Creates a FlexOrch to which nothing has been sent.
    pub fn new(scenario: &Scenario, secrets: Rc<Secrets>) -> Self {
        let mut chance = fastrand::Rng::with_seed(scenario.seed);
        let unsupported = (0..scenario.objects).map(|_| chance.u8(0..100) < scenario.unsupported_percent).collect();
        Self {
            accounts: vec![Account::default(); if scenario.same_key { 1 } else { scenario.connectors }],
            known: vec![false; scenario.objects as usize],
            unsupported,
            scenario: scenario.clone(),
            secrets,
            taken_keys: 0,
            requests: Requests::default(),
        }
    }

    /// Returns how many files it refuses.
    #[cfg(test)]
    pub fn unsupported(&self) -> usize {
        self.unsupported.iter().filter(|unsupported| **unsupported).count()
    }

    /// Returns the most requests with one API key, accepted or not, that arrived in any 60 seconds.
    pub fn busiest_minute(&self) -> usize {
        self.accounts.iter().map(|account| account.busiest_minute).max().unwrap_or_default()
    }

    /// Processes a request for these objects, which are all of one connector.
    pub fn arrive(&mut self, used: &Connector, objects: &[u32], now: SystemTime) -> Verdict {
        let verdict = self.decide(used, objects, now);
        match verdict {
            Ok(()) => {
                self.requests.taken += 1;
                for object in objects {
                    self.taken_keys += u32::from(!std::mem::replace(&mut self.known[*object as usize], true));
                }
            }
            Err(Refusal { code: "RATE_LIMIT_EXCEEDED", .. }) => self.requests.rate_limited += 1,
            Err(_) => self.requests.refused += 1,
        }
        verdict
    }

    fn decide(&mut self, used: &Connector, objects: &[u32], now: SystemTime) -> Verdict {
        let scenario = &self.scenario;
        let connector = objects.first().map_or(0, |object| scenario.connector_of(*object));
        let account = &mut self.accounts[if scenario.same_key { 0 } else { connector }];
        account.count(now);
        if used.api_key != self.secrets.at(now)[connector].api_key {
            return Err(Refusal::new(401, "UNAUTHORIZED"));
        }
        let outage_begins = start() + scenario.outage_after;
        if let Some(status) = scenario.outage
            && connector == 0
            && (outage_begins..outage_begins + scenario.outage_for).contains(&now)
        {
            return Err(Refusal::new(status, "SIMULATED"));
        }
        account.pass(scenario.rpm.get(), now)?;
        if objects.iter().any(|object| self.unsupported[*object as usize]) {
            return Err(Refusal::new(415, "UNSUPPORTED_FILE"));
        }
        let new = objects.iter().filter(|object| !self.known[**object as usize]).count();
        account.spend(u32::try_from(new).unwrap_or(u32::MAX), scenario, now)
    }
}

impl Account {
    /// Counts a request for the busiest minute.
    fn count(&mut self, now: SystemTime) {
        while self.last_minute.front().is_some_and(|first| now >= *first + MINUTE) {
            self.last_minute.pop_front();
        }
        self.last_minute.push_back(now);
        self.busiest_minute = self.busiest_minute.max(self.last_minute.len());
    }

    /// Uses one of the minute's requests.
    fn pass(&mut self, rpm: u32, now: SystemTime) -> Verdict {
        let began = match self.began {
            Some(began) if now < began + MINUTE => began,
            _ => {
                self.used = 0;
                *self.began.insert(now)
            }
        };
        if self.used >= rpm {
            return Err(Refusal::rate_limited(seconds_until(began + MINUTE, now).max(1)));
        }
        self.used += 1;
        Ok(())
    }

    /// Spends a credit for each new document. A request with more of them than credits is refused as a whole, as by
    /// `flexorch-s3 sandbox`.
    fn spend(&mut self, documents: u32, scenario: &Scenario, now: SystemTime) -> Verdict {
        let Some(credits) = scenario.credits else { return Ok(()) };
        let since = now.duration_since(start()).unwrap_or_default();
        let period = since.div_duration_f64(scenario.credits_reset.max(Duration::from_secs(1))) as u32;
        if self.period != period {
            (self.period, self.credits_used) = (period, 0);
        }
        if documents > credits.get() - self.credits_used {
            let reset = start() + scenario.credits_reset.saturating_mul(period + 1);
            let retry_after = scenario.reset_named.then(|| seconds_until(reset, now));
            return Err(Refusal { retry_after, ..Refusal::new(429, "QUOTA_EXCEEDED") });
        }
        self.credits_used += documents;
        Ok(())
    }
}

fn seconds_until(time: SystemTime, now: SystemTime) -> u64 {
    time.duration_since(now).unwrap_or_default().as_secs_f64().ceil() as u64
}

/// Returns FlexOrch's response to a request with so many keys, as the function reads it.
pub fn response_of(verdict: Verdict, keys: usize, now: SystemTime) -> Response {
    match verdict {
        Ok(()) => {
            let per_key = vec![KeyResult::Accepted { job_id: None, duplicate: false }; keys];
            Response::Accepted(SubmissionResult { per_key, note: None })
        }
        Err(Refusal { status, code, retry_after }) => {
            let retry_after = retry_after.map(|seconds| seconds.to_string());
            let body = format!(r#"{{"error": {{"code": "{code}", "message": "simulated"}}}}"#);
            let body = body.as_bytes();
            let raw = RawResponse { status, retry_after: retry_after.as_deref(), body, is_complete: true };
            read_response(raw, &["key"], &Redactor::default(), now)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Shape;
    use crate::scenario::tests::scenario;
    use std::num::NonZeroU32;

    fn at(millis: u64) -> SystemTime {
        start() + Duration::from_millis(millis)
    }

    fn days(days: u64) -> SystemTime {
        start() + Duration::from_secs(days * 86_400)
    }

    /// Sends requests with the key that was valid at the beginning.
    fn flexorch(scenario: &Scenario) -> impl FnMut(&[u32], SystemTime) -> Result<(), (u16, Option<u64>)> + use<> {
        let secrets = Rc::new(scenario.secrets().unwrap());
        let mut flexorch = FlexOrch::new(scenario, Rc::clone(&secrets));
        move |objects, now| {
            flexorch
                .arrive(&secrets.at(start())[0], objects, now)
                .map_err(|refusal| (refusal.status, refusal.retry_after))
        }
    }

    #[test]
    fn a_minute_takes_the_plans_requests_and_says_when_the_next_begins() {
        let mut send = flexorch(&scenario(Shape::Queue, 3, 2));
        assert_eq!(send(&[0], at(0)), Ok(()));
        assert_eq!(send(&[1], at(10_000)), Ok(()));
        assert_eq!(send(&[2], at(20_500)), Err((429, Some(40))));
        assert_eq!(send(&[2, 0], at(60_000)), Ok(()));
    }

    #[test]
    fn credits_are_spent_on_new_documents_and_are_there_again_after_the_period() {
        let with_credits = Scenario { credits: NonZeroU32::new(2), ..scenario(Shape::Queue, 9, 60) };
        let mut send = flexorch(&with_credits);
        assert_eq!(send(&[0, 1, 2], days(0)), Err((429, None)));
        assert_eq!(send(&[0, 1], days(0)), Ok(()));
        assert_eq!(send(&[0, 1], days(1)), Ok(()), "their content is known");
        assert_eq!(send(&[2], days(29)), Err((429, None)));
        assert_eq!(send(&[2, 3], days(30)), Ok(()));
        let mut send = flexorch(&Scenario { reset_named: true, ..with_credits });
        assert_eq!(send(&[0, 1, 2], days(29)), Err((429, Some(86_400))));
    }

    #[test]
    fn an_old_key_an_outage_and_an_unsupported_file_are_refused() {
        let mut send = flexorch(&Scenario {
            rotate_key_after: Some(Duration::from_secs(60)),
            outage: Some(404),
            outage_after: Duration::from_secs(10),
            outage_for: Duration::from_secs(10),
            ..scenario(Shape::Queue, 1, 60)
        });
        let seen = [0, 10, 19, 20, 60].map(|second| send(&[0], at(second * 1000)).map_err(|(status, _)| status));
        assert_eq!(seen, [Ok(()), Err(404), Err(404), Ok(()), Err(401)]);
        let mut send = flexorch(&Scenario { unsupported_percent: 100, ..scenario(Shape::Queue, 1, 60) });
        assert_eq!(send(&[0], at(0)), Err((415, None)));
    }

    #[test]
    fn the_function_reads_the_429_as_a_rate_limit_with_a_time() {
        let read = response_of(Err(Refusal::rate_limited(40)), 1, start());
        let named = start() + Duration::from_secs(40);
        assert!(matches!(read, Response::Transient { rate_limited: true, retry_at: Some(time), .. } if time == named));
    }
}
