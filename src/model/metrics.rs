//! The names of the metrics, and what each measures: the README's list, the template's alarms and its dashboard use them.

/// The namespace of all metrics.
pub const NAMESPACE: &str = "FlexOrchIngester";
/// The only dimension: the function's name.
pub(crate) const DIMENSION: &str = "FunctionName";

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub(crate) const $name: &str = $text;)*

        /// Every metric.
        pub const ALL: &[&str] = &[$($name),*];
    };
}

metrics! {
    /// Objects that the events named.
    OBJECTS_RECEIVED = "ObjectsReceived";
    /// Objects that FlexOrch accepted.
    OBJECTS_FORWARDED = "ObjectsForwarded";
    /// Objects that are not for FlexOrch.
    OBJECTS_SKIPPED = "ObjectsSkipped";
    /// Objects that FlexOrch refused for good.
    OBJECTS_REJECTED = "ObjectsRejected";
    /// Objects that return later.
    OBJECTS_DEFERRED = "ObjectsDeferred";
    /// Deferred objects that wait for an operator.
    OBJECTS_BLOCKED = "ObjectsBlocked";
    /// Deferred objects whose connector is paused.
    OBJECTS_PAUSED = "ObjectsPaused";
    /// Objects whose bucket no connector reads.
    OBJECTS_UNROUTED = "ObjectsUnrouted";
    /// Messages that cannot be read.
    UNREADABLE_MESSAGES = "UnreadableMessages";
    /// Messages in whose place a copy or a replacement was sent.
    MESSAGES_RENEWED = "MessagesRenewed";
    /// Receipts that could not be sent: what FlexOrch took is not tracked.
    RECEIPTS_LOST = "ReceiptsLost";
    /// Objects that a reconcile found and FlexOrch did not know: no event had brought them.
    RECONCILE_FOUND = "ReconcileFound";
    /// Buckets that a reconcile cannot list until an operator acts.
    RECONCILES_BLOCKED = "ReconcilesBlocked";
    /// Requests to FlexOrch.
    REQUESTS = "Requests";
    /// Requests that were not the first attempt.
    RETRIES = "Retries";
    /// Requests that met FlexOrch's rate limit.
    RATE_LIMITED = "RateLimited";
    /// Refusals of an API key that a fresh secret did not resolve.
    AUTH_FAILURES = "AuthFailures";
    /// Calls to Secrets Manager.
    SECRET_FETCHES = "SecretFetches";
    /// Milliseconds until FlexOrch's response.
    REQUEST_LATENCY = "RequestLatency";
    /// Milliseconds from the S3 event to FlexOrch's response.
    INGEST_LAG = "IngestLag";
    /// Milliseconds from a deferred object's S3 event until now.
    DEFERRED_AGE = "DeferredAge";
}
