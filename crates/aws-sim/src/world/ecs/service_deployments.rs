//! Service deployments: one attempt to bring a service with the ECS controller to a service revision, and
//! the operations that read, stop and continue them.
//!
//! * Shapes, statuses, page sizes (20 unless told, at most 100), at most 20 ARNs at once: \[M\].
//! * Kept for 90 days, deleted with the service: \[D\] service-deployment.
//! * `StopServiceDeployment` rolls back even where no rollback is configured; PENDING and IN_PROGRESS become
//!   ROLLBACK_REQUESTED, which can still end SUCCESSFUL: \[D\] stop-service-deployment. `ROLLBACK` is the only
//!   valid stop type although the enumeration has ABORT: \[M\]; so ABORT is refused (our choice).
//! * The texts of ContinueServiceDeployment's refusals: \[D\] troubleshooting-blue-green. Their code
//!   (InvalidParameterException) is our choice among those that the operation declares.
//! * `No rollback candidate was found to run the rollback.` with ROLLBACK_FAILED: \[O\].
//! * Our choice: newest first in the list; the counts of an ended deployment stay as they were at its end; a
//!   STOPPED one has `finishedAt` as well as `stoppedAt`.

use super::circuit_breaker::CircuitBreaker;
use super::deployment_configuration::Strategy;
use super::native::NativeRun;
use super::operations::bad;
use super::{Service, ServiceStatus};
use crate::error::AwsError;
use crate::value::Value;
use crate::world::ids;
use crate::world::read::{number_within, text, texts};
use crate::world::region::Region;

/// How long AWS keeps service deployments and revisions.
pub(super) const KEPT_MS: i64 = 90 * 24 * 3_600_000;

/// From StopServiceDeployment to the beginning of the rollback. Our choice.
const STOP_MS: i64 = 5_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Pending,
    InProgress,
    StopRequested,
    Stopped,
    Successful,
    RollbackRequested,
    RollbackInProgress,
    RollbackSuccessful,
    RollbackFailed,
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        match self {
            Status::Pending => "PENDING",
            Status::InProgress => "IN_PROGRESS",
            Status::StopRequested => "STOP_REQUESTED",
            Status::Stopped => "STOPPED",
            Status::Successful => "SUCCESSFUL",
            Status::RollbackRequested => "ROLLBACK_REQUESTED",
            Status::RollbackInProgress => "ROLLBACK_IN_PROGRESS",
            Status::RollbackSuccessful => "ROLLBACK_SUCCESSFUL",
            Status::RollbackFailed => "ROLLBACK_FAILED",
        }
    }

    pub(super) fn is_terminal(self) -> bool {
        matches!(
            self,
            Status::Stopped
                | Status::Successful
                | Status::RollbackSuccessful
                | Status::RollbackFailed
        )
    }
}

/// One side of a service deployment: the unit that runs a revision, and what was asked of it.
pub(super) struct Part {
    pub(super) unit: String,
    pub(super) revision: String,
    /// Percent of the traffic, where ECS moves traffic.
    pub(super) production: Option<f64>,
    pub(super) test: Option<f64>,
    /// Requested, running and pending tasks when the deployment ended.
    last: Option<(i64, i64, i64)>,
}

impl Part {
    pub(super) fn new(unit: String, revision: String) -> Part {
        Part {
            unit,
            revision,
            production: None,
            test: None,
            last: None,
        }
    }

    fn counts(&self, service: &Service) -> (i64, i64, i64) {
        if let Some(last) = self.last {
            return last;
        }
        let (running, pending) = service.counts(&self.unit);
        let wanted = service
            .unit(&self.unit)
            .map_or(0, |unit| service.wanted(unit));
        (wanted, running, pending)
    }

    fn value(&self, service: &Service) -> Value {
        let (requested, running, pending) = self.counts(service);
        structure! {
            "arn": self.revision.as_str(),
            "requestedTaskCount": requested,
            "runningTaskCount": running,
            "pendingTaskCount": pending,
            "requestedTestTrafficWeight": self.test,
            "requestedProductionTrafficWeight": self.production,
        }
    }
}

pub(super) struct Rollback {
    pub(super) reason: String,
    pub(super) started_at: i64,
    pub(super) revision: String,
}

