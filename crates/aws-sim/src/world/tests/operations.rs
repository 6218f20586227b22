//! Operations and their refusals, service by service.

use super::*;

#[test]
fn a_task_definition_keeps_everything_and_is_numbered() {
    let mut account = Account::empty(1);
    let input = json!({
        "family": "api", "networkMode": "awsvpc", "cpu": "256", "memory": "512",
        "requiresCompatibilities": ["FARGATE"], "executionRoleArn": "arn:aws:iam::123456789012:role/exec",
        "runtimePlatform": {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
        "tags": [{"key": "team", "value": "shop"}],
        "containerDefinitions": [{
            "name": "api", "image": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/api:v1",
            "portMappings": [{"containerPort": 8080}], "secrets": [{"name": "KEY", "valueFrom": "arn:x"}],
            "dockerLabels": {"a": "b"},
        }],
    });
    let made = account.ok("ecs", "RegisterTaskDefinition", input.clone());
    let definition = made["taskDefinition"].clone();
    assert_eq!(
        definition["taskDefinitionArn"],
        "arn:aws:ecs:eu-central-1:123456789012:task-definition/api:1"
    );
    assert_eq!(definition["revision"], 1);
    assert_eq!(definition["status"], "ACTIVE");
    assert_eq!(definition["compatibilities"], json!(["EC2", "FARGATE"]));
    assert_eq!(
        definition["registeredBy"],
        "arn:aws:iam::123456789012:user/tester"
    );
    assert_eq!(definition["runtimePlatform"], input["runtimePlatform"]);
    let container = &definition["containerDefinitions"][0];
    assert_eq!(container["dockerLabels"], json!({"a": "b"}));
    assert_eq!(
        container["portMappings"],
        json!([{"containerPort": 8080, "hostPort": 8080, "protocol": "tcp"}])
    );
    assert_eq!(made["tags"], input["tags"]);
    account.ok("ecs", "RegisterTaskDefinition", input.clone());

    let described = account.ok(
        "ecs",
        "DescribeTaskDefinition",
        json!({"taskDefinition": "api", "include": ["TAGS"]}),
    );
    assert_eq!(described["taskDefinition"]["revision"], 2);
    assert_eq!(described["tags"], input["tags"]);
    let inactive = account.ok(
        "ecs",
        "DeregisterTaskDefinition",
        json!({"taskDefinition": "api:2"}),
    );
    assert_eq!(inactive["taskDefinition"]["status"], "INACTIVE");
    let latest = account.ok(
        "ecs",
        "DescribeTaskDefinition",
        json!({"taskDefinition": "api"}),
    );
    assert_eq!(latest["taskDefinition"], definition);
    let old = account.ok(
        "ecs",
        "DescribeTaskDefinition",
        json!({"taskDefinition": "api:2"}),
    );
    assert_eq!(old["taskDefinition"]["status"], "INACTIVE");
    let list =
        |status: &str, sort: &str| json!({"familyPrefix": "api", "status": status, "sort": sort});
    account.ok("ecs", "RegisterTaskDefinition", input);
    let active = account.ok("ecs", "ListTaskDefinitions", list("ACTIVE", "DESC"));
    let arn =
        |number: i64| format!("arn:aws:ecs:eu-central-1:123456789012:task-definition/api:{number}");
    assert_eq!(active["taskDefinitionArns"], json!([arn(3), arn(1)]));
    let gone = account.ok("ecs", "ListTaskDefinitions", list("INACTIVE", "ASC"));
    assert_eq!(gone["taskDefinitionArns"], json!([arn(2)]));
    let tag = json!({"resourceArn": arn(1), "tags": [{"key": "x", "value": "y"}]});
    account.ok("ecs", "TagResource", tag);
    let tags = account.ok("ecs", "ListTagsForResource", json!({"resourceArn": arn(1)}));
    assert_eq!(tags["tags"].as_array().map(Vec::len), Some(2));
}

#[test]
fn task_definitions_are_checked() {
    let mut account = Account::empty(1);
    let good = json!({"family": "api", "containerDefinitions": [{"name": "api", "image": "api:v1", "memory": 128}]});
    account.ok("ecs", "RegisterTaskDefinition", good.clone());
    let cases = [
        ("/family", json!(null)),
        ("/family", json!("a b")),
        ("/containerDefinitions", json!([])),
        ("/containerDefinitions/0/name", json!(null)),
        ("/containerDefinitions/0/image", json!("")),
        ("/containerDefinitions/0/memory", json!(null)),
    ];
    for (place, value) in cases {
        let mut input = good.clone();
        *input.pointer_mut(place).expect(place) = value;
        assert_eq!(
            account.refused("ecs", "RegisterTaskDefinition", input).code,
            "ClientException",
            "{place}"
        );
    }
    let mut fargate = good;
    fargate["requiresCompatibilities"] = json!(["FARGATE"]);
    let error = account.refused("ecs", "RegisterTaskDefinition", fargate);
    assert!(error.message.contains("awsvpc"));
    let error = account.refused(
        "ecs",
        "DescribeTaskDefinition",
        json!({"taskDefinition": "nothing"}),
    );
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("ClientException", "Unable to describe task definition.")
    );
}

