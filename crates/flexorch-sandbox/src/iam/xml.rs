//! IAM's XML documents. Pure.

use super::super::aws::signature::ACCOUNT;
use super::super::aws::xml::element;
use super::error::IamError;
use super::store::AccessKey;

/// The namespace of all documents.
const NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";

/// The response of an operation; `result` is the contents of its result.
pub(super) fn response(operation: &str, result: &str, request_id: &str) -> String {
    let mut xml = format!("<{operation}Response xmlns=\"{NAMESPACE}\">");
    if !result.is_empty() {
        xml.push_str(&format!("<{operation}Result>{result}</{operation}Result>"));
    }
    xml.push_str("<ResponseMetadata>");
    element(&mut xml, "RequestId", request_id);
    xml.push_str(&format!("</ResponseMetadata></{operation}Response>"));
    xml
}

/// An error.
pub(super) fn error(error: &IamError, request_id: &str) -> String {
    let mut xml = format!("<ErrorResponse xmlns=\"{NAMESPACE}\"><Error>");
    element(&mut xml, "Type", if error.status < 500 { "Sender" } else { "Receiver" });
    element(&mut xml, "Code", error.code);
    element(&mut xml, "Message", &error.message);
    xml.push_str("</Error>");
    element(&mut xml, "RequestId", request_id);
    xml + "</ErrorResponse>"
}

/// The result of `CreateAccessKey`.
pub(super) fn new_key(user: &str, key: &AccessKey) -> String {
    let mut xml = "<AccessKey>".to_owned();
    metadata(&mut xml, user, key);
    element(&mut xml, "SecretAccessKey", &key.secret);
    xml + "</AccessKey>"
}

/// The result of `ListAccessKeys`.
pub(super) fn keys(user: &str, keys: &[AccessKey]) -> String {
    let mut xml = "<AccessKeyMetadata>".to_owned();
    for key in keys {
        xml.push_str("<member>");
        metadata(&mut xml, user, key);
        xml.push_str("</member>");
    }
    xml.push_str("</AccessKeyMetadata>");
    element(&mut xml, "IsTruncated", "false");
    xml
}

/// The result of `GetUser`.
pub(super) fn user(user: &str) -> String {
    let mut xml = "<User>".to_owned();
    element(&mut xml, "Path", "/");
    element(&mut xml, "UserName", user);
    element(&mut xml, "UserId", "AIDASANDBOX000000000");
    element(&mut xml, "Arn", &format!("arn:aws:iam::{ACCOUNT}:user/{user}"));
    element(&mut xml, "CreateDate", "2026-01-31T12:00:00Z");
    xml + "</User>"
}

fn metadata(xml: &mut String, user: &str, key: &AccessKey) {
    element(xml, "UserName", user);
    element(xml, "AccessKeyId", &key.id);
    element(xml, "Status", if key.active { "Active" } else { "Inactive" });
    element(xml, "CreateDate", &key.created.rfc3339());
}
