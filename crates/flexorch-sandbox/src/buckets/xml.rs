//! S3's XML documents. Pure.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::{
    super::aws::xml::{element, escape},
    error::S3Error,
    operation::Listing,
    store::Page,
};

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// The namespace of all responses except errors.
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// The characters that `encoding-type=url` encodes. A slash stays, and a space becomes a plus sign.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b' ');

/// An error.
pub(super) fn error(error: &S3Error, request_id: &str) -> String {
    let mut xml = format!("{DECLARATION}<Error>");
    element(&mut xml, "Code", error.code);
    element(&mut xml, "Message", &error.message);
    for (name, text) in &error.details {
        element(&mut xml, name, text);
    }
    element(&mut xml, "RequestId", request_id);
    element(&mut xml, "HostId", "sandbox");
    xml + "</Error>"
}

/// `GetBucketLocation`. It has no name for the first region.
pub(super) fn location(region: &str) -> String {
    let region = if region == "us-east-1" { "" } else { region };
    let mut xml = format!("{DECLARATION}<LocationConstraint xmlns=\"{NAMESPACE}\">");
    escape(&mut xml, region);
    xml + "</LocationConstraint>"
}

/// `GetBucketNotificationConfiguration` of a bucket without one.
pub(super) fn no_notifications() -> String {
    format!("{DECLARATION}<NotificationConfiguration xmlns=\"{NAMESPACE}\"></NotificationConfiguration>")
}

/// `ListObjectsV2`.
pub(super) fn listing(bucket: &str, listing: &Listing, page: &Page) -> String {
    let mut xml = format!("{DECLARATION}<ListBucketResult xmlns=\"{NAMESPACE}\">");
    let key_element = |xml: &mut String, name: &str, key: &str| {
        if listing.url_encoded {
            element(xml, name, &percent_encode(key.as_bytes(), ENCODED).to_string().replace(' ', "+"));
        } else {
            element(xml, name, key);
        }
    };
    element(&mut xml, "Name", bucket);
    key_element(&mut xml, "Prefix", &listing.prefix);
    if let Some(start_after) = &listing.start_after {
        key_element(&mut xml, "StartAfter", start_after);
    }
    if let Some(token) = &listing.continuation_token {
        element(&mut xml, "ContinuationToken", token);
    }
    if let Some(token) = &page.token {
        element(&mut xml, "NextContinuationToken", token);
    }
    element(&mut xml, "KeyCount", &page.objects.len().to_string());
    element(&mut xml, "MaxKeys", &listing.max_keys.to_string());
    if listing.url_encoded {
        element(&mut xml, "EncodingType", "url");
    }
    element(&mut xml, "IsTruncated", if page.is_truncated { "true" } else { "false" });
    for (key, object) in &page.objects {
        xml.push_str("<Contents>");
        key_element(&mut xml, "Key", key);
        element(&mut xml, "LastModified", &object.modified().rfc3339());
        element(&mut xml, "ETag", &object.etag());
        element(&mut xml, "Size", &object.size.to_string());
        element(&mut xml, "StorageClass", "STANDARD");
        xml.push_str("</Contents>");
    }
    xml + "</ListBucketResult>"
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::{super::operation::token, super::store::Object, *};

    fn page(keys: &[&str], is_truncated: bool) -> Page {
        let object = Object::new(7, UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        let token = keys.last().filter(|_| is_truncated).map(|last| token(last));
        Page { objects: keys.iter().map(|key| ((*key).to_owned(), object)).collect(), is_truncated, token }
    }

    #[test]
    fn keys_are_escaped() {
        let xml = listing("docs", &Listing::default(), &page(&["a<b>&\"'\r\u{1} é"], false));
        assert!(xml.contains("<Key>a&lt;b&gt;&amp;&quot;&apos;&#xd;&#x1; é</Key>"), "{xml}");
        assert!(xml.contains("<LastModified>2023-11-14T22:13:20.000Z</LastModified>"), "{xml}");
        assert!(xml.contains("<Size>7</Size>") && xml.contains("<ETag>&quot;"), "{xml}");
        assert!(!xml.contains("NextContinuationToken"), "{xml}");
    }

    #[test]
    fn keys_are_percent_encoded_if_the_caller_asks() {
        let asked = Listing { prefix: "a b/".to_owned(), url_encoded: true, ..Listing::default() };
        let xml = listing("docs", &asked, &page(&["a b/(c)+é~.pdf"], true));
        assert!(xml.contains("<Key>a+b/%28c%29%2B%C3%A9%7E.pdf</Key>"), "{xml}");
        assert!(xml.contains("<Prefix>a+b/</Prefix>") && xml.contains("<EncodingType>url</EncodingType>"), "{xml}");
        assert!(xml.contains("<NextContinuationToken>1-"), "{xml}");
    }

    #[test]
    fn the_first_region_has_no_name() {
        assert!(location("us-east-1").ends_with("\"></LocationConstraint>"));
        assert!(location("eu-west-1").ends_with("\">eu-west-1</LocationConstraint>"));
    }

    #[test]
    fn an_error_says_what_and_which() {
        let xml = error(&S3Error::no_such_bucket("docs"), "7");
        assert!(xml.contains("<Code>NoSuchBucket</Code>") && xml.contains("<BucketName>docs</BucketName>"), "{xml}");
    }
}