#[test]
fn a_codedeploy_service_is_only_scaled_by_update_service() {
    let mut account = Account::new(Setup::default());
    account.register("shop/web:v2", json!([]));
    let service = json!({"cluster": "prod", "service": "web"});
    let with = |member: &str, value: Json| {
        let mut input = service.clone();
        input[member] = value;
        input
    };
    let error = account.refused(
        "ecs",
        "UpdateService",
        with("taskDefinition", json!("web:2")),
    );
    assert_eq!(error.code, "InvalidParameterException");
    assert_eq!(
        error.message,
        "Unable to update task definition on services with a CODE_DEPLOY deployment controller. Use AWS CodeDeploy \
         to trigger a new deployment."
    );
    for (member, value) in [
        ("forceNewDeployment", json!(true)),
        ("platformVersion", json!("1.4.0")),
        ("loadBalancers", json!([])),
        ("deploymentController", json!({"type": "EXTERNAL"})),
    ] {
        assert_eq!(
            account
                .refused("ecs", "UpdateService", with(member, value))
                .code,
            "InvalidParameterException"
        );
    }
    account.ok("ecs", "UpdateService", with("desiredCount", json!(3)));
    account.until("three tasks run", 3 * MINUTE, |account| {
        account.service()["runningCount"] == 3
    });
    account.ok("ecs", "UpdateService", with("desiredCount", json!(1)));
    assert_eq!(account.service()["taskSets"][0]["computedDesiredCount"], 1);
    account.until("one task runs", 3 * MINUTE, |account| {
        account.service()["runningCount"] == 1
    });

    let error = account.refused("ecs", "DeleteService", service.clone());
    assert_eq!(
        error.message,
        "The service cannot be stopped while it is scaled above 0."
    );
    account.ok("ecs", "DeleteService", with("force", json!(true)));
    account.until("the service is gone", 10 * MINUTE, |account| {
        account.service()["status"] == "INACTIVE"
    });
    assert_eq!(
        account.ok("ecs", "ListServices", json!({"cluster": "prod"}))["serviceArns"],
        json!([])
    );
}

