//! Deployments of ECS's own strategies, stage by stage, as a client sees them.

use serde_json::{Value as Json, json};

use super::ecs_rolling::is_over;
use super::{Account, Effect, MINUTE, SECOND, text};

/// The rules that a native service is steered by.
struct Rules {
    production: String,
    test: String,
}

impl Account {
    fn rules(&mut self) -> Rules {
        let mut made = Vec::new();
        for (listener, groups) in [
            (
                self.production.clone(),
                json!([{"TargetGroupArn": self.blue, "Weight": "1"}, {"TargetGroupArn": self.green, "Weight": "0"}]),
            ),
            (
                self.test.clone(),
                json!([{"TargetGroupArn": self.blue, "Weight": "1"}, {"TargetGroupArn": self.green, "Weight": "0"}]),
            ),
        ] {
            let input = json!({
                "ListenerArn": listener, "Priority": "10",
                "Conditions": [{"Field": "path-pattern", "Values": ["/*"]}],
                "Actions": [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}],
            });
            let answer = self.ok("elasticloadbalancing", "CreateRule", input);
            made.push(text(&answer["Rules"][0]["RuleArn"]));
        }
        let test = made.pop().unwrap_or_default();
        Rules {
            production: made.pop().unwrap_or_default(),
            test,
        }
    }

    fn balancers(&self, rules: &Rules) -> Json {
        json!([{
            "targetGroupArn": self.blue, "containerName": "web", "containerPort": 80,
            "advancedConfiguration": {
                "alternateTargetGroupArn": self.green,
                "productionListenerRule": rules.production, "testListenerRule": rules.test,
                "roleArn": "arn:aws:iam::123456789012:role/ecs-infrastructure",
            },
        }])
    }

    /// A native service with two tasks of `web:1`; the first deployment has no hooks.
    fn native(configuration: Json) -> (Account, Rules) {
        let mut account = Account::empty(23);
        account.network();
        let rules = account.rules();
        account.ok("ecs", "CreateCluster", json!({"clusterName": "prod"}));
        account.register("shop/web:v1", json!([]));
        let mut first = configuration.clone();
        first["lifecycleHooks"] = json!([]);
        let balancers = account.balancers(&rules);
        account.ok(
            "ecs",
            "CreateService",
            json!({
                "cluster": "prod", "serviceName": "web", "taskDefinition": "web", "desiredCount": 2,
                "launchType": "FARGATE", "deploymentConfiguration": first, "loadBalancers": balancers,
                "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
            }),
        );
        account.until_over();
        assert_eq!(account.latest()["status"], "SUCCESSFUL");
        account.update(json!({"deploymentConfiguration": configuration}));
        account.register("shop/web:v2", json!([]));
        (account, rules)
    }

    fn headless(configuration: Json) -> Account {
        let mut account = Account::empty(29);
        account.ok("ecs", "CreateCluster", json!({"clusterName": "prod"}));
        account.register("shop/web:v1", json!([]));
        account.ok(
            "ecs",
            "CreateService",
            json!({
                "cluster": "prod", "serviceName": "web", "taskDefinition": "web", "desiredCount": 1,
                "launchType": "FARGATE", "deploymentConfiguration": configuration,
                "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
            }),
        );
        account.until_over();
        assert_eq!(account.latest()["status"], "SUCCESSFUL");
        account.register("shop/web:v2", json!([]));
        account
    }

    /// The share of green in a rule, in percent.
    fn green_share(&mut self, rule: &str) -> i64 {
        let answer = self.ok(
            "elasticloadbalancing",
            "DescribeRules",
            json!({"RuleArns": [rule]}),
        );
        let groups = answer["Rules"][0]["Actions"][0]["ForwardConfig"]["TargetGroups"].clone();
        let weight = |arn: &str| {
            let list = groups.as_array().cloned().unwrap_or_default();
            list.iter()
                .find(|one| one["TargetGroupArn"] == arn)
                .and_then(|one| one["Weight"].as_i64())
                .unwrap_or_default()
        };
        let (blue, green) = (weight(&self.blue.clone()), weight(&self.green.clone()));
        green * 100 / (blue + green).max(1)
    }

    /// The stages that the newest deployment goes through until it is over, each once in a row.
    fn stages(&mut self) -> Vec<String> {
        let mut seen: Vec<String> = Vec::new();
        self.until("it is over", 48 * 60 * MINUTE, |account| {
            let one = account.latest();
            let stage = text(&one["lifecycleStage"]);
            if !stage.is_empty() && seen.last() != Some(&stage) {
                seen.push(stage);
            }
            is_over(one["status"].as_str().unwrap_or_default())
        });
        seen
    }

    fn until_stage(&mut self, stage: &str) {
        self.until(stage, 60 * MINUTE, |account| {
            account.latest()["lifecycleStage"] == stage
        });
    }

    /// The hook that waits for somebody.
    fn waiting_hook(&mut self) -> Json {
        self.until("a hook waits", 120 * MINUTE, |account| {
            account.open_hook().is_some()
        });
        self.open_hook().unwrap_or_default()
    }

    fn open_hook(&mut self) -> Option<Json> {
        let hooks = self.latest()["lifecycleHookDetails"].clone();
        let hooks = hooks.as_array().cloned().unwrap_or_default();
        hooks
            .into_iter()
            .find(|hook| hook["status"] == "AWAITING_ACTION")
    }

    fn go_on(&mut self, hook: &Json, action: &str) {
        let arn = self.latest()["serviceDeploymentArn"].clone();
        let input =
            json!({"serviceDeploymentArn": arn, "hookId": hook["hookId"], "action": action});
        let answer = self.ok("ecs", "ContinueServiceDeployment", input);
        assert_eq!(answer["serviceDeploymentArn"], arn);
    }
}

