//! Follows submitted documents to their end.

fn main() {}
