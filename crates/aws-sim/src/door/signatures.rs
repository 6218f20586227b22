//! Checking signatures, for those who want to see their clients refused: Signature Version 4.
//!
//! Signing again and comparing is what AWS does, so this does it, from the published algorithm \[D\]
//! (`create-signed-request`). `aws-sigv4` could sign as well, but only with what it would itself have put into
//! a request; what a client signed is in the request. Codes \[K\]: JSON and CBOR
//! `UnrecognizedClientException`, `InvalidSignatureException` (also for a clock that is off),
//! `IncompleteSignatureException`; Query `InvalidClientTokenId` and `SignatureDoesNotMatch`, HTTP 403.

use std::collections::BTreeMap;
use std::time::Instant;

use hmac::{Hmac, Mac};
use http::{HeaderMap, Method, Uri, header};
use sha2::{Digest, Sha256};
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::error::AwsError;

/// How far a client's clock may be off \[D\].
const PATIENCE_MS: i64 = 5 * 60_000;

/// The keys that are known, and what time it is on the machine.
#[derive(Debug)]
pub struct Signatures {
    secrets: BTreeMap<String, String>,
    start_ms: i64,
    since: Instant,
}

/// What of a request its signature is about.
#[derive(Debug)]
pub struct Signed<'a> {
    /// The method.
    pub method: &'a Method,
    /// Path and query.
    pub uri: &'a Uri,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The whole body.
    pub body: &'a [u8],
}

impl Signatures {
    /// Takes these access keys with their secrets, and the machine's time at an instant.
    pub fn new(secrets: BTreeMap<String, String>, start_ms: i64, since: Instant) -> Signatures {
        Signatures {
            secrets,
            start_ms,
            since,
        }
    }

    /// Checks the signature of a request. `session` is the secret of an access key that AssumeRole
    /// handed out, if the caller's is one.
    pub fn check(
        &self,
        request: &Signed<'_>,
        session: &dyn Fn(&str) -> Option<String>,
        instant: Instant,
    ) -> Result<(), AwsError> {
        let elapsed = instant.saturating_duration_since(self.since).as_millis();
        let now_ms = self.start_ms + i64::try_from(elapsed).unwrap_or(i64::MAX);
        let given = Given::of(request)?;
        let secret = self
            .secrets
            .get(given.access_key)
            .cloned()
            .or_else(|| session(given.access_key))
            .ok_or_else(|| {
                AwsError::caller(
                    "UnrecognizedClientException",
                    "The security token included in the request is invalid.",
                )
            })?;
        check_time(given.at, now_ms)?;
        if given.signature == given.expected(request, &secret)? {
            return Ok(());
        }
        Err(AwsError::caller(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. Check \
             your AWS Secret Access Key and signing method. Consult the service documentation for details.",
        ))
    }
}

fn check_time(at: &str, now_ms: i64) -> Result<(), AwsError> {
    let refused = |message: String| Err(AwsError::caller("InvalidSignatureException", message));
    let Some(at_ms) = read_time(at) else {
        return Err(incomplete(format!(
            "Date must be in ISO-8601 'basic format'. Got '{at}'."
        )));
    };
    let now = written_time(now_ms);
    if at_ms < now_ms - PATIENCE_MS {
        let limit = written_time(now_ms - PATIENCE_MS);
        return refused(format!(
            "Signature expired: {at} is now earlier than {limit} ({now} - 5 min.)"
        ));
    }
    if at_ms > now_ms + PATIENCE_MS {
        let limit = written_time(now_ms + PATIENCE_MS);
        return refused(format!(
            "Signature not yet current: {at} is still later than {limit} ({now} + 5 min.)"
        ));
    }
    Ok(())
}

fn incomplete(message: String) -> AwsError {
    AwsError::caller("IncompleteSignatureException", message)
}

/// `20261121T100000Z`.
fn read_time(text: &str) -> Option<i64> {
    let form = time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
    let at = PrimitiveDateTime::parse(text, &form).ok()?.assume_utc();
    Some(at.unix_timestamp() * 1000)
}

fn written_time(ms: i64) -> String {
    let form = time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
    OffsetDateTime::from_unix_timestamp(ms.div_euclid(1000))
        .ok()
        .and_then(|at| at.format(&form).ok())
        .unwrap_or_default()
}

/// What a request says about its signature.
struct Given<'a> {
    access_key: &'a str,
    /// `20261121/eu-central-1/ecs/aws4_request`.
    scope: &'a str,
    signed_headers: Vec<&'a str>,
    signature: &'a str,
    at: &'a str,
}

