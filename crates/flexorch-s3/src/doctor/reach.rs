//! How far a filter on keys lets through what a connector reads. Pure.

/// What of a connector's prefix a filter lets through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reach {
    /// All of it.
    All,
    /// Keys under these prefixes alone.
    Part(Vec<String>),
    /// Nothing.
    Nothing,
}

impl Reach {
    /// A filter on one prefix; empty for all keys.
    pub(super) fn of_prefix(filter: &str, wanted: &str) -> Self {
        if wanted.starts_with(filter) {
            Self::All
        } else if filter.starts_with(wanted) {
            Self::Part(vec![filter.to_owned()])
        } else {
            Self::Nothing
        }
    }

    /// A key must start with one of them; none for all keys.
    pub(super) fn of_prefixes(filters: &[String], wanted: &str) -> Self {
        match filters {
            [] => Self::All,
            filters => filters.iter().map(|filter| Self::of_prefix(filter, wanted)).fold(Self::Nothing, Self::or),
        }
    }

    /// What either lets through.
    pub(super) fn or(self, other: Self) -> Self {
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

    fn part(prefix: &str) -> Reach {
        Reach::Part(vec![prefix.to_owned()])
    }

    #[test]
    fn a_filter_is_wider_narrower_or_elsewhere() {
        for (filter, wanted, reach) in [
            ("", "", Reach::All),
            ("", "invoices/", Reach::All),
            ("inv", "invoices/", Reach::All),
            ("invoices/", "invoices/", Reach::All),
            ("invoices/2026/", "invoices/", part("invoices/2026/")),
            ("invoices/", "", part("invoices/")),
            ("drafts/", "invoices/", Reach::Nothing),
            ("Invoices/", "invoices/", Reach::Nothing),
        ] {
            assert_eq!(Reach::of_prefix(filter, wanted), reach, "{filter} {wanted}");
        }
    }

    #[test]
    fn several_filters_let_through_what_any_of_them_does() {
        let filters = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(Reach::of_prefixes(&[], "in/"), Reach::All);
        assert_eq!(Reach::of_prefixes(&filters(&["out/", "i"]), "in/"), Reach::All);
        assert_eq!(
            Reach::of_prefixes(&filters(&["out/", "in/a/", "in/b/"]), "in/"),
            Reach::Part(filters(&["in/a/", "in/b/"]))
        );
        assert_eq!(Reach::of_prefixes(&filters(&["out/"]), "in/"), Reach::Nothing);
    }
}
