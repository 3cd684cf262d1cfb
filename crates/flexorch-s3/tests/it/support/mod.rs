//! What the tests share: the built command line and everything that it talks to, on random ports.

pub mod account;
pub mod clinic;
pub mod operator;
pub mod records;
pub mod run;
pub mod site;
pub mod surroundings;

/// The repository's folder.
pub const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Keys `prefix000.pdf`, `prefix001.pdf`, ….
pub fn keys(prefix: &str, number: usize) -> Vec<String> {
    (0..number).map(|key| format!("{prefix}{key:03}.pdf")).collect()
}