fn blue_green() -> Json {
    json!({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 5})
}

fn with_hooks(configuration: Json, hooks: Json) -> Json {
    let mut configuration = configuration;
    configuration["lifecycleHooks"] = hooks;
    configuration
}

fn function(name: &str, stages: Json) -> Json {
    json!({
        "hookTargetArn": format!("arn:aws:lambda:eu-central-1:123456789012:function:{name}"),
        "roleArn": "arn:aws:iam::123456789012:role/hooks", "lifecycleStages": stages,
    })
}

const FORWARD: [&str; 9] = [
    "PRE_SCALE_UP",
    "SCALE_UP",
    "POST_SCALE_UP",
    "TEST_TRAFFIC_SHIFT",
    "POST_TEST_TRAFFIC_SHIFT",
    "PRODUCTION_TRAFFIC_SHIFT",
    "POST_PRODUCTION_TRAFFIC_SHIFT",
    "BAKE_TIME",
    "CLEAN_UP",
];

#[test]
fn blue_green_goes_through_every_stage_and_swaps_the_target_groups() {
    let (mut account, rules) = Account::native(blue_green());
    for (revision, green_before, green_after) in [(2, 0, 100), (1, 100, 0)] {
        assert_eq!(account.green_share(&rules.production), green_before);
        account.update(json!({"taskDefinition": format!("web:{revision}")}));
        account.until_stage("POST_TEST_TRAFFIC_SHIFT");
        assert_eq!(account.green_share(&rules.test), green_after);
        assert_eq!(account.green_share(&rules.production), green_before);
        let one = account.latest();
        assert_eq!(
            one["targetServiceRevision"]["requestedTestTrafficWeight"],
            100.0
        );
        assert_eq!(
            one["targetServiceRevision"]["requestedProductionTrafficWeight"],
            0.0
        );
        account.until_stage("BAKE_TIME");
        assert_eq!(account.green_share(&rules.production), green_after);
        let one = account.latest();
        assert_eq!(one["status"], "IN_PROGRESS");
        assert_eq!(
            one["targetServiceRevision"]["requestedProductionTrafficWeight"],
            100.0
        );
        assert_eq!(
            one["sourceServiceRevisions"][0]["requestedProductionTrafficWeight"],
            0.0
        );
        assert_eq!(one["sourceServiceRevisions"][0]["runningTaskCount"], 2);
        let baked = account.until("the bake is over", 10 * MINUTE, |account| {
            account.latest()["lifecycleStage"] == "CLEAN_UP"
        });
        assert!((4 * MINUTE..6 * MINUTE).contains(&baked), "{baked}");
        account.until_over();
        let service = account.service();
        assert_eq!(service["deployments"].as_array().map(Vec::len), Some(1));
        assert_eq!(service["runningCount"], 2);
    }
    account.update(json!({"taskDefinition": "web:2"}));
    assert_eq!(account.stages(), FORWARD);
    let arn = account.latest()["targetServiceRevision"]["arn"].clone();
    let answer = account.ok(
        "ecs",
        "DescribeServiceRevisions",
        json!({"serviceRevisionArns": [arn]}),
    );
    let resolved = &answer["serviceRevisions"][0]["resolvedConfiguration"]["loadBalancers"][0];
    assert_eq!(resolved["targetGroupArn"], account.green);
    assert_eq!(resolved["productionListenerRule"], rules.production);
}

