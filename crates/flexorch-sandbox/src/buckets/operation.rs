//! The operation of a method, a path and a query. Pure.

use axum::http::Method;
use percent_encoding::percent_decode_str;

use super::{super::hex, error::S3Error};

/// The most objects of a page, and the default.
const MOST_KEYS: usize = 1000;

/// The bucket and the object of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    /// Empty for a call about all buckets.
    pub(super) bucket: String,
    /// `None` for a call about a bucket.
    pub(super) key: Option<String>,
}

/// An operation with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    ListObjectsV2(Listing),
    GetBucketLocation,
    GetBucketNotification,
    PutBucketNotification,
    HeadBucket,
    HeadObject(String),
    PutObject(String),
}

/// The parameters of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) prefix: String,
    pub(super) start_after: Option<String>,
    /// The token, unchanged.
    pub(super) continuation_token: Option<String>,
    pub(super) max_keys: usize,
    /// Whether keys are percent-encoded in the response (`encoding-type=url`).
    pub(super) url_encoded: bool,
}

impl Target {
    /// Parses a path, `/BUCKET/KEY`.
    pub(super) fn parse(path: &str) -> Result<Self, S3Error> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let decoded = |text| percent_decode_str(text).decode_utf8().map_err(|_| S3Error::invalid_uri());
        let key = decoded(key)?.into_owned();
        Ok(Self { bucket: decoded(bucket)?.into_owned(), key: Some(key).filter(|key| !key.is_empty()) })
    }
}

impl Operation {
    /// Returns the operation's name in S3's API.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::ListObjectsV2(_) => "ListObjectsV2",
            Self::GetBucketLocation => "GetBucketLocation",
            Self::GetBucketNotification => "GetBucketNotificationConfiguration",
            Self::PutBucketNotification => "PutBucketNotificationConfiguration",
            Self::HeadBucket => "HeadBucket",
            Self::HeadObject(_) => "HeadObject",
            Self::PutObject(_) => "PutObject",
        }
    }

    /// Parses a request's operation.
    pub(super) fn parse(method: &Method, target: &Target, query: &str) -> Result<Self, S3Error> {
        let parameters = parameters(query)?;
        let asked = |name: &str| parameters.iter().any(|(asked, _)| asked == name);
        // An unknown parameter stands for another operation, `?policy` for example.
        let has_only = |known: &[&str]| parameters.iter().all(|(name, _)| known.contains(&name.as_str()));
        match (method.as_str(), &target.key) {
            _ if target.bucket.is_empty() => {}
            ("GET", None) if asked("list-type") => return Listing::parse(parameters).map(Self::ListObjectsV2),
            ("GET", None) if has_only(&["location", "x-id"]) && asked("location") => {
                return Ok(Self::GetBucketLocation);
            }
            ("GET", None) if has_only(&["notification", "x-id"]) && asked("notification") => {
                return Ok(Self::GetBucketNotification);
            }
            ("PUT", None) if has_only(&["notification", "x-id"]) && asked("notification") => {
                return Ok(Self::PutBucketNotification);
            }
            ("HEAD", None) if has_only(&["x-id"]) => return Ok(Self::HeadBucket),
            ("HEAD", Some(key)) if has_only(&["x-id"]) => return Ok(Self::HeadObject(key.clone())),
            ("PUT", Some(key)) if has_only(&["x-id"]) => return Ok(Self::PutObject(key.clone())),
            _ => {}
        }
        let path = if target.key.is_some() { "/BUCKET/KEY" } else { "/BUCKET" };
        let names: Vec<&str> = parameters.iter().map(|(name, _)| name.as_str()).collect();
        Err(S3Error::not_implemented(&format!("{method} {path}?{}", names.join("&"))))
    }
}

impl Listing {
    fn parse(parameters: Vec<(String, String)>) -> Result<Self, S3Error> {
        let mut listing = Self { max_keys: MOST_KEYS, ..Self::default() };
        for (name, value) in parameters {
            match name.as_str() {
                "list-type" if value != "2" => return Err(S3Error::not_implemented("ListObjects version 1")),
                "prefix" => listing.prefix = value,
                "start-after" => listing.start_after = Some(value).filter(|key| !key.is_empty()),
                "continuation-token" => listing.continuation_token = Some(value),
                "max-keys" => listing.max_keys = max_keys(&value)?,
                "encoding-type" if value == "url" => listing.url_encoded = true,
                "encoding-type" => {
                    let message = "Invalid Encoding Method specified in Request";
                    return Err(S3Error::invalid_argument("encoding-type", &value, message));
                }
                "delimiter" if !value.is_empty() => return Err(S3Error::not_implemented("listing by a delimiter")),
                _ => {}
            }
        }
        Ok(listing)
    }

    /// Returns the key after which the page begins: the token's, or else that of `start-after`.
    pub(super) fn after(&self) -> Result<String, S3Error> {
        match &self.continuation_token {
            Some(token) => key_of_token(token).ok_or_else(|| {
                let message = "The continuation token provided is incorrect";
                S3Error::invalid_argument("continuation-token", token, message)
            }),
            None => Ok(self.start_after.clone().unwrap_or_default()),
        }
    }
}