#[test]
fn services_are_described_listed_and_refused() {
    let mut account = Account::new(Setup::default());
    let describe = |names: Json| json!({"cluster": "prod", "services": names});
    let answer = account.ok(
        "ecs",
        "DescribeServices",
        describe(json!(["web", "nothing"])),
    );
    assert_eq!(answer["services"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        answer["failures"],
        json!([{"arn": "arn:aws:ecs:eu-central-1:123456789012:service/prod/nothing", "reason": "MISSING"}])
    );
    let many: Vec<String> = (0..11).map(|n| n.to_string()).collect();
    assert_eq!(
        account
            .refused("ecs", "DescribeServices", describe(json!(many)))
            .code,
        "InvalidParameterException"
    );
    let error = account.refused(
        "ecs",
        "DescribeServices",
        json!({"cluster": "other", "services": ["web"]}),
    );
    assert_eq!(error.code, "ClusterNotFoundException");
    let base = json!({
        "cluster": "prod", "serviceName": "api", "taskDefinition": "web:1", "desiredCount": 1,
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
    });
    let balancer = |group: &str, container: &str, port: i64| json!([{"targetGroupArn": group, "containerName": container, "containerPort": port}]);
    let cases = [
        ("serviceName", json!("web"), "not idempotent"),
        ("taskDefinition", json!("web:9"), "not found"),
        ("desiredCount", json!(null), "desiredCount"),
        (
            "networkConfiguration",
            json!(null),
            "Network Configuration must be provided",
        ),
        (
            "loadBalancers",
            balancer("arn:x", "web", 80),
            "does not exist",
        ),
        (
            "loadBalancers",
            balancer(&account.blue.clone(), "web", 81),
            "did not have a container port 81",
        ),
        (
            "loadBalancers",
            balancer(&account.green.clone(), "web", 80),
            "does not have an associated load balancer",
        ),
        (
            "deploymentController",
            json!({"type": "CODE_DEPLOY"}),
            "exactly one load balancer",
        ),
        (
            "deploymentConfiguration",
            json!({"strategy": "BLUE_GREEN"}),
            "bakeTimeInMinutes",
        ),
        (
            "deploymentConfiguration",
            json!({"strategy": "CANARY", "lifecycleHooks":
                [{"targetType": "PAUSE", "lifecycleStages": ["TEST_TRAFFIC_SHIFT"]}]}),
            "Invalid lifecycle stage provided for Pause Hook",
        ),
        (
            "deploymentConfiguration",
            json!({"maximumPercent": 100, "minimumHealthyPercent": 100}),
            "greater",
        ),
    ];
    for (member, value, words) in cases {
        let mut input = base.clone();
        input[member] = value;
        let error = account.refused("ecs", "CreateService", input);
        assert!(error.message.contains(words), "{member}: {error}");
    }
    let mut page = account.ok(
        "ecs",
        "ListServices",
        json!({"cluster": "prod", "maxResults": 1}),
    );
    assert_eq!(
        page["serviceArns"].take(),
        json!(["arn:aws:ecs:eu-central-1:123456789012:service/prod/web"])
    );
    let tasks = account.ok(
        "ecs",
        "ListTasks",
        json!({"cluster": "prod", "serviceName": "web", "family": "web"}),
    );
    let tasks = account.ok(
        "ecs",
        "DescribeTasks",
        json!({"cluster": "prod", "tasks": tasks["taskArns"]}),
    );
    assert_eq!(tasks["tasks"].as_array().map(Vec::len), Some(2));
    assert_eq!(tasks["tasks"][0]["lastStatus"], "RUNNING");
    assert_eq!(
        tasks["tasks"][0]["startedBy"],
        account.service()["taskSets"][0]["id"]
    );
}

fn rolling(configuration: Json) -> Account {
    let mut account = Account::empty(5);
    account.network();
    account.ok("ecs", "CreateCluster", json!({"clusterName": "prod"}));
    account.register("shop/web:v1", json!([]));
    account.ok(
        "ecs",
        "CreateService",
        json!({
            "cluster": "prod", "serviceName": "web", "taskDefinition": "web", "desiredCount": 2,
            "launchType": "FARGATE", "deploymentConfiguration": configuration,
            "loadBalancers": [{"targetGroupArn": account.blue, "containerName": "web", "containerPort": 80}],
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
        }),
    );
    account.until("the first deployment is complete", 5 * MINUTE, |account| {
        account.service()["deployments"][0]["rolloutState"] == "COMPLETED"
    });
    account
}

#[test]
fn a_rolling_service_replaces_its_tasks_within_its_limits() {
    for (least, most) in [(100, 200), (50, 100), (0, 100)] {
        let mut account = rolling(json!({"minimumHealthyPercent": least, "maximumPercent": most}));
        account.register("shop/web:v2", json!([]));
        account.ok(
            "ecs",
            "UpdateService",
            json!({"cluster": "prod", "service": "web", "taskDefinition": "web:2"}),
        );
        let first = account.service()["deployments"].clone();
        assert_eq!(first[0]["status"], "PRIMARY");
        assert_eq!(first[0]["rolloutState"], "IN_PROGRESS");
        assert_eq!(first[1]["status"], "ACTIVE");
        account.until("the rollout is complete", 15 * MINUTE, |account| {
            let service = account.service();
            let running = service["runningCount"].as_i64().expect("a number");
            let pending = service["pendingCount"].as_i64().expect("a number");
            assert!(running >= 2 * least / 100, "{least}..{most}: {running} run");
            assert!(
                running + pending <= 2 * most / 100,
                "{least}..{most}: {running} run, {pending} start"
            );
            service["deployments"].as_array().map(Vec::len) == Some(1)
        });
        let service = account.service();
        assert_eq!(service["deployments"][0]["rolloutState"], "COMPLETED");
        assert!(text(&service["taskDefinition"]).ends_with("web:2"));
        assert_eq!(service["runningCount"], 2);
    }
}

#[test]
fn the_circuit_breaker_rolls_back_what_cannot_start() {
    let mut account =
        rolling(json!({"deploymentCircuitBreaker": {"enable": true, "rollback": true}}));
    account.register(
        "shop/web:v2",
        json!([{"name": "SIM_CRASH_ON_START", "value": "1"}]),
    );
    let answer = account.ok(
        "ecs",
        "UpdateService",
        json!({"cluster": "prod", "service": "web", "taskDefinition": "web:2"}),
    );
    let id = answer["service"]["deployments"][0]["id"].clone();
    account.until("the circuit breaker opens", 20 * MINUTE, |account| {
        let service = account.service();
        assert_eq!(
            service["runningCount"].as_i64().map(|running| running >= 2),
            Some(true)
        );
        service["deployments"][0]["id"] != id
    });
    account.until("the old revision serves alone", 20 * MINUTE, |account| {
        let service = account.service();
        service["deployments"].as_array().map(Vec::len) == Some(1)
            && service["deployments"][0]["rolloutState"] == "COMPLETED"
    });
    assert!(text(&account.service()["taskDefinition"]).ends_with("web:1"));
    let events = account.service()["events"].to_string();
    assert!(events.contains("rolling back to"), "{events}");
}

#[test]
fn external_task_sets_are_the_callers_own() {
    let mut account = Account::empty(5);
    account.network();
    account.ok("ecs", "CreateCluster", json!({"clusterName": "prod"}));
    account.register("shop/web:v1", json!([]));
    account.ok(
        "ecs",
        "CreateService",
        json!({"cluster": "prod", "serviceName": "web", "desiredCount": 3, "deploymentController": {"type": "EXTERNAL"}}),
    );
    let made = account.ok(
        "ecs",
        "CreateTaskSet",
        json!({
            "cluster": "prod", "service": "web", "taskDefinition": "web:1", "externalId": "mine",
            "scale": {"value": 50.0, "unit": "PERCENT"}, "launchType": "FARGATE",
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
            "loadBalancers": [{"targetGroupArn": account.blue, "containerName": "web", "containerPort": 80}],
        }),
    );
    assert_eq!(made["taskSet"]["status"], "ACTIVE");
    assert_eq!(made["taskSet"]["computedDesiredCount"], 2);
    let id = made["taskSet"]["id"].clone();
    let service = json!({"cluster": "prod", "service": "web"});
    let with = |member: &str, value: &Json| {
        let mut input = service.clone();
        input[member] = value.clone();
        input
    };
    let primary = account.ok(
        "ecs",
        "UpdateServicePrimaryTaskSet",
        with("primaryTaskSet", &id),
    );
    assert_eq!(primary["taskSet"]["status"], "PRIMARY");
    account.until("it is steady", 5 * MINUTE, |account| {
        let sets = account.ok("ecs", "DescribeTaskSets", service.clone());
        sets["taskSets"][0]["stabilityStatus"] == "STEADY_STATE"
    });
    let error = account.refused("ecs", "DeleteTaskSet", with("taskSet", &id));
    assert_eq!(error.code, "InvalidParameterException");
    let error = account.refused("ecs", "DeleteTaskSet", with("taskSet", &json!("ecs-svc/1")));
    assert_eq!(error.code, "TaskSetNotFoundException");
}

#[test]
fn a_forward_is_normalised_and_checked() {
    let mut account = Account::empty(5);
    account.network();
    let pair = |a: Json, b: Json| {
        json!([{"Type": "forward", "ForwardConfig": {"TargetGroups": [
            {"TargetGroupArn": account.blue.clone(), "Weight": a}, {"TargetGroupArn": account.green.clone(), "Weight": b}]}}])
    };
    let good = pair(json!("70"), json!(30));
    let too_heavy = pair(json!(1000), json!(0));
    let negative = pair(json!(-1), json!(0));
    let (blue, green) = (account.blue.clone(), account.green.clone());
    let modify = |actions: Json| json!({"ListenerArn": account.production.clone(), "DefaultActions": actions});
    let (good, too_heavy, negative) = (modify(good), modify(too_heavy), modify(negative));
    let disagree = modify(json!([{"Type": "forward", "TargetGroupArn": blue,
                                  "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": green}]}}]));
    let agree = modify(json!([{"Type": "forward", "TargetGroupArn": green,
                               "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": green, "Weight": "5"}]}}]));
    let unknown = modify(json!([{"Type": "forward", "TargetGroupArn": "arn:x"}]));
    let two = modify(
        json!([{"Type": "forward", "TargetGroupArn": blue}, {"Type": "forward", "TargetGroupArn": green}]),
    );

    let service = "elasticloadbalancing";
    let answer = account.ok(service, "ModifyListener", good);
    let action = &answer["Listeners"][0]["DefaultActions"][0];
    assert!(action["TargetGroupArn"].is_null());
    assert_eq!(action["ForwardConfig"]["TargetGroups"][0]["Weight"], 70);
    assert_eq!(account.production_weights(), (70, 30));
    let answer = account.ok(service, "ModifyListener", agree);
    assert_eq!(
        answer["Listeners"][0]["DefaultActions"][0]["TargetGroupArn"],
        green.as_str()
    );
    let cases = [
        (too_heavy, "ValidationError"),
        (negative, "ValidationError"),
        (disagree, "ValidationError"),
        (unknown, "TargetGroupNotFound"),
        (two, "TooManyActions"),
        (json!({"ListenerArn": "arn:x"}), "ListenerNotFound"),
        (json!({}), "ValidationError"),
    ];
    for (input, code) in cases {
        assert_eq!(
            account
                .refused(service, "ModifyListener", input.clone())
                .code,
            code,
            "{input}"
        );
    }
    let balancer = account.balancer.clone();
    let twice = json!({"LoadBalancerArn": balancer, "Protocol": "HTTP", "Port": 80,
                       "DefaultActions": [{"Type": "forward", "TargetGroupArn": blue}]});
    assert_eq!(
        account.refused(service, "CreateListener", twice).code,
        "DuplicateListener"
    );
    let cases = [
        (
            "DescribeListeners",
            json!({"ListenerArns": ["arn:x"]}),
            "ListenerNotFound",
        ),
        (
            "DescribeTargetGroups",
            json!({"Names": ["x"]}),
            "TargetGroupNotFound",
        ),
        (
            "DescribeLoadBalancers",
            json!({"Names": ["x"]}),
            "LoadBalancerNotFound",
        ),
        (
            "DescribeTargetHealth",
            json!({"TargetGroupArn": "arn:x"}),
            "TargetGroupNotFound",
        ),
        (
            "DescribeRules",
            json!({"RuleArns": ["arn:x"]}),
            "RuleNotFound",
        ),
        (
            "DeleteTargetGroup",
            json!({"TargetGroupArn": blue}),
            "ResourceInUse",
        ),
        (
            "CreateLoadBalancer",
            json!({"Name": "edge", "Subnets": ["a", "b"]}),
            "DuplicateLoadBalancerName",
        ),
        (
            "CreateTargetGroup",
            json!({"Name": "web-blue", "Protocol": "HTTP", "Port": 80, "VpcId": "vpc-1"}),
            "DuplicateTargetGroupName",
        ),
        ("Nonsense", json!({}), "InvalidAction"),
    ];
    for (operation, input, code) in cases {
        assert_eq!(
            account.refused(service, operation, input).code,
            code,
            "{operation}"
        );
    }
}

