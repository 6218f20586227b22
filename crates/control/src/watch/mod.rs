//! Watching: reads AWS and records what it shows. Changes nothing in AWS.
//!
//! One look is: follow what is under way, find what is new, follow that too. Following comes first so
//! that a new deployment is recorded when the ones before it are already known to have ended.
//! Every few idle looks, and at the first, all services and groups are read again.

mod coverage;
mod ecs;
mod follow;
mod hints;
mod import;
mod lines;
mod record;

use crate::Control;
use crate::accounts::key;
use crate::error::StepError;
use crate::events::EventsHeard;
use crate::evidence;
use crate::gates::pause;
use crate::lock;
pub(crate) use crate::watch::lines::percent;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use switchback_cloud::Cloud;
use switchback_cloud::ServiceReading;
use switchback_cloud::TaskSetReading;
use switchback_cloud::WhatToDo;
use switchback_cloud::calls::CallsMade;
use switchback_domain::actor::Actor;
use switchback_domain::audit::AuditEntry;
use switchback_domain::audit::AuditEvent;
use switchback_domain::deployment::AwsStatus;
use switchback_domain::deployment::Outcome;
use switchback_domain::deployment::StageStatus;
use switchback_domain::gate::GateKind;
use switchback_domain::ids::DeploymentId;
use switchback_domain::ids::ServiceId;
use switchback_domain::import::ImportPart;
use switchback_domain::moment::Moment;
use switchback_domain::revision::RevisionArn;
use switchback_domain::service::Controller;
use switchback_domain::service::Service;
use switchback_store::Tx;
use switchback_store::records::DeploymentRecord;
use switchback_store::records::TimelineRecord;

/// How the services of one controller were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ServicesRead {
    /// Not yet.
    #[default]
    NotYet,
    /// All of them.
    Read,
    /// AWS did not let them be read, in its words.
    Failed(String),
}

impl ServicesRead {
    fn of(result: &Result<(), StepError>) -> ServicesRead {
        match result {
            Ok(()) => ServicesRead::Read,
            Err(error) => ServicesRead::Failed(error.words()),
        }
    }
}

impl Looked {
    /// How the services were read that a part of the past is about.
    pub(crate) fn services_of(&mut self, part: ImportPart) -> &mut ServicesRead {
        match part {
            ImportPart::Codedeploy => &mut self.codedeploy_services,
            ImportPart::Ecs => &mut self.ecs_services,
        }
    }
}

/// How the last look at a region went.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Looked {
    /// The account number, once AWS told.
    pub(crate) account: Option<String>,
    /// When the last look ended well (the account's clock).
    pub(crate) at: Option<Moment>,
    /// The same moment by a clock that only goes forward.
    #[serde(skip)]
    pub(crate) ended: Option<tokio::time::Instant>,
    /// What went wrong since.
    pub(crate) trouble: Option<String>,
    /// When that began (the account's clock).
    #[serde(default)]
    pub(crate) trouble_since: Option<Moment>,
    /// What events told.
    #[serde(default)]
    pub(crate) events: EventsHeard,
    /// What AWS was asked in the last hour.
    #[serde(default)]
    pub(crate) calls: CallsMade,
    /// How long after the last look the next one comes, in milliseconds.
    #[serde(default)]
    pub(crate) pace_millis: u64,
    /// How long after its beginning the latest new deployment was seen, in milliseconds of the account's clock.
    #[serde(default)]
    pub(crate) behind_millis: Option<i64>,
    /// How many looks in a row AWS throttled.
    #[serde(skip)]
    pub(crate) throttled: u32,
    /// The last look of this process that listed AWS's deployments: when by the account's clock, and by the machine's.
    #[serde(skip)]
    pub(crate) good: Option<(Moment, tokio::time::Instant)>,
    /// The first failure since then.
    #[serde(skip)]
    pub(crate) failed: Option<String>,
    /// When the services that ECS deploys were looked at last, and how many turns that was since the process began.
    #[serde(skip)]
    pub(crate) ecs_turn: Option<(tokio::time::Instant, usize)>,
    /// How this process read the services that CodeDeploy deploys.
    #[serde(skip)]
    pub(crate) codedeploy_services: ServicesRead,
    /// How this process read the services that ECS deploys itself.
    #[serde(skip)]
    pub(crate) ecs_services: ServicesRead,
    /// Whether this process has looked for deployments that were under way when it began.
    #[serde(skip)]
    pub(crate) under_way_listed: bool,
}