#[test]
fn linear_and_canary_move_step_by_step() {
    for (configuration, expected) in [
        (
            json!({"strategy": "LINEAR", "bakeTimeInMinutes": 1,
                   "linearConfiguration": {"stepPercent": 30.0, "stepBakeTimeInMinutes": 2}}),
            vec![0, 30, 60, 90, 100],
        ),
        (
            json!({"strategy": "CANARY", "bakeTimeInMinutes": 1,
                   "canaryConfiguration": {"canaryPercent": 5.0, "canaryBakeTimeInMinutes": 10}}),
            vec![0, 5, 100],
        ),
    ] {
        let (mut account, rules) = Account::native(configuration);
        account.update(json!({"taskDefinition": "web:2"}));
        let mut shares = Vec::new();
        let mut since = account.world.now_ms();
        account.until("it is over", 120 * MINUTE, |account| {
            let share = account.green_share(&rules.production);
            if shares.last().map(|(share, _)| *share) != Some(share) {
                let now = account.world.now_ms();
                shares.push((share, now - since));
                since = now;
            }
            is_over(account.latest()["status"].as_str().unwrap_or_default())
        });
        let seen: Vec<i64> = shares.iter().map(|(share, _)| *share).collect();
        assert_eq!(seen, expected);
        let wait = if expected.len() == 3 { 10 } else { 2 } * MINUTE;
        for (share, took) in &shares[2..] {
            assert!(
                (wait..wait + 20 * SECOND).contains(took),
                "{share} after {took}"
            );
        }
        assert_eq!(account.latest()["status"], "SUCCESSFUL");
    }
}

