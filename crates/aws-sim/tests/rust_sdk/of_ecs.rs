//! Each operation of ECS: one answer that the SDK parses, and one refusal that it finds the type of.

use aws_sdk_ecs::types as ecs_types;

use crate::{account, built};

const NOBODY: &str =
    "arn:aws:ecs:eu-central-1:123456789012:service-deployment/ops/x/AAAAAAAAAAAAAAAAAAAAA";

fn network() -> ecs_types::NetworkConfiguration {
    let vpc = ecs_types::AwsVpcConfiguration::builder().subnets("subnet-1");
    ecs_types::NetworkConfiguration::builder()
        .awsvpc_configuration(built(vpc.build()))
        .build()
}

#[tokio::test]
async fn every_operation_of_ecs() {
    let running = account().await;
    let ecs = client!(aws_sdk_ecs, running);
    let made = answer!(ecs.create_cluster().cluster_name("ops"));
    let cluster = made.cluster().and_then(|one| one.cluster_arn());
    let cluster = cluster.expect("an ARN").to_string();
    let shown = answer!(ecs.describe_clusters().clusters("ops").clusters("none"));
    assert_eq!((shown.clusters().len(), shown.failures().len()), (1, 1));
    let listed = answer!(ecs.list_clusters());
    assert_eq!(listed.cluster_arns().first(), Some(&cluster));
    let tag = ecs_types::Tag::builder().key("team").value("a").build();
    answer!(ecs.tag_resource().resource_arn(&cluster).tags(tag));
    let tags = answer!(ecs.list_tags_for_resource().resource_arn(&cluster));
    assert_eq!(tags.tags()[0].value(), Some("a"));
    answer!(ecs.untag_resource().resource_arn(&cluster).tag_keys("team"));
    let nothing = format!("{cluster}-none");
    refused!(
        ecs.list_tags_for_resource().resource_arn(&nothing),
        is_invalid_parameter_exception
    );
    refused!(
        ecs.untag_resource().resource_arn(&nothing).tag_keys("team"),
        is_resource_not_found_exception
    );

    let mut revisions = Vec::new();
    for tag in ["v1", "v2", "v3"] {
        let container = ecs_types::ContainerDefinition::builder()
            .name("web")
            .image(format!("web:{tag}"))
            .build();
        let made = answer!(
            ecs.register_task_definition()
                .family("ops")
                .network_mode(ecs_types::NetworkMode::Awsvpc)
                .requires_compatibilities(ecs_types::Compatibility::Fargate)
                .cpu("256")
                .memory("512")
                .container_definitions(container)
        );
        let arn = made
            .task_definition()
            .and_then(|one| one.task_definition_arn());
        revisions.push(arn.expect("an ARN").to_string());
    }
    let shown = answer!(ecs.describe_task_definition().task_definition("ops"));
    assert_eq!(shown.task_definition().map(|one| one.revision()), Some(3));
    refused!(
        ecs.describe_task_definition().task_definition("none"),
        is_client_exception
    );
    let gone = answer!(ecs.deregister_task_definition().task_definition("ops:3"));
    assert_eq!(
        gone.task_definition().and_then(|one| one.status()),
        Some(&ecs_types::TaskDefinitionStatus::Inactive)
    );
    let listed = answer!(ecs.list_task_definitions().family_prefix("ops"));
    assert_eq!(listed.task_definition_arns(), &revisions[..2]);
    let families = answer!(ecs.list_task_definition_families());
    assert_eq!(families.families(), ["ops"]);

    let create = || {
        ecs.create_service()
            .service_name("web")
            .task_definition("ops:1")
            .desired_count(1)
            .launch_type(ecs_types::LaunchType::Fargate)
            .network_configuration(network())
    };
    refused!(create().cluster("none"), is_cluster_not_found_exception);
    answer!(create().cluster("ops"));
    running.advance(300.0).expect("it is steady");
    assert_eq!(
        answer!(ecs.list_services().cluster("ops"))
            .service_arns()
            .len(),
        1
    );
    let shown = answer!(ecs.describe_services().cluster("ops").services("web"));
    assert_eq!(shown.services()[0].running_count(), 1);
    let tasks = answer!(ecs.list_tasks().cluster("ops").service_name("web"));
    let task = tasks.task_arns()[0].clone();
    let shown = answer!(ecs.describe_tasks().cluster("ops").tasks(&task));
    assert_eq!(shown.tasks()[0].last_status(), Some("RUNNING"));
    let stopped = answer!(ecs.stop_task().cluster("ops").task(&task).reason("a drill"));
    assert_eq!(
        stopped.task().and_then(|one| one.stop_code()),
        Some(&ecs_types::TaskStopCode::UserInitiated)
    );
    refused!(
        ecs.stop_task().cluster("ops").task("0".repeat(32)),
        is_invalid_parameter_exception
    );
    refused!(
        ecs.describe_tasks().cluster("none").tasks(&task),
        is_cluster_not_found_exception
    );

    // One that waits at a pause, one that is stopped.
    let hook = ecs_types::DeploymentLifecycleHook::builder()
        .target_type(ecs_types::DeploymentLifecycleHookTargetType::Pause)
        .lifecycle_stages(ecs_types::DeploymentLifecycleHookStage::PostScaleUp)
        .build();
    let configuration = ecs_types::DeploymentConfiguration::builder()
        .strategy(ecs_types::DeploymentStrategy::BlueGreen)
        .bake_time_in_minutes(1)
        .lifecycle_hooks(hook)
        .build();
    let update = |name: &str, revision: &str| {
        ecs.update_service()
            .cluster("ops")
            .service(name)
            .task_definition(revision)
    };
    refused!(update("none", "ops:2"), is_service_not_found_exception);
    let changed = answer!(update("web", "ops:2").deployment_configuration(configuration));
    let service = changed.service().expect("the service");
    let begun = service
        .current_service_deployment()
        .expect("a deployment")
        .to_string();
    running.advance(300.0).expect("it waits");
    let describe = || {
        ecs.describe_service_deployments()
            .service_deployment_arns(&begun)
    };
    let shown = answer!(describe());
    let waiting = &shown.service_deployments()[0].lifecycle_hook_details()[0];
    assert_eq!(
        waiting.status(),
        Some(&ecs_types::DeploymentLifecycleHookStatus::AwaitingAction)
    );
    refused!(
        ecs.continue_service_deployment()
            .service_deployment_arn(NOBODY)
            .hook_id("ecs-pause-x"),
        is_service_deployment_not_found_exception
    );
    answer!(
        ecs.continue_service_deployment()
            .service_deployment_arn(&begun)
            .hook_id(waiting.hook_id().expect("an id"))
    );
    running.advance(600.0).expect("it ends");
    let shown = answer!(describe());
    let one = &shown.service_deployments()[0];
    assert_eq!(
        one.status(),
        Some(&ecs_types::ServiceDeploymentStatus::Successful)
    );
    let revision = one.target_service_revision().and_then(|one| one.arn());
    let shown = answer!(
        ecs.describe_service_revisions()
            .service_revision_arns(revision.expect("an ARN"))
    );
    assert_eq!(
        shown.service_revisions()[0].task_definition(),
        Some(&*revisions[1])
    );
    let listed = answer!(ecs.list_service_deployments().cluster("ops").service("web"));
    assert_eq!(listed.service_deployments().len(), 2);
    refused!(
        ecs.list_service_deployments()
            .cluster("ops")
            .service("none"),
        is_service_not_found_exception
    );
    let changed = answer!(update("web", "ops:1"));
    let begun = changed
        .service()
        .and_then(|one| one.current_service_deployment());
    let stop = |arn: &str| ecs.stop_service_deployment().service_deployment_arn(arn);
    answer!(stop(begun.expect("a deployment")));
    refused!(stop(NOBODY), is_service_deployment_not_found_exception);

    answer!(
        ecs.create_service()
            .cluster("ops")
            .service_name("sets")
            .desired_count(1)
            .deployment_controller(built(
                ecs_types::DeploymentController::builder()
                    .r#type(ecs_types::DeploymentControllerType::External)
                    .build(),
            ))
    );
    let create = |service: &str| {
        ecs.create_task_set()
            .cluster("ops")
            .service(service)
            .task_definition("ops:1")
            .launch_type(ecs_types::LaunchType::Fargate)
            .network_configuration(network())
    };
    refused!(create("none"), is_service_not_found_exception);
    let made = answer!(create("sets"));
    let set = made
        .task_set()
        .and_then(|one| one.id())
        .expect("an id")
        .to_string();
    let primary = |set: &str| {
        ecs.update_service_primary_task_set()
            .cluster("ops")
            .service("sets")
            .primary_task_set(set)
    };
    answer!(primary(&set));
    refused!(primary("ecs-svc/1"), is_task_set_not_found_exception);
    let half = ecs_types::Scale::builder()
        .unit(ecs_types::ScaleUnit::Percent)
        .value(50.0)
        .build();
    let scale = |set: &str| {
        ecs.update_task_set()
            .cluster("ops")
            .service("sets")
            .task_set(set)
            .scale(half.clone())
    };
    answer!(scale(&set));
    refused!(scale("ecs-svc/1"), is_task_set_not_found_exception);
    let shown = answer!(ecs.describe_task_sets().cluster("ops").service("sets"));
    assert_eq!(
        shown.task_sets()[0].scale().map(|one| one.value()),
        Some(50.0)
    );
    refused!(
        ecs.describe_task_sets().cluster("ops").service("none"),
        is_service_not_found_exception
    );
    let delete = |set: &str| {
        ecs.delete_task_set()
            .cluster("ops")
            .service("sets")
            .task_set(set)
    };
    refused!(delete(&set).force(true), is_invalid_parameter_exception);
    let spare = answer!(create("sets"));
    let spare = spare.task_set().and_then(|one| one.id()).expect("an id");
    answer!(delete(spare).force(true));
    refused!(delete("ecs-svc/1"), is_task_set_not_found_exception);

    refused!(
        ecs.delete_cluster().cluster("ops"),
        is_cluster_contains_services_exception
    );
    for service in ["web", "sets"] {
        answer!(
            ecs.delete_service()
                .cluster("ops")
                .service(service)
                .force(true)
        );
    }
    refused!(
        ecs.delete_service().cluster("ops").service("none"),
        is_service_not_found_exception
    );
    running.advance(600.0).expect("all is gone");
    answer!(ecs.delete_cluster().cluster("ops"));
    running.shutdown().await;
}
