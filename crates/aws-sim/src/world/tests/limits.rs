//! CodeDeploy's limits and time-outs, and what it refuses beside CreateDeployment.

use super::*;

const ALL_AT_ONCE: &str = "CodeDeployDefault.ECSAllAtOnce";
const LINEAR: &str = "CodeDeployDefault.ECSLinear10PercentEvery1Minutes";

fn names(prefix: &str, count: usize) -> impl Iterator<Item = String> {
    let prefix = prefix.to_string();
    (0..count).map(move |n| format!("{prefix}{n}"))
}

#[test]
fn a_hook_that_does_not_start_within_five_minutes_fails_its_deployment() {
    for (event, rolls_back) in [("BeforeInstall", false), ("BeforeAllowTraffic", true)] {
        let mut account = Account::new(Setup {
            rollback: vec!["DEPLOYMENT_FAILURE"],
            ..Setup::default()
        });
        assert!(account.world.set_hook_behaviour("lost", "never-starts"));
        let definition = account.register("shop/web:v2", json!([]));
        let id = account.deploy(&definition, ALL_AT_ONCE, &[(event, "lost")]);
        let ended = account.until_status(&id, "Failed");
        let found = account.event(&id, event);
        assert_eq!(found["status"], "Failed");
        assert_eq!(found["diagnostics"]["errorCode"], "UnknownError");
        assert!(text(&found["diagnostics"]["message"]).contains("five minutes"));
        if event == "BeforeInstall" {
            let expected = 3 * SECOND + 5 * MINUTE;
            assert!(
                (expected..expected + 2 * SECOND).contains(&ended),
                "{ended}"
            );
        }
        let info = account.deployment(&id);
        assert_eq!(info["errorInformation"]["code"], "HOOK_EXECUTION_FAILURE");
        assert_eq!(
            info["rollbackInfo"]["rollbackDeploymentId"].is_string(),
            rolls_back,
            "{event}"
        );
    }
}

#[test]
fn a_service_that_is_not_steady_for_five_minutes_of_the_shift_fails_its_deployment() {
    let mut account = Account::new(Setup {
        rollback: vec!["DEPLOYMENT_FAILURE"],
        ..Setup::default()
    });
    let definition = account.register("shop/web:v2", json!([]));
    let id = account.deploy(&definition, LINEAR, &[]);
    account.until_event(&id, "AllowTraffic", "InProgress");
    account.pass(30 * SECOND);
    // Scaling that settles in time does no harm.
    let scale =
        |desired: i64| json!({"cluster": "prod", "service": "web", "desiredCount": desired});
    account.ok("ecs", "UpdateService", scale(3));
    account.pass(3 * MINUTE);
    assert_eq!(account.status(&id), "InProgress");
    let (_, green) = account.production_weights();
    assert_eq!(green, 40, "traffic goes on shifting");
    // One that goes on and on does: every two minutes the service is to be larger than it is.
    let mut waited = 0;
    while account.status(&id) == "InProgress" && waited < 10 {
        waited += 1;
        account.ok("ecs", "UpdateService", scale(3 + waited));
        account.pass(40 * SECOND);
    }
    assert_eq!(account.status(&id), "Failed");
    let info = account.deployment(&id);
    assert_eq!(info["errorInformation"]["code"], "TIMEOUT");
    assert!(text(&info["errorInformation"]["message"]).contains("5 minutes"));
    let rollback = text(&info["rollbackInfo"]["rollbackDeploymentId"]);
    account.until_status(&rollback, "Succeeded");
    assert_eq!(account.production_weights(), (100, 0));
}

#[test]
fn a_ready_wait_that_nobody_ends_rolls_back_where_stops_roll_back() {
    for (events, rolls_back) in [
        (vec!["DEPLOYMENT_STOP_ON_REQUEST"], true),
        (
            vec!["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"],
            false,
        ),
    ] {
        let mut account = Account::new(Setup {
            rollback: events,
            blue_green: json!({"deploymentReadyOption":
                {"actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": 10}}),
            ..Setup::default()
        });
        let definition = account.register("shop/web:v2", json!([]));
        let id = account.deploy(&definition, ALL_AT_ONCE, &[]);
        account.until_status(&id, "Ready");
        assert_eq!(account.until_status(&id, "Stopped"), 10 * MINUTE);
        let info = account.deployment(&id);
        assert_eq!(info["errorInformation"]["code"], "TIMEOUT");
        assert_eq!(
            info["rollbackInfo"]["rollbackDeploymentId"].is_string(),
            rolls_back
        );
    }
}

