//! The keys of a request that a name in FlexOrch's response may refer to.

use std::collections::HashMap;

use super::base_name;

/// The keys of a request by the names that FlexOrch may use for them: the whole key, or the part after one of its slashes, usually
/// the base name. The API documentation does not say which of them `filename` is.
pub(super) struct KeyNames<'k> {
    keys: &'k [&'k str],
    by_base_name: HashMap<&'k str, Vec<usize>>,
    /// The keys that share their base name with another, by each of their names. Usually there are none.
    of_shared_base_names: HashMap<&'k str, Vec<usize>>,
}

impl<'k> KeyNames<'k> {
    pub(super) fn of(keys: &'k [&'k str]) -> Self {
        let mut by_base_name: HashMap<&str, Vec<usize>> = HashMap::with_capacity(keys.len());
        for (index, key) in keys.iter().enumerate() {
            by_base_name.entry(base_name(key)).or_default().push(index);
        }
        let mut of_shared_base_names: HashMap<&str, Vec<usize>> = HashMap::new();
        for index in by_base_name.values().filter(|keys| keys.len() > 1).flatten() {
            let key = keys[*index];
            let after_slashes = key.match_indices('/').map(|(slash, _)| &key[slash + 1..]);
            for name in after_slashes.chain([key]) {
                of_shared_base_names.entry(name).or_default().push(*index);
            }
        }
        Self { keys, by_base_name, of_shared_base_names }
    }

    /// Returns the positions of the keys that a name may refer to.
    pub(super) fn candidates(&self, name: &str) -> &[usize] {
        match self.by_base_name.get(base_name(name)).map(Vec::as_slice) {
            None => &[],
            Some(only @ [index]) => {
                let fits =
                    self.keys[*index].strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
                if fits { only } else { &[] }
            }
            Some(_) => self.of_shared_base_names.get(name).map_or(&[], Vec::as_slice),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates<'k>(keys: &'k [&'k str], name: &str) -> Vec<&'k str> {
        KeyNames::of(keys).candidates(name).iter().map(|index| keys[*index]).collect()
    }

    #[test]
    fn a_name_means_the_whole_key_or_what_follows_one_of_its_slashes() {
        let keys = ["x/y/a.pdf", "b.pdf"];
        for name in ["x/y/a.pdf", "y/a.pdf", "a.pdf"] {
            assert_eq!(candidates(&keys, name), ["x/y/a.pdf"], "{name}");
        }
        for name in ["/y/a.pdf", "z/a.pdf", "pdf", "x/b.pdf", "", "aa.pdf", "x/y/"] {
            assert!(candidates(&keys, name).is_empty(), "{name}");
        }
    }

    #[test]
    fn a_name_that_is_one_key_and_the_ending_of_others_may_mean_each() {
        let keys = ["a.pdf", "x/a.pdf", "y/x/a.pdf", "b.pdf"];
        for (name, expected) in [
            ("a.pdf", &["a.pdf", "x/a.pdf", "y/x/a.pdf"][..]),
            ("x/a.pdf", &["x/a.pdf", "y/x/a.pdf"]),
            ("y/x/a.pdf", &["y/x/a.pdf"]),
            ("b.pdf", &["b.pdf"]),
        ] {
            let mut found = candidates(&keys, name);
            found.sort_unstable();
            assert_eq!(found, expected, "{name}");
        }
    }
}
