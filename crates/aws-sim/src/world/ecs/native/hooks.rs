//! Lifecycle hooks of ECS's own strategies: PAUSE hooks that wait for ContinueServiceDeployment, and Lambda
//! functions that are asked until they say SUCCEEDED or FAILED.
//!
//! * Ids `ecs-pause-` and 43 characters: \[D\] continue-service-deployment. Statuses, `expiresAt`, `timeoutAction`: \[M\].
//! * Payload: \[O\] verbatim. Answer `{"hookStatus", "callBackDelay", "hookDetails"}`, asked again after 30 s unless
//!   told; an answer that cannot be read, none within 15 minutes, or an exception roll back: \[D\] lambda-lifecycle-hooks.
//! * Hooks of one stage run side by side, all must pass, any failure wins; the texts of a failed status, of an
//!   answer that cannot be read, of a function that cannot be invoked and of a pause that timed out: \[D\].
//! * Our choice: a Lambda hook's id begins with `ecs-lambda-`; `lifecycleHookDetails` holds the hooks of the
//!   stage that is running or of the last one that had any; the text of a rollback through ContinueServiceDeployment;
//!   a Lambda hook that is IN_PROGRESS at its time-out ends by its action, like a pause; a built-in function
//!   takes 1.2 s; `sim-succeed-after-N` answers IN_PROGRESS until N seconds have passed.

use serde_json::{Value as Json, json};

use crate::door::clock::rfc3339;
use crate::door::json::{TimeForm, from_json, to_json};
use crate::value::Value;
use crate::world::codedeploy::HookBehaviour;
use crate::world::ecs::Service;
use crate::world::ecs::service_deployments::ServiceDeployment;
use crate::world::read::text;
use crate::world::region::Region;
use crate::world::{Effect, ids};

const FUNCTION_MS: i64 = 1_200;
const FUNCTION_LIMIT_MS: i64 = 15 * 60_000;
const ASK_AGAIN_MS: i64 = 30_000;
const MINUTE_MS: i64 = 60_000;

/// What a function said.
#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Succeeded,
    Failed,
    /// Ask again after so many milliseconds.
    InProgress(i64),
    /// Why it is no answer.
    None(String),
}

/// One run of one hook.
pub(in crate::world::ecs) struct HookRun {
    id: String,
    /// The ARN of the function; `None` for a pause.
    function: Option<String>,
    stage: &'static str,
    /// `AWAITING_ACTION`, `IN_PROGRESS`, `SUCCEEDED`, `FAILED` or `TIMED_OUT`.
    status: &'static str,
    expires_at: i64,
    continues_on_timeout: bool,
    started_at: i64,
    execution_id: String,
    details: Value,
    ask_at: Option<i64>,
    /// What the function will have said then.
    answer: Option<(i64, Answer)>,
    /// The status that was last told as an event.
    told: Option<&'static str>,
}

impl HookRun {
    pub(super) fn is_open(&self) -> bool {
        matches!(self.status, "AWAITING_ACTION" | "IN_PROGRESS")
    }

    /// What the control page shows of it: its stage, which `lifecycleStage` cannot always say, and when it ends
    /// by itself, and whether the deployment goes on then.
    pub(super) fn report(&self) -> Value {
        // A function that never answers is given up before the hook's own time is over.
        let given_up = self
            .answer
            .as_ref()
            .filter(|(at, answer)| matches!(answer, Answer::None(_)) && *at <= self.expires_at);
        let (at, continues) = given_up
            .map_or((self.expires_at, self.continues_on_timeout), |(at, _)| {
                (*at, false)
            });
        self.value()
            .with("stage", self.stage)
            .with("endsAt", Value::Time(at))
            .with("continues", continues)
    }

    /// When the fuse of a pause has burned down; `None` of a function.
    pub(super) fn pause_ends(&self) -> Option<i64> {
        self.function.is_none().then_some(self.expires_at)
    }