/// Returns the token for the page after this key. It is encoded so that no client relies on its being a key.
pub(super) fn token(key: &str) -> String {
    format!("1-{}", hex::encode(key.as_bytes()))
}

/// Returns another token for the page after this key, for a page without keys. The key may be empty.
pub(super) fn token_of_empty_page(after: &str, number: u64) -> String {
    format!("{}-{number}", token(after))
}

fn key_of_token(token: &str) -> Option<String> {
    let digits = token.strip_prefix("1-")?;
    let (digits, may_be_empty) = match digits.split_once('-') {
        Some((digits, number)) => (digits, number.parse::<u64>().is_ok()),
        None => (digits, false),
    };
    let digits = Some(digits).filter(|digits| may_be_empty || !digits.is_empty())?.as_bytes();
    let bytes: Option<Vec<u8>> = digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?, 16).ok())
        .collect();
    String::from_utf8(bytes?).ok()
}

fn max_keys(value: &str) -> Result<usize, S3Error> {
    let number = value.parse::<i32>().ok().and_then(|number| usize::try_from(number).ok());
    number.map(|number| number.min(MOST_KEYS)).ok_or_else(|| {
        let message = "Argument maxKeys must be an integer between 0 and 2147483647";
        S3Error::invalid_argument("maxKeys", value, message)
    })
}

fn parameters(query: &str) -> Result<Vec<(String, String)>, S3Error> {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8().map(|text| text.into_owned()).map_err(|_| S3Error::invalid_uri())
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(name)?, decoded(value)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: &str, path: &str, query: &str) -> Result<Operation, S3Error> {
        Operation::parse(&method.parse().unwrap(), &Target::parse(path)?, query)
    }

    fn list(query: &str) -> Result<Listing, S3Error> {
        match read("GET", "/docs", &format!("list-type=2&{query}"))? {
            Operation::ListObjectsV2(listing) => Ok(listing),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn keys_are_decoded_once_and_keep_their_slashes_and_plus_signs() {
        let key = |path| Target::parse(path).map(|target| target.key);
        assert_eq!(key("/docs/a%20b/c+d%2Be%C3%A9").unwrap().as_deref(), Some("a b/c+d+e\u{e9}"));
        assert_eq!(key("/docs//a%2520").unwrap().as_deref(), Some("/a%20"));
        assert_eq!(key("/docs/").unwrap(), None);
        assert_eq!(key("/docs").unwrap(), None);
        assert_eq!(key("/docs/%FF").unwrap_err().code, "InvalidURI");
    }

    #[test]
    fn the_operation_depends_on_method_path_and_query() {
        assert_eq!(read("GET", "/docs", "location"), Ok(Operation::GetBucketLocation));
        assert_eq!(read("GET", "/docs", "notification"), Ok(Operation::GetBucketNotification));
        assert_eq!(read("PUT", "/docs/", "notification="), Ok(Operation::PutBucketNotification));
        assert_eq!(read("HEAD", "/docs/", ""), Ok(Operation::HeadBucket));
        assert_eq!(read("HEAD", "/docs/a", ""), Ok(Operation::HeadObject("a".to_owned())));
        assert_eq!(read("PUT", "/docs/a", "x-id=PutObject"), Ok(Operation::PutObject("a".to_owned())));
        for (method, path, query) in [
            ("GET", "/", ""),
            ("GET", "/docs", ""),
            ("GET", "/docs", "list-type=1"),
            ("GET", "/docs", "list-type=2&delimiter=%2F"),
            ("GET", "/docs", "policy"),
            ("GET", "/docs/a", ""),
            ("PUT", "/docs", ""),
            ("PUT", "/docs/a", "partNumber=1&uploadId=x"),
            ("DELETE", "/docs/a", ""),
        ] {
            assert_eq!(read(method, path, query).unwrap_err().code, "NotImplemented", "{method} {path}?{query}");
        }
    }

    #[test]
    fn a_listing_has_its_parameters_decoded_and_within_bounds() {
        let listing = list("prefix=a%20b+c%2B&start-after=a%26&max-keys=5000&encoding-type=url").unwrap();
        assert_eq!((listing.prefix.as_str(), listing.max_keys, listing.url_encoded), ("a b c+", 1000, true));
        assert_eq!(listing.after().unwrap(), "a&");
        for wrong in ["max-keys=-1", "max-keys=x", "encoding-type=base64"] {
            assert_eq!(list(wrong).unwrap_err().code, "InvalidArgument", "{wrong}");
        }
    }

    #[test]
    fn a_token_goes_on_after_its_key_whatever_start_after_says() {
        let listing = list(&format!("start-after=a&continuation-token={}", token("é/1"))).unwrap();
        assert_eq!(listing.after().unwrap(), "é/1");
        let listing = list(&format!("continuation-token={}", token_of_empty_page("", 7))).unwrap();
        assert_eq!(listing.after().unwrap(), "");
        for wrong in ["", "1-", "1-6", "1-zz", "1-ff", "2-61", "1--x"] {
            let listing = list(&format!("continuation-token={wrong}")).unwrap();
            assert_eq!(listing.after().unwrap_err().code, "InvalidArgument", "{wrong}");
        }
    }
}
