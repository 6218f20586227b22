//! ETags: an answer that the caller already has is not sent again.
//!
//! The tag is strong, the SHA-256 of the answer's bytes: the same for the same answer on every server, and another one
//! for whoever sees something else. It saves the way, not the work: the answer is made before it is known to be the
//! same.

use axum::body::Body;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::IntoResponse;
use axum::response::Response;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;
use sha2::Digest;
use sha2::Sha256;

use crate::problem::Problem;

/// Names what is answered as JSON, and answers 304 when the caller has it.
pub async fn conditional(mut request: Request, next: Next) -> Response {
    let given = request.headers().clone();
    if *request.method() == Method::HEAD {
        // The tag is that of the body, which is left out further outside.
        *request.method_mut() = Method::GET;
    }
    let response = next.run(request).await;
    let is_json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|content_type| content_type == "application/json");
    if response.status() != StatusCode::OK || !is_json {
        return response;
    }
    let (mut head, body) = response.into_parts();
    // It was made by this process and is whole already.
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return Problem::internal().into_response();
    };
    let tag = format!("\"{}\"", hex::encode(&Sha256::digest(&bytes)[..16]));
    let known = is_known(&given, &tag);
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        head.headers.insert(header::ETAG, tag);
    }
    for (name, value) in [
        // Kept by the caller alone, and asked about each time.
        (header::CACHE_CONTROL, "private, no-cache"),
        (header::VARY, "Authorization, Cookie"),
    ] {
        head.headers.insert(name, HeaderValue::from_static(value));
    }
    if !known {
        return Response::from_parts(head, Body::from(bytes));
    }
    head.status = StatusCode::NOT_MODIFIED;
    head.headers.remove(header::CONTENT_TYPE);
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, Body::empty())
}

/// Whether `If-None-Match` names the tag. Compared weakly, as RFC 9110 says: a proxy that compresses makes tags weak.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_alone_in_a_list_weak_or_by_the_star() {
        for (given, known) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", W/\"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("a", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, given.parse().unwrap());
            assert_eq!(is_known(&headers, "\"a\""), known, "{given}");
        }
    }
}