    /// When it moves by itself.
    pub(super) fn next_due(&self) -> impl Iterator<Item = i64> {
        let answer = self.answer.as_ref().map(|(at, _)| *at);
        let times = [Some(self.expires_at), self.ask_at, answer];
        times.into_iter().flatten().filter(|_| self.is_open())
    }

    /// ContinueServiceDeployment; false if the hook does not wait for it.
    pub(super) fn act(&mut self, id: &str, rolls_back: bool) -> bool {
        let waits = self.id == id && self.status == "AWAITING_ACTION";
        if waits {
            self.status = if rolls_back { "FAILED" } else { "SUCCEEDED" };
        }
        waits
    }

    pub(super) fn value(&self) -> Value {
        structure! {
            "hookId": self.id.as_str(),
            "targetType": if self.function.is_some() { "AWS_LAMBDA" } else { "PAUSE" },
            "targetArn": self.function.clone(),
            "status": self.status,
            "expiresAt": Value::Time(self.expires_at),
            "timeoutAction": if self.continues_on_timeout { "CONTINUE" } else { "ROLLBACK" },
        }
    }

    fn failed(&self, why: &str) -> String {
        format!(
            "Service deployment rolled back because {} lifecycle hook(s) failed. {why}",
            self.stage
        )
    }

    fn say(&mut self, answer: Answer, now: i64) -> Result<(), String> {
        let target = self.function.clone().unwrap_or_default();
        match answer {
            Answer::Succeeded => self.status = "SUCCEEDED",
            Answer::InProgress(wait) => self.ask_at = Some(now + wait),
            Answer::Failed => {
                self.status = "FAILED";
                return Err(self.failed(&format!(
                    "Lifecycle hook target {target} returned FAILED status."
                )));
            }
            Answer::None(why) => {
                self.status = "FAILED";
                return Err(self.failed(&why));
            }
        }
        Ok(())
    }
}

/// The name of a function without the ARN around it and the alias behind it.
fn bare_function(given: &str) -> &str {
    let mut parts = given.split(':');
    let found = if given.starts_with("arn:") {
        parts.nth(6)
    } else {
        parts.next()
    };
    found.unwrap_or(given)
}

/// What a function said, from the text that it returned.
fn read_answer(target: &str, body: &str) -> (Answer, Option<Value>) {
    let unreadable = |why: &str| {
        Answer::None(format!(
            "ECS was unable to parse the response from {target} due to {why}"
        ))
    };
    let Ok(json) = serde_json::from_str::<Json>(body) else {
        return (unreadable("HookStatus must not be null"), None);
    };
    let details = json
        .get("hookDetails")
        .filter(|details| !details.is_null())
        .map(|details| from_json(details.clone()));
    let answer = match json.get("hookStatus").and_then(Json::as_str) {
        Some("SUCCEEDED") => Answer::Succeeded,
        Some("FAILED") => Answer::Failed,
        Some("IN_PROGRESS") => {
            let seconds = json.get("callBackDelay").and_then(Json::as_i64);
            Answer::InProgress(seconds.map_or(ASK_AGAIN_MS, |seconds| seconds.max(1) * 1000))
        }
        _ => unreadable("HookStatus must not be null"),
    };
    (answer, details)
}

impl Region {
    /// The runs of every hook that is configured for a stage.
    pub(super) fn new_hook_runs(
        &mut self,
        one: &ServiceDeployment,
        stage: &'static str,
    ) -> Vec<HookRun> {
        let now = self.now;
        let hooks = one.configuration.get("lifecycleHooks").as_list();
        let mut runs = Vec::new();
        for hook in hooks {
            let mut stages = hook.get("lifecycleStages").as_list().iter();
            if !stages.any(|own| own.as_str() == Some(stage)) {
                continue;
            }
            let function = text(hook, "hookTargetArn").map(str::to_string);
            let timeout = hook.get("timeoutConfiguration");
            let minutes = timeout.get("timeoutInMinutes").as_i64().unwrap_or(1440);
            let kind = if function.is_some() {
                "lambda"
            } else {
                "pause"
            };
            runs.push(HookRun {
                id: ids::hook_id(&mut self.rng, kind),
                stage,
                status: if function.is_some() {
                    "IN_PROGRESS"
                } else {
                    "AWAITING_ACTION"
                },
                expires_at: now + minutes * MINUTE_MS,
                continues_on_timeout: text(timeout, "action") == Some("CONTINUE"),
                started_at: now,
                execution_id: ids::uuid(&mut self.rng),
                details: hook.get("hookDetails").clone(),
                ask_at: function.is_some().then_some(now),
                answer: None,
                told: None,
                function,
            });
        }
        runs
    }

