//! The calls to an embedded AWS endpoint, and what they meet instead of their answers.

use std::time::Duration;

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use tokio_util::sync::CancellationToken;

use super::server::Reset;

/// What a call meets instead of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AwsFault {
    /// The role's policy does not allow the call.
    AccessDenied,
    /// Too many calls: the service's own throttling error, which the SDKs try again by themselves.
    Throttling,
    /// The service's 500, which they try again as well.
    Internal,
    /// No answer until the client goes away or the server stops.
    Hang,
    /// Every second entry of a batch fails with an error of the service; calls without entries are answered as ever.
    PartialFailure,
}

/// The calls that came in, and what those to come meet: `C` is what is kept of a call, `F` what it can meet.
#[derive(Debug)]
pub(crate) struct Calls<C, F = AwsFault> {
    log: Vec<C>,
    /// Faults for the next calls, before `always` for all.
    next: Option<(u64, F)>,
    always: Option<F>,
    /// A fault that all calls of one operation meet, before all others.
    of_operation: Option<(String, F)>,
    latency: Duration,
}

impl<C, F> Default for Calls<C, F> {
    fn default() -> Self {
        Self { log: Vec::new(), next: None, always: None, of_operation: None, latency: Duration::ZERO }
    }
}

impl<C, F: Copy> Calls<C, F> {
    /// The calls so far, oldest first.
    pub(crate) fn so_far(&self) -> &[C] {
        &self.log
    }

    /// The next `count` calls meet this fault. It takes the place of an earlier `fail_next`.
    pub(crate) fn fail_next(&mut self, count: u64, fault: F) {
        self.next = Some((count, fault));
    }

    /// All calls meet this fault until it is set to `None`.
    pub(crate) fn set_fault(&mut self, fault: Option<F>) {
        self.always = fault;
    }

    /// All calls of one operation meet this fault until it is set to `None`.
    pub(crate) fn set_operation_fault(&mut self, operation: &str, fault: Option<F>) {
        self.of_operation = fault.map(|fault| (operation.to_owned(), fault));
    }

    /// All answers take this long.
    pub(crate) fn set_latency(&mut self, latency: Duration) {
        self.latency = latency;
    }

    /// Notes a call that came in just now, and says what it meets and how long it takes.
    pub(crate) fn note(&mut self, operation: &str, call: C) -> (Option<F>, Duration) {
        self.log.push(call);
        let of_operation = self.of_operation.as_ref().filter(|(faulty, _)| faulty == operation);
        let fault = match (of_operation, &mut self.next) {
            (Some((_, fault)), _) => Some(*fault),
            (None, Some((left, fault))) if *left > 0 => {
                *left -= 1;
                Some(*fault)
            }
            _ => self.always,
        };
        (fault, self.latency)
    }
}

/// Waits as a slow service would.
pub(crate) async fn take_time(latency: Duration) {
    // A sleep of no length would still wait for the timer's next millisecond.
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
}

/// Answers only when the server stops, and then with a reset. A client that goes away drops this future with its
/// connection.
pub(crate) async fn hang(stop: &CancellationToken) -> Response {
    stop.cancelled().await;
    let mut response = StatusCode::BAD_GATEWAY.into_response();
    response.extensions_mut().insert(Reset);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_calls_come_before_all_calls() {
        let mut calls = Calls::default();
        calls.set_fault(Some(AwsFault::Internal));
        calls.fail_next(1, AwsFault::Throttling);
        calls.set_latency(Duration::from_secs(1));
        assert_eq!(calls.note("Get", 1), (Some(AwsFault::Throttling), Duration::from_secs(1)));
        assert_eq!(calls.note("Get", 2).0, Some(AwsFault::Internal));
        calls.set_fault(None);
        assert_eq!(calls.note("Get", 3).0, None);
        assert_eq!(calls.so_far(), [1, 2, 3]);
    }

    #[test]
    fn a_fault_of_one_operation_comes_first_and_takes_none_of_the_next_ones() {
        let mut calls = Calls::default();
        calls.fail_next(1, AwsFault::Throttling);
        calls.set_operation_fault("Put", Some(AwsFault::AccessDenied));
        let met = ["Put", "Get", "Get"].map(|operation| calls.note(operation, ()).0);
        assert_eq!(met, [Some(AwsFault::AccessDenied), Some(AwsFault::Throttling), None]);
    }
}
