//! The account: what exists, what happens as time passes, and every operation on it.
//!
//! No async, no clock, no thread: [`World::advance_to`] moves time and does everything that becomes
//! due on the way, in order; [`World::call`] is one API operation at the current time. Random choices
//! come from one seeded generator per account and region, and are drawn only when something happens
//! at its own due time, so how often time is advanced does not change what happens.
//!
//! Grades in the module docs, after what AWS's behaviour is known from: \[M\] the API model, \[D\] the
//! documentation, \[O\] output observed on AWS by others, \[K\] common knowledge. "Our choice" marks
//! what nobody could tell us.

/// A structure value; `Null` members are left out.
macro_rules! structure {
    ($($key:literal : $value:expr),* $(,)?) => {
        $crate::value::Value::map()$(.with($key, $value))*
    };
}
pub(crate) use structure;

pub mod cloudwatch;
mod codedeploy;
mod ecs;
mod elb;
mod events;
mod ids;
mod members;
mod read;
mod region;
mod report;
pub mod s3;
pub mod sabotage;
mod sqs;
mod sts;
mod traffic;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::error::AwsError;
use crate::value::Value;
use codedeploy::HookBehaviour;
pub use events::faults::{EventFault, EventHarm};
use region::Region;
pub use region::Work;
use sabotage::Sabotage;

/// Who calls, as read from the request's SigV4 credential scope.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Caller {
    /// Twelve digits.
    pub account: String,
    /// For example `eu-central-1`.
    pub region: String,
    /// The ARN of the principal, used as `registeredBy`, `createdBy` and in GetCallerIdentity.
    pub principal: String,
}

/// Something the account wants done outside itself. The door performs it and reports back.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// CodeDeploy invokes a hook function. The door posts it to the relay, or, when it cannot,
    /// calls [`World::hook_invocation_failed`].
    InvokeHook {
        /// The account whose deployment it is.
        account: String,
        /// The region.
        region: String,
        /// The function's bare name, without ARN.
        function: String,
        /// `d-XXXXXXXXX`.
        deployment_id: String,
        /// What PutLifecycleEventHookExecutionStatus must be called with.
        execution_id: String,
    },
    /// ECS invokes a hook function of its own strategies. The door posts the payload to the relay and hands
    /// what it answers to [`World::lifecycle_hook_answered`].
    InvokeLifecycleHook {
        /// The account whose service it is.
        account: String,
        /// The region.
        region: String,
        /// The function's bare name, without ARN.
        function: String,
        /// The ARN of the service deployment.
        service_deployment: String,
        /// The `executionId` of the payload.
        execution_id: String,
        /// What the function is invoked with: JSON.
        payload: String,
    },
}

/// All accounts and regions of the simulation.
pub struct World {
    seed: u64,
    now_ms: i64,
    regions: BTreeMap<(String, String), Region>,
    behaviours: BTreeMap<String, HookBehaviour>,
    page_limit: usize,
    effects: Vec<Effect>,
    /// What goes wrong with events on purpose, oldest first.
    pub event_faults: Vec<EventFault>,
    sabotage: Option<Sabotage>,
}

impl World {
    /// An empty world at `now_ms` (milliseconds since 1970 UTC) whose every random choice comes from `seed`.
    pub fn new(seed: u64, now_ms: i64) -> World {
        World {
            seed,
            now_ms,
            regions: BTreeMap::new(),
            behaviours: codedeploy::built_in_behaviours(),
            page_limit: usize::MAX,
            effects: Vec::new(),
            event_faults: Vec::new(),
            sabotage: None,
        }
    }

    /// Makes the world wrong in one way from now on, for a test of the tests.
    pub fn sabotage(&mut self, sabotage: Sabotage) {
        self.sabotage = Some(sabotage);
    }

    /// The simulated time, in milliseconds since 1970 UTC.
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// Moves time forward to `to_ms`, doing everything that happens on the way, in order. Going back does nothing.
    pub fn advance_to(&mut self, to_ms: i64) {
        while self.now_ms < to_ms {
            let next = self
                .regions
                .values()
                .filter_map(Region::next_due_ms)
                .min()
                .unwrap_or(to_ms);
            self.now_ms = next.clamp(self.now_ms + 1, to_ms);
            for region in self.regions.values_mut() {
                region.step(self.now_ms);
                self.effects.append(&mut region.effects);
                events::faults::dispatch(&mut self.event_faults, &mut region.events);
            }
        }
    }

