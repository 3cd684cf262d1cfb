//! SQS's errors: their names in the JSON protocol and in the older query protocol.

use super::super::aws::signature::CALLER;

/// An error of SQS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SqsError {
    pub(super) status: u16,
    /// The shape's name with its namespace, for `__type`.
    pub(super) shape: &'static str,
    /// The query protocol's name, by which the SDKs recognise the error (`x-amzn-query-error`), also in a batch's entries.
    pub(super) code: &'static str,
    /// Whether the sender is at fault, so that a retry is pointless.
    pub(super) sender_fault: bool,
    pub(super) message: String,
}

impl SqsError {
    fn sender(shape: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self { status: 400, shape, code, sender_fault: true, message: message.into() }
    }

    /// There is no queue of this name in this account.
    pub(super) fn no_such_queue() -> Self {
        let (shape, code) = ("com.amazonaws.sqs#QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue");
        Self::sender(shape, code, "The specified queue does not exist.")
    }

    /// A required parameter is missing.
    pub(super) fn missing(parameter: &str) -> Self {
        let message = format!("The request must contain the parameter {parameter}.");
        Self::sender("com.amazon.coral.service#MissingRequiredParameterException", "MissingParameter", message)
    }

    /// A parameter's value is not allowed.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::sender("com.amazon.coral.service#InvalidParameterValueException", "InvalidParameterValue", message)
    }

    /// A body or an attribute has characters that XML 1.0 does not allow.
    pub(super) fn invalid_characters() -> Self {
        let message = "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | \
                       #xE000 to #xFFFD | #x10000 to #x10FFFF";
        Self::sender("com.amazonaws.sqs#InvalidMessageContents", "InvalidMessageContents", message)
    }

    /// There is no such attribute of a queue.
    pub(super) fn unknown_attribute(name: &str) -> Self {
        let message = format!("Unknown Attribute {name}.");
        Self::sender("com.amazonaws.sqs#InvalidAttributeName", "InvalidAttributeName", message)
    }

    /// The value of a queue's attribute is not allowed.
    pub(super) fn invalid_attribute_value(name: &str) -> Self {
        let message = format!("Invalid value for the parameter {name}.");
        Self::sender("com.amazonaws.sqs#InvalidAttributeValue", "InvalidAttributeValue", message)
    }

    /// This queue never issued the receipt handle.
    pub(super) fn invalid_handle(handle: &str) -> Self {
        let message = format!("The input receipt handle \"{handle}\" is not a valid receipt handle.");
        Self::sender("com.amazonaws.sqs#ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", message)
    }

    /// The message is visible.
    pub(super) fn not_in_flight() -> Self {
        let (shape, code) = ("com.amazonaws.sqs#MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight");
        Self::sender(shape, code, "The specified message isn't in flight.")
    }

    /// The batch has no entries.
    pub(super) fn empty_batch(operation: &str) -> Self {
        let (shape, code) = ("com.amazonaws.sqs#EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest");
        Self::sender(shape, code, format!("There should be at least one {operation}RequestEntry in the request."))
    }

    /// The batch has more than ten entries.
    pub(super) fn too_many_entries(entries: usize) -> Self {
        let shape = "com.amazonaws.sqs#TooManyEntriesInBatchRequest";
        let message = format!("Maximum number of entries per request are 10. You have sent {entries}.");
        Self::sender(shape, "AWS.SimpleQueueService.TooManyEntriesInBatchRequest", message)
    }

    /// Two entries of a batch have the same id.
    pub(super) fn repeated_id(id: &str) -> Self {
        let shape = "com.amazonaws.sqs#BatchEntryIdsNotDistinct";
        Self::sender(shape, "AWS.SimpleQueueService.BatchEntryIdsNotDistinct", format!("Id {id} repeated."))
    }

    /// An entry's id has a character that is not allowed.
    pub(super) fn invalid_id() -> Self {
        let message = "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be \
                       at most 80 letters long.";
        let shape = "com.amazonaws.sqs#InvalidBatchEntryId";
        Self::sender(shape, "AWS.SimpleQueueService.InvalidBatchEntryId", message)
    }

    /// The messages of a batch are too large together.
    pub(super) fn batch_too_long(limit: usize, bytes: usize) -> Self {
        let shape = "com.amazonaws.sqs#BatchRequestTooLong";
        let message = format!("Batch requests cannot be longer than {limit} bytes. You have sent {bytes} bytes.");
        Self::sender(shape, "AWS.SimpleQueueService.BatchRequestTooLong", message)
    }

    /// `X-Amz-Target` names no operation.
    pub(super) fn unknown_operation(message: impl Into<String>) -> Self {
        Self::sender("com.amazon.coral.service#UnknownOperationException", "InvalidAction", message)
    }

    /// The body is not JSON, or a field has another type.
    pub(super) fn serialization() -> Self {
        let message = "The body is not as it must be.";
        Self::sender("com.amazon.coral.service#SerializationException", "SerializationException", message)
    }

    /// There is no `Authorization` header.
    pub(super) fn unsigned() -> Self {
        let shape = "com.amazon.coral.service#MissingAuthenticationTokenException";
        let error = Self::sender(shape, "MissingAuthenticationToken", "Missing Authentication Token");
        Self { status: 403, ..error }
    }

    /// `Authorization` is not a signature for SQS.
    pub(super) fn wrongly_signed() -> Self {
        let message = "Authorization is no AWS4-HMAC-SHA256 signature for sqs.";
        Self::sender("com.amazon.coral.service#IncompleteSignatureException", "IncompleteSignature", message)
    }

    /// The role does not have the permission.
    pub(super) fn access_denied(resource: &str, operation: &str) -> Self {
        let message = format!(
            "User: {CALLER} is not authorized to perform: sqs:{operation} on resource: {resource} because no identity-based policy \
             allows the sqs:{operation} action",
            operation = operation.to_lowercase(),
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
