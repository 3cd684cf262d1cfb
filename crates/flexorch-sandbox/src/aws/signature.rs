//! The region that a call was signed for. Signatures are not checked, but there must be one.

/// The account in every ARN and queue URL: the one of AWS's documentation.
pub(crate) const ACCOUNT: &str = "123456789012";

/// The caller in the message of an error.
pub(crate) const CALLER: &str = "arn:aws:sts::123456789012:assumed-role/sandbox";

/// Why a call counts as not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignatureError {
    /// There is no `Authorization` header.
    Missing,
    /// It is no AWS4-HMAC-SHA256 signature for this service.
    Malformed,
}

/// Returns the region in the credential scope: `Credential=KEY/20260131/eu-west-1/sqs/aws4_request`.
pub(crate) fn signed_region<'a>(authorization: Option<&'a str>, service: &str) -> Result<&'a str, SignatureError> {
    let signature = authorization.ok_or(SignatureError::Missing)?;
    signature
        .strip_prefix("AWS4-HMAC-SHA256 ")
        .and_then(|parts| parts.split(',').find_map(|part| part.trim().strip_prefix("Credential=")))
        .and_then(|scope| {
            // From the end, because an access key's id may be anything.
            let mut scope = scope.rsplit('/');
            let is_of_service = scope.next() == Some("aws4_request") && scope.next() == Some(service);
            scope.next().filter(|_| is_of_service)
        })
        .ok_or(SignatureError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_the_one_of_the_credential_scope() {
        let header = "AWS4-HMAC-SHA256 Credential=A/K/20260131/eu-west-1/sqs/aws4_request, SignedHeaders=host, \
                      Signature=00";
        assert_eq!(signed_region(Some(header), "sqs"), Ok("eu-west-1"));
        assert_eq!(signed_region(Some(header), "s3"), Err(SignatureError::Malformed));
    }

    #[test]
    fn no_signature_is_another_error_than_a_signature_of_another_kind() {
        assert_eq!(signed_region(None, "sqs"), Err(SignatureError::Missing));
        for header in ["Bearer x", "AWS4-HMAC-SHA256 Credential=x", "AWS4-HMAC-SHA256 Signature=0"] {
            assert_eq!(signed_region(Some(header), "sqs"), Err(SignatureError::Malformed), "{header}");
        }
    }
}