    fn region(&mut self, caller: &Caller) -> &mut Region {
        let (seed, now_ms) = (self.seed, self.now_ms);
        let key = (caller.account.clone(), caller.region.clone());
        let region = self
            .regions
            .entry(key)
            .or_insert_with(|| Region::new(seed, now_ms, &caller.account, &caller.region));
        region.page_limit = self.page_limit;
        if region.behaviours != self.behaviours {
            region.behaviours = self.behaviours.clone();
        }
        region.elb.sabotage = self.sabotage;
        region
    }

    /// One API operation. `service` is one of `codedeploy`, `ecs`, `elasticloadbalancing`, `events`, `monitoring`,
    /// `sqs`, `sts`; `operation` as AWS names it, for example `CreateDeployment`. An unknown operation is
    /// `UnknownOperationException`.
    pub fn call(
        &mut self,
        caller: &Caller,
        service: &str,
        operation: &str,
        input: &Value,
    ) -> Result<Value, AwsError> {
        members::check(service, operation, input)?;
        let answer = self.region(caller).call(caller, service, operation, input);
        let key = (caller.account.clone(), caller.region.clone());
        if let Some(region) = self.regions.get_mut(&key) {
            self.effects.append(&mut region.effects);
            events::faults::dispatch(&mut self.event_faults, &mut region.events);
        }
        match self.sabotage {
            Some(sabotage) => sabotage.spoil(service, operation, input, answer),
            None => answer,
        }
    }

    /// Refuses a parameter that an operation does not have here, for operations that the door does itself.
    pub fn check_members(service: &str, operation: &str, input: &Value) -> Result<(), AwsError> {
        members::check(service, operation, input)
    }

    /// How many seconds a ReceiveMessage of SQS may wait for a message: 0 to 20.
    pub fn wait_s(&self, caller: &Caller, input: &Value) -> i64 {
        let key = (caller.account.clone(), caller.region.clone());
        let region = self.regions.get(&key);
        region.map_or(0, |region| region.sqs.wait_s(input))
    }

    /// One operation of S3. The name of a bucket is taken for everybody, and a bucket answers its own
    /// account in its own region only \[D\].
    pub fn call_s3(
        &mut self,
        caller: &Caller,
        request: &s3::Request,
    ) -> Result<s3::Answer, s3::Refusal> {
        let home = self
            .regions
            .iter()
            .find(|(_, region)| region.s3.has(&request.bucket))
            .map(|(place, _)| place.clone());
        let own = home
            .as_ref()
            .is_some_and(|(account, _)| *account == caller.account);
        match (&request.operation, &home) {
            (s3::Operation::ListBuckets, _) => return Ok(self.list_buckets(caller)),
            (s3::Operation::CreateBucket(_), Some(_)) => {
                let (code, message) = if own {
                    (
                        "BucketAlreadyOwnedByYou",
                        "Your previous request to create the named bucket succeeded and you already own it.",
                    )
                } else {
                    (
                        "BucketAlreadyExists",
                        "The requested bucket name is not available. The bucket namespace is shared by all users of \
                         the system. Please select a different name and try again.",
                    )
                };
                return Err(s3::refuse(409, code, message).into());
            }
            (_, Some(_)) if !own => {
                return Err(s3::refuse(403, "AccessDenied", "Access Denied").into());
            }
            (_, Some((_, region))) if *region != caller.region => {
                let error = s3::refuse(
                    301,
                    "PermanentRedirect",
                    "The bucket you are attempting to access must be addressed using the specified endpoint. \
                     Please send all future requests to this endpoint.",
                );
                return Err(s3::Refusal {
                    error,
                    region: Some(region.clone()),
                });
            }
            _ => {}
        }
        let page_limit = self.page_limit;
        let region = self.region(caller);
        let (name, now) = (caller.region.as_str(), region.now);
        let answer = match &request.operation {
            s3::Operation::CreateBucket(location) => {
                region
                    .s3
                    .create(&request.bucket, location.as_deref(), name, now)
            }
            _ => region
                .s3
                .call(request, name, now, &mut region.rng, page_limit),
        };
        answer.map_err(s3::Refusal::from)
    }

