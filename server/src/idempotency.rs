//! One effect for one Idempotency-Key.
//!
//! The answer is kept per actor and key, with the route and a digest of the body. Requests with the
//! same key wait for each other in this process; the second gets the first one's answer. The key is
//! committed in the transaction of the effect and the answer after it, so a process that ends in between
//! leaves a key without an answer: whoever repeats the request is told what it made. Answers that
//! say "try again" (5xx) and "sign in" are not kept, and reads are not asked for here at all. Whoever
//! may no longer do what was asked is not told what came of it.

use crate::Deps;
use crate::front::Caller;
use crate::problem::Problem;
use axum::body::Body;
use axum::response::Response;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;
use http::header;
use serde_json::Value;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use switchback_contract::RequestMark;
use switchback_domain::actor::Verb;
use switchback_domain::digest::Digest;

/// The header that says that an answer was given before.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The longest key.
const LONGEST_KEY: usize = 200;

/// An answer that can be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The JSON.
    pub body: String,
}

impl Answer {
    /// What was done.
    pub fn done(status: StatusCode, value: &Value) -> Answer {
        Answer {
            status,
            body: value.to_string(),
        }
    }
}

/// By actor and key, what whoever works on it holds.
type Locks = HashMap<(String, String), Weak<tokio::sync::Mutex<()>>>;

/// The keys that are being worked on.
#[derive(Default)]
pub struct InFlight {
    keys: Mutex<Locks>,
}

impl InFlight {
    fn of(&self, actor: &str, key: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut keys = self.lock();
        keys.retain(|_, lock| lock.strong_count() > 0);
        let entry = keys
            .entry((actor.to_string(), key.to_string()))
            .or_default();
        entry.upgrade().unwrap_or_else(|| {
            let lock = Arc::new(tokio::sync::Mutex::new(()));
            *entry = Arc::downgrade(&lock);
            lock
        })
    }

    fn lock(&self) -> MutexGuard<'_, Locks> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The request's key, if it has one.
pub fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    checked(text).map(Some)
}

/// The text if it can be a key.
pub fn checked(text: &str) -> Result<String, Problem> {
    let fine =
        (1..=LONGEST_KEY).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fine {
        return Ok(text.to_string());
    }
    Err(Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "idempotency_key_malformed",
        format!("The Idempotency-Key must be 1 to {LONGEST_KEY} visible ASCII characters."),
    ))
}

/// What is asked, for comparison with what was asked before.
pub struct Asked<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// The key; without one the work is simply done.
    pub key: Option<String>,
    /// What the key stands for besides the body: the path.
    pub route: &'a str,
    /// The body as it came.
    pub body: &'a [u8],
    /// What the actor must be allowed to do to hear an answer again.
    pub verb: Verb,
    /// Whether refusals are kept too.
    pub keep: Keep,
}

/// Which answers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Everything final: a program that repeats a request gets the same answer.
    Refusals,
    /// Only what was done: a person who corrects a refused form sends the same key again.
    OnlyDone,
}

impl Keep {
    /// Whether an answer with this status is kept.
    fn keeps(self, status: StatusCode) -> bool {
        let done = status.is_success() || status.is_redirection();
        let refused = status.is_client_error() && status != StatusCode::UNAUTHORIZED;
        done || (refused && self == Keep::Refusals)
    }
}