/// The alarms of one deployment.
pub(super) struct AlarmWatch {
    pub(super) names: Vec<String>,
    /// `DISABLED`, `MONITORING`, `TRIGGERED` or `MONITORING_COMPLETE`.
    pub(super) status: &'static str,
    pub(super) triggered: Vec<String>,
    /// When they are looked at next.
    pub(super) due: Option<i64>,
}

pub(crate) struct ServiceDeployment {
    pub(super) arn: String,
    pub(super) status: Status,
    pub(super) reason: Option<String>,
    pub(super) created_at: i64,
    pub(super) started_at: Option<i64>,
    pub(super) finished_at: Option<i64>,
    pub(super) stopped_at: Option<i64>,
    pub(super) updated_at: i64,
    pub(super) target: Part,
    pub(super) sources: Vec<Part>,
    /// The service's deployment configuration when it began.
    pub(super) configuration: Value,
    pub(super) strategy: Strategy,
    pub(super) rollback: Option<Rollback>,
    pub(super) failures: i64,
    pub(super) threshold: i64,
    pub(super) tripped: bool,
    pub(super) alarms: AlarmWatch,
    /// When PENDING, STOP_REQUESTED or ROLLBACK_REQUESTED ends.
    pub(super) due: Option<i64>,
    pub(super) bake_until: Option<i64>,
    /// Stages, hooks and traffic, where the strategy is not ROLLING.
    pub(super) native: Option<NativeRun>,
}

impl ServiceDeployment {
    /// When it moves by itself.
    pub(super) fn next_due(&self) -> impl Iterator<Item = i64> {
        let own = [self.due, self.bake_until, self.alarms.due];
        let stages = self.native.iter().flat_map(NativeRun::next_due);
        own.into_iter().flatten().chain(stages)
    }

    pub(super) fn arn(&self) -> &str {
        &self.arn
    }

    pub(super) fn is_over(&self) -> bool {
        self.status.is_terminal()
    }

    /// It is over; what it counted stays as it is now.
    pub(super) fn end(&mut self, service: &Service, status: Status, now: i64) {
        self.status = status;
        self.finished_at = Some(now);
        if status == Status::Stopped {
            self.stopped_at = Some(now);
        }
        self.updated_at = now;
        (self.due, self.bake_until, self.alarms.due) = (None, None, None);
        if self.alarms.status == "MONITORING" {
            self.alarms.status = "MONITORING_COMPLETE";
        }
        if let Some(run) = &mut self.native {
            run.end();
        }
        for part in self.sources.iter_mut().chain([&mut self.target]) {
            part.last = Some(part.counts(service));
        }
    }

    fn brief(&self, service: &Service, cluster: String) -> Value {
        structure! {
            "serviceDeploymentArn": self.arn.as_str(),
            "serviceArn": service.arn.as_str(),
            "clusterArn": cluster,
            "createdAt": Value::Time(self.created_at),
            "startedAt": self.started_at.map(Value::Time),
            "finishedAt": self.finished_at.map(Value::Time),
            "targetServiceRevisionArn": self.target.revision.as_str(),
            "status": self.status.name(),
            "statusReason": self.reason.clone(),
        }
    }

    fn value(&self, service: &Service, cluster: String) -> Value {
        let sources = self.sources.iter().map(|part| part.value(service));
        let breaker = CircuitBreaker::read(&self.configuration);
        let breaker_status = match (breaker.enabled, self.tripped) {
            (false, _) => "DISABLED",
            (true, true) => "TRIGGERED",
            (true, false) if self.status.is_terminal() => "MONITORING_COMPLETE",
            (true, false) => "MONITORING",
        };
        let alarms = &self.alarms;
        let rollback = self.rollback.as_ref().map(|rollback| {
            structure! {
                "reason": rollback.reason.as_str(),
                "startedAt": Value::Time(rollback.started_at),
                "serviceRevisionArn": rollback.revision.as_str(),
            }
        });
        let (stage, hooks) = match &self.native {
            Some(run) => (run.stage_name(), Some(run.hook_details())),
            None => (None, None),
        };
        structure! {
            "serviceDeploymentArn": self.arn.as_str(),
            "serviceArn": service.arn.as_str(),
            "clusterArn": cluster,
            "createdAt": Value::Time(self.created_at),
            "startedAt": self.started_at.map(Value::Time),
            "finishedAt": self.finished_at.map(Value::Time),
            "stoppedAt": self.stopped_at.map(Value::Time),
            "updatedAt": Value::Time(self.updated_at),
            "sourceServiceRevisions": sources.collect::<Vec<_>>(),
            "targetServiceRevision": self.target.value(service),
            "status": self.status.name(),
            "statusReason": self.reason.clone(),
            "lifecycleStage": stage,
            "lifecycleHookDetails": hooks,
            "deploymentConfiguration": self.configuration.clone(),
            "rollback": rollback,
            "deploymentCircuitBreaker": structure! {
                "status": breaker_status,
                "failureCount": self.failures,
                "threshold": self.threshold,
            },
            "alarms": structure! {
                "status": alarms.status,
                "alarmNames": texts_value(&alarms.names),
                "triggeredAlarmNames": texts_value(&alarms.triggered),
            },
        }
    }
}

