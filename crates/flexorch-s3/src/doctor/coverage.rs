//! Which of the keys that a connector reads a filter matches. Pure.

/// Which keys under a connector's prefix a filter matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Coverage {
    /// All keys.
    All,
    /// Only keys under these prefixes.
    Part(Vec<String>),
    /// No keys.
    Nothing,
}

impl Coverage {
    /// Compares a filter on one prefix, empty for all keys.
    pub(crate) fn of_prefix(filter: &str, wanted: &str) -> Self {
        if wanted.starts_with(filter) {
            Self::All
        } else if filter.starts_with(wanted) {
            Self::Part(vec![filter.to_owned()])
        } else {
            Self::Nothing
        }
    }

    /// Compares a filter on several prefixes, of which a key must have one; none for all keys.
    pub(crate) fn of_prefixes(filters: &[String], wanted: &str) -> Self {
        match filters {
            [] => Self::All,
            filters => filters.iter().map(|filter| Self::of_prefix(filter, wanted)).fold(Self::Nothing, Self::or),
        }
    }

    /// Combines two filters of which a key must match one.
    pub(crate) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, _) | (_, Self::All) => Self::All,
            (Self::Nothing, other) => other,
            (own, Self::Nothing) => own,
            (Self::Part(mut own), Self::Part(others)) => {
                own.extend(others);
                Self::Part(own)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(prefix: &str) -> Coverage {
        Coverage::Part(vec![prefix.to_owned()])
    }

    #[test]
    fn a_filter_is_wider_narrower_or_elsewhere() {
        for (filter, wanted, reach) in [
            ("", "", Coverage::All),
            ("", "invoices/", Coverage::All),
            ("inv", "invoices/", Coverage::All),
            ("invoices/", "invoices/", Coverage::All),
            ("invoices/2026/", "invoices/", part("invoices/2026/")),
            ("invoices/", "", part("invoices/")),
            ("drafts/", "invoices/", Coverage::Nothing),
            ("Invoices/", "invoices/", Coverage::Nothing),
        ] {
            assert_eq!(Coverage::of_prefix(filter, wanted), reach, "{filter} {wanted}");
        }
    }

    #[test]
    fn several_filters_match_what_any_of_them_matches() {
        let filters = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(Coverage::of_prefixes(&[], "in/"), Coverage::All);
        assert_eq!(Coverage::of_prefixes(&filters(&["out/", "i"]), "in/"), Coverage::All);
        assert_eq!(
            Coverage::of_prefixes(&filters(&["out/", "in/a/", "in/b/"]), "in/"),
            Coverage::Part(filters(&["in/a/", "in/b/"]))
        );
        assert_eq!(Coverage::of_prefixes(&filters(&["out/"]), "in/"), Coverage::Nothing);
    }
}
