//! Follows submitted documents to their end.
