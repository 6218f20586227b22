//! What is changed in Amazon ECS as its own deployment controller. No call has an idempotency token (aws.md §0.1),
//! so each is sent once, as CodeDeploy's are.

use crate::AwsAccount;
use crate::calls;
use crate::codedeploy::changed;
use crate::error::malformed;
use crate::watch::Sent;
use crate::watch::exactly_once;
use aws_sdk_ecs::config::Builder;
use aws_sdk_ecs::types::DeploymentLifecycleHookAction;
use aws_sdk_ecs::types::StopServiceDeploymentStopType;
use switchback_cloud::CloudError;
use switchback_cloud::Receipt;
use switchback_cloud::ServiceUpdate;
use switchback_cloud::UpdatedService;
use switchback_domain::gate::Verdict;

impl AwsAccount {
    pub(crate) async fn answer_pause_hook(
        &self,
        aws_id: &str,
        hook_id: &str,
        verdict: Verdict,
    ) -> Result<Receipt, CloudError> {
        let sent = Sent::default();
        let answer = self
            .ecs
            .continue_service_deployment()
            .service_deployment_arn(aws_id)
            .hook_id(hook_id)
            .action(match verdict {
                Verdict::Approve => DeploymentLifecycleHookAction::Continue,
                Verdict::Reject => DeploymentLifecycleHookAction::Rollback,
            })
            .customize()
            .config_override(exactly_once!(Builder, &sent))
            .send()
            .await;
        changed(calls::CONTINUE_SERVICE_DEPLOYMENT, &sent, answer).map(|(_, receipt)| receipt)
    }

    pub(crate) async fn stop_deployment_of_service(
        &self,
        aws_id: &str,
    ) -> Result<Receipt, CloudError> {
        let sent = Sent::default();
        let answer = self
            .ecs
            .stop_service_deployment()
            .service_deployment_arn(aws_id)
            .stop_type(StopServiceDeploymentStopType::Rollback)
            .customize()
            .config_override(exactly_once!(Builder, &sent))
            .send()
            .await;
        changed(calls::STOP_SERVICE_DEPLOYMENT, &sent, answer).map(|(_, receipt)| receipt)
    }

    pub(crate) async fn move_service(
        &self,
        update: &ServiceUpdate,
    ) -> Result<(UpdatedService, Receipt), CloudError> {
        let sent = Sent::default();
        let answer = self
            .ecs
            .update_service()
            .cluster(&update.cluster)
            .service(&update.service)
            .task_definition(update.task_definition.as_str())
            .set_force_new_deployment(update.force_new_deployment.then_some(true))
            .customize()
            .config_override(exactly_once!(Builder, &sent))
            .send()
            .await;
        let (answer, receipt) = changed(calls::UPDATE_SERVICE, &sent, answer)?;
        let service = answer.service.ok_or_else(|| CloudError {
            request_id: receipt.request_id.clone(),
            ..malformed(calls::UPDATE_SERVICE, "The answer has no service.")
        })?;
        let primary = service
            .deployments()
            .iter()
            .find(|one| one.status() == Some("PRIMARY"));
        let updated = UpdatedService {
            primary: primary.and_then(|one| one.id()).map(str::to_string),
            current: service.current_service_deployment().map(str::to_string),
        };
        Ok((updated, receipt))
    }
}