fn texts_value(list: &[String]) -> Value {
    Value::List(list.iter().map(|text| Value::from(text.as_str())).collect())
}

fn not_found() -> AwsError {
    AwsError::caller(
        "ServiceDeploymentNotFoundException",
        "The service deployment does not exist.",
    )
}

impl Service {
    fn service_deployment(&self, arn: &str, now: i64) -> Option<&ServiceDeployment> {
        self.service_deployments
            .iter()
            .find(|one| one.arn == arn && one.is_kept(now))
    }
}

impl ServiceDeployment {
    fn is_kept(&self, now: i64) -> bool {
        self.created_at >= now - KEPT_MS || !self.status.is_terminal()
    }
}

impl Region {
    /// What the control page shows of the service deployments that are not over.
    pub(crate) fn report_service_deployments(&self) -> Value {
        let mut under_way = Vec::new();
        for service in self.ecs.services.values() {
            for one in &service.service_deployments {
                if one.is_over() {
                    continue;
                }
                let (stage, hooks) = match &one.native {
                    Some(run) => (run.stage_name(), run.waiting_hooks()),
                    None => (None, Vec::new()),
                };
                under_way.push(structure! {
                    "serviceDeploymentArn": one.arn.as_str(),
                    "cluster": service.cluster.as_str(),
                    "service": service.name.as_str(),
                    "strategy": one.strategy.name(),
                    "status": one.status.name(),
                    "lifecycleStage": stage,
                    "pendingHooks": hooks,
                });
            }
        }
        Value::List(under_way)
    }

    pub(super) fn list_service_deployments(&self, input: &Value) -> Result<Value, AwsError> {
        let given = text(input, "service").ok_or_else(|| bad("Service cannot be empty."))?;
        // A service's own ARN names its cluster.
        let cluster = match (text(input, "cluster"), given.split(":service/").nth(1)) {
            (None, Some(path)) => path.split('/').next().unwrap_or(path).to_string(),
            _ => self.cluster_name(input)?,
        };
        let service = self
            .service_key(&cluster, given)
            .and_then(|key| self.ecs.services.get(&key))
            .filter(|service| service.status != ServiceStatus::Inactive)
            .ok_or_else(|| AwsError::caller("ServiceNotFoundException", "Service not found."))?;
        let wanted = texts(input, "status");
        if let Some(status) = wanted.iter().find(|status| !is_status(status)) {
            return Err(bad(format!("Invalid service deployment status: {status}")));
        }
        let bound = |key: &str| input.get("createdAt").get(key).as_time_ms();
        let (before, after) = (bound("before"), bound("after"));
        let size = number_within(
            input,
            "maxResults",
            1..=100,
            20,
            "InvalidParameterException",
        )?;
        let found: Vec<&ServiceDeployment> = service
            .service_deployments
            .iter()
            .rev()
            .filter(|one| one.is_kept(self.now))
            .filter(|one| wanted.is_empty() || wanted.iter().any(|name| name == one.status.name()))
            .filter(|one| before.is_none_or(|before| one.created_at < before))
            .filter(|one| after.is_none_or(|after| one.created_at > after))
            .collect();
        let size = self.page_limit.min(usize::try_from(size).unwrap_or(20));
        let token = text(input, "nextToken");
        let (page, next) = ids::page(found, token, size, |one| one.arn.as_str())
            .ok_or_else(|| bad("Invalid token."))?;
        let page = page
            .into_iter()
            .map(|one| one.brief(service, self.arn("ecs", &format!("cluster/{cluster}"))))
            .collect::<Vec<_>>();
        Ok(structure! { "serviceDeployments": page, "nextToken": next })
    }

