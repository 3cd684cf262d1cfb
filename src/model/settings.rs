//! The names of the function's environment variables. `config` says what each may hold.

macro_rules! settings {
    ($($name:ident)*) => {
        $(
            #[doc = concat!("`", stringify!($name), "`.")]
            pub const $name: &str = stringify!($name);
        )*

        /// Every setting, in the order of the README's table.
        pub const ALL: &[&str] = &[$($name),*];
    };
}

settings! {
    CONNECTOR_SECRET_IDS
    FLEXORCH_BASE_URL
    KEY_PREFIXES
    KEY_SUFFIXES
    KEY_EXCLUDES
    MAX_OBJECT_BYTES
    MAX_KEYS_PER_REQUEST
    SECRET_CACHE_TTL_SECONDS
    REQUEST_TIMEOUT_MS
    MAX_CONCURRENT_REQUESTS
    REQUESTS_PER_MINUTE
    MAX_ATTEMPTS
    DEADLINE_MARGIN_MS
    DEAD_LETTER_QUEUE_URL
    RENEW_AFTER_RECEIVES
    RECEIPTS_QUEUE_URL
    LOCALE
    PIPELINE_CONFIG
}
