//! DynamoDB's errors.

use crate::aws::error::AwsError;

/// Returns the error for a request that is not valid.
pub(super) fn validation(message: impl Into<String>) -> AwsError {
    AwsError::client("com.amazon.coral.validate#ValidationException", message)
}

/// Returns the error for a value that is not of its type.
pub(super) fn serialization() -> AwsError {
    let message = "The body, or a value in it, does not have the expected type.";
    AwsError::client("com.amazon.coral.service#SerializationException", message)
}

/// Returns the error for an item that does not meet the condition.
pub(super) fn condition_failed() -> AwsError {
    let shape = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException";
    AwsError::client(shape, "The conditional request failed")
}

/// Returns the error for a table that does not exist.
pub(super) fn no_table(name: &str) -> AwsError {
    let message = format!("Requested resource not found: Table: {name} not found");
    AwsError::client("com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", message)
}

/// Returns the error for a table or an index whose provisioned capacity is exceeded.
pub(super) fn throughput_exceeded() -> AwsError {
    let message = "The level of configured provisioned throughput for the table was exceeded. Consider increasing your \
                   provisioning level with the UpdateTable API.";
    AwsError::client("com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException", message)
}

/// Returns DynamoDB's internal error.
pub(super) fn internal() -> AwsError {
    AwsError::server("com.amazonaws.dynamodb.v20120810#InternalServerError", "Internal server error")
}
