//! Faults: what an outage looks like, to whom, and how often.
//!
//! A [`Fault`] is written as a flag (`status=503,times=3`, see [`flag`]) or as JSON (`{"status": 503, "times": 3}`);
//! [`spec`] says what makes sense together. The [`table`] counts and draws lots, and decides what a request meets.

mod flag;
mod spec;
mod table;

use std::time::Duration;

use wildmatch::WildMatch;

pub(crate) use self::{
    spec::default_code,
    table::{FileFaults, Seen, Verdict},
};
pub use self::{
    spec::{FaultError, FaultSpec, NumberOrText},
    table::{FaultId, FaultStatus, Faults},
};

/// Something that goes wrong, and for which requests.
///
/// ```text
/// status=503,times=3                           the next three requests find the service down
/// status=429,code=QUOTA_EXCEEDED               the month's credits are used up
/// status=429,retry-after=30                    too fast
/// status=200,body=<html>,content-type=text/html   a proxy's page
/// latency=2s                                   slow
/// hang                                         accepted, never answered
/// reset                                        the connection breaks
/// reset,processed                              the keys are taken, and the answer is lost
/// truncate, endless                            an answer that stops short, or never stops
/// random=0.2,status=503                        one request in five, by the order in which they come
/// key=*.bad*,status=415,code=UNSUPPORTED_FILE  a request that holds such a key
/// reject=*.exe,code=UNSUPPORTED_FILE           such files, inside a 202
/// fail-job=*.pdf,reason=encrypted              taken, but the job fails
/// ```
///
/// Filters: `key` and `path` (patterns in which `*` stands for any characters, `/` among them, and `?` for one), `connector`, `method`, `after=N` (leaves the first N alone), `times=N`
/// (then never again), `random` (a chance from 0 to 1).
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// Which requests it concerns.
    pub filter: Filter,
    /// How long the request waits first, whatever the effect.
    pub latency: Duration,
    /// What happens to the request.
    pub effect: Effect,
    /// Whether the API does what the request asks before the effect takes the answer's place: the client cannot
    /// know that its keys were taken. Without it the API never sees the request.
    pub processed: bool,
}

/// Which requests a fault concerns: all of the API's, narrowed by each field that is set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// A submission in which any key fits.
    pub key: Option<WildMatch>,
    /// Submissions to this connector, and calls below `/connectors/{id}`.
    pub connector: Option<String>,
    /// Calls whose path fits, with `/v1` or without.
    pub path: Option<WildMatch>,
    /// Calls with this method.
    pub method: Option<String>,
    /// How many of these requests it leaves alone first.
    pub after: u64,
    /// How often it happens, after which it is over.
    pub times: Option<u64>,
    /// The chance, from 0 to 1, that it happens to one of these requests.
    pub random: Option<f64>,
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Nothing but the fault's latency.
    Delay,
    /// This answer, instead of the API's.
    Answer(CannedAnswer),
    /// Accepted, and never answered until the client goes away or the sandbox stops.
    Hang,
    /// The connection is reset (TCP RST) without an answer.
    Reset,
    /// A 202 whose body is shorter than its `Content-Length`, followed by the end of the connection.
    Truncate,
    /// A 200 with JSON that never ends.
    Endless,
    /// The files that fit stand in `rejected[]` of the answer with this code; the others are taken.
    Reject {
        /// Which files.
        files: WildMatch,
        /// The `error` of each, `UNSUPPORTED_FILE` for example.
        code: String,
    },
    /// The files that fit are taken, and their jobs end as `failed`.
    FailJob {
        /// Which files.
        files: WildMatch,
        /// The job's `failure_reason`.
        reason: String,
    },
}

/// An answer that stands ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CannedAnswer {
    /// The HTTP status, 200 to 599.
    pub status: u16,
    /// The `error.code`; by default the one that FlexOrch documents for the status.
    pub code: Option<String>,
    /// The `error.message`.
    pub message: Option<String>,
    /// The body as it is, instead of an error envelope. A 2xx without it has an empty body.
    pub body: Option<String>,
    /// The body's type, `application/json` by default.
    pub content_type: Option<String>,
    /// `Retry-After`: whole seconds, or an HTTP date.
    pub retry_after: Option<String>,
    /// Further headers, `Name: value`.
    pub headers: Vec<String>,
}

impl Fault {
    /// A fault with this effect, for every request.
    pub fn new(effect: Effect) -> Self {
        Self { filter: Filter::default(), latency: Duration::ZERO, effect, processed: false }
    }

    /// An error answer with FlexOrch's usual code for this status.
    pub fn status(status: u16) -> Self {
        Self::new(Effect::Answer(CannedAnswer {
            status,
            code: None,
            message: None,
            body: None,
            content_type: None,
            retry_after: None,
            headers: Vec::new(),
        }))
    }

    /// The same, this many times and then never again.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.filter.times = Some(times);
        self
    }

    /// The same, after this many requests that it leaves alone.
    #[must_use]
    pub fn after(mut self, requests: u64) -> Self {
        self.filter.after = requests;
        self
    }

    /// The same, for submissions in which a key fits the pattern.
    #[must_use]
    pub fn on_key(mut self, pattern: impl AsRef<str>) -> Self {
        self.filter.key = Some(WildMatch::new(pattern.as_ref()));
        self
    }

    /// The same, for calls whose path fits the pattern.
    #[must_use]
    pub fn on_path(mut self, pattern: impl AsRef<str>) -> Self {
        self.filter.path = Some(WildMatch::new(pattern.as_ref()));
        self
    }

    /// The same, once the API has done what the request asks: only the answer is lost.
    #[must_use]
    pub fn after_processing(mut self) -> Self {
        self.processed = true;
        self
    }
}
