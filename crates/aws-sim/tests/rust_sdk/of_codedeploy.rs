//! Each operation of CodeDeploy: one answer that the SDK parses, and one refusal that it finds the type of.

use aws_sdk_codedeploy::types as deploy;

use crate::{Estate, account, estate};

#[tokio::test]
async fn every_operation_without_a_deployment() {
    let running = account().await;
    let codedeploy = client!(aws_sdk_codedeploy, running);
    let create = |name: &str| {
        codedeploy
            .create_application()
            .application_name(name)
            .compute_platform(deploy::ComputePlatform::Ecs)
    };
    answer!(create("ops"));
    refused!(create("ops"), is_application_already_exists_exception);
    let get = |name: &str| codedeploy.get_application().application_name(name);
    let shown = answer!(get("ops"));
    assert_eq!(
        shown.application().and_then(|one| one.application_name()),
        Some("ops")
    );
    refused!(get("none"), is_application_does_not_exist_exception);
    let shown = answer!(codedeploy.batch_get_applications().application_names("ops"));
    assert_eq!(shown.applications_info().len(), 1);
    assert_eq!(
        answer!(codedeploy.list_applications()).applications(),
        ["ops"]
    );
    let rename = |name: &str| {
        codedeploy
            .update_application()
            .application_name(name)
            .new_application_name("shop")
    };
    answer!(rename("ops"));
    refused!(rename("none"), is_application_does_not_exist_exception);

    let tag = deploy::Tag::builder().key("team").value("a").build();
    let arn =
        |name: &str| format!("arn:aws:codedeploy:eu-central-1:123456789012:application:{name}");
    answer!(
        codedeploy
            .tag_resource()
            .resource_arn(arn("shop"))
            .tags(tag.clone())
    );
    refused!(
        codedeploy
            .tag_resource()
            .resource_arn(arn("none"))
            .tags(tag),
        is_application_does_not_exist_exception
    );
    let shown = answer!(
        codedeploy
            .list_tags_for_resource()
            .resource_arn(arn("shop"))
    );
    assert_eq!(shown.tags()[0].key(), Some("team"));
    refused!(
        codedeploy.list_tags_for_resource().resource_arn("nonsense"),
        is_invalid_arn_exception
    );
    answer!(
        codedeploy
            .untag_resource()
            .resource_arn(arn("shop"))
            .tag_keys("team")
    );

    let routing = deploy::TrafficRoutingConfig::builder()
        .r#type(deploy::TrafficRoutingType::TimeBasedCanary)
        .time_based_canary(
            deploy::TimeBasedCanary::builder()
                .canary_percentage(7)
                .canary_interval(2)
                .build(),
        )
        .build();
    let create = || {
        codedeploy
            .create_deployment_config()
            .deployment_config_name("ops")
            .compute_platform(deploy::ComputePlatform::Ecs)
            .traffic_routing_config(routing.clone())
    };
    answer!(create());
    refused!(create(), is_deployment_config_already_exists_exception);
    let get = |name: &str| {
        codedeploy
            .get_deployment_config()
            .deployment_config_name(name)
    };
    let shown = answer!(get("ops"));
    let shown = shown.deployment_config_info().expect("it");
    assert_eq!(shown.traffic_routing_config(), Some(&routing));
    refused!(get("none"), is_deployment_config_does_not_exist_exception);
    let listed = answer!(codedeploy.list_deployment_configs());
    assert!(
        listed
            .deployment_configs_list()
            .iter()
            .any(|one| one == "ops")
    );
    answer!(
        codedeploy
            .delete_deployment_config()
            .deployment_config_name("ops")
    );

    let content = r#"{"version": 0.0, "Resources": [{"T": {"Type": "AWS::ECS::Service", "Properties": {
        "TaskDefinition": "arn:aws:ecs:eu-central-1:123456789012:task-definition/ops:1",
        "LoadBalancerInfo": {"ContainerName": "web", "ContainerPort": 80}}}}]}"#;
    let revision = |part: deploy::AppSpecContent| {
        deploy::RevisionLocation::builder()
            .revision_type(deploy::RevisionLocationType::AppSpecContent)
            .app_spec_content(part)
            .build()
    };
    let register = |application: &str| {
        codedeploy
            .register_application_revision()
            .application_name(application)
            .description("x")
            .revision(revision(
                deploy::AppSpecContent::builder().content(content).build(),
            ))
    };
    answer!(register("shop"));
    refused!(register("none"), is_application_does_not_exist_exception);
    let listed = answer!(
        codedeploy
            .list_application_revisions()
            .application_name("shop")
    );
    let digest = listed.revisions()[0]
        .app_spec_content()
        .and_then(|one| one.sha256());
    let digest = digest.expect("a digest").to_string();
    let get = |digest: &str| {
        codedeploy
            .get_application_revision()
            .application_name("shop")
            .revision(revision(
                deploy::AppSpecContent::builder().sha256(digest).build(),
            ))
    };
    let shown = answer!(get(&digest));
    let text = shown.revision().and_then(|one| one.app_spec_content());
    assert_eq!(text.and_then(|one| one.content()), Some(content));
    refused!(get(&"0".repeat(64)), is_revision_does_not_exist_exception);
    let asked = revision(deploy::AppSpecContent::builder().sha256(&digest).build());
    let shown = answer!(
        codedeploy
            .batch_get_application_revisions()
            .application_name("shop")
            .revisions(asked)
    );
    assert_eq!(shown.revisions().len(), 1);
    answer!(codedeploy.delete_application().application_name("shop"));
    running.shutdown().await;
}

