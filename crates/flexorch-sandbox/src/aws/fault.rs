//! The calls to an embedded AWS endpoint, and the faults that apply to them. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

/// What happens to a call instead of its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AwsFault {
    /// The error for something that does not exist, whatever the endpoint holds.
    NotFound,
    /// The role's policy does not allow the call.
    AccessDenied,
    /// Too many calls: the service's own throttling error, which the SDKs retry.
    Throttling,
    /// A table's provisioned throughput is exceeded, which the SDKs retry, too. Of a service without tables: as `Throttling`.
    ThroughputExceeded,
    /// The service's internal error (500), which the SDKs retry.
    Internal,
    /// No response until the client disconnects or the server stops.
    Hang,
    /// The call has its effect, and then there is no response until the client disconnects or the server stops.
    HangAfterEffect,
    /// Every second entry of a batch fails with an internal error. Calls without entries succeed.
    PartialFailure,
    /// The first half of the body, with a `Content-Length` that matches.
    Truncated,
    /// A 200 with a body that is shorter than its `Content-Length`, followed by the end of the connection.
    BrokenOff,
    /// A 200 with an empty document: valid, but without any value.
    WithoutValue,
    /// A 200 with a proxy's HTML page.
    Page,
}

/// A fault for which each service has its own error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    NotFound,
    AccessDenied,
    Throttling,
    ThroughputExceeded,
    Internal,
}

/// How a response is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    Truncated,
    BrokenOff,
    WithoutValue,
    Page,
    /// It is never sent.
    Hang,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The service responds.
    Respond,
    /// The service responds, and every second entry of a batch fails.
    RespondInPart,
    /// The service responds, and the response is damaged.
    Damage(Damage),
    /// The service responds with an error.
    Fail(Failure),
    /// The service does not respond.
    Hang,
}

impl From<Option<AwsFault>> for Verdict {
    fn from(fault: Option<AwsFault>) -> Self {
        match fault {
            None => Self::Respond,
            Some(AwsFault::PartialFailure) => Self::RespondInPart,
            Some(AwsFault::Truncated) => Self::Damage(Damage::Truncated),
            Some(AwsFault::BrokenOff) => Self::Damage(Damage::BrokenOff),
            Some(AwsFault::WithoutValue) => Self::Damage(Damage::WithoutValue),
            Some(AwsFault::Page) => Self::Damage(Damage::Page),
            Some(AwsFault::HangAfterEffect) => Self::Damage(Damage::Hang),
            Some(AwsFault::Hang) => Self::Hang,
            Some(AwsFault::NotFound) => Self::Fail(Failure::NotFound),
            Some(AwsFault::AccessDenied) => Self::Fail(Failure::AccessDenied),
            Some(AwsFault::Throttling) => Self::Fail(Failure::Throttling),
            Some(AwsFault::ThroughputExceeded) => Self::Fail(Failure::ThroughputExceeded),
            Some(AwsFault::Internal) => Self::Fail(Failure::Internal),
        }
    }
}

/// The recorded calls, and the faults of the calls to come. `C` is what is recorded of a call.
#[derive(Debug)]
pub(crate) struct Calls<C> {
    log: Vec<C>,
    /// The fault of the next calls, so many of them; before `always`.
    next: Option<(u64, AwsFault)>,
    always: Option<AwsFault>,
    /// Faults of all calls about a resource, by its name; before all others.
    of_resources: BTreeMap<String, AwsFault>,
    /// Faults of all calls of an operation, by its name; before those of other calls.
    of_operations: BTreeMap<String, AwsFault>,
    latency: Duration,
}

impl<C> Default for Calls<C> {
    fn default() -> Self {
        Self {
            log: Vec::new(),
            next: None,
            always: None,
            of_resources: BTreeMap::new(),
            of_operations: BTreeMap::new(),
            latency: Duration::ZERO,
        }
    }
}

impl<C> Calls<C> {
    /// Returns the calls so far, oldest first.
    pub(crate) fn so_far(&self) -> &[C] {
        &self.log
    }

    /// Sets the fault of the next `count` calls, in place of an earlier `fail_next`.
    pub(crate) fn fail_next(&mut self, count: u64, fault: AwsFault) {
        self.next = Some((count, fault));
    }

    /// Sets the fault of all calls, or removes it.
    pub(crate) fn set_fault(&mut self, fault: Option<AwsFault>) {
        self.always = fault;
    }

    /// Sets the fault of all calls of one operation, or removes it.
    pub(crate) fn set_operation_fault(&mut self, operation: &str, fault: Option<AwsFault>) {
        set(&mut self.of_operations, operation, fault);
    }

    /// Sets the fault of all calls about one resource, or removes it.
    pub(crate) fn set_resource_fault(&mut self, resource: &str, fault: Option<AwsFault>) {
        set(&mut self.of_resources, resource, fault);
    }

    /// Sets how long every response takes.
    pub(crate) fn set_latency(&mut self, latency: Duration) {
        self.latency = latency;
    }

    /// Records a call and returns what happens to it, after which time.
    pub(crate) fn record(&mut self, operation: &str, resource: &str, call: C) -> (Verdict, Duration) {
        self.log.push(call);
        let special = self.of_resources.get(resource).or_else(|| self.of_operations.get(operation));
        let fault = match (special, &mut self.next) {
            (Some(fault), _) => Some(*fault),
            (None, Some((left, fault))) if *left > 0 => {
                *left -= 1;
                Some(*fault)
            }
            _ => self.always,
        };
        (fault.into(), self.latency)
    }
}

fn set(faults: &mut BTreeMap<String, AwsFault>, name: &str, fault: Option<AwsFault>) {
    match fault {
        Some(fault) => faults.insert(name.to_owned(), fault),
        None => faults.remove(name),
    };
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
        assert_eq!(calls.record("Get", "a", 1), (Verdict::Fail(Failure::Throttling), Duration::from_secs(1)));
        assert_eq!(calls.record("Get", "a", 2).0, Verdict::Fail(Failure::Internal));
        calls.set_fault(None);
        assert_eq!(calls.record("Get", "a", 3).0, Verdict::Respond);
        assert_eq!(calls.so_far(), [1, 2, 3]);
    }

    #[test]
    fn faults_of_resources_and_operations_come_first_and_leave_the_next_calls_their_fault() {
        let mut calls = Calls::default();
        calls.fail_next(1, AwsFault::Throttling);
        calls.set_operation_fault("Put", Some(AwsFault::AccessDenied));
        calls.set_operation_fault("List", Some(AwsFault::Hang));
        calls.set_operation_fault("Delete", None);
        calls.set_resource_fault("b", Some(AwsFault::Internal));
        assert_eq!(calls.record("Put", "b", ()).0, Verdict::Fail(Failure::Internal));
        let met = ["Put", "Get", "Get", "List"].map(|operation| calls.record(operation, "a", ()).0);
        let [denied, throttled] = [Failure::AccessDenied, Failure::Throttling].map(Verdict::Fail);
        assert_eq!(met, [denied, throttled, Verdict::Respond, Verdict::Hang]);
    }
}
