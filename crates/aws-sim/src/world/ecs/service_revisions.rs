//! Service revisions: what a service was told to run, kept beside each service deployment.
//!
//! * A service revision is made whenever a service is created or deployed; it carries the images with the
//!   digests that ECS resolved when its first task started: \[M\] ServiceRevision, ContainerImage.
//! * At most 20 ARNs at once; kept for 90 days with the service deployments and deleted with the service:
//!   \[M\]\[D\] service-deployment.
//! * Our choice: a rollback deploys the revision that served before, it makes no new one; a revision that runs is
//!   kept however old it is.

use std::collections::BTreeSet;

use super::operations::bad;
use super::service_deployments::KEPT_MS;
use super::tasks::image_digest;
use super::{Service, ServiceStatus};
use crate::error::AwsError;
use crate::value::Value;
use crate::world::ids;
use crate::world::read::{put, texts};
use crate::world::region::Region;

/// Members of a service that belong to a revision, and come back with it.
pub(super) const OF_A_REVISION: [&str; 8] = [
    "capacityProviderStrategy",
    "launchType",
    "platformVersion",
    "platformFamily",
    "serviceRegistries",
    "networkConfiguration",
    "serviceConnectConfiguration",
    "volumeConfigurations",
];

/// One revision of a service with the ECS controller.
pub(crate) struct ServiceRevision {
    pub(super) arn: String,
    pub(super) task_definition: String,
    /// As the service had them, with the target group that was configured, not the one that was used.
    pub(super) load_balancers: Value,
    /// The members of [`OF_A_REVISION`].
    pub(super) given: Value,
    /// Target group and production listener rule that the revision really used.
    pub(super) resolved: Vec<(String, Option<String>)>,
    /// Whether a task has started, so that the images are known by digest.
    pub(super) images_known: bool,
    pub(super) created_at: i64,
}

impl Service {
    /// The service revision with this ARN.
    pub(super) fn revision(&self, arn: &str) -> Option<&ServiceRevision> {
        self.revisions.iter().find(|revision| revision.arn == arn)
    }

    /// Forgets service deployments, and the revisions only they name, that are older than AWS keeps them.
    pub(super) fn forget_history(&mut self, now: i64) {
        let oldest = now - KEPT_MS;
        self.service_deployments
            .retain(|one| one.created_at >= oldest || !one.status.is_terminal());
        let named: BTreeSet<&str> = self
            .service_deployments
            .iter()
            .flat_map(|one| one.sources.iter().chain([&one.target]))
            .map(|part| part.revision.as_str())
            .chain(
                self.units
                    .iter()
                    .filter_map(|unit| unit.revision.as_deref()),
            )
            .collect();
        let keep: BTreeSet<String> = named.into_iter().map(str::to_string).collect();
        self.revisions
            .retain(|revision| keep.contains(&revision.arn));
    }
}

impl Region {
    /// A new revision of what the service has now; its ARN.
    pub(super) fn new_service_revision(
        &mut self,
        service: &mut Service,
        task_definition: &str,
    ) -> String {
        let number = ids::digits(&mut self.rng, 19);
        let path = format!(
            "service-revision/{}/{}/{number}",
            service.cluster, service.name
        );
        let arn = self.arn("ecs", &path);
        let mut given = Value::map();
        for member in OF_A_REVISION {
            if !service.given.get(member).is_null() {
                put(&mut given, member, service.given.get(member).clone());
            }
        }
        service.revisions.push(ServiceRevision {
            arn: arn.clone(),
            task_definition: task_definition.to_string(),
            load_balancers: service.load_balancers.clone(),
            given,
            resolved: Vec::new(),
            images_known: false,
            created_at: self.now,
        });
        arn
    }

    /// The service that an ARN `…:KIND/CLUSTER/SERVICE/ID` belongs to, while it exists.
    pub(super) fn service_of_arn(&self, kind: &str, arn: &str) -> Option<(String, String)> {
        let path = arn.strip_prefix(&self.arn("ecs", &format!("{kind}/")))?;
        let mut parts = path.split('/');
        let key = (parts.next()?.to_string(), parts.next()?.to_string());
        let service = self.ecs.services.get(&key)?;
        (service.status != ServiceStatus::Inactive).then_some(key)
    }

    pub(super) fn describe_service_revisions(&self, input: &Value) -> Result<Value, AwsError> {
        let asked = texts(input, "serviceRevisionArns");
        if asked.is_empty() || asked.len() > 20 {
            return Err(bad(
                "The number of serviceRevisionArns must be between 1 and 20.",
            ));
        }
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for arn in asked {
            let own = self
                .service_of_arn("service-revision", &arn)
                .and_then(|key| self.ecs.services.get(&key))
                .and_then(|service| Some((service, service.revision(&arn)?)));
            match own {
                Some((service, revision)) => {
                    found.push(self.service_revision_value(service, revision));
                }
                None => failures.push(structure! { "arn": arn, "reason": "MISSING" }),
            }
        }
        Ok(structure! { "serviceRevisions": found, "failures": failures })
    }

    fn service_revision_value(&self, service: &Service, revision: &ServiceRevision) -> Value {
        let images = self
            .ecs
            .task_definition(&revision.task_definition)
            .map_or(&[][..], |definition| definition.containers())
            .iter()
            .map(|container| {
                let image = container.get("image").as_str().unwrap_or_default();
                structure! {
                    "containerName": container.get("name").clone(),
                    "image": image,
                    "imageDigest": revision.images_known.then(|| image_digest(image)),
                }
            })
            .collect::<Vec<_>>();
        let resolved = revision
            .resolved
            .iter()
            .map(|(group, rule)| {
                structure! {
                    "targetGroupArn": group.as_str(),
                    "productionListenerRule": rule.clone(),
                }
            })
            .collect::<Vec<_>>();
        let resolved = (!resolved.is_empty()).then(|| structure! { "loadBalancers": resolved });
        revision
            .given
            .clone()
            .with("serviceRevisionArn", revision.arn.as_str())
            .with("serviceArn", service.arn.as_str())
            .with(
                "clusterArn",
                self.arn("ecs", &format!("cluster/{}", service.cluster)),
            )
            .with("taskDefinition", revision.task_definition.as_str())
            .with(
                "loadBalancers",
                Value::List(revision.load_balancers.as_list().to_vec()),
            )
            .with("containerImages", images)
            .with("guardDutyEnabled", false)
            .with("resolvedConfiguration", resolved)
            .with("createdAt", Value::Time(revision.created_at))
    }
}
