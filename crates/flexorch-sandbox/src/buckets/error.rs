//! S3's errors: status, code, and the other elements of their XML.

/// An error of S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct S3Error {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
    /// Further elements of the document.
    pub(super) details: Vec<(&'static str, String)>,
    /// The bucket's region, for `x-amz-bucket-region`.
    pub(super) bucket_region: Option<String>,
}

impl S3Error {
    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), details: Vec::new(), bucket_region: None }
    }

    fn with(mut self, element: &'static str, text: impl Into<String>) -> Self {
        self.details.push((element, text.into()));
        self
    }

    /// There is no such bucket.
    pub(super) fn no_such_bucket(bucket: &str) -> Self {
        Self::new(404, "NoSuchBucket", "The specified bucket does not exist").with("BucketName", bucket)
    }

    /// There is no such object.
    pub(super) fn no_such_key(key: &str) -> Self {
        Self::new(404, "NoSuchKey", "The specified key does not exist.").with("Key", key)
    }

    /// The call was signed for another region than the bucket's.
    pub(super) fn permanent_redirect(bucket: &str, region: &str) -> Self {
        let message = "The bucket you are attempting to access must be addressed using the specified endpoint. Please \
                       send all future requests to this endpoint.";
        let error = Self::new(301, "PermanentRedirect", message)
            .with("Endpoint", format!("{bucket}.s3.{region}.amazonaws.com"))
            .with("Bucket", bucket);
        Self { bucket_region: Some(region.to_owned()), ..error }
    }

    /// The role does not have the permission, or the call has no signature.
    pub(super) fn access_denied() -> Self {
        Self::new(403, "AccessDenied", "Access Denied")
    }

    /// `Authorization` is not a signature for S3.
    pub(super) fn wrongly_signed() -> Self {
        let message = "The authorization header is malformed; it is not an AWS4-HMAC-SHA256 signature for s3.";
        Self::new(400, "AuthorizationHeaderMalformed", message)
    }

    /// Too many calls.
    pub(super) fn slow_down() -> Self {
        Self::new(503, "SlowDown", "Please reduce your request rate.")
    }

    /// S3's own failure.
    pub(super) fn internal() -> Self {
        Self::new(500, "InternalError", "We encountered an internal error. Please try again.")
    }

    /// This endpoint does not have the operation.
    pub(super) fn not_implemented(what: &str) -> Self {
        Self::new(501, "NotImplemented", format!("The sandbox has no {what}."))
    }

    /// The path or the query is not UTF-8.
    pub(super) fn invalid_uri() -> Self {
        Self::new(400, "InvalidURI", "Couldn't parse the specified URI.")
    }

    /// A parameter's value is not allowed.
    pub(super) fn invalid_argument(name: &str, value: &str, message: impl Into<String>) -> Self {
        Self::new(400, "InvalidArgument", message).with("ArgumentName", name).with("ArgumentValue", value)
    }

    /// The document does not match the operation's schema.
    pub(super) fn malformed_xml() -> Self {
        let message = "The XML you provided was not well-formed or did not validate against our published schema";
        Self::new(400, "MalformedXML", message)
    }

    /// The document has another digest than the signed one.
    pub(super) fn content_mismatch() -> Self {
        let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
        Self::new(400, "XAmzContentSHA256Mismatch", message)
    }

    /// Two notifications are for the same events of the same keys.
    pub(super) fn overlapping_notifications(filtered: bool) -> Self {
        let message = match filtered {
            true => {
                "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are overlapping \
                 for the same event type."
            }
            false => "Configurations overlap. Configurations on the same bucket cannot share a common event type.",
        };
        Self::new(400, "InvalidArgument", message)
    }

    /// A notification's destination does not allow S3 to send.
    pub(super) fn destination_refused(arn: &str) -> Self {
        Self::new(400, "InvalidArgument", "Unable to validate the following destination configurations")
            .with("ArgumentName1", arn)
            .with("ArgumentValue1", "The destination does not exist or does not allow S3 to send")
    }

    /// The key has more than 1,024 bytes.
    pub(super) fn key_too_long(bytes: usize, limit: usize) -> Self {
        Self::new(400, "KeyTooLongError", "Your key is too long")
            .with("Size", bytes.to_string())
            .with("MaxSizeAllowed", limit.to_string())
    }

    /// The client stopped in the middle of an object's body.
    pub(super) fn incomplete_body() -> Self {
        Self::new(400, "IncompleteBody", "The request body terminated unexpectedly")
    }
}
