//! What every call tells about itself: a span with AWS's request id, how long it took, and how it ended.
//!
//! An interceptor, so that no call can be forgotten. The histogram is `switchback_aws_call_duration_seconds`; each
//! attempt is counted as well, since AWS counts those.

use crate::budget::Budget;
use crate::calls;
use crate::error::is_throttled;
use crate::meter::CallMeter;
use crate::meter::Ended;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeSerializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::context::FinalizerInterceptorContextRef;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::retries::RequestAttempts;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::config_bag::Storable;
use aws_smithy_types::config_bag::StoreReplace;
use aws_types::request_id::RequestId;
use std::time::Instant;
use tracing::Span;

/// The interceptor of one client.
#[derive(Clone, Debug)]
pub(crate) struct CallObserver {
    /// The prefix of the service's IAM actions, such as `codedeploy`.
    service: &'static str,
    region: String,
    meter: CallMeter,
    budget: Budget,
}

impl CallObserver {
    pub(crate) fn new(
        service: &'static str,
        region: &str,
        meter: &CallMeter,
        budget: &Budget,
    ) -> CallObserver {
        CallObserver {
            service,
            region: region.to_string(),
            meter: meter.clone(),
            budget: budget.clone(),
        }
    }
}

/// A call that is under way. The span ends with it.
#[derive(Debug)]
struct UnderWay {
    action: String,
    began: Instant,
    span: Span,
}

impl Storable for UnderWay {
    type Storer = StoreReplace<UnderWay>;
}

impl Intercept for CallObserver {
    fn name(&self) -> &'static str {
        "CallObserver"
    }

    // Not before execution: the operation's name is not in the bag yet then.
    fn read_before_serialization(
        &self,
        _context: &BeforeSerializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let operation = bag.load::<Metadata>().map_or("Unknown", Metadata::name);
        let action = format!("{}:{operation}", self.service);
        let span = tracing::info_span!(
            "aws_call",
            otel.name = action,
            otel.kind = "client",
            rpc.system = "aws-api",
            rpc.method = action,
            aws.region = self.region,
            aws.request_id = tracing::field::Empty,
            aws.attempts = tracing::field::Empty,
            http.response.status_code = tracing::field::Empty,
            outcome = tracing::field::Empty,
        );
        bag.interceptor_state().store_put(UnderWay {
            action,
            began: Instant::now(),
            span,
        });
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(UnderWay { action, .. }) = bag.load::<UnderWay>() else {
            return Ok(());
        };
        let ended_well = matches!(context.output_or_error(), Some(Ok(_)));
        let ended = match outcome(ended_well, context.response()) {
            "ok" => Ended::Well,
            "throttled" => Ended::Throttled,
            _ => Ended::Badly,
        };
        self.meter.count(action, ended);
        if ended == Ended::Throttled {
            self.budget.throttled(action);
            metrics::counter!(
                "switchback_aws_throttled_total",
                "region" => self.region.clone(),
                "operation" => action.clone(),
            )
            .increment(1);
        }
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(UnderWay {
            action,
            began,
            span,
        }) = bag.load::<UnderWay>()
        else {
            return Ok(());
        };
        let ended_well = matches!(context.output_or_error(), Some(Ok(_)));
        let response = context.response();
        let outcome = outcome(ended_well, response);
        let took = began.elapsed();
        metrics::histogram!(
            "switchback_aws_call_duration_seconds",
            "region" => self.region.clone(),
            "operation" => action.clone(),
            "outcome" => outcome,
        )
        .record(took);
        let request_id = response.and_then(|response| response.headers().request_id());
        let attempts = bag.load::<RequestAttempts>().map(RequestAttempts::attempts);
        span.record("outcome", outcome);
        if let Some(attempts) = attempts {
            span.record("aws.attempts", attempts);
        }
        if let Some(request_id) = request_id {
            span.record("aws.request_id", request_id);
        }
        if let Some(response) = response {
            span.record("http.response.status_code", response.status().as_u16());
        }
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        span.in_scope(|| {
            if calls::is_change(action) {
                tracing::info!(millis, "AWS was told");
            } else {
                tracing::debug!(millis, "AWS was asked");
            }
        });
        Ok(())
    }
}

/// How a call ended, after all its attempts.
fn outcome(ended_well: bool, response: Option<&HttpResponse>) -> &'static str {
    match response {
        _ if ended_well => "ok",
        None => "no_answer",
        Some(response) => {
            let body = response.body().bytes().unwrap_or_default();
            match response.status().as_u16() {
                status if is_throttled(status, body) => "throttled",
                400..=499 => "refused",
                500.. => "failed",
                // An answer that could not be read to its end, or was none of AWS's.
                _ => "no_answer",
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_types::body::SdkBody;

    #[test]
    fn how_a_call_ended() {
        let answered = |status: u16, body: &'static str| {
            let status = aws_smithy_runtime_api::http::StatusCode::try_from(status).unwrap();
            outcome(false, Some(&HttpResponse::new(status, SdkBody::from(body))))
        };
        assert_eq!(outcome(true, None), "ok");
        assert_eq!(outcome(false, None), "no_answer");
        for (status, body, expected) in [
            (
                400,
                r#"{"__type":"com.amazonaws#ThrottlingException"}"#,
                "throttled",
            ),
            (400, "<Error><Code>Throttling</Code></Error>", "throttled"),
            (429, "", "throttled"),
            (503, "SlowDown", "throttled"),
            // Not "LimitExceededException", although it ends so.
            (
                400,
                r#"{"__type":"DeploymentLimitExceededException"}"#,
                "refused",
            ),
            (403, "", "refused"),
            (500, "", "failed"),
            (200, "{", "no_answer"),
        ] {
            assert_eq!(answered(status, body), expected, "{status} {body}");
        }
    }
}
