//! A delivery of FlexOrch's webhook: from the request of a Lambda function URL to a job's end, or the refusal.
//!
//! The order is: method, size, signature, JSON. Nothing is decoded that is too large, and nothing is parsed that is not signed.

use std::collections::HashMap;

use aws_smithy_types::base64;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::Sha256;

use crate::text::identifier;
use crate::transition::JobEnd;

/// The header that holds the signature: the hex HMAC-SHA256 of the raw body under the signing secret (FlexOrch API
/// documentation).
const SIGNATURE_HEADER: &str = "x-flexorch-signature";
/// The most bytes of a body, decoded. A delivery has about 200.
const LARGEST_BODY: usize = 65_536;
/// The most characters of their base64 form.
const LARGEST_ENCODED_BODY: usize = LARGEST_BODY.div_ceil(3) * 4;
/// The bytes of a signature.
const SIGNATURE_BYTES: usize = 32;

/// A request to the function's URL, payload format 2.0 (Lambda Developer Guide, "Invoking Lambda function URLs").
#[derive(Debug, Deserialize)]
pub(crate) struct Request {
    #[serde(rename = "requestContext")]
    context: Context,
    #[serde(default)]
    headers: Option<HashMap<String, String>>,
    #[serde(default)]
    body: Option<String>,
    #[serde(rename = "isBase64Encoded", default)]
    is_base64: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Context {
    http: Http,
}

#[derive(Debug, Deserialize)]
struct Http {
    method: String,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The method is not `POST`.
    #[error("only POST is allowed")]
    Method,
    /// Its body has more than [`LARGEST_BODY`] bytes.
    #[error("the body is larger than {LARGEST_BODY} bytes")]
    TooLarge,
    /// It is not signed with the signing secret.
    #[error("the signature is missing or wrong")]
    Signature,
    /// Its body cannot be decoded, is not a JSON object or names no job.
    #[error("the body is not a JSON object with a job_id")]
    Body,
}

impl Refusal {
    /// Returns the HTTP status.
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::Method => 405,
            Self::TooLarge => 413,
            Self::Signature => 401,
            Self::Body => 400,
        }
    }
}

/// A request that may be a delivery: it has a body to verify and a signature of the right form.
#[derive(Debug)]
pub(crate) struct Signed {
    body: Vec<u8>,
    signature: [u8; SIGNATURE_BYTES],
}

/// The secret under which FlexOrch signs; its `Debug` form does not show it. An empty one verifies nothing.
#[derive(Debug, Clone)]
pub(crate) struct SigningSecret(SecretString);

impl SigningSecret {
    /// Takes the secret's text; `None` if it is empty.
    pub(crate) fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(SecretString::from(text)))
    }
}

impl Request {
    /// Parses the event. `None` if it is not a request to a function URL.
    pub(crate) fn parse(event: &str) -> Option<Self> {
        serde_json::from_str(event).ok()
    }

    /// Checks method, size and the signature's form.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(crate) fn check(self) -> Result<Signed, Refusal> {
        if !self.context.http.method.eq_ignore_ascii_case("POST") {
            return Err(Refusal::Method);
        }
        let body = self.body.unwrap_or_default();
        let is_base64 = self.is_base64.unwrap_or_default();
        let limit = if is_base64 { LARGEST_ENCODED_BODY } else { LARGEST_BODY };
        if body.len() > limit {
            return Err(Refusal::TooLarge);
        }
        let headers = self.headers.unwrap_or_default();
        let header = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(SIGNATURE_HEADER));
        let signature = header.and_then(|(_, value)| signature(value));
        let body = if is_base64 {
            // A body that cannot be decoded has no valid signature.
            base64::decode(&*body).map_err(|_| if signature.is_none() { Refusal::Signature } else { Refusal::Body })?
        } else {
            body.into_bytes()
        };
        if body.len() > LARGEST_BODY {
            return Err(Refusal::TooLarge);
        }
        Ok(Signed { body, signature: signature.ok_or(Refusal::Signature)? })
    }
}