    /// Moves the hooks of a stage. `Ok(true)`: all have passed; `Err`: one failed, and why.
    pub(super) fn step_hooks(
        &mut self,
        service: &Service,
        one: &ServiceDeployment,
        hooks: &mut [HookRun],
    ) -> (bool, Result<bool, String>) {
        let now = self.now;
        let mut moved = false;
        let mut failure = None;
        for hook in hooks.iter_mut() {
            if hook.ask_at.is_some_and(|at| at <= now) && hook.is_open() {
                hook.ask_at = None;
                moved = true;
                self.ask(service, one, hook);
            }
            let answered = hook.answer.take_if(|(at, _)| *at <= now);
            if let (Some((_, answer)), true) = (answered, hook.is_open()) {
                moved = true;
                failure = hook.say(answer, now).err().or(failure);
            }
            if hook.is_open() && hook.expires_at <= now {
                moved = true;
                hook.status = "TIMED_OUT";
                if !hook.continues_on_timeout {
                    let kind = match hook.function {
                        Some(_) => "lifecycle",
                        None => "pause",
                    };
                    failure = Some(format!(
                        "Service deployment rolled back because {} {kind} hook timed out.",
                        hook.stage
                    ));
                }
            }
            if hook.function.is_none() && hook.status == "FAILED" {
                failure = Some(format!(
                    "Service deployment rolled back because a rollback was requested at the {} pause hook.",
                    hook.stage
                ));
            }
            if hook.told != Some(hook.status) {
                hook.told = Some(hook.status);
                self.tell_hook(service, one, hook);
            }
        }
        let passed = !hooks.iter().any(HookRun::is_open);
        (moved, failure.map_or(Ok(passed), Err))
    }

    /// `ECS Hook State Change` \[D\] ecs_hook_state_change_events.
    fn tell_hook(&mut self, service: &Service, one: &ServiceDeployment, hook: &HookRun) {
        let bad = matches!(hook.status, "FAILED" | "TIMED_OUT");
        let detail = json!({
            "eventType": if bad { "ERROR" } else { "INFO" },
            "eventName": format!("HOOK_{}", hook.status),
            "hookId": hook.id,
            "hookType": if hook.function.is_some() { "AWS_LAMBDA" } else { "PAUSE" },
            "expiresAt": rfc3339(hook.expires_at),
            "lifecycleStage": hook.stage,
            "clusterArn": self.arn("ecs", &format!("cluster/{}", service.cluster)),
            "serviceArn": service.arn,
            "serviceDeploymentArn": one.arn,
            "updatedAt": rfc3339(self.now),
        });
        let resources = vec![one.arn.clone()];
        self.emit("aws.ecs", "ECS Hook State Change", resources, detail);
    }