#[tokio::test]
async fn every_operation_of_a_deployment() {
    let running = account().await;
    let Estate {
        codedeploy, next, ..
    } = estate(&running).await;
    let group = |name: &str| {
        codedeploy
            .get_deployment_group()
            .application_name("rust")
            .deployment_group_name(name)
    };
    let shown = answer!(group("web"));
    let shown = shown.deployment_group_info().expect("it");
    assert_eq!(
        shown.compute_platform(),
        Some(&deploy::ComputePlatform::Ecs)
    );
    refused!(group("none"), is_deployment_group_does_not_exist_exception);
    let shown = answer!(
        codedeploy
            .batch_get_deployment_groups()
            .application_name("rust")
            .deployment_group_names("web")
    );
    assert_eq!(shown.deployment_groups_info().len(), 1);
    let listed = answer!(codedeploy.list_deployment_groups().application_name("rust"));
    assert_eq!(listed.deployment_groups(), ["web"]);
    // The deployment waits before its traffic, and after it.
    let waits = deploy::BlueGreenDeploymentConfiguration::builder()
        .deployment_ready_option(
            deploy::DeploymentReadyOption::builder()
                .action_on_timeout(deploy::DeploymentReadyAction::StopDeployment)
                .wait_time_in_minutes(60)
                .build(),
        )
        .terminate_blue_instances_on_deployment_success(
            deploy::BlueInstanceTerminationOption::builder()
                .action(deploy::InstanceAction::Terminate)
                .termination_wait_time_in_minutes(600)
                .build(),
        )
        .build();
    let update = |name: &str| {
        codedeploy
            .update_deployment_group()
            .application_name("rust")
            .current_deployment_group_name(name)
            .blue_green_deployment_configuration(waits.clone())
    };
    answer!(update("web"));
    refused!(update("none"), is_deployment_group_does_not_exist_exception);

    let begin = || {
        codedeploy
            .create_deployment()
            .application_name("rust")
            .deployment_group_name("web")
            .revision(next.clone())
    };
    let begun = answer!(begin());
    let id = begun.deployment_id().expect("an id").to_string();
    const NONE: &str = "d-ZZZZZZZZZ";
    let target = |id: &str| {
        codedeploy
            .get_deployment_target()
            .deployment_id(id)
            .target_id("rust:web")
    };
    refused!(target(&id), is_deployment_not_started_exception);
    let go_on = |id: &str, wait| {
        codedeploy
            .continue_deployment()
            .deployment_id(id)
            .deployment_wait_type(wait)
    };
    refused!(
        go_on(&id, deploy::DeploymentWaitType::ReadyWait),
        is_deployment_is_not_in_ready_state_exception
    );
    running.advance(400.0).expect("it is ready");
    let get = |id: &str| codedeploy.get_deployment().deployment_id(id);
    let shown = answer!(get(&id));
    let status = shown.deployment_info().and_then(|one| one.status());
    assert_eq!(status, Some(&deploy::DeploymentStatus::Ready));
    refused!(get(NONE), is_deployment_does_not_exist_exception);
    answer!(go_on(&id, deploy::DeploymentWaitType::ReadyWait));
    refused!(
        go_on(NONE, deploy::DeploymentWaitType::ReadyWait),
        is_deployment_does_not_exist_exception
    );

    let shown = answer!(codedeploy.batch_get_deployments().deployment_ids(&id));
    assert_eq!(shown.deployments_info().len(), 1);
    let listed = answer!(
        codedeploy
            .list_deployments()
            .application_name("rust")
            .deployment_group_name("web")
            .include_only_statuses(deploy::DeploymentStatus::InProgress)
    );
    assert_eq!(listed.deployments().first(), Some(&id));
    refused!(
        codedeploy
            .list_deployments()
            .application_name("none")
            .deployment_group_name("web"),
        is_application_does_not_exist_exception
    );
    let targets = |id: &str| codedeploy.list_deployment_targets().deployment_id(id);
    assert_eq!(answer!(targets(&id)).target_ids(), ["rust:web"]);
    refused!(targets(NONE), is_deployment_does_not_exist_exception);
    let shown = answer!(
        codedeploy
            .batch_get_deployment_targets()
            .deployment_id(&id)
            .target_ids("rust:web")
    );
    assert_eq!(shown.deployment_targets().len(), 1);
    let report = |id: &str| {
        codedeploy
            .put_lifecycle_event_hook_execution_status()
            .deployment_id(id)
            .lifecycle_event_hook_execution_id("nonsense")
            .status(deploy::LifecycleEventStatus::Succeeded)
    };
    refused!(report(NONE), is_deployment_does_not_exist_exception);
    refused!(
        report(&id),
        is_invalid_lifecycle_event_hook_execution_id_exception
    );

    // Operations of other platforms.
    #[expect(deprecated, reason = "the account answers what AWS still has")]
    {
        refused!(
            codedeploy.list_deployment_instances().deployment_id(&id),
            is_invalid_compute_platform_exception
        );
        refused!(
            codedeploy
                .get_deployment_instance()
                .deployment_id(&id)
                .instance_id("i-1"),
            is_invalid_compute_platform_exception
        );
        refused!(
            codedeploy
                .batch_get_deployment_instances()
                .deployment_id(&id)
                .instance_ids("i-1"),
            is_invalid_compute_platform_exception
        );
        running.advance(120.0).expect("the old tasks are kept");
        let skip = |id: &str| {
            codedeploy
                .skip_wait_time_for_instance_termination()
                .deployment_id(id)
        };
        refused!(skip(NONE), is_deployment_does_not_exist_exception);
        answer!(skip(&id));
    }
    running.advance(300.0).expect("it ends");
    let shown = answer!(get(&id));
    let info = shown.deployment_info().expect("it");
    assert_eq!(info.status(), Some(&deploy::DeploymentStatus::Succeeded));
    let stop = |id: &str| codedeploy.stop_deployment().deployment_id(id);
    refused!(stop(&id), is_deployment_already_completed_exception);
    let second = answer!(begin());
    let second = second.deployment_id().expect("an id").to_string();
    running.advance(30.0).expect("it has begun");
    let stopped = answer!(stop(&second));
    assert!(stopped.status().is_some());
    running.advance(300.0).expect("it ends");
    answer!(
        codedeploy
            .delete_deployment_group()
            .application_name("rust")
            .deployment_group_name("web")
    );
    running.shutdown().await;
}
