//! S3 over real sockets, with bodies as SDKs send them.

use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use switchback_aws_sim::door::faults::{Fault, FaultKind};
use switchback_aws_sim::door::{Options, Running, serve};

const START_MS: i64 = 1_795_255_200_000;

const SIGNED: (&str, &str) = (
    "authorization",
    "AWS4-HMAC-SHA256 Credential=AKIDTEST/20261121/eu-central-1/s3/aws4_request, SignedHeaders=host, Signature=00",
);

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

async fn start() -> Running {
    let options = Options {
        listen: "127.0.0.1:0".parse().expect("an address"),
        speed: 0.0,
        seed: 7,
        empty: true,
        relay_url: None,
        relay_secret: None,
        start_ms: START_MS,
        progress: |_| {},
    };
    serve(options).await.expect("a simulation")
}

async fn send(
    running: &Running,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let mut request = Request::builder()
        .method(method)
        .uri(running.endpoint() + path);
    for (name, value) in [SIGNED].iter().chain(headers) {
        request = request.header(*name, *value);
    }
    let request = request
        .body(Full::new(Bytes::from(body.to_string())))
        .expect("a request");
    let response = client.request(request).await.expect("an answer");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    }
}

const IN_FRANKFURT: &str = "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                            <LocationConstraint>eu-central-1</LocationConstraint></CreateBucketConfiguration>";

async fn with_bucket() -> Running {
    let running = start().await;
    let made = send(&running, Method::PUT, "/specs", &[], IN_FRANKFURT).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.body);
    running
}

#[tokio::test]
async fn an_object_comes_back_as_it_was_sent() {
    let running = with_bucket().await;
    let headers = [("content-type", "text/yaml"), ("x-amz-meta-team", "shop")];
    let put = send(
        &running,
        Method::PUT,
        "/specs/a%20b/c.yaml",
        &headers,
        "version: 0.0",
    )
    .await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.body);
    let etag = put.headers["etag"].to_str().expect("text").to_string();
    assert!(put.headers.contains_key("x-amz-request-id"));
    for method in [Method::GET, Method::HEAD] {
        let got = send(&running, method.clone(), "/specs/a%20b/c.yaml", &[], "").await;
        assert_eq!(got.headers["etag"], etag);
        assert_eq!(got.headers["content-type"], "text/yaml");
        assert_eq!(got.headers["x-amz-meta-team"], "shop");
        assert_eq!(got.headers["content-length"], "12");
        assert_eq!(
            got.headers["last-modified"],
            "Sat, 21 Nov 2026 10:00:00 GMT"
        );
        assert_eq!(
            got.body,
            if method == Method::GET {
                "version: 0.0"
            } else {
                ""
            }
        );
    }
    let unchanged = [("if-none-match", etag.as_str())];
    let same = send(&running, Method::GET, "/specs/a%20b/c.yaml", &unchanged, "").await;
    assert_eq!((same.status.as_u16(), same.body.as_str()), (304, ""));
    let taken = [("if-none-match", "*")];
    let twice = send(&running, Method::PUT, "/specs/a%20b/c.yaml", &taken, "x").await;
    assert_eq!(twice.status.as_u16(), 412);
    let list = "/specs?list-type=2&delimiter=%2F&encoding-type=url";
    let list = send(&running, Method::GET, list, &[], "").await.body;
    assert!(list.contains("<Prefix>a%20b/</Prefix>"), "{list}");
    // The journal has what changed, without the content.
    let journal = running.journal();
    let told: Vec<(&str, Option<&str>)> = journal
        .iter()
        .map(|entry| (entry.operation.as_str(), entry.error.as_deref()))
        .collect();
    assert_eq!(
        told,
        [
            ("CreateBucket", None),
            ("PutObject", None),
            ("PutObject", Some("PreconditionFailed")),
        ]
    );
    assert_eq!(journal[1].parameters["ContentLength"], 12);
    running.shutdown().await;
}