    fn list_buckets(&self, caller: &Caller) -> s3::Answer {
        let mut buckets: Vec<(&str, i64, &str)> = self
            .regions
            .iter()
            .filter(|((account, _), _)| *account == caller.account)
            .flat_map(|((_, region), found)| {
                found
                    .s3
                    .names()
                    .map(move |(name, at)| (name, at, region.as_str()))
            })
            .collect();
        buckets.sort_unstable();
        let buckets = buckets
            .into_iter()
            .map(|(name, at, region)| {
                structure! {
                    "Name": name,
                    "CreationDate": Value::Time(at),
                    "BucketRegion": region,
                }
            })
            .collect::<Vec<_>>();
        s3::Answer {
            status: 200,
            headers: Vec::new(),
            body: s3::Body::Document(
                "ListAllMyBucketsResult",
                structure! {
                    "Owner": structure! { "ID": caller.account.as_str() },
                    "Buckets": structure! { "Bucket": buckets },
                },
            ),
        }
    }

    /// What the world wants done outside since it was last asked, in order.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// The door could not invoke the function (no relay, refused, missing): the lifecycle event fails.
    pub fn hook_invocation_failed(
        &mut self,
        deployment_id: &str,
        execution_id: &str,
        message: &str,
    ) {
        for region in self.regions.values_mut() {
            region.hook_invocation_failed(deployment_id, execution_id, message);
            self.effects.append(&mut region.effects);
        }
    }

    /// A function that [`Effect::InvokeLifecycleHook`] was about returned this text, or could not be run and why.
    pub fn lifecycle_hook_answered(
        &mut self,
        service_deployment: &str,
        execution_id: &str,
        answer: Result<&str, &str>,
    ) {
        for region in self.regions.values_mut() {
            region.lifecycle_hook_answered(service_deployment, execution_id, answer);
            self.effects.append(&mut region.effects);
        }
    }

    /// Gives the hook function `function` one of the named behaviours
    /// (`succeed`, `fail`, `silent`, `succeed-after-N`, `relay`); false if the behaviour is not known.
    pub fn set_hook_behaviour(&mut self, function: &str, behaves: &str) -> bool {
        match HookBehaviour::parse(behaves) {
            Some(behaviour) => {
                self.behaviours.insert(function.to_string(), behaviour);
                for region in self.regions.values_mut() {
                    region.behaviours = self.behaviours.clone();
                }
                true
            }
            None => false,
        }
    }

    /// Something outside the account breaks for one revision: its tasks answer the share `error_rate`
    /// (0 to 1) of their requests with a 5xx from now on; `None` ends it. False if no account and
    /// region has the task definition.
    pub fn disturb(&mut self, task_definition: &str, error_rate: Option<f64>) -> bool {
        self.regions
            .values_mut()
            .any(|region| region.disturb(task_definition, error_rate))
    }

    /// Answers every list in pages of at most `items`, as a test of paging wants. AWS's own sizes are the default.
    pub fn set_page_limit(&mut self, items: usize) {
        self.page_limit = items.max(1);
    }

    /// Makes CodeDeploy forget a deployment that has ended, as it does in time; false if there is none that has.
    pub fn forget_deployment(&mut self, deployment_id: &str) -> bool {
        self.regions
            .values_mut()
            .any(|region| region.codedeploy.forget(deployment_id))
    }

    /// Every account and region that was used so far, in order.
    pub fn places(&self) -> Vec<(String, String)> {
        self.regions.keys().cloned().collect()
    }

    /// How much was looked at in one account and region so far; nothing where nobody has used it.
    pub fn work(&self, account: &str, region: &str) -> Work {
        let key = (account.to_string(), region.to_string());
        self.regions
            .get(&key)
            .map_or_else(Work::default, |region| region.work)
    }

    /// One account in one region, as [`World::state`] tells it; `None` if nobody has used it.
    pub fn report(&self, account: &str, region: &str) -> Option<Value> {
        let key = (account.to_string(), region.to_string());
        self.regions.get(&key).map(Region::report)
    }

    /// The whole account as one value for `/_sim/state`.
    pub fn state(&self) -> Value {
        let regions = self
            .regions
            .values()
            .map(Region::report)
            .collect::<Vec<_>>();
        let behaviours = Value::Map(
            self.behaviours
                .iter()
                .map(|(name, behaviour)| (name.clone(), Value::Text(behaviour.to_string())))
                .collect(),
        );
        structure! {
            "now": Value::Time(self.now_ms),
            "regions": regions,
            "hookFunctions": behaviours,
        }
    }
}