    pub(super) fn describe_service_deployments(&self, input: &Value) -> Result<Value, AwsError> {
        let asked = texts(input, "serviceDeploymentArns");
        if asked.is_empty() || asked.len() > 20 {
            return Err(bad(
                "The number of serviceDeploymentArns must be between 1 and 20.",
            ));
        }
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for arn in asked {
            let own = self
                .service_of_arn("service-deployment", &arn)
                .and_then(|key| self.ecs.services.get(&key))
                .and_then(|service| Some((service, service.service_deployment(&arn, self.now)?)));
            match own {
                Some((service, one)) => {
                    let cluster = self.arn("ecs", &format!("cluster/{}", service.cluster));
                    found.push(one.value(service, cluster));
                }
                None => failures.push(structure! { "arn": arn, "reason": "MISSING" }),
            }
        }
        Ok(structure! { "serviceDeployments": found, "failures": failures })
    }

    /// The service deployment with this ARN, while AWS keeps it.
    fn kept_service_deployment(&mut self, arn: &str) -> Result<&mut ServiceDeployment, AwsError> {
        let now = self.now;
        let key = self
            .service_of_arn("service-deployment", arn)
            .ok_or_else(not_found)?;
        self.ecs
            .services
            .get_mut(&key)
            .and_then(|service| {
                let list = &mut service.service_deployments;
                list.iter_mut().find(|one| one.arn == arn)
            })
            .filter(|one| one.is_kept(now))
            .ok_or_else(not_found)
    }

    pub(super) fn stop_service_deployment(&mut self, input: &Value) -> Result<Value, AwsError> {
        let arn = text(input, "serviceDeploymentArn")
            .ok_or_else(|| bad("serviceDeploymentArn must be specified."))?;
        match text(input, "stopType") {
            None | Some("ROLLBACK") => {}
            Some(_) => return Err(bad("Invalid stopType. Valid values are: ROLLBACK")),
        }
        let now = self.now;
        let one = self.kept_service_deployment(arn)?;
        match one.status {
            status if status.is_terminal() => Err(bad(
                "Stopping a service deployment is not allowed for service deployment in terminal states.",
            )),
            Status::Pending | Status::InProgress => {
                one.status = Status::RollbackRequested;
                one.due = Some(now + STOP_MS);
                one.updated_at = now;
                Ok(structure! { "serviceDeploymentArn": arn })
            }
            status => Err(AwsError::caller(
                "ConflictException",
                format!(
                    "The service deployment cannot be stopped while its status is {}.",
                    status.name()
                ),
            )),
        }
    }

    pub(super) fn continue_service_deployment(&mut self, input: &Value) -> Result<Value, AwsError> {
        let arn = text(input, "serviceDeploymentArn")
            .ok_or_else(|| bad("serviceDeploymentArn must be specified."))?;
        let hook = text(input, "hookId").ok_or_else(|| bad("hookId must be specified."))?;
        let rolls_back = match text(input, "action") {
            None | Some("CONTINUE") => false,
            Some("ROLLBACK") => true,
            Some(_) => return Err(bad("Invalid action. Valid values are: CONTINUE, ROLLBACK")),
        };
        let well_formed = hook
            .strip_prefix("ecs-")
            .and_then(|rest| rest.split_once('-'))
            .is_some_and(|(kind, id)| !kind.is_empty() && !id.is_empty());
        if !well_formed {
            return Err(bad(
                "Invalid hookId: hookId must follow the format: ecs-{hookType}-{id}",
            ));
        }
        let now = self.now;
        let one = self.kept_service_deployment(arn)?;
        if one.status.is_terminal() {
            return Err(bad(
                "Continuing a service deployment is not allowed for service deployment in terminal states.",
            ));
        }
        let answered = one
            .native
            .as_mut()
            .is_some_and(|run| run.answer_pause(hook, rolls_back));
        if !answered {
            return Err(bad(
                "Provided hookId is either completed, unavailable, or not associated with the given Resource ARN",
            ));
        }
        one.updated_at = now;
        Ok(structure! { "serviceDeploymentArn": arn })
    }
}

fn is_status(text: &str) -> bool {
    [
        Status::Pending,
        Status::InProgress,
        Status::StopRequested,
        Status::Stopped,
        Status::Successful,
        Status::RollbackRequested,
        Status::RollbackInProgress,
        Status::RollbackSuccessful,
        Status::RollbackFailed,
    ]
    .iter()
    .any(|status| status.name() == text)
}