#[test]
fn the_numbers_of_things_are_limited() {
    let mut account = Account::empty(5);
    for name in names("app", 1000) {
        let input = json!({"applicationName": name, "computePlatform": "ECS"});
        account.ok("codedeploy", "CreateApplication", input);
    }
    let one_more = json!({"applicationName": "more", "computePlatform": "ECS"});
    let error = account.refused("codedeploy", "CreateApplication", one_more);
    assert_eq!(error.code, "ApplicationLimitExceededException");
    let config = |name: &str| {
        json!({"deploymentConfigName": name, "computePlatform": "ECS",
               "trafficRoutingConfig": {"type": "AllAtOnce"}})
    };
    for name in names("config", 200) {
        account.ok("codedeploy", "CreateDeploymentConfig", config(&name));
    }
    let error = account.refused("codedeploy", "CreateDeploymentConfig", config("more"));
    assert_eq!(error.code, "DeploymentConfigLimitExceededException");

    let mut listed = Vec::new();
    let mut token = Json::Null;
    loop {
        let page = account.ok(
            "codedeploy",
            "ListDeploymentConfigs",
            json!({"nextToken": token}),
        );
        listed.extend(
            page["deploymentConfigsList"]
                .as_array()
                .expect("names")
                .clone(),
        );
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(listed.len(), 217);
    listed.sort_by_key(text);
    listed.dedup();
    assert_eq!(listed.len(), 217);
}

#[test]
fn tags_triggers_and_settings_are_checked() {
    let mut account = Account::new(Setup::default());
    let arn = "arn:aws:codedeploy:eu-central-1:123456789012:application:app";
    let tag = |key: &str, value: &str| json!({"ResourceArn": arn, "Tags": [{"Key": key, "Value": value}]});
    account.ok("codedeploy", "TagResource", tag("team", "shop"));
    let many: Vec<Json> = names("k", 50)
        .map(|key| json!({"Key": key, "Value": ""}))
        .collect();
    let cases = [
        (
            "TagResource",
            tag("aws:team", "x"),
            "InvalidTagsToAddException",
        ),
        ("TagResource", tag("", "x"), "InvalidTagsToAddException"),
        (
            "TagResource",
            tag("k", &"x".repeat(257)),
            "InvalidTagsToAddException",
        ),
        (
            "TagResource",
            json!({"ResourceArn": arn, "Tags": many}),
            "InvalidTagsToAddException",
        ),
        (
            "TagResource",
            json!({"ResourceArn": arn}),
            "TagRequiredException",
        ),
        (
            "UntagResource",
            json!({"ResourceArn": arn, "TagKeys": []}),
            "TagRequiredException",
        ),
        (
            "TagResource",
            json!({"Tags": []}),
            "ResourceArnRequiredException",
        ),
        (
            "ListTagsForResource",
            json!({"ResourceArn": "me"}),
            "InvalidArnException",
        ),
        (
            "ListTagsForResource",
            json!({"ResourceArn": "arn:aws:codedeploy:eu-central-1:123456789012:deploymentconfig:x"}),
            "ArnNotSupportedException",
        ),
        (
            "ListTagsForResource",
            json!({"ResourceArn": format!("{arn}x")}),
            "ApplicationDoesNotExistException",
        ),
    ];
    for (operation, input, code) in cases {
        let error = account.refused("codedeploy", operation, input.clone());
        assert_eq!(error.code, code, "{operation} {input}");
    }
    let tags = account.ok(
        "codedeploy",
        "ListTagsForResource",
        json!({"ResourceArn": arn}),
    );
    assert_eq!(tags["Tags"], json!([{"Key": "team", "Value": "shop"}]));
    account.ok(
        "codedeploy",
        "UntagResource",
        json!({"ResourceArn": arn, "TagKeys": ["team"]}),
    );
    let tags = account.ok(
        "codedeploy",
        "ListTagsForResource",
        json!({"ResourceArn": arn}),
    );
    assert_eq!(tags["Tags"], json!([]));

    let trigger = |target: &str, event: &str| json!([{"triggerName": "t", "triggerTargetArn": target, "triggerEvents": [event]}]);
    let topic = "arn:aws:sns:eu-central-1:123456789012:topic";
    let eleven: Vec<Json> = (0..11)
        .map(|_| trigger(topic, "DeploymentStart")[0].clone())
        .collect();
    let cases = [
        (
            "triggerConfigurations",
            trigger("topic", "DeploymentStart"),
            "InvalidTriggerConfigException",
        ),
        (
            "triggerConfigurations",
            trigger(topic, "Start"),
            "InvalidTriggerConfigException",
        ),
        (
            "triggerConfigurations",
            json!(eleven),
            "TriggerTargetsLimitExceededException",
        ),
        (
            "outdatedInstancesStrategy",
            json!("SOMETIMES"),
            "InvalidInputException",
        ),
        (
            "ec2DeploymentOptions",
            json!({"autoScalingGroupProcessesToSuspend": ["Terminate"]}),
            "InvalidInputException",
        ),
        (
            "deploymentConfigName",
            json!("nothing"),
            "DeploymentConfigDoesNotExistException",
        ),
        (
            "deploymentConfigName",
            json!("CodeDeployDefault.LambdaAllAtOnce"),
            "InvalidDeploymentConfigNameException",
        ),
        (
            "newDeploymentGroupName",
            json!("a b"),
            "InvalidDeploymentGroupNameException",
        ),
        (
            "autoRollbackConfiguration",
            json!({"enabled": true, "events": ["NEVER"]}),
            "InvalidAutoRollbackConfigException",
        ),
        (
            "alarmConfiguration",
            json!({"enabled": true, "alarms": [{"name": "a"}, {"name": "a"}]}),
            "InvalidAlarmConfigException",
        ),
        ("unheardOf", json!(1), "SerializationException"),
    ];
    for (member, value, code) in cases {
        let mut input = json!({"applicationName": "app", "currentDeploymentGroupName": "group"});
        input[member] = value;
        let error = account.refused("codedeploy", "UpdateDeploymentGroup", input.clone());
        assert_eq!(error.code, code, "{input}");
    }
    let mut config = json!({"deploymentConfigName": "c", "computePlatform": "ECS", "trafficRoutingConfig":
        {"type": "AllAtOnce"}});
    for (member, value, code) in [
        (
            "minimumHealthyHosts",
            json!({"type": "HOST_COUNT", "value": 1}),
            "InvalidMinimumHealthyHostValueException",
        ),
        (
            "zonalConfig",
            json!({"monitorDurationInSeconds": 1}),
            "InvalidZonalDeploymentConfigurationException",
        ),
        (
            "trafficRoutingConfig",
            json!({"type": "AllAtOnce", "timeBasedCanary": {"canaryPercentage": 5, "canaryInterval": 5}}),
            "InvalidTrafficRoutingConfigurationException",
        ),
    ] {
        let before = config[member].take();
        config[member] = value;
        let error = account.refused("codedeploy", "CreateDeploymentConfig", config.clone());
        assert_eq!(error.code, code, "{member}");
        config[member] = before;
    }
}

#[test]
fn a_rename_keeps_what_belongs_to_the_name() {
    let mut account = Account::new(Setup::default());
    let definition = account.register("shop/web:v2", json!([]));
    let id = account.deploy(&definition, ALL_AT_ONCE, &[]);
    account.ok(
        "codedeploy",
        "UpdateApplication",
        json!({"applicationName": "app", "newApplicationName": "shop"}),
    );
    account.ok(
        "codedeploy",
        "UpdateDeploymentGroup",
        json!({"applicationName": "shop", "currentDeploymentGroupName": "group",
               "newDeploymentGroupName": "web"}),
    );
    let found = account.deployment(&id);
    assert_eq!(found["applicationName"], "shop");
    assert_eq!(found["deploymentGroupName"], "web");
    account.until_event(&id, "AfterAllowTraffic", "Succeeded");
    // The old form of ContinueDeployment with TERMINATION_WAIT.
    account.ok(
        "codedeploy",
        "SkipWaitTimeForInstanceTermination",
        json!({"deploymentId": id}),
    );
    assert!(account.until_status(&id, "Succeeded") < 10 * SECOND);
    for operation in [
        "GetDeploymentInstance",
        "ListDeploymentInstances",
        "BatchGetDeploymentInstances",
    ] {
        let error = account.refused("codedeploy", operation, json!({"deploymentId": id}));
        assert_eq!(error.code, "InvalidComputePlatformException");
    }
    let named = json!({"applicationName": "shop", "deploymentGroupName": "web"});
    let group =
        account.ok("codedeploy", "GetDeploymentGroup", named)["deploymentGroupInfo"].clone();
    assert_eq!(
        group["lastSuccessfulDeployment"]["deploymentId"],
        id.as_str()
    );
}