/// Reads a signature: 64 hexadecimal digits in any case, with space around them.
fn signature(text: &str) -> Option<[u8; SIGNATURE_BYTES]> {
    let digits = text.trim().as_bytes();
    if digits.len() != 2 * SIGNATURE_BYTES {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut signature = [0; SIGNATURE_BYTES];
    for (byte, pair) in signature.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(signature)
}

impl Signed {
    /// Whether it is signed with this secret. The comparison takes the same time wherever the signatures differ.
    pub(crate) fn is_signed_with(&self, secret: &SigningSecret) -> bool {
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret.0.expose_secret().as_bytes()) else { return false };
        mac.chain_update(&self.body).verify_slice(&self.signature).is_ok()
    }

    /// Reads what it says. Call it for a verified delivery only. `None`: nothing that concerns a document.
    ///
    /// `status` counts, not `event`; an event of another kind concerns no job.
    ///
    /// # Errors
    /// [`Refusal::Body`].
    pub(crate) fn read(&self, clean: impl Fn(&str) -> String) -> Result<Option<JobEnd>, Refusal> {
        // A list would be read as the fields in their order.
        if self.body.trim_ascii_start().first() != Some(&b'{') {
            return Err(Refusal::Body);
        }
        let delivery: Delivery<'_> = serde_json::from_slice(&self.body).map_err(|_| Refusal::Body)?;
        let text = |raw: Option<&RawValue>| raw.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
        if !matches!(text(delivery.event).as_deref(), Some("job.completed" | "job.failed")) {
            return Ok(None);
        }
        let job_id = delivery.job_id.and_then(identifier).ok_or(Refusal::Body)?;
        let completed = match text(delivery.status).map(|status| status.to_ascii_lowercase()).as_deref() {
            Some("completed") => true,
            Some("failed") => false,
            _ => return Ok(None),
        };
        Ok(Some(JobEnd {
            job_id,
            completed,
            quality_grade: text(delivery.quality_grade).filter(|grade| !grade.is_empty()).map(|grade| clean(&grade)),
            pii_findings_count: delivery.pii_findings_count.and_then(|raw| serde_json::from_str(raw.get()).ok()),
            failure_reason: None,
            asked: false,
        }))
    }
}