#[test]
fn rules_have_priorities_and_their_own_weights() {
    let mut account = Account::empty(5);
    account.network();
    let (listener, green) = (account.production.clone(), account.green.clone());
    let rule = |priority: i64| {
        json!({"ListenerArn": listener, "Priority": priority,
               "Conditions": [{"Field": "path-pattern", "Values": ["/green/*"]}],
               "Actions": [{"Type": "forward", "TargetGroupArn": green}]})
    };
    let service = "elasticloadbalancing";
    let made = account.ok(service, "CreateRule", rule(10));
    assert_eq!(made["Rules"][0]["Priority"], "10");
    assert_eq!(
        account.refused(service, "CreateRule", rule(10)).code,
        "PriorityInUse"
    );
    let all = account.ok(service, "DescribeRules", json!({"ListenerArn": listener}));
    assert_eq!(all["Rules"][1]["Priority"], "default");
    assert_eq!(all["Rules"][1]["IsDefault"], true);
    let default = all["Rules"][1]["RuleArn"].clone();
    let error = account.refused(service, "DeleteRule", json!({"RuleArn": default}));
    assert_eq!(error.code, "OperationNotPermitted");
    account.ok(
        service,
        "DeleteRule",
        json!({"RuleArn": made["Rules"][0]["RuleArn"]}),
    );
    let all = account.ok(service, "DescribeRules", json!({"ListenerArn": listener}));
    assert_eq!(all["Rules"].as_array().map(Vec::len), Some(1));
}

