//! What must hold whatever is called and however time passes.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Deploy {
        definition: usize,
        config: usize,
        hook: usize,
    },
    Stop {
        rolls_back: Option<bool>,
    },
    Continue {
        wait: usize,
    },
    Report {
        succeeds: bool,
    },
    Scale {
        desired: i64,
    },
    Deregister {
        definition: usize,
    },
    ForceAlarm {
        firing: bool,
    },
    Weights {
        blue: i64,
        green: i64,
    },
    Pass {
        seconds: i64,
    },
    /// The application or the group gets another name.
    Rename,
    /// The ready-wait and the termination wait of the group change.
    Waits {
        stops: bool,
        keeps: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..5_usize, 0..3_usize, 0..7_usize)
            .prop_map(|(definition, config, hook)| Step::Deploy { definition, config, hook }),
        1 => proptest::option::of(any::<bool>()).prop_map(|rolls_back| Step::Stop { rolls_back }),
        2 => (0..2_usize).prop_map(|wait| Step::Continue { wait }),
        2 => any::<bool>().prop_map(|succeeds| Step::Report { succeeds }),
        1 => (0..4_i64).prop_map(|desired| Step::Scale { desired }),
        1 => (1..6_usize).prop_map(|definition| Step::Deregister { definition }),
        1 => any::<bool>().prop_map(|firing| Step::ForceAlarm { firing }),
        1 => (0..1000_i64, 0..1000_i64).prop_map(|(blue, green)| Step::Weights { blue, green }),
        1 => Just(Step::Rename),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(stops, keeps)| Step::Waits { stops, keeps }),
        8 => (1..600_i64).prop_map(|seconds| Step::Pass { seconds }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn invariants(seed in any::<u64>(), waits in any::<bool>(), steps in prop::collection::vec(step(), 1..40)) {
        let mut blue_green = Setup::default().blue_green;
        if waits {
            blue_green["deploymentReadyOption"] =
                json!({"actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": 10});
        }
        let mut account = Account::new(Setup {
            seed,
            blue_green,
            alarms: vec!["alarm"],
            rollback: vec!["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"],
            ..Setup::default()
        });
        let green = account.green.clone();
        account.alarm("alarm", &green, 10.0);
        for environment in [
            json!([]),
            json!([{"name": "SIM_ERROR_RATE", "value": "0.2"}]),
            json!([{"name": "SIM_CRASH_ON_START", "value": "1"}]),
            json!([{"name": "SIM_UNHEALTHY", "value": "1"}]),
        ] {
            account.register("shop/web:v2", environment);
        }
        assert!(account.world.set_hook_behaviour("lost", "never-starts"));
        let (mut application, mut renamed) = ("app".to_string(), 0);
        // What the production weights add up to as the caller last set them.
        let mut last_set = 1;
        let mut known: Vec<String> = Vec::new();
        let mut ended: Vec<(String, Json)> = Vec::new();
        for step in steps {
            let before = account.world.now_ms();
            let latest = known.last().cloned();
            match step {
                Step::Deploy { definition, config, hook } => {
                    let configs = ["ECSAllAtOnce", "ECSCanary10Percent5Minutes", "ECSLinear10PercentEvery1Minutes"];
                    let function =
                        ["sim-succeed", "sim-fail", "switchback-relay", "sim-silent", "", "lost", "sim-succeed-after-600"]
                            [hook];
                    let hooks: Vec<(&str, &str)> = [("AfterInstall", function), ("BeforeAllowTraffic", function)]
                        .into_iter().filter(|(_, name)| !name.is_empty()).collect();
                    let mut input = Account::deployment_input(
                        &format!("web:{}", definition + 1),
                        &format!("CodeDeployDefault.{}", configs[config]),
                        &hooks,
                    );
                    input["applicationName"] = json!(application);
                    match account.call("codedeploy", "CreateDeployment", input) {
                        Ok(answer) => known.push(text(&answer["deploymentId"])),
                        Err(error) => {
                            prop_assert_eq!(error.code.as_str(), "DeploymentLimitExceededException");
                        }
                    }
                }
                Step::Stop { rolls_back } => if let Some(id) = latest {
                    let terminal = ["Succeeded", "Failed"].contains(&account.status(&id).as_str());
                    let input = json!({"deploymentId": id, "autoRollbackEnabled": rolls_back});
                    let answer = account.call("codedeploy", "StopDeployment", input);
                    prop_assert!(!(terminal && answer.is_ok()));
                },
                Step::Continue { wait } => if let Some(id) = latest {
                    let wait = ["READY_WAIT", "TERMINATION_WAIT"][wait];
                    let ready = account.status(&id) == "Ready";
                    let input = json!({"deploymentId": id, "deploymentWaitType": wait});
                    let answer = account.call("codedeploy", "ContinueDeployment", input);
                    prop_assert!(wait != "READY_WAIT" || answer.is_ok() == ready);
                },
                Step::Report { succeeds } => if let Some((id, execution)) = account.invoked().last().cloned() {
                    let status = if succeeds { "Succeeded" } else { "Failed" };
                    let input = json!({"deploymentId": id, "lifecycleEventHookExecutionId": execution, "status": status});
                    let operation = "PutLifecycleEventHookExecutionStatus";
                    let first = account.call("codedeploy", operation, input.clone());
                    let second = account.refused("codedeploy", operation, input);
                    prop_assert_eq!(second.code.as_str(), "LifecycleEventAlreadyCompletedException");
                    prop_assert!(first.is_ok() || first.is_err_and(|error| error == second));
                },
                Step::Scale { desired } => {
                    account.ok("ecs", "UpdateService", json!({"cluster": "prod", "service": "web", "desiredCount": desired}));
                }
                Step::Deregister { definition } => {
                    let input = json!({"taskDefinition": format!("web:{}", definition.min(5))});
                    account.ok("ecs", "DeregisterTaskDefinition", input);
                }
                Step::ForceAlarm { firing } => {
                    let state = if firing { "ALARM" } else { "OK" };
                    let input = json!({"AlarmName": "alarm", "StateValue": state, "StateReason": "test"});
                    account.ok("monitoring", "SetAlarmState", input);
                }
                Step::Weights { blue, green } => {
                    let actions = json!([{"Type": "forward", "ForwardConfig": {"TargetGroups": [
                        {"TargetGroupArn": account.blue, "Weight": blue},
                        {"TargetGroupArn": account.green, "Weight": green}]}}]);
                    let input = json!({"ListenerArn": account.production, "DefaultActions": actions});
                    account.ok("elasticloadbalancing", "ModifyListener", input);
                    last_set = blue + green;
                }
                Step::Pass { seconds } => account.pass(seconds * SECOND),
                Step::Rename => {
                    renamed += 1;
                    let new = format!("app-{renamed}");
                    let input = json!({"applicationName": application, "newApplicationName": new});
                    account.ok("codedeploy", "UpdateApplication", input);
                    application = new;
                }
                Step::Waits { stops, keeps } => {
                    let ready = if stops {
                        json!({"actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": 20})
                    } else {
                        json!({"actionOnTimeout": "CONTINUE_DEPLOYMENT", "waitTimeInMinutes": 0})
                    };
                    let terminate = if keeps {
                        json!({"action": "KEEP_ALIVE"})
                    } else {
                        json!({"action": "TERMINATE", "terminationWaitTimeInMinutes": 30})
                    };
                    let input = json!({
                        "applicationName": application, "currentDeploymentGroupName": "group",
                        "blueGreenDeploymentConfiguration": {
                            "deploymentReadyOption": ready,
                            "terminateBlueInstancesOnDeploymentSuccess": terminate,
                        },
                    });
                    account.ok("codedeploy", "UpdateDeploymentGroup", input);
                }
            }
            prop_assert!(account.world.now_ms() >= before);

            // Weights add up to 100 once CodeDeploy has set them, and until then to what the caller set.
            let (blue, green) = account.production_weights();
            prop_assert!(blue + green == 100 || blue + green == last_set, "{}/{}", blue, green);

            // Exactly one PRIMARY task set.
            let sets = account.task_sets();
            prop_assert_eq!(sets.iter().filter(|(status, _)| status == "PRIMARY").count(), 1, "{:?}", sets);

            // At most one active deployment per group; rollbacks point at each other.
            let all = account.ok("codedeploy", "ListDeployments", json!({}));
            let mut active = 0;
            for id in all["deployments"].as_array().cloned().unwrap_or_default() {
                let id = text(&id);
                let info = account.deployment(&id);
                let status = text(&info["status"]);
                let terminal = ["Succeeded", "Failed", "Stopped"].contains(&status.as_str());
                active += i32::from(!terminal);
                prop_assert_eq!(terminal, info["completeTime"].is_i64());
                if let Some(rollback) = info["rollbackInfo"]["rollbackDeploymentId"].as_str() {
                    let other = account.deployment(rollback);
                    prop_assert_eq!(&other["rollbackInfo"]["rollbackTriggeringDeploymentId"], &json!(id));
                    prop_assert_eq!(&other["creator"], "codeDeployRollback");
                }
                if status == "Created" {
                    continue;
                }
                let target = account.target(&id);
                let events = target["lifecycleEvents"].as_array().cloned().unwrap_or_default();
                let running = events.iter().filter(|event| event["status"] == "InProgress").count();
                prop_assert!(running <= 1);
                prop_assert!(!terminal || running == 0);
                // What is over never changes, but for the name of its application.
                let mut seen = info.clone();
                seen["applicationName"].take();
                match ended.iter().find(|(known, _)| *known == id) {
                    Some((_, old)) => prop_assert_eq!(old, &json!([seen, target])),
                    None if terminal => ended.push((id, json!([seen, target]))),
                    None => {}
                }
            }
            prop_assert!(active <= 1, "{} active deployments", active);

            // No more tasks run than are wanted for both sides together.
            let service = account.service();
            let wanted: i64 = service["taskSets"].as_array().expect("sets").iter()
                .map(|set| set["computedDesiredCount"].as_i64().expect("a number")).sum();
            let running = service["runningCount"].as_i64().expect("a number");
            prop_assert!(running <= wanted, "{} of {}", running, wanted);

            // Every task belongs to a task set that is there.
            let sets: Vec<&str> = service["taskSets"].as_array().expect("sets").iter()
                .filter_map(|set| set["id"].as_str()).collect();
            let listed = account.ok("ecs", "ListTasks", json!({"cluster": "prod", "desiredStatus": "RUNNING"}));
            if listed["taskArns"].as_array().is_some_and(|arns| !arns.is_empty()) {
                let input = json!({"cluster": "prod", "tasks": listed["taskArns"]});
                for task in account.ok("ecs", "DescribeTasks", input)["tasks"].as_array().expect("tasks") {
                    let owner = task["startedBy"].as_str().unwrap_or_default();
                    prop_assert!(sets.contains(&owner), "{} of {:?}", task, sets);
                }
            }
        }

        // Left alone, every deployment ends: an hour for the task set, an hour for each silent hook, twenty
        // minutes to be ready, ten to shift, thirty to keep blue, and what a rollback takes.
        account.pass(5 * 60 * MINUTE);
        for id in &known {
            let info = account.deployment(id);
            let mut ids = vec![id.clone()];
            ids.extend(info["rollbackInfo"]["rollbackDeploymentId"].as_str().map(str::to_string));
            for id in ids {
                let status = account.status(&id);
                prop_assert!(["Succeeded", "Failed", "Stopped"].contains(&status.as_str()), "{} is {}", id, status);
                let target = account.target(&id);
                let open = target["lifecycleEvents"].as_array().expect("events").iter()
                    .filter(|event| ["Pending", "InProgress"].contains(&event["status"].as_str().unwrap_or_default()))
                    .count();
                prop_assert_eq!(open, 0, "{} of {}", target, info);
            }
        }
    }
}
