//! Looking where an event says, and nowhere else: the deployment or the service that it names.

use crate::Control;
use crate::error::StepError;
use crate::watch::Trouble;
use crate::watch::record::of_the_watch;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;
use switchback_cloud::Cloud;
use switchback_cloud::DeploymentReading;
use switchback_cloud::ServiceReading;
use switchback_domain::event::EventService;
use switchback_domain::event::EventSubject;
use switchback_domain::ids::DeploymentId;
use switchback_domain::ids::ServiceId;
use switchback_domain::service::Service;
use switchback_store::records::DeploymentRecord;
use switchback_store::records::WatchRecord;
use tokio_util::sync::CancellationToken;

/// How often AWS is asked again for what an event named and AWS does not show yet.
const TRIES: u8 = 5;

/// Events come in bursts; they are gathered for this long, so that one look answers several.
const GATHERED: Duration = Duration::from_millis(100);

/// What a look at hints came to.
#[derive(Default)]
struct Hinted {
    /// New deployments that were recorded.
    recorded: usize,
    /// What AWS does not show yet.
    unsettled: BTreeSet<EventSubject>,
}

impl Control {
    /// Looks where the events of one account and region say, until `stop` is cancelled.
    pub(crate) async fn follow_hints_until(&self, index: usize, stop: CancellationToken) {
        let cloud = self.inner.clouds.get(index).cloned();
        let (Some(cloud), Some(mailbox)) = (cloud, self.inner.events.mailbox(index)) else {
            return;
        };
        let mut tried: BTreeMap<EventSubject, u8> = BTreeMap::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = mailbox.arrived.notified() => {}
                () = tokio::time::sleep(self.inner.settings.poll_active), if !tried.is_empty() => {}
            }
            let mut subjects = mailbox.take();
            subjects.extend(tried.keys().cloned());
            let unsettled = match self.look_at(&*cloud, &subjects).await {
                Ok(hinted) => {
                    if hinted.recorded > 0 {
                        mailbox.pace.notify_one();
                    }
                    hinted.unsettled
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        aws.account = cloud.assumed().map(|assumed| assumed.account.as_str()),
                        aws.region = cloud.region(),
                        "a look where an event said failed"
                    );
                    subjects
                }
            };
            let before = std::mem::take(&mut tried);
            for subject in unsettled {
                let tries = before.get(&subject).copied().unwrap_or(0) + 1;
                if tries < TRIES {
                    tried.insert(subject, tries);
                } else {
                    // Whatever it was, a whole look finds it.
                    mailbox.pace.notify_one();
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(GATHERED) => {}
            }
        }
    }

    /// Reads what the subjects name, records what is new and follows what is under way. It is no look at the region:
    /// neither that AWS was listed nor that it was looked at well is written down.
    async fn look_at(
        &self,
        cloud: &dyn Cloud,
        subjects: &BTreeSet<EventSubject>,
    ) -> Result<Hinted, StepError> {
        let account = self.account_of(cloud).await?;
        let watch = self.watch(cloud, &account, cloud.now()).await?;
        let mut trouble = Trouble::default();
        let mut hinted = Hinted::default();
        let (mut ids, mut services, mut everything) = (Vec::new(), Vec::new(), false);
        for subject in subjects {
            match subject {
                EventSubject::Deployment(aws_id) => ids.push(aws_id.clone()),
                EventSubject::Service(service) => services.push(service),
                EventSubject::Alarm => everything = true,
            }
        }
        let found = self.look_at_deployments(cloud, &account, &ids, &watch, &mut hinted);
        trouble.note(found.await);
        let found = self.look_at_services(cloud, &account, &services, &watch, &mut hinted);
        trouble.note(found.await);
        let named: BTreeSet<ServiceId> = services
            .iter()
            .map(|service| ServiceId::derive(&service.arn))
            .collect();
        let is_meant = |record: &DeploymentRecord| {
            everything || ids.contains(&record.aws_id) || named.contains(&record.service_id)
        };
        trouble.note(self.follow_those(cloud, &account, is_meant).await);
        trouble.or(hinted)
    }

    async fn look_at_deployments(
        &self,
        cloud: &dyn Cloud,
        account: &str,
        aws_ids: &[String],
        watch: &WatchRecord,
        hinted: &mut Hinted,
    ) -> Result<(), StepError> {
        let mut unknown = Vec::new();
        for aws_id in aws_ids {
            let id = DeploymentId::derive(account, cloud.region(), aws_id);
            if self.inner.store.deployment_fetch(&id).await?.is_none() {
                unknown.push(aws_id.clone());
            }
        }
        if unknown.is_empty() {
            return Ok(());
        }
        let readings = cloud.deployments(&unknown).await?;
        for aws_id in unknown {
            if !readings.iter().any(|reading| reading.aws_id == aws_id) {
                hinted.unsettled.insert(EventSubject::Deployment(aws_id));
            }
        }
        hinted.recorded += self.record_hinted(cloud, account, readings, watch).await?;
        Ok(())
    }

    async fn look_at_services(
        &self,
        cloud: &dyn Cloud,
        account: &str,
        named: &[&EventService],
        watch: &WatchRecord,
        hinted: &mut Hinted,
    ) -> Result<(), StepError> {
        let mut services: Vec<Service> = Vec::new();
        for hint in named {
            let id = ServiceId::derive(&hint.arn);
            let service = match self.inner.store.service_fetch(&id).await? {
                Some(service) => Some(service),
                // A new one; or one that neither ECS nor a known group of CodeDeploy deploys.
                None => {
                    let names = [hint.name.clone()];
                    let read: Vec<ServiceReading> =
                        cloud.ecs_services_named(&hint.cluster, &names).await?;
                    match read.first().filter(|reading| reading.arn == hint.arn) {
                        Some(reading) => Some(self.save_service(cloud, account, reading).await?),
                        None => None,
                    }
                }
            };
            let is_of_ecs = |service: &Service| service.controller.ecs().is_some();
            services.extend(service.filter(is_of_ecs));
        }
        if services.is_empty() {
            return Ok(());
        }
        services.dedup_by(|a, b| a.id == b.id);
        let due: Vec<&Service> = services.iter().collect();
        let (readings, read) = self.new_at_services(cloud, account, watch, &due).await?;
        hinted.recorded += self.record_hinted(cloud, account, readings, watch).await?;
        self.recorded_of_ecs(cloud, account, read).await?;
        for hint in named {
            let Some(began) = &hint.began else {
                continue;
            };
            let id = ServiceId::derive(&hint.arn);
            let service = self.inner.store.service_fetch(&id).await?;
            let ecs = service
                .as_ref()
                .and_then(|service| service.controller.ecs());
            let shows = ecs.and_then(|ecs| ecs.recorded_primary.as_ref()) == Some(began);
            if ecs.is_some() && !shows {
                hinted
                    .unsettled
                    .insert(EventSubject::Service((*hint).clone()));
            }
        }
        Ok(())
    }

    /// Records what an event led to, oldest first, as a look does.
    async fn record_hinted(
        &self,
        cloud: &dyn Cloud,
        account: &str,
        readings: Vec<DeploymentReading>,
        watch: &WatchRecord,
    ) -> Result<usize, StepError> {
        let readings = of_the_watch(readings, watch);
        let mut trouble = Trouble::default();
        let (recorded, _) = self
            .record_readings(cloud, account, &readings, &mut trouble)
            .await;
        trouble.or(recorded)
    }
}