#[test]
fn target_health_follows_the_health_check_arithmetic() {
    let mut account = Account::new(Setup::default());
    let (blue, green) = (account.blue.clone(), account.green.clone());
    let service = "elasticloadbalancing";
    let states = |account: &mut Account, group: &str| {
        let answer = account.ok(
            service,
            "DescribeTargetHealth",
            json!({"TargetGroupArn": group}),
        );
        let list = answer["TargetHealthDescriptions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        list.iter()
            .map(|one| text(&one["TargetHealth"]["State"]))
            .collect::<Vec<_>>()
    };
    assert_eq!(states(&mut account, &blue), ["healthy", "healthy"]);
    // A target that nothing backs: unused, then initial while green is in use, then unhealthy.
    let register = json!({"TargetGroupArn": green, "Targets": [{"Id": "10.9.9.9", "Port": "80"}]});
    account.ok(service, "RegisterTargets", register.clone());
    account.pass(5 * MINUTE);
    assert_eq!(states(&mut account, &green), ["unused"]);
    let actions = json!([{"Type": "forward", "TargetGroupArn": green}]);
    let test = account.test.clone();
    account.ok(
        service,
        "ModifyListener",
        json!({"ListenerArn": test, "DefaultActions": actions}),
    );
    account.pass(19 * SECOND);
    assert_eq!(states(&mut account, &green), ["initial"]);
    account.pass(SECOND);
    assert_eq!(states(&mut account, &green), ["unhealthy"]);
    let attributes = json!([{"Key": "deregistration_delay.timeout_seconds", "Value": "30"}]);
    account.ok(
        service,
        "ModifyTargetGroupAttributes",
        json!({"TargetGroupArn": green, "Attributes": attributes}),
    );
    account.ok(service, "DeregisterTargets", register);
    account.pass(29 * SECOND);
    assert_eq!(states(&mut account, &green), ["draining"]);
    account.pass(SECOND);
    assert!(states(&mut account, &green).is_empty());
}

#[test]
fn groups_are_kept_and_checked() {
    let mut account = Account::new(Setup {
        alarms: vec!["a"],
        ..Setup::default()
    });
    let named = json!({"applicationName": "app", "deploymentGroupName": "group"});
    let info = account.ok("codedeploy", "GetDeploymentGroup", named.clone())["deploymentGroupInfo"]
        .clone();
    let given = account.group(&Setup {
        alarms: vec!["a"],
        ..Setup::default()
    });
    for member in [
        "deploymentStyle",
        "blueGreenDeploymentConfiguration",
        "loadBalancerInfo",
        "ecsServices",
        "alarmConfiguration",
        "autoRollbackConfiguration",
        "serviceRoleArn",
    ] {
        assert_eq!(info[member], given[member], "{member}");
    }
    assert_eq!(info["computePlatform"], "ECS");
    assert_eq!(
        info["deploymentConfigName"],
        "CodeDeployDefault.ECSAllAtOnce"
    );

    let pair = "/loadBalancerInfo/targetGroupPairInfoList/0";
    let eleven: Vec<Json> = (0..11).map(|n| json!({"name": n.to_string()})).collect();
    let cases = [
        ("/currentDeploymentGroupName".to_string(), json!("x"), "DeploymentGroupDoesNotExistException"),
        ("/deploymentStyle/deploymentType".to_string(), json!("IN_PLACE"), "InvalidDeploymentStyleException"),
        (format!("{pair}/targetGroups"), json!([{"name": "web-blue"}]), "InvalidTargetGroupPairException"),
        (format!("{pair}/targetGroups/0/name"), json!("nothing"), "InvalidTargetGroupPairException"),
        (format!("{pair}/prodTrafficRoute/listenerArns"), json!([]), "InvalidLoadBalancerInfoException"),
        (format!("{pair}/prodTrafficRoute/listenerArns"), json!(["a", "b"]), "InvalidLoadBalancerInfoException"),
        ("/alarmConfiguration/alarms".to_string(), json!(eleven), "AlarmsLimitExceededException"),
        ("/alarmConfiguration/alarms".to_string(), json!([]), "InvalidAlarmConfigException"),
        ("/serviceRoleArn".to_string(), json!("me"), "InvalidRoleException"),
        ("/ecsServices".to_string(), json!([]), "InvalidECSServiceException"),
        ("/ecsServices/0/serviceName".to_string(), json!("x"), "InvalidECSServiceException"),
        (
            "/blueGreenDeploymentConfiguration/terminateBlueInstancesOnDeploymentSuccess/terminationWaitTimeInMinutes"
                .to_string(),
            json!(2881),
            "InvalidBlueGreenDeploymentConfigurationException",
        ),
    ];
    for (place, value, code) in cases {
        let mut input = given.clone();
        input["currentDeploymentGroupName"] = input["deploymentGroupName"].take();
        *input.pointer_mut(&place).expect(&place) = value;
        assert_eq!(
            account
                .refused("codedeploy", "UpdateDeploymentGroup", input)
                .code,
            code,
            "{place}"
        );
    }
    let mut waits = given.clone();
    waits["currentDeploymentGroupName"] = waits["deploymentGroupName"].take();
    waits["blueGreenDeploymentConfiguration"]["deploymentReadyOption"]["waitTimeInMinutes"] =
        json!(5);
    let error = account.refused("codedeploy", "UpdateDeploymentGroup", waits);
    assert_eq!(
        error.code,
        "InvalidBlueGreenDeploymentConfigurationException"
    );
    assert_eq!(
        error.message,
        "Deployment ready action cannot be set to 'CONTINUE_DEPLOYMENT' when timeout is specified"
    );
    let mut second = given.clone();
    second["deploymentGroupName"] = json!("second");
    let error = account.refused("codedeploy", "CreateDeploymentGroup", second);
    assert_eq!(error.code, "ECSServiceMappingLimitExceededException");
    let error = account.refused("codedeploy", "CreateDeploymentGroup", given);
    assert_eq!(error.code, "DeploymentGroupAlreadyExistsException");
    let unchanged =
        account.ok("codedeploy", "GetDeploymentGroup", named)["deploymentGroupInfo"].clone();
    assert_eq!(unchanged, info);

    let ask = json!({"applicationName": "app", "deploymentGroupNames": ["group", "x"]});
    let batch = account.ok("codedeploy", "BatchGetDeploymentGroups", ask);
    assert_eq!(batch["deploymentGroupsInfo"], json!([info]));
    assert!(text(&batch["errorMessage"]).contains('x'));
    let tag = json!({"ResourceArn": "arn:aws:codedeploy:eu-central-1:123456789012:deploymentgroup:app/group",
                     "Tags": [{"Key": "team", "Value": "shop"}]});
    account.ok("codedeploy", "TagResource", tag.clone());
    let tags = account.ok(
        "codedeploy",
        "ListTagsForResource",
        json!({"ResourceArn": tag["ResourceArn"]}),
    );
    assert_eq!(tags["Tags"], tag["Tags"]);
}

#[test]
fn configurations_and_applications_are_checked() {
    let mut account = Account::empty(2);
    for platform in [json!(null), json!("Server"), json!("Lambda")] {
        let input = json!({"applicationName": "a", "computePlatform": platform});
        let error = account.refused("codedeploy", "CreateApplication", input);
        assert_eq!(error.code, "InvalidComputePlatformException");
    }
    let list = account.ok("codedeploy", "ListDeploymentConfigs", json!({}));
    assert_eq!(
        list["deploymentConfigsList"].as_array().map(Vec::len),
        Some(17)
    );
    let canary = json!({"deploymentConfigName": "CodeDeployDefault.ECSCanary10Percent15Minutes"});
    let canary = account.ok("codedeploy", "GetDeploymentConfig", canary);
    assert_eq!(
        canary["deploymentConfigInfo"]["trafficRoutingConfig"],
        json!({"type": "TimeBasedCanary", "timeBasedCanary": {"canaryPercentage": 10, "canaryInterval": 15}})
    );
    let half = json!({"deploymentConfigName": "CodeDeployDefault.HalfAtATime"});
    let half = account.ok("codedeploy", "GetDeploymentConfig", half);
    assert_eq!(half["deploymentConfigInfo"]["computePlatform"], "Server");
    let config = |name: &str, percent: i64, minutes: i64| {
        json!({"deploymentConfigName": name, "computePlatform": "ECS", "trafficRoutingConfig": {
            "type": "TimeBasedCanary", "timeBasedCanary": {"canaryPercentage": percent, "canaryInterval": minutes}}})
    };
    account.ok(
        "codedeploy",
        "CreateDeploymentConfig",
        config("mine", 25, 3),
    );
    let cases = [
        (
            config("mine", 25, 3),
            "DeploymentConfigAlreadyExistsException",
        ),
        (
            config("CodeDeployDefault.Mine", 25, 3),
            "InvalidDeploymentConfigNameException",
        ),
        (
            config("b", 100, 3),
            "InvalidTrafficRoutingConfigurationException",
        ),
        (
            config("b", 0, 3),
            "InvalidTrafficRoutingConfigurationException",
        ),
        (
            config("b", 10, 2881),
            "InvalidTrafficRoutingConfigurationException",
        ),
        (
            json!({"deploymentConfigName": "b", "computePlatform": "ECS"}),
            "InvalidTrafficRoutingConfigurationException",
        ),
    ];
    for (input, code) in cases {
        assert_eq!(
            account
                .refused("codedeploy", "CreateDeploymentConfig", input)
                .code,
            code
        );
    }
    account.ok(
        "codedeploy",
        "DeleteDeploymentConfig",
        json!({"deploymentConfigName": "mine"}),
    );
    let error = account.refused(
        "codedeploy",
        "GetDeploymentConfig",
        json!({"deploymentConfigName": "mine"}),
    );
    assert_eq!(error.code, "DeploymentConfigDoesNotExistException");
    assert_eq!(
        account.refused("codedeploy", "Nonsense", json!({})).code,
        "UnknownOperationException"
    );
    assert_eq!(
        account.refused("lambda", "Invoke", json!({})).code,
        "UnknownOperationException"
    );
    let identity = account.ok("sts", "GetCallerIdentity", json!({}));
    assert_eq!(identity["Account"], "123456789012");
}

/// The sum of a metric over the last `minutes` whole minutes.
fn sum(account: &mut Account, metric: &str, dimensions: Json, minutes: i64) -> f64 {
    let now = account.world.now_ms() / MINUTE * 60;
    let input = json!({
        "Namespace": "AWS/ApplicationELB", "MetricName": metric, "Dimensions": dimensions,
        "StartTime": now - minutes * 60, "EndTime": now, "Period": 60, "Statistics": ["Sum"],
    });
    let answer = account.ok("monitoring", "GetMetricStatistics", input);
    let points = answer["Datapoints"].as_array().cloned().unwrap_or_default();
    points
        .iter()
        .filter_map(|point| point["Sum"].as_f64())
        .sum()
}

#[test]
fn requests_follow_the_weights_and_errors_the_revision() {
    let mut account = Account::new(Setup {
        test_listener: false,
        first_environment: json!([{"name": "SIM_RPS", "value": "100"}]),
        ..Setup::default()
    });
    let dimension = |arn: &str| {
        arn.rsplit(':')
            .next()
            .unwrap_or_default()
            .replace("loadbalancer/", "")
    };
    let balancer = json!({"Name": "LoadBalancer", "Value": dimension(&account.balancer)});
    let group =
        |arn: &str| json!([{"Name": "TargetGroup", "Value": dimension(arn)}, balancer.clone()]);
    let (blue, green) = (group(&account.blue), group(&account.green));
    // The second listener still points at blue, and so brings a tenth more as test traffic.
    account.pass(15 * MINUTE);
    let before = sum(&mut account, "RequestCount", blue.clone(), 10);
    assert!(
        (before / 10.0 / 6600.0 - 1.0).abs() < 0.05 || before / 8.0 / 6600.0 > 0.95,
        "{before} requests"
    );
    assert!(sum(&mut account, "HTTPCode_Target_5XX_Count", blue.clone(), 10) < 0.5);

    let definition = account.register(
        "shop/web:v2-bad",
        json!([{"name": "SIM_RPS", "value": "100"}]),
    );
    let id = account.deploy(
        &definition,
        "CodeDeployDefault.ECSCanary10Percent15Minutes",
        &[],
    );
    account.until_event(&id, "AllowTraffic", "InProgress");
    account.pass(12 * MINUTE);
    let total = sum(&mut account, "RequestCount", green.clone(), 8);
    let blue_total = sum(&mut account, "RequestCount", blue, 8);
    let group: Vec<Json> = green
        .as_array()
        .into_iter()
        .flatten()
        .filter(|one| one["Name"] == "TargetGroup")
        .cloned()
        .collect();
    // Two targets, and the one metric that a target group also has without its load balancer.
    for dimensions in [green.clone(), Json::Array(group.clone())] {
        let each = sum(&mut account, "RequestCountPerTarget", dimensions, 8);
        assert!((each - total / 2.0).abs() < 0.5, "{each} of {total}");
    }
    assert!(sum(&mut account, "RequestCount", Json::Array(group), 8) < 0.5);
    let errors = sum(&mut account, "HTTPCode_Target_5XX_Count", green, 8);
    // 10 % of production against 90 % of it and the tenth of test traffic.
    assert!(
        (total / blue_total - 0.1).abs() < 0.02,
        "{total} of {blue_total}"
    );
    assert!((errors / total - 0.2).abs() < 0.02, "{errors} of {total}");
}

#[test]
fn without_a_healthy_target_the_load_balancer_answers_itself() {
    let mut account = Account::new(Setup::default());
    let value = account
        .balancer
        .rsplit(':')
        .next()
        .unwrap_or_default()
        .replace("loadbalancer/", "");
    let balancer = json!([{"Name": "LoadBalancer", "Value": value}]);
    account.pass(5 * MINUTE);
    assert!(sum(&mut account, "HTTPCode_ELB_5XX_Count", balancer.clone(), 1) < 0.5);
    let (listener, green) = (account.production.clone(), account.green.clone());
    let actions = json!([{"Type": "forward", "TargetGroupArn": green}]);
    account.ok(
        "elasticloadbalancing",
        "ModifyListener",
        json!({"ListenerArn": listener, "DefaultActions": actions}),
    );
    account.pass(10 * MINUTE);
    let all = sum(&mut account, "HTTPCode_ELB_5XX_Count", balancer.clone(), 8);
    assert!(all > 4.0 * 1100.0);
    let unavailable = sum(&mut account, "HTTPCode_ELB_503_Count", balancer, 8);
    assert!((all - unavailable).abs() < 0.5, "{all} and {unavailable}");
}

#[test]
fn regions_are_apart() {
    let mut account = Account::new(Setup::default());
    account.caller.region = "us-east-1".to_string();
    assert_eq!(
        account.ok("ecs", "ListClusters", json!({}))["clusterArns"],
        json!([])
    );
    account.caller.region = "eu-central-1".to_string();
    assert_eq!(
        account.ok("ecs", "ListClusters", json!({}))["clusterArns"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}
