//! What calls to an embedded AWS endpoint meet instead of their answers.

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

/// Which of the calls to come meet a fault, and how long all of them take.
#[derive(Debug, Default)]
pub(crate) struct FaultPlan {
    /// Faults for the next calls, before `always` for all.
    next: Option<(u64, AwsFault)>,
    always: Option<AwsFault>,
    latency: Duration,
}

impl FaultPlan {
    /// The next `count` calls meet this fault. It takes the place of an earlier `fail_next`.
    pub(crate) fn fail_next(&mut self, count: u64, fault: AwsFault) {
        self.next = Some((count, fault));
    }

    /// All calls meet this fault until it is set to `None`.
    pub(crate) fn set_fault(&mut self, fault: Option<AwsFault>) {
        self.always = fault;
    }

    /// All answers take this long.
    pub(crate) fn set_latency(&mut self, latency: Duration) {
        self.latency = latency;
    }

    /// What the call that came in just now meets, and how long it takes.
    pub(crate) fn meet(&mut self) -> (Option<AwsFault>, Duration) {
        let fault = match &mut self.next {
            Some((left, fault)) if *left > 0 => {
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
        let mut plan = FaultPlan::default();
        plan.set_fault(Some(AwsFault::Internal));
        plan.fail_next(1, AwsFault::Throttling);
        plan.set_latency(Duration::from_secs(1));
        assert_eq!(plan.meet(), (Some(AwsFault::Throttling), Duration::from_secs(1)));
        assert_eq!(plan.meet().0, Some(AwsFault::Internal));
        plan.set_fault(None);
        assert_eq!(plan.meet().0, None);
    }
}
