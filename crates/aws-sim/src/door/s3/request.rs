//! From an HTTP request to the operation of S3 that it means.
//!
//! Which operation it is follows from the method, the path and the sub-resource \[M\]. Anything that
//! asks for more than is kept here is refused, never ignored.

use std::collections::BTreeMap;
use std::net::IpAddr;

use http::{HeaderMap, Method, Uri, header};
use percent_encoding::percent_decode_str;

use super::{chunked, xml};
use crate::error::AwsError;
use crate::value::Value;
use crate::world::s3::{
    ALGORITHMS, Algorithm, ByteRange, Conditions, Listing, Operation, Request, Upload, Wanted,
    md5_base64, refuse,
};

/// Headers of an object that are kept and answered as they were given.
const KEPT: [&str; 6] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
];

/// `x-amz-…` headers that every request may carry.
const COMMON: [&str; 9] = [
    "x-amz-checksum-mode",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-expected-bucket-owner",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-security-token",
    "x-amz-trailer",
    "x-amz-user-agent",
];

/// `x-amz-…` headers that are taken when they ask for what happens anyway.
const AS_USUAL: [(&str, &[&str]); 6] = [
    ("x-amz-acl", &["private", "bucket-owner-full-control"]),
    ("x-amz-bucket-object-lock-enabled", &["false"]),
    ("x-amz-checksum-type", &["FULL_OBJECT"]),
    ("x-amz-object-ownership", &["BucketOwnerEnforced"]),
    ("x-amz-server-side-encryption", &["AES256"]),
    ("x-amz-storage-class", &["STANDARD"]),
];

fn not_implemented(what: &str) -> AwsError {
    refuse(
        501,
        "NotImplemented",
        format!(
            "A header or query you provided implies functionality that is not implemented: {what}"
        ),
    )
}

fn invalid_argument(message: &str) -> AwsError {
    refuse(400, "InvalidArgument", message)
}

fn malformed() -> AwsError {
    refuse(
        400,
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema",
    )
}

/// The bucket that a host names: `BUCKET.localhost`, `BUCKET.s3.REGION.amazonaws.com`. By any other
/// host the bucket is the first part of the path.
fn bucket_of_host(host: &str) -> Option<&str> {
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    if host.parse::<IpAddr>().is_ok() || host.starts_with('[') {
        return None;
    }
    let amazon = || {
        let name = host.strip_suffix(".amazonaws.com")?;
        let at = name
            .find(".s3.")
            .or_else(|| name.ends_with(".s3").then(|| name.len() - ".s3".len()))?;
        Some(&name[..at])
    };
    host.strip_suffix(".localhost")
        .or_else(amazon)
        .filter(|bucket| !bucket.is_empty())
}

/// One HTTP request and what it carries.
pub(super) struct Incoming<'a> {
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
    /// Of the caller.
    pub(super) account: &'a str,
}

