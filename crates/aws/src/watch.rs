//! What is watched of a single call: whether it was sent at all, and the bytes it was answered with.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::AfterDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

/// The settings of a call that changes something, by the builder of its service's SDK: sent once, within the time of one
/// attempt, and `Sent` tells whether it left. Of these calls only TransactWriteItems has an idempotency token, and the
/// SDK would repeat each by itself (aws.md §0.1).
macro_rules! exactly_once {
    ($builder:ty, $sent:expr) => {
        <$builder>::default()
            .retry_config(aws_config::retry::RetryConfig::disabled())
            .timeout_config(
                aws_config::timeout::TimeoutConfig::builder()
                    .operation_attempt_timeout($crate::CHANGE_ATTEMPT_TIMEOUT)
                    .build(),
            )
            .interceptor($sent.clone())
    };
}
pub(crate) use exactly_once;

/// Remembers that the SDK began to send the call. Where it did not (no credentials, no endpoint),
/// the call certainly had no effect.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent(Arc<AtomicBool>);

impl Sent {
    /// Whether it began.
    pub(crate) fn began(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Intercept for Sent {
    fn name(&self) -> &'static str {
        "Sent"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.store(true, Ordering::Release);
        Ok(())
    }
}

/// Keeps the answer's bytes as they came over the wire. The SDK's own types would drop every member
/// that is newer than they are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wire(Arc<Mutex<Vec<u8>>>);

impl Wire {
    /// The bytes of the last answer; empty without one.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Intercept for Wire {
    fn name(&self) -> &'static str {
        "Wire"
    }

    // Earlier than this the body is still a stream; here the SDK has read it into memory.
    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let bytes = context
            .response()
            .body()
            .bytes()
            .unwrap_or_default()
            .to_vec();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
        Ok(())
    }
}
