//! How the notifications and policy statements that `attach` adds are named.

use sha2::{Digest, Sha256};

/// The prefix of the Id of every notification that `attach` adds.
pub(crate) const PREFIX: &str = "flexorch-s3-";

/// Returns twelve hexadecimal digits that identify this list of parts.
pub(crate) fn digest(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.as_bytes());
        // No part contains it, so different lists give different digests.
        digest.update([0]);
    }
    digest.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}