impl<'a> Given<'a> {
    fn of(request: &'a Signed<'_>) -> Result<Given<'a>, AwsError> {
        let text = |name: &str| {
            let found = request.headers.get(name);
            found.and_then(|value| value.to_str().ok())
        };
        let authorization = text(header::AUTHORIZATION.as_str()).ok_or_else(|| {
            AwsError::caller(
                "MissingAuthenticationTokenException",
                "Missing Authentication Token",
            )
        })?;
        let rest = authorization
            .strip_prefix("AWS4-HMAC-SHA256")
            .ok_or_else(|| {
                incomplete(
                    "Unsupported AWS 'algorithm': only AWS4-HMAC-SHA256 is verified.".to_string(),
                )
            })?;
        let part = |name: &str| {
            rest.split(',')
                .filter_map(|part| part.trim().split_once('='))
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value)
                .ok_or_else(|| {
                    incomplete(format!("Authorization header requires '{name}' parameter."))
                })
        };
        let (access_key, scope) = part("Credential")?.split_once('/').ok_or_else(|| {
            incomplete("Credential must have at least 5 slash-delimited elements.".to_string())
        })?;
        let at = text("x-amz-date").ok_or_else(|| {
            incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.".to_string())
        })?;
        Ok(Given {
            access_key,
            scope,
            signed_headers: part("SignedHeaders")?.split(';').collect(),
            signature: part("Signature")?,
            at,
        })
    }

    /// The signature that this request has with this secret.
    fn expected(&self, request: &Signed<'_>, secret: &str) -> Result<String, AwsError> {
        let scope: Vec<&str> = self.scope.split('/').collect();
        let [date, region, service, terminator] = scope[..] else {
            return Err(incomplete(
                "Credential must have at least 5 slash-delimited elements.".to_string(),
            ));
        };
        let mut headers = String::new();
        for name in &self.signed_headers {
            let values: Vec<String> = request
                .headers
                .get_all(*name)
                .iter()
                .map(|value| {
                    let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
                    text.split_whitespace().collect::<Vec<_>>().join(" ")
                })
                .collect();
            headers.push_str(&format!("{name}:{}\n", values.join(",")));
        }
        let hash = hex::encode(Sha256::digest(request.body));
        let claimed = request
            .headers
            .get("x-amz-content-sha256")
            .and_then(|value| value.to_str().ok());
        // S3 lets a client leave the body out of the signature, and says so in this header.
        let payload = match claimed {
            Some(word)
                if service == "s3"
                    && (word.starts_with("UNSIGNED-") || word.starts_with("STREAMING-")) =>
            {
                word
            }
            _ => hash.as_str(),
        };
        let path = if service == "s3" {
            request.uri.path().to_string()
        } else {
            encoded(request.uri.path(), true)
        };
        let canonical = format!(
            "{}\n{path}\n{}\n{headers}\n{}\n{payload}",
            request.method,
            canonical_query(request.uri.query().unwrap_or_default()),
            self.signed_headers.join(";"),
        );
        let text = format!(
            "AWS4-HMAC-SHA256\n{}\n{}\n{}",
            self.at,
            self.scope,
            hex::encode(Sha256::digest(canonical.as_bytes()))
        );
        let mut key = keyed(format!("AWS4{secret}").as_bytes(), date.as_bytes());
        for part in [region, service, terminator] {
            key = keyed(&key, part.as_bytes());
        }
        Ok(hex::encode(keyed(&key, text.as_bytes())))
    }
}

fn keyed(key: &[u8], message: &[u8]) -> Vec<u8> {
    // HMAC takes keys of any length: the error does not occur.
    Hmac::<Sha256>::new_from_slice(key).map_or_else(
        |_| Vec::new(),
        |mut mac| {
            mac.update(message);
            mac.finalize().into_bytes().to_vec()
        },
    )
}

/// Percent-encodes all but unreserved characters; a slash stays in a path.
fn encoded(text: &str, is_path: bool) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            b'/' if is_path => encoded.push('/'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| (encoded(&name, false), encoded(&value, false)))
        .collect();
    pairs.sort();
    let pairs = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of AWS's documentation (`GET` of IAM's ListUsers on 30 August 2015).
    #[test]
    fn the_documented_example_has_the_documented_signature() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (
                "content-type",
                "application/x-www-form-urlencoded; charset=utf-8",
            ),
            ("host", "iam.amazonaws.com"),
            ("x-amz-date", "20150830T123600Z"),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
                 SignedHeaders=content-type;host;x-amz-date, \
                 Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
            ),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let uri = "/?Action=ListUsers&Version=2010-05-08".parse().unwrap();
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_string();
        let since = Instant::now();
        let at = |at_ms: i64, key: &str, body: &[u8]| {
            let known = BTreeMap::from([(key.to_string(), secret.clone())]);
            let request = Signed {
                method: &Method::GET,
                uri: &uri,
                headers: &headers,
                body,
            };
            let checked = Signatures::new(known, at_ms, since).check(&request, &|_| None, since);
            checked.map_err(|error| format!("{}: {}", error.code, error.message))
        };
        // 30 August 2015, 12:36:00 UTC.
        let signed_ms = 1_440_938_160_000;
        assert_eq!(at(signed_ms, "AKIDEXAMPLE", b""), Ok(()));
        assert_eq!(at(signed_ms + PATIENCE_MS, "AKIDEXAMPLE", b""), Ok(()));
        let late = at(signed_ms + PATIENCE_MS + 1000, "AKIDEXAMPLE", b"").unwrap_err();
        assert_eq!(
            late,
            "InvalidSignatureException: Signature expired: 20150830T123600Z is now earlier than \
             20150830T123601Z (20150830T124101Z - 5 min.)"
        );
        let early = at(signed_ms - PATIENCE_MS - 1000, "AKIDEXAMPLE", b"").unwrap_err();
        assert!(early.contains("Signature not yet current"), "{early}");
        let changed = at(signed_ms, "AKIDEXAMPLE", b"x").unwrap_err();
        assert!(changed.contains("does not match"), "{changed}");
        let unknown = at(signed_ms, "AKIDOTHER", b"").unwrap_err();
        assert!(
            unknown.starts_with("UnrecognizedClientException"),
            "{unknown}"
        );
    }
}
