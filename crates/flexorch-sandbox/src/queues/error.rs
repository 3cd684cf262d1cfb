//! SQS's errors: their names in the JSON protocol, and in the query protocol before it.

/// An error as SQS names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SqsError {
    pub(super) status: u16,
    /// The shape's name with its namespace, as `__type` has it.
    pub(super) shape: &'static str,
    /// The query protocol's name, which the SDKs know the error by (`x-amzn-query-error`), and a batch's entries too.
    pub(super) code: &'static str,
    /// Whether trying again is pointless.
    pub(super) sender_fault: bool,
    pub(super) message: String,
}

impl SqsError {
    fn sender(shape: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self { status: 400, shape, code, sender_fault: true, message: message.into() }
    }

    /// There is no queue of this name, or of this account.
    pub(super) fn no_such_queue() -> Self {
        let (shape, code) = ("com.amazonaws.sqs#QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue");
        Self::sender(shape, code, "The specified queue does not exist.")
    }

    /// A parameter that every call must have is not there.
    pub(super) fn missing(parameter: &str) -> Self {
        let message = format!("The request must contain the parameter {parameter}.");
        Self::sender("com.amazon.coral.service#MissingRequiredParameterException", "MissingParameter", message)
    }

    /// A parameter has a value that it may not have.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::sender("com.amazon.coral.service#InvalidParameterValueException", "InvalidParameterValue", message)
    }

    /// A body or an attribute has characters that XML 1.0 has not.
    pub(super) fn invalid_characters() -> Self {
        let message = "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | \
                       #xE000 to #xFFFD | #x10000 to #x10FFFF";
        Self::sender("com.amazonaws.sqs#InvalidMessageContents", "InvalidMessageContents", message)
    }

    /// A queue's attribute that there is not.
    pub(super) fn unknown_attribute(name: &str) -> Self {
        let message = format!("Unknown Attribute {name}.");
        Self::sender("com.amazonaws.sqs#InvalidAttributeName", "InvalidAttributeName", message)
    }

    /// A value that a queue's attribute cannot have.
    pub(super) fn invalid_attribute_value(name: &str) -> Self {
        let message = format!("Invalid value for the parameter {name}.");
        Self::sender("com.amazonaws.sqs#InvalidAttributeValue", "InvalidAttributeValue", message)
    }

    /// A receipt handle that this queue never gave out.
    pub(super) fn invalid_handle(handle: &str) -> Self {
        let message = format!("The input receipt handle \"{handle}\" is not a valid receipt handle.");
        Self::sender("com.amazonaws.sqs#ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", message)
    }

    /// The message is there, but visible.
    pub(super) fn not_in_flight() -> Self {
        let (shape, code) = ("com.amazonaws.sqs#MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight");
        Self::sender(shape, code, "The specified message isn't in flight.")
    }

    /// A batch without entries.
    pub(super) fn empty_batch(operation: &str) -> Self {
        let (shape, code) = ("com.amazonaws.sqs#EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest");
        Self::sender(shape, code, format!("There should be at least one {operation}RequestEntry in the request."))
    }

    /// A batch with more than ten entries.
    pub(super) fn too_many_entries(entries: usize) -> Self {
        let shape = "com.amazonaws.sqs#TooManyEntriesInBatchRequest";
        let message = format!("Maximum number of entries per request are 10. You have sent {entries}.");
        Self::sender(shape, "AWS.SimpleQueueService.TooManyEntriesInBatchRequest", message)
    }

    /// Two entries of a batch with one id.
    pub(super) fn repeated_id(id: &str) -> Self {
        let shape = "com.amazonaws.sqs#BatchEntryIdsNotDistinct";
        Self::sender(shape, "AWS.SimpleQueueService.BatchEntryIdsNotDistinct", format!("Id {id} repeated."))
    }

    /// An entry's id with other characters than an id has.
    pub(super) fn invalid_id() -> Self {
        let message = "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be \
                       at most 80 letters long.";
        let shape = "com.amazonaws.sqs#InvalidBatchEntryId";
        Self::sender(shape, "AWS.SimpleQueueService.InvalidBatchEntryId", message)
    }

    /// A batch whose messages are too large together.
    pub(super) fn batch_too_long(limit: usize, bytes: usize) -> Self {
        let shape = "com.amazonaws.sqs#BatchRequestTooLong";
        let message = format!("Batch requests cannot be longer than {limit} bytes. You have sent {bytes} bytes.");
        Self::sender(shape, "AWS.SimpleQueueService.BatchRequestTooLong", message)
    }

    /// `X-Amz-Target` names nothing that there is.
    pub(super) fn unknown_operation(message: impl Into<String>) -> Self {
        Self::sender("com.amazon.coral.service#UnknownOperationException", "InvalidAction", message)
    }

    /// The body is no JSON, or has a field of another type.
    pub(super) fn serialization() -> Self {
        let message = "The body is not as it must be.";
        Self::sender("com.amazon.coral.service#SerializationException", "SerializationException", message)
    }

    /// No `Authorization` header.
    pub(super) fn unsigned() -> Self {
        let shape = "com.amazon.coral.service#MissingAuthenticationTokenException";
        let error = Self::sender(shape, "MissingAuthenticationToken", "Missing Authentication Token");
        Self { status: 403, ..error }
    }

    /// Another `Authorization` than a signature for SQS.
    pub(super) fn wrongly_signed() -> Self {
        let message = "Authorization is no AWS4-HMAC-SHA256 signature for sqs.";
        Self::sender("com.amazon.coral.service#IncompleteSignatureException", "IncompleteSignature", message)
    }

    /// What a role without the permission gets.
    pub(super) fn access_denied(resource: &str, operation: &str) -> Self {
        let message = format!(
            "User: arn:aws:sts::{}:assumed-role/sandbox is not authorized to perform: sqs:{} on resource: {resource} \
             because no identity-based policy allows the sqs:{} action",
            super::ACCOUNT,
            operation.to_lowercase(),
            operation.to_lowercase(),
        );
        let error = Self::sender("com.amazon.coral.service#AccessDeniedException", "AccessDenied", message);
        Self { status: 403, ..error }
    }

    /// Too many calls.
    pub(super) fn throttled() -> Self {
        Self::sender("com.amazonaws.sqs#RequestThrottled", "RequestThrottled", "Rate exceeded")
    }

    /// SQS's own failure.
    pub(super) fn internal() -> Self {
        Self {
            status: 500,
            shape: "com.amazon.coral.service#InternalFailure",
            code: "InternalError",
            sender_fault: false,
            message: "We encountered an internal error. Please try again.".to_owned(),
        }
    }
}
