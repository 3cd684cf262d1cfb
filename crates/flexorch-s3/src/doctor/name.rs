//! The names of the checks, in the order of the JSON document. Programs select checks by them.

pub(crate) const SECRET: &str = "secret";
pub(crate) const FIELDS: &str = "secret's fields";
pub(crate) const PAUSE: &str = "pause";
pub(crate) const FLEXORCH: &str = "FlexOrch";
pub(crate) const API_KEY: &str = "API key";
pub(crate) const PLAN: &str = "plan";
pub(crate) const CREDITS: &str = "credits";
pub(crate) const CONNECTOR: &str = "connector";
pub(crate) const TEST: &str = "connector test";
pub(crate) const BUCKET: &str = "bucket";
pub(crate) const FUNCTION: &str = "function";
pub(crate) const SETTINGS: &str = "settings";
pub(crate) const FUNCTION_SECRET: &str = "function's secret";
pub(crate) const ADDRESS: &str = "FlexOrch's address";
pub(crate) const FILTERS: &str = "filters";
pub(crate) const TIME: &str = "time";
pub(crate) const NOTIFICATION: &str = "notification";
pub(crate) const PERMISSION: &str = "permission";
/// Made only for a function that is invoked directly.
pub(crate) const FAILED_NOTIFICATIONS: &str = "failed notifications";
pub(crate) const EXPORTS: &str = "exports";
pub(crate) const BATCHES: &str = "batches";
pub(crate) const PACE: &str = "pace";
pub(crate) const RETRY_QUEUE: &str = "retry queue";
pub(crate) const DEAD_LETTER_QUEUE: &str = "dead-letter queue";
pub(crate) const WAITING: &str = "waiting";
pub(crate) const DEAD_LETTERS: &str = "dead letters";
/// Whether the function sends receipts. The checks of [`OF_TRACKING`] are made only if it does.
pub(crate) const TRACKING: &str = "tracking";
pub(crate) const RECEIPTS_QUEUE: &str = "receipts queue";
/// Whether the ingester may send receipts.
pub(crate) const INGESTER_ROLE: &str = "ingester's role";
pub(crate) const OUTCOMES: &str = "outcomes function";
pub(crate) const OUTCOMES_BATCHES: &str = "receipts' batches";
pub(crate) const OUTCOMES_SETTINGS: &str = "outcomes' settings";
pub(crate) const OUTCOMES_ROLE: &str = "outcomes' role";
pub(crate) const RECORDS: &str = "records table";
pub(crate) const SWEEP: &str = "sweep";
pub(crate) const RECEIPTS_WAITING: &str = "receipts waiting";
pub(crate) const RECEIPTS_DEAD: &str = "dead receipts";
pub(crate) const WEBHOOK: &str = "webhook";
pub(crate) const OBJECT: &str = "object";
pub(crate) const OBJECT_SCOPE: &str = "object's scope";
pub(crate) const OBJECT_NOTIFICATION: &str = "object's notification";
pub(crate) const OBJECT_DELIVERY: &str = "object's delivery";
/// Made only if its submission is recorded.
pub(crate) const OBJECT_RECORD: &str = "object's record";

/// The checks of the function's settings.
pub(crate) const OF_SETTINGS: [&str; 4] = [FUNCTION_SECRET, ADDRESS, FILTERS, TIME];

/// The checks of the tracking.
pub(crate) const OF_TRACKING: [&str; 11] = [
    RECEIPTS_QUEUE,
    INGESTER_ROLE,
    OUTCOMES,
    OUTCOMES_BATCHES,
    OUTCOMES_SETTINGS,
    OUTCOMES_ROLE,
    RECORDS,
    SWEEP,
    RECEIPTS_WAITING,
    RECEIPTS_DEAD,
    WEBHOOK,
];

/// The checks of one object.
pub(crate) const OF_OBJECT: [&str; 4] = [OBJECT, OBJECT_SCOPE, OBJECT_NOTIFICATION, OBJECT_DELIVERY];

/// The checks before those of the tracking and of an object.
const FIRST: [&str; 27] = [
    SECRET,
    FIELDS,
    PAUSE,
    FLEXORCH,
    API_KEY,
    PLAN,
    CREDITS,
    CONNECTOR,
    TEST,
    BUCKET,
    FUNCTION,
    SETTINGS,
    FUNCTION_SECRET,
    ADDRESS,
    FILTERS,
    TIME,
    NOTIFICATION,
    PERMISSION,
    FAILED_NOTIFICATIONS,
    EXPORTS,
    BATCHES,
    PACE,
    RETRY_QUEUE,
    DEAD_LETTER_QUEUE,
    WAITING,
    DEAD_LETTERS,
    TRACKING,
];

/// Returns the checks that need the function and are made of any function, without those that need FlexOrch's webhooks.
pub(crate) fn of_function() -> Vec<&'static str> {
    let after = FIRST.into_iter().skip_while(|name| *name != SETTINGS);
    after.filter(|name| ![FAILED_NOTIFICATIONS, EXPORTS].contains(name)).collect()
}

/// Returns all checks, in their order.
pub(crate) fn all() -> impl Iterator<Item = &'static str> {
    FIRST.into_iter().chain(OF_TRACKING).chain(OF_OBJECT).chain([OBJECT_RECORD])
}