#[derive(Deserialize)]
struct Delivery<'a> {
    #[serde(borrow, default)]
    event: Option<&'a RawValue>,
    #[serde(borrow, default)]
    job_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    status: Option<&'a RawValue>,
    #[serde(borrow, default)]
    quality_grade: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pii_findings_count: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const SECRET: &str = "whsec_test";

    fn sign(body: &[u8]) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap().chain_update(body).finalize();
        mac.into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn request(body: &str, signature: &str) -> Value {
        json!({
            "version": "2.0", "rawPath": "/any", "headers": {"x-flexorch-signature": signature},
            "requestContext": {"http": {"method": "POST", "path": "/any"}}, "body": body, "isBase64Encoded": false,
        })
    }

    fn check(event: &Value) -> Result<Signed, Refusal> {
        Request::parse(&event.to_string()).unwrap().check()
    }

    fn is_verified(body: &str, signature: &str) -> bool {
        check(&request(body, signature)).is_ok_and(|signed| signed.is_signed_with(&SigningSecret::new(SECRET).unwrap()))
    }

    fn read(body: &str) -> Result<Option<JobEnd>, Refusal> {
        check(&request(body, &sign(body.as_bytes()))).unwrap().read(str::to_owned)
    }

    #[test]
    fn a_signature_is_64_hex_digits_in_any_case_with_space_around() {
        let signature = sign(b"{}");
        for right in [signature.clone(), signature.to_uppercase(), format!(" \t{signature} ")] {
            assert!(is_verified("{}", &right), "{right:?}");
        }
        for wrong in [
            String::new(),
            signature[..62].to_owned(),
            format!("{signature}00"),
            format!("sha256={signature}"),
            format!("{}g", &signature[..63]),
            format!("{signature},{signature}"),
            sign(b"{} "),
        ] {
            assert!(!is_verified("{}", &wrong), "{wrong:?}");
        }
        let mut unsigned = request("{}", "");
        for headers in [json!({}), Value::Null] {
            (unsigned["headers"], unsigned["isBase64Encoded"]) = (headers, Value::Null);
            assert_eq!(check(&unsigned).unwrap_err(), Refusal::Signature);
        }
    }

    #[test]
    fn an_empty_signing_secret_is_none() {
        assert!(SigningSecret::new("").is_none());
        assert!(!format!("{:?}", SigningSecret::new(SECRET)).contains(SECRET));
    }

    #[test]
    fn a_body_in_base64_is_verified_as_what_it_encodes() {
        let body = br#"{"event":"job.completed","job_id":"j","status":"completed"}"#;
        let mut event = request(&base64::encode(body), &sign(body));
        event["isBase64Encoded"] = json!(true);
        let signed = check(&event).unwrap();
        assert!(signed.is_signed_with(&SigningSecret::new(SECRET).unwrap()));
        assert_eq!(signed.read(str::to_owned).unwrap().unwrap().job_id, "j");
        event["body"] = json!("***");
        assert_eq!(check(&event).unwrap_err(), Refusal::Body);
    }

    #[test]
    fn the_limit_of_the_size_is_that_of_the_decoded_body() {
        let of = |bytes: usize, is_base64: bool| {
            let body = vec![b'x'; bytes];
            let text = if is_base64 { base64::encode(&body) } else { String::from_utf8(body).unwrap() };
            let mut event = request(&text, &"0".repeat(64));
            event["isBase64Encoded"] = json!(is_base64);
            check(&event).map(|signed| signed.body.len())
        };
        for is_base64 in [false, true] {
            assert_eq!(of(65_536, is_base64), Ok(65_536));
            assert_eq!(of(65_537, is_base64), Err(Refusal::TooLarge));
            assert_eq!(of(10_000_000, is_base64), Err(Refusal::TooLarge));
        }
        let mut unsigned = request(&"x".repeat(65_537), "");
        assert_eq!(check(&unsigned).unwrap_err(), Refusal::TooLarge, "size before signature");
        unsigned["requestContext"]["http"]["method"] = json!("GET");
        assert_eq!(check(&unsigned).unwrap_err(), Refusal::Method);
    }

    #[test]
    fn the_status_counts_and_not_the_event() {
        let end = |event: &str, status: &str| {
            read(
                &json!({"event": event, "job_id": 7, "status": status, "quality_grade": "A", "pii_findings_count": 2,
                "failure_reason": "not used"})
                .to_string(),
            )
        };
        let completed = end("job.completed", "completed").unwrap().unwrap();
        assert_eq!((&*completed.job_id, completed.completed), ("7", true));
        assert_eq!((completed.quality_grade.as_deref(), completed.pii_findings_count), (Some("A"), Some(2)));
        assert_eq!(completed.failure_reason, None);
        assert!(!end("job.completed", "failed").unwrap().unwrap().completed);
        assert!(end("job.failed", "completed").unwrap().unwrap().completed);
        assert_eq!(end("job.failed", "running"), Ok(None));
        assert_eq!(end("quota.warning", "completed"), Ok(None));
    }

    #[test]
    fn a_body_without_a_job_is_refused_unless_its_event_concerns_none() {
        assert_eq!(read(r#"{"event":"dataset.ready"}"#), Ok(None));
        assert_eq!(read("{}"), Ok(None));
        for body in ["", "x", "[]", "1", r#"{"event":"job.completed","status":"completed"}"#] {
            assert_eq!(read(body), Err(Refusal::Body), "{body}");
        }
        for job in [r#""""#, "null", "true", "{}", "[1]"] {
            let body = format!(r#"{{"event":"job.completed","job_id":{job},"status":"completed"}}"#);
            assert_eq!(read(&body), Err(Refusal::Body), "{body}");
        }
    }
}
