//! Whatever callers do with a service of the ECS controller, and however time passes, some things always hold.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::ecs_rolling::is_over;
use super::{Account, MINUTE, SECOND, text};

#[derive(Clone, Debug)]
enum Step {
    Deploy { revision: usize, force: bool },
    Scale { desired: i64 },
    Configure { which: usize },
    Stop,
    Pass { seconds: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_usize..4, any::<bool>()).prop_map(|(revision, force)| Step::Deploy { revision, force }),
        1 => (0_i64..6).prop_map(|desired| Step::Scale { desired }),
        1 => (0_usize..4).prop_map(|which| Step::Configure { which }),
        2 => Just(Step::Stop),
        6 => (1_i64..900).prop_map(|seconds| Step::Pass { seconds }),
    ]
}

fn configurations() -> [Json; 4] {
    [
        json!({"minimumHealthyPercent": 100, "maximumPercent": 200,
               "deploymentCircuitBreaker": {"enable": true, "rollback": true}}),
        json!({"minimumHealthyPercent": 0, "maximumPercent": 100,
               "deploymentCircuitBreaker": {"enable": true, "rollback": false}}),
        json!({"minimumHealthyPercent": 50, "maximumPercent": 150, "bakeTimeInMinutes": 3,
               "deploymentCircuitBreaker": {"enable": true, "rollback": true,
                   "thresholdConfiguration": {"type": "COUNT", "value": 2}}}),
        json!({"minimumHealthyPercent": 50, "maximumPercent": 100, "bakeTimeInMinutes": 0,
               "earlySuccessCriteria": {"enable": true, "healthyPercent": 50,
                                        "sourceServiceRevisionCleanup": "DEFERRED"}}),
    ]
}

/// Looks at everything that can be read of the service, and remembers what is over.
fn check(account: &mut Account, ended: &mut Vec<(String, Json)>) -> Result<(), TestCaseError> {
    let service = account.service();
    let deployments = service["deployments"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let primaries: Vec<&Json> = deployments
        .iter()
        .filter(|one| one["status"] == "PRIMARY")
        .collect();
    prop_assert_eq!(primaries.len(), 1, "{}", service);
    prop_assert_eq!(&primaries[0]["taskDefinition"], &service["taskDefinition"]);
    let (mut running, mut active) = (0, 0);
    for one in &deployments {
        running += one["runningCount"].as_i64().expect("a number");
        active += i32::from(one["rolloutState"] == "IN_PROGRESS" && one["status"] == "PRIMARY");
    }
    // Tasks of a deployment that is gone still drain, so the service may count more than its deployments.
    prop_assert!(running <= service["runningCount"].as_i64().expect("a number"));
    let mut going_on = 0;
    for brief in account.history() {
        let arn = text(&brief["serviceDeploymentArn"]);
        let one = account.service_deployment(&arn);
        let status = text(&one["status"]);
        let over = is_over(&status);
        prop_assert_eq!(over, one["finishedAt"].is_i64(), "{}", one);
        prop_assert_eq!(
            status.starts_with("ROLLBACK_SUCC") || status == "ROLLBACK_IN_PROGRESS",
            one["rollback"].is_object()
                && status != "ROLLBACK_FAILED"
                && status != "STOPPED"
                && status != "STOP_REQUESTED",
            "{}",
            one
        );
        prop_assert_eq!(status == "STOPPED", one["stoppedAt"].is_i64(), "{}", one);
        going_on += i32::from(!over && status != "STOP_REQUESTED");
        match ended.iter().find(|(known, _)| *known == arn) {
            Some((_, before)) => prop_assert_eq!(before, &one),
            None if over => ended.push((arn, one)),
            None => {}
        }
    }
    prop_assert!(going_on <= 1, "{} go on", going_on);
    prop_assert!(active <= going_on + i32::from(primaries[0]["rolloutState"] == "IN_PROGRESS"));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_every_service_deployment_ends(
        first in 0_usize..4,
        steps in prop::collection::vec(step(), 1..16),
    ) {
        let mut account = Account::ecs(2, configurations()[first].clone());
        account.register("shop/web:v2", json!([{"name": "SIM_CRASH_ON_START", "value": "1"}]));
        account.register("shop/web:v3", json!([]));
        let mut ended = Vec::new();
        for step in steps {
            match step {
                Step::Deploy { revision, force } => {
                    let input = Account::update_input(json!({
                        "taskDefinition": format!("web:{revision}"), "forceNewDeployment": force,
                    }));
                    if let Err(error) = account.call("ecs", "UpdateService", input) {
                        prop_assert!(error.message.contains("active deployments exist"), "{}", error);
                    }
                }
                Step::Scale { desired } => {
                    account.update(json!({"desiredCount": desired}));
                }
                Step::Configure { which } => {
                    let mut configuration = configurations()[which].clone();
                    if configuration.get("earlySuccessCriteria").is_none() {
                        configuration["earlySuccessCriteria"] = json!({"enable": false});
                    }
                    account.update(json!({"deploymentConfiguration": configuration}));
                }
                Step::Stop => {
                    let arn = text(&account.history()[0]["serviceDeploymentArn"]);
                    let was = text(&account.service_deployment(&arn)["status"]);
                    let stopped = account.call("ecs", "StopServiceDeployment", json!({"serviceDeploymentArn": arn}));
                    prop_assert_eq!(stopped.is_ok(), was == "PENDING" || was == "IN_PROGRESS", "{}", was);
                }
                Step::Pass { seconds } => account.pass(seconds * SECOND),
            }
            check(&mut account, &mut ended)?;
        }
        // A revision that can start ends whatever is left, and serves alone.
        account.update(json!({"desiredCount": 2}));
        account.pass(30 * MINUTE);
        let input = Account::update_input(json!({"taskDefinition": "web:3", "forceNewDeployment": true}));
        account.ok("ecs", "UpdateService", input);
        account.until_over();
        check(&mut account, &mut ended)?;
        prop_assert_eq!(&account.latest()["status"], "SUCCESSFUL");
        account.pass(20 * MINUTE);
        let service = account.service();
        prop_assert_eq!(service["deployments"].as_array().map(Vec::len), Some(1));
        prop_assert_eq!(&service["runningCount"], 2);
    }
}