    /// Invokes the function of a hook.
    fn ask(&mut self, service: &Service, one: &ServiceDeployment, hook: &mut HookRun) {
        let now = self.now;
        let target = hook.function.clone().unwrap_or_default();
        let name = bare_function(&target).to_string();
        let behaviour = self.behaviours.get(&name).cloned().or_else(|| {
            name.strip_prefix("sim-")
                .filter(|rest| rest.starts_with("succeed-after-"))
                .and_then(HookBehaviour::parse)
        });
        let nothing = Answer::None(format!(
            "ECS was unable to parse the response from {target} due to HookStatus must not be null"
        ));
        let soon = now + FUNCTION_MS;
        hook.answer = Some(match behaviour {
            Some(HookBehaviour::Succeed) => (soon, Answer::Succeeded),
            Some(HookBehaviour::Fail) => (soon, Answer::Failed),
            Some(HookBehaviour::SucceedAfter(ms)) if soon >= hook.started_at + ms => {
                (soon, Answer::Succeeded)
            }
            Some(HookBehaviour::SucceedAfter(_)) => (soon, Answer::InProgress(ASK_AGAIN_MS)),
            Some(HookBehaviour::Silent | HookBehaviour::NeverStarts) => {
                (now + FUNCTION_LIMIT_MS, nothing)
            }
            Some(HookBehaviour::Relay) => {
                self.effects.push(Effect::InvokeLifecycleHook {
                    account: self.account.clone(),
                    region: self.region.clone(),
                    function: name,
                    service_deployment: one.arn.clone(),
                    execution_id: hook.execution_id.clone(),
                    payload: payload(service, one, hook).to_string(),
                });
                (now + FUNCTION_LIMIT_MS, nothing)
            }
            None => (
                soon,
                Answer::None(format!(
                    "ECS was unable to invoke hook target {target} due to Function not found: {target}"
                )),
            ),
        });
    }

    /// A function outside returned this text, or could not be run.
    pub(crate) fn lifecycle_hook_answered(
        &mut self,
        service_deployment: &str,
        execution_id: &str,
        answer: Result<&str, &str>,
    ) {
        let now = self.now;
        let Some(key) = self.service_of_arn("service-deployment", service_deployment) else {
            return;
        };
        let Some(service) = self.ecs.services.get_mut(&key) else {
            return;
        };
        let hook = service
            .service_deployments
            .iter_mut()
            .filter(|one| one.arn == service_deployment)
            .filter_map(|one| one.native.as_mut())
            .flat_map(|run| run.hooks.iter_mut())
            .find(|hook| hook.execution_id == execution_id && hook.ask_at.is_none());
        if let Some(hook) = hook {
            let target = hook.function.clone().unwrap_or_default();
            let (answer, details) = match answer {
                Ok(body) => read_answer(&target, body),
                Err(why) => {
                    let why = format!("ECS was unable to invoke hook target {target} due to {why}");
                    (Answer::None(why), None)
                }
            };
            hook.answer = Some((now, answer));
            if let Some(details) = details {
                hook.details = details;
            }
            self.settle();
        }
    }
}

/// What a function is invoked with.
fn payload(service: &Service, one: &ServiceDeployment, hook: &HookRun) -> Json {
    let parts = || one.sources.iter().chain([&one.target]);
    let weights = |of: &dyn Fn(&super::Part) -> Option<f64>| {
        let pairs: Vec<(String, f64)> = parts()
            .filter_map(|part| Some((part.revision.clone(), of(part)?)))
            .collect();
        let any = pairs.iter().any(|(_, weight)| *weight > 0.0);
        let number = |weight: f64| {
            if weight.fract() == 0.0 {
                json!(weight as i64)
            } else {
                json!(weight)
            }
        };
        let map: serde_json::Map<String, Json> = pairs
            .into_iter()
            .filter(|_| any)
            .map(|(arn, weight)| (arn, number(weight)))
            .collect();
        Json::Object(map)
    };
    let mut value = json!({
        "executionDetails": {
            "testTrafficWeights": weights(&|part| part.test),
            "productionTrafficWeights": weights(&|part| part.production),
            "serviceArn": service.arn,
            "targetServiceRevisionArn": one.target.revision,
        },
        "executionId": hook.execution_id,
        "lifecycleStage": hook.stage,
        "resourceArn": one.arn,
    });
    if !hook.details.is_null() {
        value["hookDetails"] = to_json(&hook.details, TimeForm::Rfc3339);
    }
    value
}
