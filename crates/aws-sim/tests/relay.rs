//! Hooks that are posted outside: what a receiver gets, and what its answer does to the deployment.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hmac::{Hmac, Mac};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value as Json, json};
use sha2::Sha256;
use switchback_aws_sim::door::{Options, Running, serve};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const START_MS: i64 = 1_795_255_200_000;
const SECRET: &str = "the secret of the test";
const BOUND: Duration = Duration::from_secs(30);

/// One post as the receiver got it.
#[derive(Debug)]
struct Post {
    signature: Option<String>,
    body: String,
}

/// A receiver that answers with the given statuses, then with 200.
async fn receiver(statuses: &[u16]) -> (SocketAddr, UnboundedReceiver<Post>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (posts, got) = unbounded_channel();
    let statuses = Arc::new(Mutex::new(VecDeque::from(statuses.to_vec())));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (posts, statuses) = (posts.clone(), statuses.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                let (posts, statuses) = (posts.clone(), statuses.clone());
                async move {
                    assert_eq!(
                        (request.method(), request.uri().path()),
                        (&Method::POST, "/hook")
                    );
                    let signature = request.headers().get("switchback-signature").cloned();
                    let signature = signature.map(|it| it.to_str().expect("text").to_string());
                    let body = request.into_body().collect().await?.to_bytes();
                    let body = String::from_utf8(body.to_vec()).expect("text");
                    let _ = posts.send(Post { signature, body });
                    let status = statuses.lock().expect("a lock").pop_front().unwrap_or(200);
                    let mut response = Response::new(Empty::<Bytes>::new());
                    *response.status_mut() = status.try_into().expect("a status");
                    Ok::<_, hyper::Error>(response)
                }
            });
            let connection = hyper::server::conn::http1::Builder::new();
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
        }
    });
    (address, got)
}

/// An account with its teams, whose open gate is the hook that is posted.
async fn simulation(relay_url: Option<String>) -> Running {
    serve(Options {
        listen: "127.0.0.1:0".parse().expect("an address"),
        // So fast that the relay's second attempt follows within a second.
        speed: 60.0,
        seed: 1,
        empty: false,
        relay_url,
        relay_secret: Some(SECRET.to_string()),
        start_ms: START_MS,
        progress: |_| {},
    })
    .await
    .expect("a simulation")
}

/// Checks the post and gives the deployment and the time that it was signed at, in seconds.
fn open(post: &Post) -> (String, i64) {
    let body: Json = serde_json::from_str(&post.body).expect("JSON");
    let members: Vec<&String> = body.as_object().expect("an object").keys().collect();
    assert_eq!(members, ["DeploymentId", "LifecycleEventHookExecutionId"]);
    let signature = post.signature.as_deref().expect("a signature");
    let (time, sum) = signature.split_once(",v1=").expect("both parts");
    let seconds = time.strip_prefix("t=").expect("a time");
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key");
    mac.update(format!("{seconds}.{}", post.body).as_bytes());
    assert_eq!(sum, hex::encode(mac.finalize().into_bytes()));
    let deployment = body["DeploymentId"].as_str().expect("text").to_string();
    (deployment, seconds.parse().expect("a number"))
}

async fn deployment_status(running: &Running, deployment: &str) -> (String, Json) {
    let scope = "AWS4-HMAC-SHA256 Credential=AKID/20261121/eu-central-1/codedeploy/aws4_request";
    let request = Request::post(running.endpoint())
        .header("authorization", scope)
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", "CodeDeploy_20141006.GetDeployment")
        .body(Full::new(Bytes::from(
            json!({ "deploymentId": deployment }).to_string(),
        )))
        .expect("a request");
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request).await.expect("an answer");
    let body = response
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    let answer: Json = serde_json::from_slice(&body).expect("JSON");
    let info = &answer["deploymentInfo"];
    (
        info["status"].as_str().unwrap_or("").to_string(),
        info["errorInformation"].clone(),
    )
}

async fn failed(running: &Running, deployment: &str) -> Json {
    let ended = async {
        loop {
            let (status, error) = deployment_status(running, deployment).await;
            if status == "Failed" {
                return error;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(BOUND, ended)
        .await
        .expect("the deployment fails")
}

async fn next(got: &mut UnboundedReceiver<Post>) -> Post {
    tokio::time::timeout(BOUND, got.recv())
        .await
        .expect("a post in time")
        .expect("a post")
}

#[tokio::test]
async fn a_post_is_signed_in_simulated_time_and_sent_again_after_a_failure() {
    let (address, mut got) = receiver(&[503]).await;
    let running = simulation(Some(format!("http://{address}/hook"))).await;
    let (deployment, first) = open(&next(&mut got).await);
    let now = running.now_ms() / 1000;
    assert!((START_MS / 1000..=now).contains(&first), "{first} at {now}");
    let (again, second) = open(&next(&mut got).await);
    assert_eq!(deployment, again);
    assert!(
        second >= first + 60,
        "a function is run again after a simulated minute: {first} {second}"
    );
    let (status, _) = deployment_status(&running, &deployment).await;
    assert_eq!(status, "InProgress");
    running.shutdown().await;
}

#[tokio::test]
async fn a_refused_post_fails_the_deployment() {
    let (address, mut got) = receiver(&[401]).await;
    let running = simulation(Some(format!("http://{address}/hook"))).await;
    let (deployment, _) = open(&next(&mut got).await);
    let error = failed(&running, &deployment).await;
    assert_eq!(error["code"], "HOOK_EXECUTION_FAILURE", "{error}");
    running.shutdown().await;
}

#[tokio::test]
async fn without_a_receiver_the_hook_fails_and_a_receiver_can_be_named_later() {
    let running = simulation(None).await;
    let opened = running.journal();
    let gated = opened
        .iter()
        .rfind(|entry| entry.parameters["description"] == "Rotate PSP client to v5");
    assert!(gated.is_some(), "the story's gate is there");
    let (address, mut got) = receiver(&[]).await;
    running
        .set_relay(&format!("http://{address}/hook"), Some(SECRET.to_string()))
        .expect("a URL");
    assert!(running.set_relay("nowhere", None).is_err());
    // The next gate of the same team finds its way, whatever became of the first.
    let post = async {
        loop {
            running.advance(30.0).expect("a lawful push");
            if let Ok(post) = got.try_recv() {
                return post;
            }
            tokio::task::yield_now().await;
        }
    };
    let post = tokio::time::timeout(BOUND, post)
        .await
        .expect("a post in time");
    open(&post);
    running.shutdown().await;
}