impl Incoming<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Bucket and key, of which either may be empty.
    pub(super) fn place(&self) -> Option<(String, String)> {
        let decode = |text: &str| {
            percent_decode_str(text)
                .decode_utf8()
                .ok()
                .map(|text| text.into_owned())
        };
        let path = self.uri.path().strip_prefix('/').unwrap_or_default();
        let host = self
            .header("host")
            .or_else(|| self.uri.authority().map(http::uri::Authority::as_str));
        match host.and_then(bucket_of_host) {
            Some(bucket) => Some((bucket.to_string(), decode(path)?)),
            None => {
                let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
                Some((decode(bucket)?, decode(key)?))
            }
        }
    }

    /// The parameters of the query, without those that only sign or name the operation.
    fn parameters(&self) -> BTreeMap<String, String> {
        form_urlencoded::parse(self.uri.query().unwrap_or_default().as_bytes())
            .filter(|(name, _)| !name.starts_with("X-Amz-") && name != "x-id")
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect()
    }

    /// What the request means.
    pub(super) fn understand(&self) -> Result<Request, AwsError> {
        let (bucket, key) = self
            .place()
            .ok_or_else(|| refuse(400, "InvalidURI", "Couldn't parse the specified URI."))?;
        let mut parameters = self.parameters();
        let operation = if bucket.is_empty() {
            match self.method.as_str() {
                "GET" => Operation::ListBuckets,
                _ => return Err(self.not_allowed()),
            }
        } else if key.is_empty() {
            self.on_bucket(&mut parameters)?
        } else {
            self.on_object(&mut parameters)?
        };
        if let Some(name) = parameters.keys().next() {
            return Err(not_implemented(name));
        }
        self.check_headers(&operation)?;
        Ok(Request {
            bucket,
            key,
            operation,
        })
    }

    fn not_allowed(&self) -> AwsError {
        refuse(
            405,
            "MethodNotAllowed",
            "The specified method is not allowed against this resource.",
        )
    }

    fn on_bucket(&self, parameters: &mut BTreeMap<String, String>) -> Result<Operation, AwsError> {
        let versioning = parameters.remove("versioning").is_some();
        let location = parameters.remove("location").is_some();
        let deletes = parameters.remove("delete").is_some();
        Ok(
            match (self.method.as_str(), versioning, location, deletes) {
                ("PUT", false, false, false) => Operation::CreateBucket(self.location()?),
                ("HEAD", false, false, false) => Operation::HeadBucket,
                ("DELETE", false, false, false) => Operation::DeleteBucket,
                ("GET", false, true, false) => Operation::GetBucketLocation,
                ("GET", true, false, false) => Operation::GetBucketVersioning,
                ("PUT", true, false, false) => {
                    let given = xml::read(&self.content()?.0, "VersioningConfiguration")
                        .ok_or_else(malformed)?;
                    if !given.get("MfaDelete").is_null() {
                        return Err(not_implemented("MfaDelete"));
                    }
                    let status = given.get("Status").as_str().unwrap_or_default();
                    Operation::PutBucketVersioning(status.to_string())
                }
                ("POST", false, false, true) => self.delete_objects()?,
                ("GET", false, false, false)
                    if parameters.remove("list-type").as_deref() == Some("2") =>
                {
                    Operation::ListObjectsV2(listing(parameters)?)
                }
                ("GET", false, false, false) => {
                    // A sub-resource has no value: `?versions`, `?acl`.
                    let asked = parameters.iter().find(|(_, value)| value.is_empty());
                    return Err(not_implemented(
                        asked.map_or("ListObjects", |(name, _)| name.as_str()),
                    ));
                }
                _ => return Err(self.not_allowed()),
            },
        )
    }

    fn location(&self) -> Result<Option<String>, AwsError> {
        let body = self.content()?.0;
        if body.is_empty() {
            return Ok(None);
        }
        let given = xml::read(&body, "CreateBucketConfiguration").ok_or_else(malformed)?;
        let members = given.as_map().cloned().unwrap_or_default();
        if let Some(name) = members.keys().find(|name| *name != "LocationConstraint") {
            return Err(not_implemented(name));
        }
        Ok(given
            .get("LocationConstraint")
            .as_str()
            .filter(|text| !text.is_empty())
            .map(str::to_string))
    }

    fn delete_objects(&self) -> Result<Operation, AwsError> {
        let given = xml::read(&self.content()?.0, "Delete").ok_or_else(malformed)?;
        let listed = match given.get("Object") {
            Value::List(items) => items.clone(),
            Value::Null => return Err(malformed()),
            one => vec![one.clone()],
        };
        if listed.len() > 1000 {
            return Err(malformed());
        }
        let mut objects = Vec::new();
        for one in listed {
            let key = one.get("Key").as_str().ok_or_else(malformed)?.to_string();
            objects.push((key, one.get("VersionId").as_str().map(str::to_string)));
        }
        Ok(Operation::DeleteObjects {
            objects,
            quiet: given.get("Quiet").as_bool() == Some(true),
        })
    }

    fn on_object(&self, parameters: &mut BTreeMap<String, String>) -> Result<Operation, AwsError> {
        if self.header("x-amz-copy-source").is_some() {
            return Err(not_implemented("x-amz-copy-source"));
        }
        match self.method.as_str() {
            "PUT" => self.upload(),
            "GET" | "HEAD" => {
                let wanted = Wanted {
                    version: parameters.remove("versionId"),
                    conditions: self.conditions(),
                    range: self.range()?,
                    checksum: self.header("x-amz-checksum-mode") == Some("ENABLED"),
                };
                Ok(if self.method == Method::GET {
                    Operation::GetObject(wanted)
                } else {
                    Operation::HeadObject(wanted)
                })
            }
            "DELETE" => Ok(Operation::DeleteObject {
                version: parameters.remove("versionId"),
            }),
            _ => Err(parameters
                .keys()
                .next()
                .map_or_else(|| self.not_allowed(), |name| not_implemented(name))),
        }
    }

    fn conditions(&self) -> Conditions {
        let text = |name: header::HeaderName| self.header(name.as_str()).map(str::to_string);
        Conditions {
            matches: text(header::IF_MATCH),
            matches_none: text(header::IF_NONE_MATCH),
        }
    }

    fn range(&self) -> Result<Option<ByteRange>, AwsError> {
        let Some(given) = self.header("range") else {
            return Ok(None);
        };
        let number = |text: &str| match text {
            "" => Some(None),
            digits => digits.parse::<u64>().ok().map(Some),
        };
        given
            .strip_prefix("bytes=")
            .and_then(|range| range.split_once('-'))
            .and_then(|(first, last)| Some((number(first)?, number(last)?)))
            .map(Some)
            .ok_or_else(|| invalid_argument("The Range header is not understood"))
    }

    fn upload(&self) -> Result<Operation, AwsError> {
        let (content, checksum) = self.content()?;
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in self.headers {
            let name = name.as_str();
            if !KEPT.contains(&name) && !name.starts_with("x-amz-meta-") {
                continue;
            }
            let value = value
                .to_str()
                .map_err(|_| invalid_argument("Header values must be ASCII"))?;
            let value = match name {
                "content-encoding" => value
                    .split(',')
                    .map(str::trim)
                    .filter(|coding| *coding != "aws-chunked")
                    .collect::<Vec<_>>()
                    .join(","),
                _ => value.to_string(),
            };
            if !value.is_empty() {
                headers.insert(name.to_string(), value);
            }
        }
        Ok(Operation::PutObject(Upload {
            content,
            headers,
            checksum,
            conditions: self.conditions(),
        }))
    }

    /// The body without its chunks, compared with every digest that came with it; and the checksum
    /// that the client chose.
    fn content(&self) -> Result<(Vec<u8>, Option<Algorithm>), AwsError> {
        let signed = self.header("x-amz-content-sha256").unwrap_or_default();
        let chunked = signed.starts_with("STREAMING-")
            || self
                .header("content-encoding")
                .is_some_and(|coding| coding.contains("aws-chunked"));
        let incomplete = || {
            refuse(
                400,
                "IncompleteBody",
                "The request body terminated unexpectedly",
            )
        };
        let (content, trailers) = if chunked {
            chunked::decode(self.body).ok_or_else(incomplete)?
        } else {
            (self.body.to_vec(), BTreeMap::new())
        };
        if let Some(length) = self.header("x-amz-decoded-content-length")
            && length.parse() != Ok(content.len())
        {
            return Err(incomplete());
        }
        let mut chosen = None;
        for algorithm in ALGORITHMS {
            let name = algorithm.header();
            let given = self
                .header(name)
                .or_else(|| trailers.get(name).map(String::as_str));
            if let Some(given) = given {
                if given != algorithm.of(&content) {
                    return Err(refuse(
                        400,
                        "BadDigest",
                        format!(
                            "The {} you specified did not match the calculated checksum.",
                            algorithm.name()
                        ),
                    ));
                }
                chosen = Some(algorithm);
            }
        }
        if let Some(promised) = self.header("x-amz-trailer")
            && !trailers.contains_key(&promised.to_ascii_lowercase())
        {
            return Err(refuse(
                400,
                "MalformedTrailerError",
                "The request contained trailing data that was not well-formed or did not conform to our published schema.",
            ));
        }
        if let Some(given) = self.header("content-md5")
            && given != md5_base64(&content)
        {
            return Err(refuse(
                400,
                "BadDigest",
                "The Content-MD5 you specified did not match what we received.",
            ));
        }
        let is_digest = signed.len() == 64 && signed.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_digest && !sha256_is(&content, signed) {
            return Err(refuse(
                400,
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
            ));
        }
        Ok((content, chosen))
    }

    fn check_headers(&self, operation: &Operation) -> Result<(), AwsError> {
        if let Some(owner) = self.header("x-amz-expected-bucket-owner")
            && owner != self.account
        {
            return Err(refuse(403, "AccessDenied", "Access Denied"));
        }
        let stores = matches!(operation, Operation::PutObject(_));
        for (name, value) in self.headers {
            let name = name.as_str();
            let value = value.to_str().unwrap_or_default();
            let known = !name.starts_with("x-amz-")
                || COMMON.contains(&name)
                || ALGORITHMS.iter().any(|one| one.header() == name)
                || (stores && name.starts_with("x-amz-meta-"))
                || AS_USUAL
                    .iter()
                    .any(|(usual, values)| *usual == name && values.contains(&value));
            if !known {
                return Err(not_implemented(name));
            }
        }
        Ok(())
    }
}

