//! S3's REST over HTTP, path style: `/BUCKET/KEY`, answers and errors in XML, and no body under HEAD.

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        aws_fault::{AwsFault, hang, take_time},
        aws_signature::{SignatureError, signed_region},
    },
    BucketCall, ListingFault, Shared,
    error::S3Error,
    notification,
    operation::{self, Listing, Operation, Target},
    store::{self, Object, Page},
    xml,
};

/// The region that may ask for a bucket's location wherever that is.
const GLOBAL_REGION: &str = "us-east-1";

/// Bytes that a document in a request may have.
const LARGEST_DOCUMENT: usize = 1 << 20;

#[derive(Clone, Debug)]
struct Endpoint {
    shared: Shared,
    stop: CancellationToken,
}

/// The endpoint. `stop` ends calls that hang.
pub(super) fn router(shared: Shared, stop: CancellationToken) -> Router {
    Router::new().fallback(call).with_state(Endpoint { shared, stop })
}

async fn call(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let request_id = format!("{:016X}", fastrand::u64(..));
    let mut response = match endpoint.answer(&parts, body).await {
        Ok(response) => response,
        Err(error) => error_response(&error, &parts.method, &request_id),
    };
    insert(response.headers_mut(), "x-amz-request-id", &request_id);
    response
}

impl Endpoint {
    async fn answer(&self, parts: &Parts, body: Body) -> Result<Response, S3Error> {
        let authorization = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let region = signed_region(authorization, "s3").map_err(|error| match error {
            SignatureError::Missing => S3Error::access_denied(),
            SignatureError::Malformed => S3Error::wrongly_signed(),
        })?;
        let target = Target::read(parts.uri.path())?;
        let query = parts.uri.query().unwrap_or_default();
        let (fault, latency) = self.shared.note(&parts.method, &target, query, region);
        take_time(latency).await;
        match fault {
            // No operation here has entries.
            None | Some(AwsFault::PartialFailure) => {}
            Some(AwsFault::Hang) => return Ok(hang(&self.stop).await),
            Some(AwsFault::AccessDenied) => return Err(S3Error::access_denied()),
            Some(AwsFault::Throttling) => return Err(S3Error::slow_down()),
            Some(AwsFault::Internal) => return Err(S3Error::internal()),
        }
        let bucket = target.bucket.as_str();
        match Operation::read(&parts.method, &target, query)? {
            Operation::ListObjectsV2(listing) => self.shared.list(bucket, region, &listing),
            Operation::GetBucketLocation => self.shared.location(bucket, region),
            Operation::GetBucketNotification => self.shared.notification(bucket, region),
            Operation::PutBucketNotification => {
                let tries = parts.headers.get("x-amz-skip-destination-validation").is_none_or(|skip| skip != "true");
                let bytes = axum::body::to_bytes(body, LARGEST_DOCUMENT).await;
                let bytes = bytes.map_err(|_| S3Error::malformed_xml())?;
                check_digest(&parts.headers, &bytes)?;
                let xml = String::from_utf8(bytes.into()).map_err(|_| S3Error::malformed_xml())?;
                self.shared.put_notification(bucket, region, xml, tries)
            }
            Operation::HeadBucket => self.shared.head_bucket(bucket, region),
            Operation::HeadObject(key) => self.shared.head_object(bucket, region, &key),
            Operation::PutObject(key) => {
                if parts.headers.contains_key("x-amz-copy-source") {
                    return Err(S3Error::not_implemented("CopyObject"));
                }
                store::check_key(&key)?;
                let size = size_of(&parts.headers, body).await?;
                self.shared.put_object(bucket, region, key, size)
            }
        }
    }
}

/// Reads a body to its end for its size. Its frames are not counted where it comes in signed chunks.
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

impl Shared {
    /// Logs a call, and says what it meets.
    fn note(
        &self,
        method: &Method,
        target: &Target,
        query: &str,
        region: &str,
    ) -> (Option<AwsFault>, std::time::Duration) {
        let call = BucketCall {
            method: method.to_string(),
            bucket: target.bucket.clone(),
            key: target.key.clone(),
            query: query.to_owned(),
            region: region.to_owned(),
        };
        tracing::debug!(%method, bucket = %call.bucket, key = ?call.key, region, "bucket call");
        self.lock().calls.note(method.as_str(), call)
    }

