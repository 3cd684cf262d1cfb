//! S3 as a service: REST over HTTP in path style, `/BUCKET/KEY`, with responses and errors in XML, and no body for HEAD.

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use sha2::{Digest, Sha256};

use super::{
    super::{
        aws::{
            endpoint::{Service, Shared},
            fault::{Failure, Verdict},
            signature::{SignatureError, signed_region},
        },
        clock::Moment,
        hex,
    },
    error::S3Error,
    notification,
    operation::{Operation, Target},
    store::{self, Object, Store},
    xml,
};

/// The region that may ask for the location of any bucket.
const GLOBAL_REGION: &str = "us-east-1";

/// The most bytes of a document in a request.
const LARGEST_DOCUMENT: usize = 1 << 20;

/// A recorded call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketCall {
    /// The method, `GET` for example.
    pub method: String,
    /// The bucket's name; empty if the call is about all buckets.
    pub bucket: String,
    /// The object's key, decoded; `None` if the call is about the bucket.
    pub key: Option<String>,
    /// The query, unchanged.
    pub query: String,
    /// The region that the call was signed for.
    pub region: String,
}

impl Service for Store {
    type Call = BucketCall;

    const EMPTY_DOCUMENT: &'static str = "<Empty/>";

    fn router(shared: Shared<Self>) -> Router {
        Router::new().fallback(handle).with_state(shared)
    }
}

async fn handle(State(shared): State<Shared<Store>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let request_id = format!("{:016X}", fastrand::u64(..));
    let mut response = match respond(&shared, &parts, body).await {
        Ok(response) => response,
        Err(error) => error_response(&error, &parts.method, &request_id),
    };
    insert(response.headers_mut(), "x-amz-request-id", &request_id);
    response
}

async fn respond(shared: &Shared<Store>, parts: &Parts, body: Body) -> Result<Response, S3Error> {
    let authorization = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let region = signed_region(authorization, "s3").map_err(|error| match error {
        SignatureError::Missing => S3Error::access_denied(),
        SignatureError::Malformed => S3Error::wrongly_signed(),
    })?;
    let target = Target::parse(parts.uri.path())?;
    let query = parts.uri.query().unwrap_or_default();
    let operation = Operation::parse(&parts.method, &target, query);
    let call = BucketCall {
        method: parts.method.to_string(),
        bucket: target.bucket.clone(),
        key: target.key,
        query: query.to_owned(),
        region: region.to_owned(),
    };
    let bucket = target.bucket.as_str();
    let operation_name = operation.as_ref().map_or("", Operation::name);
    match shared.receive(operation_name, bucket, call).await {
        // No operation here has entries.
        Verdict::Respond | Verdict::RespondInPart => perform(shared, operation?, (bucket, region), parts, body).await,
        Verdict::Damage(damage) => {
            let response = perform(shared, operation?, (bucket, region), parts, body).await?;
            Ok(shared.damage(response, damage).await)
        }
        Verdict::Hang => Ok(shared.hang().await),
        Verdict::Fail(Failure::NotFound) => Err(S3Error::no_such_bucket(bucket)),
        Verdict::Fail(Failure::AccessDenied) => Err(S3Error::access_denied()),
        Verdict::Fail(Failure::Throttling | Failure::ThroughputExceeded) => Err(S3Error::slow_down()),
        Verdict::Fail(Failure::Internal) => Err(S3Error::internal()),
    }
}

/// Does what a call asks in a bucket and the region that the call was signed for.
async fn perform(
    shared: &Shared<Store>,
    operation: Operation,
    (bucket, region): (&str, &str),
    parts: &Parts,
    body: Body,
) -> Result<Response, S3Error> {
    match operation {
        Operation::ListObjectsV2(listing) => {
            let page = shared.service().page(bucket, region, &listing)?;
            // The lock is not held while the document is written.
            Ok(document(StatusCode::OK, xml::listing(bucket, &listing, &page)))
        }
        Operation::GetBucketLocation => shared.service().location(bucket, region),
        Operation::GetBucketNotification => shared.service().get_notification(bucket, region),
        Operation::PutBucketNotification => {
            let validates = parts.headers.get("x-amz-skip-destination-validation").is_none_or(|skip| skip != "true");
            let bytes = axum::body::to_bytes(body, LARGEST_DOCUMENT).await;
            let bytes = bytes.map_err(|_| S3Error::malformed_xml())?;
            check_digest(&parts.headers, &bytes)?;
            let xml = String::from_utf8(bytes.into()).map_err(|_| S3Error::malformed_xml())?;
            shared.service().put_notification(bucket, region, xml, validates)
        }
        Operation::HeadBucket => shared.service().head_bucket(bucket, region),
        Operation::HeadObject(key) => shared.service().head_object(bucket, region, &key),
        Operation::PutObject(key) => {
            if parts.headers.contains_key("x-amz-copy-source") {
                return Err(S3Error::not_implemented("CopyObject"));
            }
            store::check_key(&key)?;
            let size = size_of(&parts.headers, body).await?;
            shared.service().put_object(bucket, region, key, size, shared.clock.now())
        }
    }
}

