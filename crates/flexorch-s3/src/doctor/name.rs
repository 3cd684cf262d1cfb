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
pub(crate) const OBJECT: &str = "object";
pub(crate) const OBJECT_SCOPE: &str = "object's scope";
pub(crate) const OBJECT_NOTIFICATION: &str = "object's notification";
pub(crate) const OBJECT_FATE: &str = "object's fate";

/// The checks of the function's settings.
pub(crate) const OF_SETTINGS: [&str; 4] = [FUNCTION_SECRET, ADDRESS, FILTERS, TIME];

/// The checks of one object.
pub(crate) const OF_OBJECT: [&str; 4] = [OBJECT, OBJECT_SCOPE, OBJECT_NOTIFICATION, OBJECT_FATE];

/// All checks, in their order.
pub(crate) const ALL: [&str; 30] = [
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
    OBJECT,
    OBJECT_SCOPE,
    OBJECT_NOTIFICATION,
    OBJECT_FATE,
];
