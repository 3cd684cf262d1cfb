//! An API key that cannot be printed by accident.

use std::fmt;

/// The length of the shortest key of which characters are shown: four characters of a shorter one could be half the secret.
const SHORTEST_SHOWN: usize = 16;

/// A FlexOrch API key. `Debug`, `Display` and [`ApiKey::masked`] show `dfx_…abcd`, never the key.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApiKey(String);

impl ApiKey {
    /// Wraps the value of the `X-API-KEY` header.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// Returns the key itself, for a comparison in a test. Do not log it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns what logs and admin responses show: `dfx_…` and the last four characters of a key that is long enough.
    pub fn masked(&self) -> String {
        let length = self.0.chars().count();
        let shown = if length < SHORTEST_SHOWN { 0 } else { 4 };
        let prefix = if self.0.starts_with("dfx_") { "dfx_" } else { "" };
        let end: String = self.0.chars().skip(length - shown).collect();
        format!("{prefix}…{end}")
    }

    /// Returns whether it is a tenant's key: `dfx_` and at least one more character.
    pub(crate) fn is_well_formed(&self) -> bool {
        self.0.strip_prefix("dfx_").is_some_and(|rest| !rest.is_empty())
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_shows_four_characters_at_most_and_a_short_one_none() {
        let long = ApiKey::new("dfx_0123456789abcdef");
        assert_eq!(format!("{long} {long:?}"), "dfx_…cdef dfx_…cdef");
        assert_eq!(ApiKey::new("dfx_test").masked(), "dfx_…");
        assert_eq!(ApiKey::new("").masked(), "…");
        assert_eq!(ApiKey::new("ключ-из-многих-букв").masked(), "…букв");
    }

    #[test]
    fn a_tenants_key_starts_with_dfx() {
        assert!(ApiKey::new("dfx_a").is_well_formed());
        assert!(!ApiKey::new("dfx_").is_well_formed());
        assert!(!ApiKey::new("fx_abc").is_well_formed());
    }
}
