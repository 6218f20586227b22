//! The AWS SDK for Rust against the account, as its users write it: the operations that a deployment
//! needs, their typed answers, and their typed errors.

use std::fmt::Debug;
use std::time::Duration;

use aws_sdk_cloudwatch::types::{ComparisonOperator, Dimension, StateValue, Statistic};
use aws_sdk_codedeploy::operation::create_deployment::CreateDeploymentError;
use aws_sdk_codedeploy::types as deploy;
use aws_sdk_codedeploy::waiters::deployment_successful::WaitUntilDeploymentSuccessfulError;
use aws_sdk_ecs::operation::describe_services::DescribeServicesError;
use aws_sdk_ecs::types as ecs_types;
use aws_sdk_elasticloadbalancingv2::types as elb_types;
use serde_json::json;
use switchback_aws_sim::door::{Options, Running, serve};

/// 21 November 2026, 10:00 UTC.
const START_MS: i64 = 1_795_255_200_000;

/// A client of one of AWS's SDKs, for this account.
macro_rules! client {
    ($sdk:ident, $running:expr) => {
        $sdk::Client::from_conf(
            $sdk::Config::builder()
                .behavior_version($sdk::config::BehaviorVersion::latest())
                .endpoint_url($running.endpoint())
                .region($sdk::config::Region::new("eu-central-1"))
                .credentials_provider($sdk::config::Credentials::new(
                    "AKIDRUST", "any", None, None, "test",
                ))
                .build(),
        )
    };
}

/// The answer of a call that succeeds.
macro_rules! answer {
    ($call:expr) => {
        match $call.send().await {
            Ok(answer) => answer,
            Err(refused) => panic!("{}: {refused:?}", stringify!($call)),
        }
    };
}

/// A call is refused with this exception of its operation.
macro_rules! refused {
    ($call:expr, $is:ident) => {
        match $call.send().await {
            Ok(answer) => panic!("{}: {answer:?}", stringify!($call)),
            Err(error) => {
                let error = error.into_service_error();
                assert!(error.$is(), "{error:?}");
            }
        }
    };
}

mod of_codedeploy;
mod of_ecs;
mod of_traffic_and_alarms;

fn built<T, E: Debug>(made: Result<T, E>) -> T {
    made.expect("all that must be given")
}

async fn account() -> Running {
    serve(Options {
        listen: "127.0.0.1:0".parse().expect("an address"),
        speed: 0.0,
        seed: 7,
        empty: true,
        relay_url: None,
        relay_secret: None,
        start_ms: START_MS,
        progress: |_| {},
    })
    .await
    .expect("a simulation")
}

/// A load balancer, a service with CodeDeploy's controller that runs its first revision, and what deploys it.
struct Estate {
    elb: aws_sdk_elasticloadbalancingv2::Client,
    ecs: aws_sdk_ecs::Client,
    codedeploy: aws_sdk_codedeploy::Client,
    balancer: String,
    groups: Vec<String>,
    listener: String,
    revisions: Vec<String>,
    /// An AppSpec with the second revision.
    next: deploy::RevisionLocation,
}