    fn list(&self, bucket: &str, region: &str, listing: &Listing) -> Result<Response, S3Error> {
        // The lock is not held while the document is written.
        let page = self.page(bucket, region, listing)?;
        Ok(document(StatusCode::OK, xml::listing(bucket, listing, &page)))
    }

    fn page(&self, bucket: &str, region: &str, listing: &Listing) -> Result<Page, S3Error> {
        let mut after = listing.after()?;
        let mut state = self.lock();
        state.listings += 1;
        let number = state.listings;
        let found = state.store.bucket_in(bucket, region)?;
        match state.listing_fault {
            Some(ListingFault::EmptyPages(pages)) if !number.is_multiple_of(pages + 1) => {
                let token = operation::token_of_empty_page(&after, number);
                return Ok(Page { objects: Vec::new(), is_truncated: true, token: Some(token) });
            }
            Some(ListingFault::IgnoredStartAfter) if listing.continuation_token.is_none() => after.clear(),
            Some(ListingFault::SameToken) => {
                let mut page = found.list(&listing.prefix, &after, listing.max_keys);
                page.token = page.is_truncated.then(|| operation::token_of_empty_page(&after, 0));
                return Ok(page);
            }
            _ => {}
        }
        Ok(found.list(&listing.prefix, &after, listing.max_keys))
    }

    fn location(&self, bucket: &str, region: &str) -> Result<Response, S3Error> {
        let state = self.lock();
        let bucket = match region {
            GLOBAL_REGION => state.store.bucket(bucket)?,
            _ => state.store.bucket_in(bucket, region)?,
        };
        Ok(document(StatusCode::OK, xml::location(bucket.region())))
    }

    fn notification(&self, bucket: &str, region: &str) -> Result<Response, S3Error> {
        let mut state = self.lock();
        let rival = state.rival_after_read.take();
        let bucket = state.store.bucket_in_mut(bucket, region)?;
        let xml = bucket.notification.clone();
        bucket.notification = rival.or_else(|| xml.clone());
        Ok(document(StatusCode::OK, xml.unwrap_or_else(xml::no_notifications)))
    }

    fn put_notification(&self, bucket: &str, region: &str, xml: String, tries: bool) -> Result<Response, S3Error> {
        let mut state = self.lock();
        match state.notification_write_fault {
            Some(AwsFault::AccessDenied) => return Err(S3Error::access_denied()),
            Some(AwsFault::Throttling) => return Err(S3Error::slow_down()),
            Some(_) => return Err(S3Error::internal()),
            None => {}
        }
        let rival = state.rival_after_write.take();
        let refused = state.refused_destination.clone().filter(|_| tries);
        let bucket = state.store.bucket_in_mut(bucket, region)?;
        notification::check(&xml, refused.as_deref())?;
        bucket.notification = rival.or(Some(xml));
        Ok(Response::new(Body::empty()))
    }

    fn head_bucket(&self, bucket: &str, region: &str) -> Result<Response, S3Error> {
        self.lock().store.bucket_in(bucket, region)?;
        let mut response = Response::new(Body::empty());
        insert(response.headers_mut(), "x-amz-bucket-region", region);
        Ok(response)
    }

    fn head_object(&self, bucket: &str, region: &str, key: &str) -> Result<Response, S3Error> {
        let state = self.lock();
        let Some(object) = state.store.bucket_in(bucket, region)?.object(key) else {
            let is_hidden = state.missing_objects_denied;
            return Err(if is_hidden { S3Error::access_denied() } else { S3Error::no_such_key(key) });
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

    fn put_object(&self, bucket: &str, region: &str, key: String, size: u64) -> Result<Response, S3Error> {
        let object = Object::written(size, self.clock.now());
        let mut state = self.lock();
        state.store.bucket_in(bucket, region)?;
        state.store.put(bucket, [(key, object)]);
        let mut response = Response::new(Body::empty());
        insert(response.headers_mut(), "etag", &object.etag());
        Ok(response)
    }
}

/// Refuses a document that is not the one that was signed.
fn check_digest(headers: &HeaderMap, bytes: &[u8]) -> Result<(), S3Error> {
    let signed = headers.get("x-amz-content-sha256").and_then(|value| value.to_str().ok());
    let computed: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
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
    // A region that no header can hold is none of AWS's.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