fn sha256_is(content: &[u8], digest: &str) -> bool {
    use sha2::{Digest, Sha256};
    hex::encode(Sha256::digest(content)).eq_ignore_ascii_case(digest)
}

fn listing(parameters: &mut BTreeMap<String, String>) -> Result<Listing, AwsError> {
    let max_keys = match parameters.remove("max-keys") {
        None => None,
        Some(given) => Some(given.parse().map_err(|_| {
            invalid_argument("Provided max-keys not an integer or within integer range")
        })?),
    };
    let url_encoded = match parameters.remove("encoding-type").as_deref() {
        None => false,
        Some("url") => true,
        Some(_) => {
            return Err(invalid_argument(
                "Invalid Encoding Method specified in Request",
            ));
        }
    };
    Ok(Listing {
        prefix: parameters.remove("prefix").unwrap_or_default(),
        delimiter: parameters.remove("delimiter"),
        max_keys,
        start_after: parameters.remove("start-after"),
        continuation_token: parameters.remove("continuation-token"),
        url_encoded,
        fetch_owner: parameters.remove("fetch-owner").as_deref() == Some("true"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_or_the_path_names_the_bucket() {
        for (host, path, expected) in [
            ("127.0.0.1:4566", "/b/k/l", ("b", "k/l")),
            ("[::1]:4566", "/b", ("b", "")),
            ("localhost:4566", "/b/k", ("b", "k")),
            ("b.localhost:4566", "/k/l", ("b", "k/l")),
            ("b.c.localhost", "/", ("b.c", "")),
            ("s3.eu-central-1.amazonaws.com", "/b/a%20b", ("b", "a b")),
            ("b.s3.eu-central-1.amazonaws.com", "/k", ("b", "k")),
            ("b.s3.amazonaws.com", "/k", ("b", "k")),
            ("sim.example.com:80", "/b/k", ("b", "k")),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().expect("a host"));
            let uri: Uri = path.parse().expect("a path");
            let incoming = Incoming {
                method: &Method::GET,
                uri: &uri,
                headers: &headers,
                body: b"",
                account: "123456789012",
            };
            let (bucket, key) = incoming.place().expect("a place");
            assert_eq!((bucket.as_str(), key.as_str()), expected, "{host}{path}");
        }
    }
}