async fn estate(running: &Running) -> Estate {
    let elb = client!(aws_sdk_elasticloadbalancingv2, running);
    let ecs = client!(aws_sdk_ecs, running);
    let codedeploy = client!(aws_sdk_codedeploy, running);

    let balancer = elb
        .create_load_balancer()
        .name("rust")
        .subnets("subnet-1")
        .subnets("subnet-2")
        .send()
        .await
        .expect("a load balancer");
    let balancer = balancer.load_balancers()[0]
        .load_balancer_arn()
        .expect("an ARN")
        .to_string();
    let mut groups = Vec::new();
    for name in ["rust-blue", "rust-green"] {
        let made = elb
            .create_target_group()
            .name(name)
            .protocol(elb_types::ProtocolEnum::Http)
            .port(80)
            .vpc_id("vpc-1")
            .target_type(elb_types::TargetTypeEnum::Ip)
            .send()
            .await
            .expect("a target group");
        groups.push(
            made.target_groups()[0]
                .target_group_arn()
                .expect("an ARN")
                .to_string(),
        );
    }
    let forward = elb_types::Action::builder()
        .r#type(elb_types::ActionTypeEnum::Forward)
        .target_group_arn(&groups[0])
        .build();
    let listener = elb
        .create_listener()
        .load_balancer_arn(&balancer)
        .protocol(elb_types::ProtocolEnum::Http)
        .port(80)
        .default_actions(forward)
        .send()
        .await
        .expect("a listener");
    let listener = listener.listeners()[0]
        .listener_arn()
        .expect("an ARN")
        .to_string();

    ecs.create_cluster()
        .cluster_name("rust")
        .send()
        .await
        .expect("a cluster");
    let mut revisions = Vec::new();
    for tag in ["v1", "v2"] {
        let container = ecs_types::ContainerDefinition::builder()
            .name("web")
            .image(format!("registry.example/web:{tag}"))
            .port_mappings(ecs_types::PortMapping::builder().container_port(80).build())
            .build();
        let made = ecs
            .register_task_definition()
            .family("rust")
            .network_mode(ecs_types::NetworkMode::Awsvpc)
            .requires_compatibilities(ecs_types::Compatibility::Fargate)
            .cpu("256")
            .memory("512")
            .container_definitions(container)
            .send()
            .await
            .expect("a revision");
        let made = made.task_definition().expect("a revision");
        revisions.push(made.task_definition_arn().expect("an ARN").to_string());
    }
    let network = ecs_types::AwsVpcConfiguration::builder()
        .subnets("subnet-1")
        .build();
    ecs.create_service()
        .cluster("rust")
        .service_name("web")
        .task_definition(&revisions[0])
        .desired_count(2)
        .launch_type(ecs_types::LaunchType::Fargate)
        .deployment_controller(built(
            ecs_types::DeploymentController::builder()
                .r#type(ecs_types::DeploymentControllerType::CodeDeploy)
                .build(),
        ))
        .network_configuration(
            ecs_types::NetworkConfiguration::builder()
                .awsvpc_configuration(built(network))
                .build(),
        )
        .load_balancers(
            ecs_types::LoadBalancer::builder()
                .target_group_arn(&groups[0])
                .container_name("web")
                .container_port(80)
                .build(),
        )
        .send()
        .await
        .expect("a service");
    running.advance(600.0).expect("ten minutes");
    codedeploy
        .create_application()
        .application_name("rust")
        .compute_platform(deploy::ComputePlatform::Ecs)
        .send()
        .await
        .expect("an application");
    let pair = deploy::TargetGroupPairInfo::builder()
        .target_groups(deploy::TargetGroupInfo::builder().name("rust-blue").build())
        .target_groups(
            deploy::TargetGroupInfo::builder()
                .name("rust-green")
                .build(),
        )
        .prod_traffic_route(
            deploy::TrafficRoute::builder()
                .listener_arns(&listener)
                .build(),
        )
        .build();
    codedeploy
        .create_deployment_group()
        .application_name("rust")
        .deployment_group_name("web")
        .service_role_arn("arn:aws:iam::123456789012:role/codedeploy")
        .deployment_config_name("CodeDeployDefault.ECSAllAtOnce")
        .deployment_style(
            deploy::DeploymentStyle::builder()
                .deployment_type(deploy::DeploymentType::BlueGreen)
                .deployment_option(deploy::DeploymentOption::WithTrafficControl)
                .build(),
        )
        .blue_green_deployment_configuration(
            deploy::BlueGreenDeploymentConfiguration::builder()
                .deployment_ready_option(
                    deploy::DeploymentReadyOption::builder()
                        .action_on_timeout(deploy::DeploymentReadyAction::ContinueDeployment)
                        .build(),
                )
                .terminate_blue_instances_on_deployment_success(
                    deploy::BlueInstanceTerminationOption::builder()
                        .action(deploy::InstanceAction::Terminate)
                        .termination_wait_time_in_minutes(5)
                        .build(),
                )
                .build(),
        )
        .ecs_services(
            deploy::EcsService::builder()
                .cluster_name("rust")
                .service_name("web")
                .build(),
        )
        .load_balancer_info(
            deploy::LoadBalancerInfo::builder()
                .target_group_pair_info_list(pair)
                .build(),
        )
        .send()
        .await
        .expect("a deployment group");

    let spec = json!({
        "version": 0.0,
        "Resources": [{ "TargetService": { "Type": "AWS::ECS::Service", "Properties": {
            "TaskDefinition": revisions[1],
            "LoadBalancerInfo": { "ContainerName": "web", "ContainerPort": 80 },
        }}}],
    });
    let next = deploy::RevisionLocation::builder()
        .revision_type(deploy::RevisionLocationType::AppSpecContent)
        .app_spec_content(
            deploy::AppSpecContent::builder()
                .content(spec.to_string())
                .build(),
        )
        .build();
    Estate {
        elb,
        ecs,
        codedeploy,
        balancer,
        groups,
        listener,
        revisions,
        next,
    }
}