#[test]
fn a_pause_waits_for_a_decision() {
    let pause = json!([{"targetType": "PAUSE", "lifecycleStages": ["POST_TEST_TRAFFIC_SHIFT"],
                        "timeoutConfiguration": {"timeoutInMinutes": 60, "action": "ROLLBACK"}}]);
    for (action, ends) in [
        ("CONTINUE", "SUCCESSFUL"),
        ("ROLLBACK", "ROLLBACK_SUCCESSFUL"),
        ("", "ROLLBACK_SUCCESSFUL"),
    ] {
        let (mut account, rules) = Account::native(with_hooks(blue_green(), pause.clone()));
        account.update(json!({"taskDefinition": "web:2"}));
        let hook = account.waiting_hook();
        let now = account.world.now_ms();
        let id = text(&hook["hookId"]);
        assert!(id.starts_with("ecs-pause-") && id.len() == 10 + 43, "{id}");
        assert_eq!(hook["targetType"], "PAUSE");
        assert_eq!(hook["timeoutAction"], "ROLLBACK");
        let left = hook["expiresAt"].as_i64().expect("a time") - now;
        assert!((59 * MINUTE..=60 * MINUTE).contains(&left), "{left}");
        assert_eq!(
            account.latest()["lifecycleStage"],
            "POST_TEST_TRAFFIC_SHIFT"
        );
        account.pass(30 * MINUTE);
        assert_eq!(account.latest()["status"], "IN_PROGRESS");
        let arn = account.latest()["serviceDeploymentArn"].clone();
        let other = format!("ecs-pause-{}", "x".repeat(43));
        for (id, words) in [
            ("nonsense", "must follow the format"),
            (other.as_str(), "either completed"),
        ] {
            let input = json!({"serviceDeploymentArn": arn, "hookId": id});
            let error = account.refused("ecs", "ContinueServiceDeployment", input);
            assert!(error.message.contains(words), "{error}");
        }
        if action.is_empty() {
            account.pass(31 * MINUTE);
            assert_eq!(
                account.latest()["statusReason"],
                "Service deployment rolled back because POST_TEST_TRAFFIC_SHIFT pause hook timed out."
            );
        } else {
            account.go_on(&hook, action);
        }
        account.until_over();
        assert_eq!(account.latest()["status"], ends, "{action}");
        let share = if ends == "SUCCESSFUL" { 100 } else { 0 };
        assert_eq!(account.green_share(&rules.production), share);
        assert_eq!(account.green_share(&rules.test), share);
        let input = json!({"serviceDeploymentArn": arn, "hookId": id});
        let error = account.refused("ecs", "ContinueServiceDeployment", input);
        assert!(error.message.contains("terminal states"), "{error}");
    }
}

#[test]
fn a_native_deployment_and_its_hooks_are_told_once() {
    let pause = json!([{"targetType": "PAUSE", "lifecycleStages": ["POST_SCALE_UP"]}]);
    for (action, expected) in [
        (
            "CONTINUE",
            vec![
                "SERVICE_DEPLOYMENT_IN_PROGRESS",
                "HOOK_AWAITING_ACTION",
                "HOOK_SUCCEEDED",
                "SERVICE_DEPLOYMENT_COMPLETED",
            ],
        ),
        (
            "ROLLBACK",
            vec![
                "SERVICE_DEPLOYMENT_IN_PROGRESS",
                "HOOK_AWAITING_ACTION",
                "HOOK_FAILED",
                // That before it, which is PRIMARY again, and the failed one, in one moment.
                "SERVICE_DEPLOYMENT_IN_PROGRESS",
                "SERVICE_DEPLOYMENT_FAILED",
                "SERVICE_DEPLOYMENT_COMPLETED",
            ],
        ),
    ] {
        let (mut account, _) = Account::native(with_hooks(blue_green(), pause.clone()));
        let kinds = ["ECS Deployment State Change", "ECS Hook State Change"];
        let queue = account.listen(&json!({"source": ["aws.ecs"], "detail-type": kinds}));
        account.update(json!({"taskDefinition": "web:2"}));
        let hook = account.waiting_hook();
        account.go_on(&hook, action);
        account.until_over();
        account.pass(MINUTE);
        let told = account.told(&queue);
        let names: Vec<String> = told
            .iter()
            .map(|event| text(&event["detail"]["eventName"]))
            .collect();
        assert_eq!(names, expected, "{action}");
        let first = &told[0];
        assert_eq!(first["resources"][0], account.service()["serviceArn"]);
        assert_eq!(told[1]["detail"]["hookId"], hook["hookId"]);
    }
}

