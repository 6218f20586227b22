//! Target health and draining as arithmetic, and accounts that have nothing in common.

use super::*;

impl Account {
    fn health(&mut self, group: &str) -> Vec<(String, String)> {
        let answer = self.ok(
            "elasticloadbalancing",
            "DescribeTargetHealth",
            json!({"TargetGroupArn": group}),
        );
        let targets = answer["TargetHealthDescriptions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        targets
            .iter()
            .map(|one| {
                (
                    text(&one["TargetHealth"]["State"]),
                    text(&one["TargetHealth"]["Reason"]),
                )
            })
            .collect()
    }
}

fn state(state: &str, reason: &str) -> Vec<(String, String)> {
    vec![(state.to_string(), reason.to_string())]
}

/// A group with one target, which nobody answers at, behind the production listener.
fn with_target(settings: Json) -> (Account, String) {
    let mut account = Account::empty(1);
    account.network();
    let group = account.blue.clone();
    let mut modify = json!({"TargetGroupArn": group});
    modify
        .as_object_mut()
        .expect("one")
        .extend(settings.as_object().cloned().unwrap_or_default());
    account.ok("elasticloadbalancing", "ModifyTargetGroup", modify);
    let targets = json!({"TargetGroupArn": group, "Targets": [{"Id": "10.0.0.9", "Port": "80"}]});
    account.ok("elasticloadbalancing", "RegisterTargets", targets);
    (account, group)
}

#[test]
fn a_target_is_unhealthy_after_interval_times_threshold() {
    for (interval, timeout, threshold) in [(5, 2, 2), (10, 5, 3), (30, 5, 2), (300, 120, 10)] {
        let (mut account, group) = with_target(json!({
            "HealthCheckIntervalSeconds": interval, "HealthCheckTimeoutSeconds": timeout,
            "UnhealthyThresholdCount": threshold,
        }));
        account.pass(interval * threshold * SECOND - 1);
        assert_eq!(
            account.health(&group),
            state("initial", "Elb.InitialHealthChecking"),
            "{interval} {threshold}"
        );
        account.pass(1);
        assert_eq!(
            account.health(&group),
            state("unhealthy", "Target.FailedHealthChecks"),
            "{interval} {threshold}"
        );
    }
}

#[test]
fn a_target_is_healthy_after_interval_times_threshold() {
    let mut account = Account::new(Setup::default());
    let group = account.blue.clone();
    // 10 seconds, twice.
    assert_eq!(account.health(&group).len(), 2);
    account.ok(
        "ecs",
        "UpdateService",
        json!({"cluster": "prod", "service": "web", "desiredCount": 3}),
    );
    let is = |account: &mut Account, wanted: &str| {
        account
            .health(&group)
            .iter()
            .any(|(state, _)| state == wanted)
    };
    while !is(&mut account, "initial") {
        account.pass(1);
    }
    let began = account.world.now_ms();
    while is(&mut account, "initial") {
        account.pass(1);
    }
    assert_eq!(account.world.now_ms() - began, 20 * SECOND);
    assert_eq!(
        account
            .health(&group)
            .iter()
            .filter(|(state, _)| state == "healthy")
            .count(),
        3
    );
}

#[test]
fn a_target_drains_for_the_delay_of_its_group() {
    for delay in [0, 1, 30, 300, 3600] {
        let (mut account, group) = with_target(json!({}));
        account.ok("elasticloadbalancing", "ModifyTargetGroupAttributes", json!({
            "TargetGroupArn": group,
            "Attributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": delay.to_string()}],
        }));
        let targets =
            json!({"TargetGroupArn": group, "Targets": [{"Id": "10.0.0.9", "Port": "80"}]});
        account.ok("elasticloadbalancing", "DeregisterTargets", targets.clone());
        if delay > 0 {
            assert_eq!(
                account.health(&group),
                state("draining", "Target.DeregistrationInProgress")
            );
            // Asking again does not begin again.
            account.pass(delay * SECOND - 1);
            account.ok("elasticloadbalancing", "DeregisterTargets", targets);
            assert_eq!(account.health(&group).len(), 1, "{delay}");
            account.pass(1);
        }
        assert_eq!(account.health(&group), Vec::new(), "{delay}");
    }
}

#[test]
fn a_group_that_no_listener_uses_has_unused_targets() {
    let (mut account, group) = with_target(json!({}));
    let unused = account.green.clone();
    account.ok(
        "elasticloadbalancing",
        "RegisterTargets",
        json!({"TargetGroupArn": unused, "Targets": [{"Id": "10.0.0.8"}]}),
    );
    account.pass(10 * MINUTE);
    assert_eq!(account.health(&unused), state("unused", "Target.NotInUse"));
    assert_eq!(
        account.health(&group),
        state("unhealthy", "Target.FailedHealthChecks")
    );
    // A weight of nothing is a use.
    let listener = account.production.clone();
    account.ok("elasticloadbalancing", "ModifyListener", json!({"ListenerArn": listener, "DefaultActions": [
        {"Type": "forward", "ForwardConfig": {"TargetGroups": [
            {"TargetGroupArn": group, "Weight": "1"}, {"TargetGroupArn": unused, "Weight": "0"}]}}]}));
    assert_eq!(
        account.health(&unused),
        state("initial", "Elb.InitialHealthChecking")
    );
}

#[test]
fn attributes_that_there_are_not_are_refused() {
    let (mut account, group) = with_target(json!({}));
    let modify =
        |key: &str| json!({"TargetGroupArn": group, "Attributes": [{"Key": key, "Value": "1"}]});
    let refused = account.refused(
        "elasticloadbalancing",
        "ModifyTargetGroupAttributes",
        modify("stickyness.enabled"),
    );
    assert_eq!(refused.code, "ValidationError");
    account.ok(
        "elasticloadbalancing",
        "ModifyTargetGroupAttributes",
        modify("slow_start.duration_seconds"),
    );
}

#[test]
fn accounts_and_regions_have_nothing_in_common() {
    let mut account = Account::new(Setup::default());
    let home = account.caller.clone();
    let revision = account.register("shop/web:v2", json!([]));
    let id = account.deploy(&revision, "CodeDeployDefault.ECSAllAtOnce", &[]);
    account.queue("jobs", json!({}));
    account.ok(
        "events",
        "PutRule",
        json!({"Name": "r", "EventPattern": r#"{"source":["x"]}"#}),
    );
    for (number, region) in [
        ("210987654321", "eu-central-1"),
        ("123456789012", "us-east-1"),
    ] {
        account.caller = Caller {
            account: number.to_string(),
            region: region.to_string(),
            ..home.clone()
        };
        assert_eq!(
            account.ok("ecs", "ListClusters", json!({}))["clusterArns"],
            json!([])
        );
        assert_eq!(
            account.ok("codedeploy", "ListDeployments", json!({}))["deployments"],
            json!([])
        );
        assert_eq!(
            account.ok("events", "ListRules", json!({}))["Rules"],
            json!([])
        );
        assert_eq!(
            account.ok("sqs", "ListQueues", json!({}))["QueueUrls"],
            Json::Null
        );
        let unknown = account.refused("codedeploy", "GetDeployment", json!({"deploymentId": id}));
        assert_eq!(unknown.code, "DeploymentDoesNotExistException");
        assert_eq!(
            account.ok("sts", "GetCallerIdentity", json!({}))["Account"],
            number
        );
        let made = account.queue("jobs", json!({}));
        assert_eq!(made, format!("/{number}/jobs"));
    }
    account.caller = home;
    account.until_status(&id, "Succeeded");
}