#[tokio::test]
async fn chunked_bodies_and_their_trailers_are_understood_and_compared() {
    let running = with_bucket().await;
    // CRC-32 and CRC-64 of "hello world", base64.
    for (name, good) in [
        ("x-amz-checksum-crc32", "DUoRhQ=="),
        ("x-amz-checksum-crc64nvme", "jSnVw/bqjr4="),
    ] {
        for (value, status) in [(good, 200), ("AAAAAA==", 400)] {
            let headers = [
                ("content-encoding", "aws-chunked"),
                ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
                ("x-amz-decoded-content-length", "11"),
                ("x-amz-sdk-checksum-algorithm", "ANY"),
                ("x-amz-trailer", name),
            ];
            let body = format!("5\r\nhello\r\n6\r\n world\r\n0\r\n{name}:{value}\r\n\r\n");
            let put = send(&running, Method::PUT, "/specs/k", &headers, &body).await;
            assert_eq!(put.status.as_u16(), status, "{}", put.body);
            if status == 400 {
                assert!(put.body.contains("<Code>BadDigest</Code>"), "{}", put.body);
                continue;
            }
            assert_eq!(put.headers[name], good);
            let mode = [("x-amz-checksum-mode", "ENABLED")];
            let got = send(&running, Method::GET, "/specs/k", &mode, "").await;
            assert_eq!(got.body, "hello world");
            assert_eq!(got.headers[name], good);
            assert!(!got.headers.contains_key("content-encoding"));
        }
    }
    let cases = [
        (
            ("x-amz-decoded-content-length", "12"),
            "hello",
            "IncompleteBody",
        ),
        (
            ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA=="),
            "hello",
            "BadDigest",
        ),
        (
            (
                "x-amz-content-sha256",
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ),
            "hello",
            "XAmzContentSHA256Mismatch",
        ),
        (
            ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
            "5\r\nhel",
            "IncompleteBody",
        ),
        (
            ("x-amz-trailer", "x-amz-checksum-crc32"),
            "hello",
            "MalformedTrailerError",
        ),
        (("x-amz-tagging", "a=b"), "hello", "NotImplemented"),
        (("x-amz-acl", "public-read"), "hello", "NotImplemented"),
        (
            ("x-amz-expected-bucket-owner", "210987654321"),
            "hello",
            "AccessDenied",
        ),
    ];
    for (header, body, code) in cases {
        let put = send(&running, Method::PUT, "/specs/k", &[header], body).await;
        assert!(
            put.body.contains(&format!("<Code>{code}</Code>")),
            "{header:?}: {}",
            put.body
        );
    }
    running.shutdown().await;
}

#[tokio::test]
async fn what_is_not_kept_is_refused_by_name() {
    let running = with_bucket().await;
    let cases = [
        (Method::GET, "/specs?versions", 501, "versions"),
        (Method::GET, "/specs?acl", 501, "acl"),
        (Method::GET, "/specs", 501, "ListObjects"),
        (Method::POST, "/specs/k?uploads", 501, "uploads"),
        (
            Method::PUT,
            "/specs/k?partNumber=1&uploadId=x",
            501,
            "partNumber",
        ),
        (Method::GET, "/nothing?list-type=2", 404, "NoSuchBucket"),
        (Method::GET, "/specs/k", 404, "NoSuchKey"),
        (Method::PATCH, "/specs/k", 405, "MethodNotAllowed"),
        (Method::POST, "/specs?delete", 400, "MalformedXML"),
    ];
    for (method, path, status, part) in cases {
        let answer = send(&running, method.clone(), path, &[], "").await;
        assert_eq!(
            answer.status.as_u16(),
            status,
            "{method} {path}: {}",
            answer.body
        );
        assert!(
            answer.body.contains(part),
            "{method} {path}: {}",
            answer.body
        );
        assert!(answer.body.contains("<RequestId>"));
    }
    running.shutdown().await;
}

#[tokio::test]
async fn faults_strike_s3_as_they_strike_the_others() {
    let running = with_bucket().await;
    let fault = |kind| Fault {
        service: Some("s3".to_string()),
        operation: Some("PutObject".to_string()),
        account: None,
        fault: kind,
        every: None,
        times: Some(1),
        delay_ms: None,
        stale_s: None,
    };
    for (kind, status, stored) in [
        (FaultKind::Throttle, 503, false),
        (FaultKind::ErrorBefore, 500, false),
        (FaultKind::ErrorAfter, 500, true),
    ] {
        running.add_fault(fault(kind)).expect("a fault");
        let put = send(&running, Method::PUT, "/specs/k", &[], "x").await;
        assert_eq!(put.status.as_u16(), status);
        let got = send(&running, Method::GET, "/specs/k", &[], "").await;
        assert_eq!(got.status == StatusCode::OK, stored, "{kind:?}");
    }
    running.shutdown().await;
}
