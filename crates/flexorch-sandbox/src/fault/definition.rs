//! What a fault is.

use std::time::Duration;

use wildmatch::WildMatch;

/// A fault, and the requests that it concerns.
///
/// ```text
/// status=503,times=3                           the service is down for the next three requests
/// status=429,code=QUOTA_EXCEEDED,message=…     the month's credits are used up
/// status=429,retry-after=30                    the rate limit is exceeded
/// status=200,body=<html>,content-type=text/html   a proxy's page
/// latency=2s                                   the service is slow
/// status=302,header=Location: https://…        a redirect
/// hang                                         the request is accepted, without a response
/// reset                                        the connection is reset
/// reset,processed                              the keys are accepted, and the response is lost
/// truncate, endless                            the response ends too early, or never
/// random=0.2,status=503                        one request in five, by their order
/// key=*.bad*,status=415,code=UNSUPPORTED_FILE  a request with such a key
/// reject=*.exe,code=UNSUPPORTED_FILE           such files are rejected inside a 202
/// fail-job=*.pdf,reason=encrypted              the file is accepted, and its job fails
/// ```
///
/// Filters: `key` and `path` (patterns in which `*` stands for any characters, also `/`, and `?` for one), `connector`, `method`,
/// `after=N` (skips the first N requests), `times=N` (happens N times), `random` (a chance from 0 to 1).
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// The requests that it concerns.
    pub filter: Filter,
    /// How long the request waits first, whatever the effect.
    pub latency: Duration,
    /// What happens to the request.
    pub effect: Effect,
    /// Whether the API processes the request before the effect replaces the response, so that the client cannot know that its keys
    /// were accepted. Without it, the API does not receive the request.
    pub processed: bool,
}

/// The requests that a fault concerns: all requests to the API, narrowed by each field that is set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Submissions with a key that matches.
    pub key: Option<WildMatch>,
    /// Submissions to this connector, and requests below `/connectors/{id}`.
    pub connector: Option<String>,
    /// Requests whose path matches, with `/v1` or without.
    pub path: Option<WildMatch>,
    /// Requests with this method.
    pub method: Option<String>,
    /// How many of these requests it skips first.
    pub after: u64,
    /// How often it happens at most.
    pub times: Option<u64>,
    /// The chance, from 0 to 1, that it happens to one of these requests.
    pub random: Option<f64>,
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Only the fault's latency.
    Delay,
    /// This response, instead of the API's.
    Respond(CannedResponse),
    /// No response until the client disconnects or the sandbox stops.
    Hang,
    /// The connection is reset (TCP RST) without a response.
    Reset,
    /// A 202 whose body is shorter than its `Content-Length`, followed by the end of the connection.
    Truncate,
    /// A 200 with JSON that never ends.
    Endless,
    /// The files that match are in the response's `rejected[]` with this code; the others are accepted.
    Reject {
        /// The files.
        files: WildMatch,
        /// The `error` of each, `UNSUPPORTED_FILE` for example.
        code: String,
    },
    /// The files that match are accepted, and their jobs end as `failed`.
    FailJob {
        /// The files.
        files: WildMatch,
        /// The job's `failure_reason`.
        reason: String,
    },
}

/// A prepared response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CannedResponse {
    /// The HTTP status, 200 to 599.
    pub status: u16,
    /// The `error.code`; by default the one that FlexOrch documents for the status.
    pub code: Option<String>,
    /// The `error.message`.
    pub message: Option<String>,
    /// The body, instead of an error envelope. A 2xx without it has an empty body.
    pub body: Option<String>,
    /// The body's type, `application/json` by default.
    pub content_type: Option<String>,
    /// `Retry-After`: whole seconds, or an HTTP date.
    pub retry_after: Option<String>,
    /// Further headers, `Name: value`.
    pub headers: Vec<String>,
}

impl Fault {
    /// Creates a fault with this effect, for every request.
    pub fn new(effect: Effect) -> Self {
        Self { filter: Filter::default(), latency: Duration::ZERO, effect, processed: false }
    }

    /// Creates a fault that responds with an error, with FlexOrch's usual code for this status.
    pub fn status(status: u16) -> Self {
        Self::new(Effect::Respond(CannedResponse { status, ..CannedResponse::default() }))
    }

    /// Limits the fault to this many requests.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.filter.times = Some(times);
        self
    }
}

/// Returns the `error.code` that FlexOrch documents for a status, or the nearest one.
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