/// Does the work once per key. Gives the answer and whether it was given before.
///
/// `work` is given what it must commit with its effect. `answer_of` makes the answer to a request whose effect was
/// committed and whose answer was never kept, from the identifier of what it made or decided.
pub async fn once<F, G>(
    deps: &Deps,
    asked: Asked<'_>,
    work: impl FnOnce(Option<RequestMark>) -> F,
    answer_of: impl FnOnce(String) -> G,
) -> Result<(Answer, bool), Problem>
where
    F: Future<Output = Result<Answer, Problem>>,
    G: Future<Output = Result<Answer, Problem>>,
{
    let signed_in = asked.caller.signed_in()?;
    let actor = signed_in.name.clone();
    let Some(key) = asked.key else {
        return Ok((work(None).await?, false));
    };
    let body_sha256 = Digest::of_bytes(asked.body);
    let lock = deps.in_flight.of(&actor, &key);
    let _held = lock.lock().await;

    let before = deps
        .store
        .idempotency_fetch(&actor, &key)
        .await
        .map_err(|error| Problem::of_store(&error, "look up an idempotency key"))?;
    if let Some(before) = before {
        if before.route != asked.route || before.body_sha256 != body_sha256.as_str() {
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "This Idempotency-Key was used for another request. Nothing was done. Use a new key.",
            ));
        }
        if !signed_in.may(asked.verb) {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "forbidden",
                format!(
                    "{actor} may not {}. Nothing was done now; this Idempotency-Key was answered before.",
                    asked.verb.words()
                ),
            ));
        }
        if let Some(subject) = before.unanswered() {
            let answer = answer_of(subject.to_string()).await?;
            keep(deps, &actor, &key, asked.route, &body_sha256, &answer).await;
            return Ok((answer, true));
        }
        let status = StatusCode::from_u16(before.status).unwrap_or(StatusCode::OK);
        return Ok((
            Answer {
                status,
                body: before.body,
            },
            true,
        ));
    }

    let mark = RequestMark {
        key: key.clone(),
        route: asked.route.to_string(),
        body_sha256: body_sha256.to_string(),
    };
    let answer = match work(Some(mark)).await {
        Ok(answer) => answer,
        Err(problem) => {
            if !asked.keep.keeps(problem.status) {
                return Err(problem);
            }
            let document = problem.document(Some(asked.route));
            Answer {
                status: problem.status,
                body: document.to_string(),
            }
        }
    };
    if !asked.keep.keeps(answer.status) {
        return Ok((answer, false));
    }
    keep(deps, &actor, &key, asked.route, &body_sha256, &answer).await;
    Ok((answer, false))
}

/// Keeps an answer for its key.
async fn keep(
    deps: &Deps,
    actor: &str,
    key: &str,
    route: &str,
    body_sha256: &Digest,
    answer: &Answer,
) {
    let kept = async {
        let mut tx = deps.store.begin().await?;
        let status = answer.status.as_u16();
        if !tx
            .idempotency_answer(actor, key, status, &answer.body)
            .await?
        {
            // Nothing was committed with the key: the answer is a refusal.
            tx.idempotency_insert(
                actor,
                key,
                route,
                body_sha256.as_str(),
                status,
                &answer.body,
                deps.now(),
            )
            .await?;
        }
        tx.commit().await
    };
    if let Err(error) = kept.await {
        // The work is done; saying otherwise would make the caller repeat it, and whoever does is told what it made.
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            key,
            "an answer could not be kept for its idempotency key"
        );
    }
}

/// Does the work to its end even when whoever asked goes away: a closed browser must not leave it half done.
pub async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a request's work ended early"
            );
            Err(Problem::internal())
        }
    }
}

/// The answer as a response of the API.
pub fn response((answer, replayed): (Answer, bool)) -> Response {
    let refused = answer.status.is_client_error() || answer.status.is_server_error();
    let content_type = if refused {
        "application/problem+json"
    } else {
        "application/json"
    };
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = answer.status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if replayed {
        response
            .headers_mut()
            .insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_visible_ascii() {
        for fine in ["a", "3f0c-11", &"k".repeat(LONGEST_KEY)] {
            assert_eq!(checked(fine).as_deref(), Ok(fine));
        }
        for malformed in ["", " ", "a b", "ü", "a\n", &"k".repeat(LONGEST_KEY + 1)] {
            assert_eq!(
                checked(malformed).map_err(|problem| problem.code),
                Err("idempotency_key_malformed".to_string())
            );
        }
    }

    #[test]
    fn what_is_kept() {
        for (status, refusals, only_done) in [
            (200, true, true),
            (202, true, true),
            (303, true, true),
            (400, true, false),
            (401, false, false),
            (403, true, false),
            (409, true, false),
            (500, false, false),
            (502, false, false),
            (503, false, false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(
                (Keep::Refusals.keeps(status), Keep::OnlyDone.keeps(status)),
                (refusals, only_done),
                "{status}"
            );
        }
    }

    #[test]
    fn a_key_has_one_lock_while_it_is_used() {
        let in_flight = InFlight::default();
        let first = in_flight.of("dana", "k");
        assert!(Arc::ptr_eq(&first, &in_flight.of("dana", "k")));
        assert!(!Arc::ptr_eq(&first, &in_flight.of("otto", "k")));
        drop(first);
        in_flight.of("dana", "other");
        assert_eq!(
            in_flight.lock().len(),
            1,
            "locks that nobody holds are dropped"
        );
    }
}