#[tokio::test]
async fn a_deployment_from_its_service_to_its_end() {
    let running = account().await;
    let Estate {
        elb,
        ecs,
        codedeploy,
        groups,
        listener,
        revisions,
        next,
        ..
    } = estate(&running).await;
    let missing = ecs
        .describe_services()
        .cluster("none")
        .services("web")
        .send()
        .await;
    let missing = missing.expect_err("no cluster").into_service_error();
    assert!(
        matches!(missing, DescribeServicesError::ClusterNotFoundException(_)),
        "{missing:?}"
    );
    let create = || {
        codedeploy
            .create_deployment()
            .application_name("rust")
            .deployment_group_name("web")
            .revision(next.clone())
            .send()
    };
    let deployment = create().await.expect("a deployment");
    let deployment = deployment.deployment_id().expect("an id").to_string();
    let second = create()
        .await
        .expect_err("one at a time")
        .into_service_error();
    assert!(
        matches!(
            second,
            CreateDeploymentError::DeploymentLimitExceededException(_)
        ),
        "{second:?}"
    );

    running.advance(200.0).expect("the traffic shifts");
    let shown = codedeploy
        .get_deployment()
        .deployment_id(&deployment)
        .send()
        .await
        .expect("it");
    let info = shown.deployment_info().expect("its details");
    assert_eq!(info.status(), Some(&deploy::DeploymentStatus::InProgress));
    assert_eq!(info.creator(), Some(&deploy::DeploymentCreator::User));
    running.advance(600.0).expect("the old tasks go");
    // The SDK's own waiter.
    use aws_sdk_codedeploy::client::Waiters;
    let waited = codedeploy
        .wait_until_deployment_successful()
        .deployment_id(&deployment)
        .wait(Duration::from_secs(20))
        .await;
    assert!(waited.is_ok(), "{waited:?}");
    let never = codedeploy
        .wait_until_deployment_successful()
        .deployment_id("d-ZZZZZZZZZ")
        .wait(Duration::from_secs(5))
        .await
        .expect_err("there is none");
    assert!(
        matches!(
            never,
            WaitUntilDeploymentSuccessfulError::OperationFailed(_)
        ),
        "{never:?}"
    );

    let target = codedeploy
        .get_deployment_target()
        .deployment_id(&deployment)
        .target_id("rust:web")
        .send()
        .await
        .expect("its target");
    let target = target
        .deployment_target()
        .and_then(|found| found.ecs_target())
        .expect("of ECS");
    let events: Vec<_> = target
        .lifecycle_events()
        .iter()
        .map(|event| {
            (
                event.lifecycle_event_name().unwrap_or_default(),
                event.status(),
            )
        })
        .collect();
    let done = Some(&deploy::LifecycleEventStatus::Succeeded);
    let expected = [
        "BeforeInstall",
        "Install",
        "AfterInstall",
        "BeforeAllowTraffic",
        "AllowTraffic",
        "AfterAllowTraffic",
    ];
    assert_eq!(events, expected.map(|name| (name, done)));
    let shown = elb
        .describe_listeners()
        .listener_arns(&listener)
        .send()
        .await
        .expect("it");
    let forward = shown.listeners()[0].default_actions()[0]
        .forward_config()
        .expect("weights");
    let heaviest = forward
        .target_groups()
        .iter()
        .max_by_key(|group| group.weight());
    assert_eq!(
        heaviest.and_then(|group| group.target_group_arn()),
        Some(&*groups[1])
    );
    let health = elb
        .describe_target_health()
        .target_group_arn(&groups[1])
        .send()
        .await;
    let health = health.expect("targets");
    let healthy = health.target_health_descriptions().iter().filter(|one| {
        let state = one.target_health().and_then(|health| health.state());
        state == Some(&elb_types::TargetHealthStateEnum::Healthy)
    });
    assert_eq!(healthy.count(), 2);

    // Every page of a list, by the SDK's own paginator.
    running.set_page_limit(1);
    let listed: Result<Vec<_>, _> = ecs
        .list_task_definitions()
        .into_paginator()
        .items()
        .send()
        .collect()
        .await;
    assert_eq!(listed.expect("all pages"), revisions);
    running.shutdown().await;
}

#[tokio::test]
async fn alarms_over_cbor_and_an_assumed_role() {
    let running = account().await;
    let cloudwatch = client!(aws_sdk_cloudwatch, running);
    let dimension = Dimension::builder()
        .name("LoadBalancer")
        .value("app/a&b/1")
        .build();
    cloudwatch
        .put_metric_alarm()
        .alarm_name("errors")
        .namespace("AWS/ApplicationELB")
        .metric_name("HTTPCode_Target_5XX_Count")
        .dimensions(dimension)
        .statistic(Statistic::Sum)
        .period(60)
        .evaluation_periods(1)
        .threshold(2.5)
        .comparison_operator(ComparisonOperator::GreaterThanThreshold)
        .send()
        .await
        .expect("an alarm");
    let set = |name: &str| {
        cloudwatch
            .set_alarm_state()
            .alarm_name(name)
            .state_value(StateValue::Alarm)
            .state_reason("a drill")
            .send()
    };
    set("errors").await.expect("it fires");
    let missing = set("none")
        .await
        .expect_err("there is none")
        .into_service_error();
    assert!(missing.is_resource_not_found(), "{missing:?}");
    let alarms = cloudwatch.describe_alarms().send().await.expect("alarms");
    let alarm = &alarms.metric_alarms()[0];
    assert_eq!(alarm.state_value(), Some(&StateValue::Alarm));
    assert_eq!(alarm.threshold(), Some(2.5));
    assert_eq!(
        alarm.state_updated_timestamp().map(|at| at.secs()),
        Some(START_MS / 1000)
    );

    let sts = client!(aws_sdk_sts, running);
    let role = sts
        .assume_role()
        .role_arn("arn:aws:iam::210987654321:role/there")
        .role_session_name("rust")
        .send()
        .await
        .expect("a role");
    let user = role.assumed_role_user().expect("a user");
    assert_eq!(
        user.arn(),
        "arn:aws:sts::210987654321:assumed-role/there/rust"
    );
    running.shutdown().await;
}