/// What one look came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Something is under way, or not everything could be read: the next look is soon.
    Moving,
    /// Nothing moves.
    Idle,
    /// The account itself could not be reached.
    Unreached,
}

/// The first of several failures.
#[derive(Default)]
pub(super) struct Trouble(Option<StepError>);

impl Trouble {
    /// Keeps the first failure; gives the value of a success.
    pub(super) fn note<T, E: Into<StepError>>(&mut self, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.0.get_or_insert(error.into());
                None
            }
        }
    }

    /// The value, unless something failed.
    pub(super) fn or<T>(self, value: T) -> Result<T, StepError> {
        self.0.map_or(Ok(value), Err)
    }
}

impl Control {
    /// One look at one account and region.
    pub(crate) async fn look(&self, cloud: &dyn Cloud, full: bool) -> Look {
        let began = tokio::time::Instant::now();
        let result = self.look_once(cloud, full).await;
        metrics::histogram!(
            "switchback_look_duration_seconds",
            "region" => cloud.region().to_string(),
            "outcome" => if result.is_ok() { "ok" } else { "failed" },
        )
        .record(began.elapsed());
        if let Err(error) = &result {
            self.looked_badly(cloud, &error.words()).await;
        }
        match result {
            Ok(moving) => {
                let now = cloud.now();
                let mut looked = lock(&self.inner.looked);
                let looked = looked.entry(key(cloud)).or_default();
                looked.at = Some(now);
                looked.ended = Some(tokio::time::Instant::now());
                looked.trouble = None;
                looked.trouble_since = None;
                looked.throttled = 0;
                if moving { Look::Moving } else { Look::Idle }
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    aws.account = cloud.assumed().map(|assumed| assumed.account.as_str()),
                    aws.region = cloud.region(),
                    "a look at AWS failed"
                );
                self.note_trouble(cloud, error.words());
                self.note_throttled(cloud, &error);
                match error {
                    StepError::Cloud(error) if error.is_about_the_account() => Look::Unreached,
                    // Asking more often does not change what AWS refuses.
                    StepError::Cloud(error)
                        if error.is_about_permission() || error.is_not_offered() =>
                    {
                        match self.is_moving(cloud).await {
                            Ok(false) => Look::Idle,
                            Ok(true) | Err(_) => Look::Moving,
                        }
                    }
                    // Something may be moving; it is looked at again soon.
                    StepError::Cloud(_) | StepError::Store(_) => Look::Moving,
                }
            }
        }
    }

    /// Counts the looks in a row that AWS throttled.
    fn note_throttled(&self, cloud: &dyn Cloud, error: &StepError) {
        let mut looked = lock(&self.inner.looked);
        let looked = looked.entry(key(cloud)).or_default();
        looked.throttled = match error {
            StepError::Cloud(error) if error.says_slow_down() => looked.throttled + 1,
            StepError::Cloud(_) | StepError::Store(_) => 0,
        };
    }

    /// Every step is tried even when one before it failed: one deployment that cannot be read must not
    /// keep the others from being recorded. The first failure is the look's.
    async fn look_once(&self, cloud: &dyn Cloud, full: bool) -> Result<bool, StepError> {
        let account = self.account_of(cloud).await?;
        let mut trouble = Trouble::default();
        trouble.note(self.follow_active(cloud, &account).await);
        if full {
            let here = key(cloud);
            lock(&self.inner.unwatched).retain(|(place, _, _)| place != &here);
            trouble.note(self.read_services(cloud, &account).await);
        }
        let recorded = trouble.note(self.record_new(cloud, &account).await);
        if recorded.unwrap_or_default() > 0 {
            trouble.note(self.follow_active(cloud, &account).await);
        }
        trouble.note(self.finish_metrics(cloud, &account).await);
        let moving = self.is_moving(cloud).await?;
        trouble.or(moving)
    }

    /// Whether a deployment of this account and region is under way, by the record.
    async fn is_moving(&self, cloud: &dyn Cloud) -> Result<bool, StepError> {
        let account = self.account_of(cloud).await?;
        let active = self.inner.store.deployment_list_active().await?;
        Ok(active.iter().any(|record| {
            record.account == account
                && record.region == cloud.region()
                && record.standing.outcome == Outcome::InProgress
        }))
    }

    // ---- services -------------------------------------------------------------------------------

    /// Reads all services and groups and records them.
    pub(super) async fn read_services(
        &self,
        cloud: &dyn Cloud,
        account: &str,
    ) -> Result<(), StepError> {
        let mut trouble = Trouble::default();
        // Each for itself: a policy without the one controller's calls harms nothing of the other's.
        for part in ImportPart::ALL {
            let read = match part {
                ImportPart::Codedeploy => self.read_codedeploy_services(cloud, account).await,
                ImportPart::Ecs => self.read_ecs_services(cloud, account).await,
            };
            self.services_read(cloud, *part, ServicesRead::of(&read));
            trouble.note(read);
        }
        trouble.or(())
    }

    /// Keeps how the services were read that a part of the past is about.
    pub(super) fn services_read(&self, cloud: &dyn Cloud, part: ImportPart, read: ServicesRead) {
        let mut looked = lock(&self.inner.looked);
        let looked = looked.entry(key(cloud)).or_default();
        *looked.services_of(part) = read;
    }

    async fn read_ecs_services(&self, cloud: &dyn Cloud, account: &str) -> Result<(), StepError> {
        for reading in cloud.ecs_services().await? {
            self.save_service(cloud, account, &reading).await?;
        }
        Ok(())
    }

    /// Reads the services of CodeDeploy's groups and records them.
    pub(super) async fn read_codedeploy_services(
        &self,
        cloud: &dyn Cloud,
        account: &str,
    ) -> Result<(), StepError> {
        for reading in cloud.services().await? {
            self.save_service(cloud, account, &reading).await?;
        }
        Ok(())
    }

    pub(super) async fn save_service(
        &self,
        cloud: &dyn Cloud,
        account: &str,
        reading: &ServiceReading,
    ) -> Result<Service, StepError> {
        let now = cloud.now();
        let id = ServiceId::derive(&reading.arn);
        let before = self.inner.store.service_fetch(&id).await?;
        let serving = reading.serving.clone();
        let serving_since = match &before {
            Some(before) if before.serving_revision == serving => before.serving_since,
            Some(_) => Some(now),
            // It has served for some time; nobody saw since when.
            None => None,
        };
        let service = Service {
            id: id.clone(),
            name: reading.name.clone(),
            arn: reading.arn.clone(),
            cluster: reading.cluster.clone(),
            account: account.to_string(),
            region: cloud.region().to_string(),
            controller: controller(reading, before.as_ref()),
            serving_revision: serving.clone(),
            serving_since,
            desired_count: reading.desired_count,
            running_count: reading.running_count,
            observed_at: now,
            generation: before.as_ref().map_or(1, |before| before.generation),
        };
        let same = before.as_ref().is_some_and(|before| {
            let observed_now = Service {
                observed_at: service.observed_at,
                ..before.clone()
            };
            observed_now == service
        });
        if same {
            return Ok(service);
        }
        let revision = match &serving {
            Some(arn) if self.inner.store.revision_fetch(arn).await?.is_none() => {
                cloud.revision(arn).await?
            }
            _ => None,
        };
        // Its past comes first: what is recorded of it from here on follows from it.
        let past = match &before {
            Some(_) => None,
            None => self.ledger_remembers(&service).await,
        };
        let mut tx = self.begin().await?;
        let new = tx.service_upsert(&service).await?;
        if let (true, Some(past)) = (new, &past) {
            self.restore_new(&mut tx, &service, past, now).await?;
        }
        if let Some(revision) = &revision {
            tx.revision_upsert(Some(&id), revision).await?;
        }
        if new {
            tx.audit_append(&observed(
                now,
                AuditEvent::ServiceDiscovered {
                    service: id.clone(),
                    arn: service.arn.clone(),
                },
            ))
            .await?;
        }
        if let Some(arn) = &serving
            && before
                .as_ref()
                .is_none_or(|before| before.serving_revision != serving)
        {
            tx.served_record(&id, arn, now, 1000).await?;
        }
        tx.change_append("service", id.as_str(), None, now).await?;
        tx.commit().await?;
        Ok(service)
    }

    /// Reads one service's task sets again and records what serves.
    pub(super) async fn refresh_service(
        &self,
        cloud: &dyn Cloud,
        service: &Service,
    ) -> Result<Service, StepError> {
        if service.controller.ecs().is_some() {
            let names = [service.name.clone()];
            let read = cloud.ecs_services_named(&service.cluster, &names).await?;
            return match read.first() {
                Some(reading) => self.save_service(cloud, &service.account, reading).await,
                None => Ok(service.clone()),
            };
        }
        let Some((task_sets, desired_count, running_count)) =
            cloud.service(&service.cluster, &service.name).await?
        else {
            return Ok(service.clone());
        };
        let reading = ServiceReading {
            name: service.name.clone(),
            arn: service.arn.clone(),
            cluster: service.cluster.clone(),
            controller: service.controller.clone(),
            serving: primary(&task_sets),
            task_sets,
            desired_count,
            running_count,
        };
        self.save_service(cloud, &service.account, &reading).await
    }
}