/// Reads a body to its end and returns its size: the header's, if it is sent in signed chunks.
async fn size_of(headers: &HeaderMap, body: Body) -> Result<u64, S3Error> {
    let mut received: u64 = 0;
    let mut frames = body.into_data_stream();
    while let Some(frame) = frames.next().await {
        let bytes = frame.map_err(|_| S3Error::incomplete_body())?.len();
        received = received.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }
    let decoded = headers.get("x-amz-decoded-content-length").and_then(|value| value.to_str().ok()?.parse().ok());
    Ok(decoded.unwrap_or(received))
}

impl Store {
    fn location(&self, bucket: &str, region: &str) -> Result<Response, S3Error> {
        let bucket = match region {
            GLOBAL_REGION => self.bucket(bucket)?,
            _ => self.bucket_in(bucket, region)?,
        };
        Ok(document(StatusCode::OK, xml::location(bucket.region())))
    }

    fn get_notification(&mut self, bucket: &str, region: &str) -> Result<Response, S3Error> {
        let rival = self.rival_after_read.take();
        let bucket = self.bucket_in_mut(bucket, region)?;
        let xml = bucket.notification.clone();
        bucket.notification = rival.or_else(|| xml.clone());
        Ok(document(StatusCode::OK, xml.unwrap_or_else(xml::no_notifications)))
    }

    fn put_notification(
        &mut self,
        bucket: &str,
        region: &str,
        xml: String,
        validates: bool,
    ) -> Result<Response, S3Error> {
        let rival = self.rival_after_write.take();
        let refused = self.refused_destination.clone().filter(|_| validates);
        let bucket = self.bucket_in_mut(bucket, region)?;
        notification::check(&xml, refused.as_deref())?;
        bucket.notification = rival.or(Some(xml));
        Ok(Response::new(Body::empty()))
    }

    fn head_bucket(&self, bucket: &str, region: &str) -> Result<Response, S3Error> {
        self.bucket_in(bucket, region)?;
        let mut response = Response::new(Body::empty());
        insert(response.headers_mut(), "x-amz-bucket-region", region);
        Ok(response)
    }

    fn head_object(&self, bucket: &str, region: &str, key: &str) -> Result<Response, S3Error> {
        let Some(object) = self.bucket_in(bucket, region)?.object(key) else {
            return Err(if self.missing_objects_denied { S3Error::access_denied() } else { S3Error::no_such_key(key) });
        };
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, object.size.into());
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("binary/octet-stream"));
        insert(headers, "etag", &object.etag());
        insert(headers, "last-modified", &object.modified_http());
        Ok(response)
    }

    fn put_object(
        &mut self,
        bucket: &str,
        region: &str,
        key: String,
        size: u64,
        now: Moment,
    ) -> Result<Response, S3Error> {
        let object = Object::written(size, now);
        self.bucket_in(bucket, region)?;
        self.put(bucket, [(key, object)]);
        let mut response = Response::new(Body::empty());
        insert(response.headers_mut(), "etag", &object.etag());
        Ok(response)
    }
}

/// Refuses a document that is not the one that was signed.
fn check_digest(headers: &HeaderMap, bytes: &[u8]) -> Result<(), S3Error> {
    let signed = headers.get("x-amz-content-sha256").and_then(|value| value.to_str().ok());
    let computed = hex::encode(&Sha256::digest(bytes));
    match signed.filter(|signed| signed.len() == computed.len() && *signed != computed) {
        Some(_) => Err(S3Error::content_mismatch()),
        None => Ok(()),
    }
}

fn error_response(error: &S3Error, method: &Method, request_id: &str) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = match *method {
        Method::HEAD => status.into_response(),
        _ => document(status, xml::error(error, request_id)),
    };
    if let Some(region) = &error.bucket_region {
        insert(response.headers_mut(), "x-amz-bucket-region", region);
    }
    response
}

fn document(status: StatusCode, xml: String) -> Response {
    let mut response = Response::new(Body::from(xml));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    // A region that a header cannot hold is not one of AWS's.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