#[test]
fn a_pause_that_may_go_on_by_itself_does_so_at_its_time_out() {
    let pause = json!([{"targetType": "PAUSE", "lifecycleStages": ["PRE_SCALE_UP"],
                        "timeoutConfiguration": {"timeoutInMinutes": 2880, "action": "CONTINUE"}}]);
    let (mut account, _) = Account::native(with_hooks(blue_green(), pause));
    account.update(json!({"taskDefinition": "web:2"}));
    account.waiting_hook();
    account.pass(47 * 60 * MINUTE);
    // Longer than a stage may last: a pause has its own fuse.
    assert_eq!(account.latest()["status"], "IN_PROGRESS");
    assert_eq!(account.service()["deployments"][0]["pendingCount"], 0);
    account.pass(61 * MINUTE);
    account.until_over();
    assert_eq!(account.latest()["status"], "SUCCESSFUL");
}

#[test]
fn every_step_of_a_linear_shift_has_a_fresh_pause() {
    let configuration = json!({"strategy": "LINEAR", "bakeTimeInMinutes": 0,
        "linearConfiguration": {"stepPercent": 50.0, "stepBakeTimeInMinutes": 1},
        "lifecycleHooks": [{"targetType": "PAUSE", "lifecycleStages": ["PRE_PRODUCTION_TRAFFIC_SHIFT"]}]});
    let (mut account, rules) = Account::native(configuration);
    account.update(json!({"taskDefinition": "web:2"}));
    let first = account.waiting_hook();
    assert_eq!(account.green_share(&rules.production), 0);
    account.go_on(&first, "CONTINUE");
    let second = account.waiting_hook();
    assert_ne!(first["hookId"], second["hookId"]);
    assert_eq!(account.green_share(&rules.production), 50);
    account.go_on(&second, "ROLLBACK");
    account.until_over();
    assert_eq!(account.latest()["status"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(account.green_share(&rules.production), 0);
    assert!(text(&account.service()["taskDefinition"]).ends_with("web:1"));
}

#[test]
fn functions_decide_by_what_they_return() {
    for (name, ends, words) in [
        ("sim-succeed", "SUCCESSFUL", ""),
        ("sim-succeed-after-90", "SUCCESSFUL", ""),
        (
            "sim-fail",
            "ROLLBACK_SUCCESSFUL",
            "function:sim-fail returned FAILED status.",
        ),
        (
            "sim-silent",
            "ROLLBACK_SUCCESSFUL",
            "HookStatus must not be null",
        ),
        (
            "nobody",
            "ROLLBACK_SUCCESSFUL",
            "ECS was unable to invoke hook target",
        ),
    ] {
        let hooks = json!([function(name, json!(["POST_SCALE_UP"]))]);
        let (mut account, _) = Account::native(with_hooks(blue_green(), hooks));
        account.update(json!({"taskDefinition": "web:2"}));
        account.until_over();
        let one = account.latest();
        assert_eq!(one["status"], ends, "{name}: {one}");
        let reason = text(&one["statusReason"]);
        assert!(reason.contains(words), "{name}: {reason}");
        if !words.is_empty() {
            assert!(
                reason.starts_with(
                    "Service deployment rolled back because POST_SCALE_UP lifecycle hook(s) failed."
                ),
                "{reason}"
            );
        }
    }
}

#[test]
fn a_relayed_function_is_asked_again_until_it_knows() {
    let mut hook = function("switchback-relay", json!(["POST_TEST_TRAFFIC_SHIFT"]));
    hook["hookDetails"] = json!({"team": "web"});
    let (mut account, _) = Account::native(with_hooks(blue_green(), json!([hook])));
    account.update(json!({"taskDefinition": "web:2"}));
    let asked = |account: &Account| {
        let mut payloads = Vec::new();
        for effect in &account.effects {
            if let Effect::InvokeLifecycleHook {
                service_deployment,
                execution_id,
                payload,
                ..
            } = effect
            {
                let payload: Json = serde_json::from_str(payload).expect("JSON");
                payloads.push((service_deployment.clone(), execution_id.clone(), payload));
            }
        }
        payloads
    };
    account.until("it is asked", 20 * MINUTE, |account| {
        asked(account).len() == 1
    });
    let (arn, execution, payload) = asked(&account).remove(0);
    assert_eq!(payload["executionId"], execution);
    assert_eq!(payload["lifecycleStage"], "POST_TEST_TRAFFIC_SHIFT");
    assert_eq!(payload["resourceArn"], arn);
    assert_eq!(payload["hookDetails"], json!({"team": "web"}));
    let details = &payload["executionDetails"];
    let target = text(&details["targetServiceRevisionArn"]);
    assert_eq!(details["testTrafficWeights"][&target], 100);
    assert_eq!(details["productionTrafficWeights"][&target], 0);
    let wait = r#"{"hookStatus":"IN_PROGRESS","callBackDelay":120}"#;
    account
        .world
        .lifecycle_hook_answered(&arn, &execution, Ok(wait));
    let again = account.until("it is asked again", 5 * MINUTE, |account| {
        asked(account).len() == 2
    });
    assert!((119 * SECOND..=121 * SECOND).contains(&again), "{again}");
    let (_, execution, _) = asked(&account).remove(1);
    account
        .world
        .lifecycle_hook_answered(&arn, &execution, Ok(r#"{"hookStatus":"SUCCEEDED"}"#));
    account.until_over();
    assert_eq!(account.latest()["status"], "SUCCESSFUL");
}

#[test]
fn a_rollback_runs_the_hooks_of_both_shifts_again_and_fails_with_them() {
    for (during, ends) in [
        ("sim-succeed", "ROLLBACK_SUCCESSFUL"),
        ("sim-fail", "ROLLBACK_FAILED"),
    ] {
        let hooks = json!([function("gate", json!(["PRODUCTION_TRAFFIC_SHIFT"]))]);
        let (mut account, rules) = Account::native(with_hooks(blue_green(), hooks));
        assert!(account.world.set_hook_behaviour("gate", "succeed"));
        account.update(json!({"taskDefinition": "web:2"}));
        account.until_stage("BAKE_TIME");
        assert_eq!(account.green_share(&rules.production), 100);
        assert!(
            account
                .world
                .set_hook_behaviour("gate", during.trim_start_matches("sim-"))
        );
        let arn = account.latest()["serviceDeploymentArn"].clone();
        account.ok(
            "ecs",
            "StopServiceDeployment",
            json!({"serviceDeploymentArn": arn}),
        );
        let stages = account.stages();
        assert!(
            stages.contains(&"PRODUCTION_TRAFFIC_SHIFT".to_string()),
            "{stages:?}"
        );
        let one = account.latest();
        assert_eq!(one["status"], ends, "{one}");
        assert_eq!(account.green_share(&rules.production), 0);
    }
}

#[test]
fn a_first_deployment_that_fails_has_nothing_to_go_back_to() {
    let mut account = Account::empty(31);
    account.network();
    let rules = account.rules();
    account.ok("ecs", "CreateCluster", json!({"clusterName": "prod"}));
    account.register(
        "shop/web:v1",
        json!([{"name": "SIM_CRASH_ON_START", "value": "1"}]),
    );
    let mut configuration = blue_green();
    configuration["deploymentCircuitBreaker"] = json!({"enable": true, "rollback": true});
    let balancers = account.balancers(&rules);
    account.ok(
        "ecs",
        "CreateService",
        json!({
            "cluster": "prod", "serviceName": "web", "taskDefinition": "web", "desiredCount": 2,
            "launchType": "FARGATE", "deploymentConfiguration": configuration, "loadBalancers": balancers,
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
        }),
    );
    account.until_over();
    let one = account.latest();
    assert_eq!(one["status"], "ROLLBACK_FAILED");
    assert_eq!(
        one["statusReason"],
        "No rollback candidate was found to run the rollback."
    );
    assert_eq!(one["deploymentCircuitBreaker"]["status"], "TRIGGERED");
}

#[test]
fn the_circuit_breaker_and_alarms_roll_a_native_deployment_back() {
    let mut configuration = blue_green();
    configuration["deploymentCircuitBreaker"] = json!({"enable": true, "rollback": true});
    let (mut account, rules) = Account::native(configuration);
    account.register(
        "shop/web:v3",
        json!([{"name": "SIM_CRASH_ON_START", "value": "1"}]),
    );
    account.update(json!({"taskDefinition": "web:3"}));
    account.until_over();
    let one = account.latest();
    assert_eq!(one["status"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(
        one["statusReason"],
        "Service deployment rolled back because the circuit breaker threshold was exceeded."
    );
    account.ok(
        "monitoring",
        "PutMetricAlarm",
        json!({"AlarmName": "mine", "Namespace": "own", "MetricName": "m", "Statistic": "Sum", "Period": 60,
               "EvaluationPeriods": 1, "Threshold": 1.0, "ComparisonOperator": "GreaterThanThreshold",
               "TreatMissingData": "ignore"}),
    );
    account.update(json!({"taskDefinition": "web:2",
        "deploymentConfiguration": {"alarms": {"alarmNames": ["mine"], "enable": true, "rollback": true}}}));
    account.until_stage("BAKE_TIME");
    account.ok(
        "monitoring",
        "SetAlarmState",
        json!({"AlarmName": "mine", "StateValue": "ALARM", "StateReason": "because I say so"}),
    );
    account.until_over();
    let one = account.latest();
    assert_eq!(one["status"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(one["alarms"]["triggeredAlarmNames"], json!(["mine"]));
    assert_eq!(account.green_share(&rules.production), 0);
}

#[test]
fn a_newer_native_deployment_reconciles_first() {
    let (mut account, rules) =
        Account::native(json!({"strategy": "CANARY", "bakeTimeInMinutes": 1,
               "canaryConfiguration": {"canaryPercent": 10.0, "canaryBakeTimeInMinutes": 60}}));
    account.register("shop/web:v3", json!([]));
    account.update(json!({"taskDefinition": "web:2"}));
    account.until("the canary has traffic", 20 * MINUTE, |account| {
        account.green_share(&rules.production) == 10
    });
    account.update(json!({"taskDefinition": "web:3"}));
    account.pass(5 * SECOND);
    let history = account.history();
    assert_eq!(history[1]["status"], "STOPPED");
    assert_eq!(account.latest()["lifecycleStage"], "RECONCILE_SERVICE");
    assert_eq!(account.green_share(&rules.production), 0);
    let stages = account.stages();
    assert_eq!(stages[0], "RECONCILE_SERVICE");
    assert_eq!(&stages[1..], FORWARD);
    assert_eq!(account.latest()["status"], "SUCCESSFUL");
    assert!(text(&account.service()["taskDefinition"]).ends_with("web:3"));
    assert_eq!(account.service()["runningCount"], 2);
}

#[test]
fn a_wrong_network_is_refused_at_once_or_rolls_back() {
    let (mut account, rules) = Account::native(blue_green());
    let own = account.balancers(&rules);
    let with = |member: &str, value: Json| {
        let mut balancers = own.clone();
        balancers[0]["advancedConfiguration"][member] = value;
        json!({"loadBalancers": balancers})
    };
    let mut bare = own.clone();
    bare[0]["advancedConfiguration"] = Json::Null;
    for (members, words) in [
        (
            with("productionListenerRule", json!(account.production)),
            "Must be RuleArn for ALB",
        ),
        (
            with("testListenerRule", json!(rules.production)),
            "cannot be used as both production and test",
        ),
        (
            with("alternateTargetGroupArn", json!(account.blue)),
            "Duplicate targetGroupArn found",
        ),
        (with("roleArn", Json::Null), "roleArn"),
        (
            json!({"loadBalancers": bare}),
            "required for all loadBalancers",
        ),
    ] {
        let input = Account::update_input(members);
        let error = account.refused("ecs", "UpdateService", input);
        assert!(error.message.contains(words), "{words}: {error}");
    }
    let groups = json!([{"TargetGroupArn": account.blue, "Weight": "1"}, {"TargetGroupArn": account.green, "Weight": "1"}]);
    let input = json!({"RuleArn": rules.production,
        "Actions": [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]});
    account.ok("elasticloadbalancing", "ModifyRule", input);
    account.update(json!({"taskDefinition": "web:2"}));
    account.until_over();
    let one = account.latest();
    assert_eq!(one["status"], "ROLLBACK_SUCCESSFUL");
    let reason = text(&one["statusReason"]);
    assert!(
        reason.ends_with("but found 2 target groups which are serving traffic"),
        "{reason}"
    );
}

#[test]
fn a_service_without_a_load_balancer_may_use_every_strategy() {
    for configuration in [
        blue_green(),
        json!({"strategy": "LINEAR", "bakeTimeInMinutes": 0,
               "linearConfiguration": {"stepPercent": 50.0, "stepBakeTimeInMinutes": 1}}),
        json!({"strategy": "CANARY", "bakeTimeInMinutes": 0}),
    ] {
        let mut account = Account::headless(configuration);
        account.update(json!({"taskDefinition": "web:2"}));
        assert_eq!(account.stages(), FORWARD);
        assert_eq!(account.latest()["status"], "SUCCESSFUL");
        assert_eq!(account.service()["runningCount"], 1);
    }
}

#[test]
fn a_rolling_service_may_turn_blue_green_and_back() {
    let mut account = Account::ecs(2, json!({}));
    let rules = account.rules();
    let balancers = account.balancers(&rules);
    account.register("shop/web:v2", json!([]));
    account.update(json!({"taskDefinition": "web:2", "deploymentConfiguration": blue_green(), "loadBalancers": balancers}));
    assert_eq!(account.stages(), FORWARD);
    assert_eq!(account.green_share(&rules.production), 100);
    account.update(
        json!({"taskDefinition": "web:1", "deploymentConfiguration": {"strategy": "ROLLING"}}),
    );
    account.until_over();
    assert_eq!(account.latest()["status"], "SUCCESSFUL");
    // Traffic is where blue/green left it, and so are the new tasks.
    assert_eq!(account.green_share(&rules.production), 100);
    let health = json!({"TargetGroupArn": account.green});
    let health = account.ok("elasticloadbalancing", "DescribeTargetHealth", health);
    let healthy = health["TargetHealthDescriptions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let healthy = healthy
        .iter()
        .filter(|one| one["TargetHealth"]["State"] == "healthy");
    assert_eq!(healthy.count(), 2);
}

#[test]
fn a_service_of_codedeploy_becomes_one_of_ecs_in_place() {
    let mut account = Account::new(super::Setup::default());
    account.register("shop/web:v2", json!([]));
    let rules = account.rules();
    let balancers = account.balancers(&rules);
    let service = account.update(json!({
        "deploymentController": {"type": "ECS"}, "taskDefinition": "web:2",
        "deploymentConfiguration": blue_green(), "loadBalancers": balancers,
    }));
    assert_eq!(service["deploymentController"]["type"], "ECS");
    let old = account.latest()["sourceServiceRevisions"][0]["arn"].clone();
    let answer = account.ok(
        "ecs",
        "DescribeServiceRevisions",
        json!({"serviceRevisionArns": [old]}),
    );
    assert!(text(&answer["serviceRevisions"][0]["taskDefinition"]).ends_with("web:1"));
    assert_eq!(account.stages(), FORWARD);
    assert_eq!(account.latest()["status"], "SUCCESSFUL");
    assert_eq!(account.green_share(&rules.production), 100);
    assert_eq!(account.service()["runningCount"], 2);
    let input = Account::deployment_input("web:1", "CodeDeployDefault.ECSAllAtOnce", &[]);
    let error = account.refused("codedeploy", "CreateDeployment", input);
    assert_eq!(error.code, "InvalidECSServiceException");
    let back = Account::update_input(json!({"deploymentController": {"type": "CODE_DEPLOY"}}));
    assert_eq!(
        account.refused("ecs", "UpdateService", back).code,
        "InvalidParameterException"
    );
}