/// The controller as read, with how far its deployments are recorded as known.
fn controller(reading: &ServiceReading, before: Option<&Service>) -> Controller {
    let mut controller = reading.controller.clone();
    if let Controller::Ecs(ecs) = &mut controller
        && ecs.recorded_primary.is_none()
    {
        let known = before.and_then(|before| before.controller.ecs());
        ecs.recorded_primary = known.and_then(|known| known.recorded_primary.clone());
    }
    controller
}

/// Whether AWS still waits at the gate.
pub(crate) fn still_waits(
    gate: &switchback_store::records::GateRecord,
    record: &DeploymentRecord,
) -> bool {
    match gate.kind {
        GateKind::CodedeployReadyWait => record.reading.status == AwsStatus::Ready,
        GateKind::EcsPause | GateKind::EcsHook => pause::waits(gate, record),
        GateKind::CodedeployHook => {
            record.reading.status == AwsStatus::Running
                && record.reading.stages.iter().any(|stage| {
                    stage.name == gate.stage && stage.status == StageStatus::InProgress
                })
        }
    }
}

/// Whether AWS shows that the wait at the gate is over. Not the opposite of waiting: a reading that is older
/// than the gate, or none at all, shows neither.
pub(crate) fn wait_is_over(
    gate: &switchback_store::records::GateRecord,
    record: &DeploymentRecord,
) -> bool {
    let ended = match record.reading.status {
        AwsStatus::Succeeded | AwsStatus::Failed | AwsStatus::Stopped => true,
        AwsStatus::Running | AwsStatus::Ready | AwsStatus::Unknown => false,
    };
    let stage_ended = record.reading.stages.iter().any(|stage| {
        let ended = match stage.status {
            StageStatus::Succeeded | StageStatus::Failed | StageStatus::Skipped => true,
            StageStatus::Pending | StageStatus::InProgress | StageStatus::Unknown => false,
        };
        stage.name == gate.stage && ended
    });
    match gate.kind {
        GateKind::CodedeployReadyWait => ended || record.reading.status == AwsStatus::Running,
        GateKind::EcsPause | GateKind::EcsHook => pause::is_over(gate, record),
        GateKind::CodedeployHook => ended || stage_ended,
    }
}

fn primary(task_sets: &[TaskSetReading]) -> Option<RevisionArn> {
    task_sets
        .iter()
        .find(|set| set.task_set.primary)
        .map(|set| set.task_set.revision.clone())
}

/// An audit entry about something Switchback saw.
pub(crate) fn observed(at: Moment, event: AuditEvent) -> AuditEntry {
    AuditEntry::new(at, Actor::switchback().name, event)
}

/// `None` when AWS says that there is no such thing, or that it will never tell: asking again would keep the
/// deployment from being recorded at all. What may be told later (throttling, missing permission) stays an error.
pub(crate) fn readable<T>(
    result: Result<T, switchback_cloud::CloudError>,
) -> Result<Option<T>, StepError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) if error.kind == WhatToDo::Never && !error.is_about_permission() => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "AWS will not tell something; it is left open in the record"
            );
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Appends one line to a deployment's timeline.
pub(crate) async fn append(
    tx: &mut Tx,
    deployment: &DeploymentId,
    at: Moment,
    kind: &str,
    text: String,
    by: Option<&str>,
    data: Value,
) -> Result<(), StepError> {
    tx.timeline_append(&TimelineRecord {
        deployment_id: deployment.clone(),
        at,
        kind: kind.to_string(),
        text,
        by: by.map(str::to_string),
        data,
    })
    .await?;
    Ok(())
}

/// The evidence digest that a decision at this gate must name now.
pub(crate) fn evidence_digest(
    record: &DeploymentRecord,
    gate: &switchback_store::records::GateRecord,
) -> switchback_domain::digest::Digest {
    evidence::basis(record, &gate.wait, &gate.policy).digest()
}
