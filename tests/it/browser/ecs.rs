//! Every strategy of ECS as people meet it: stepped on, rejected, left to its fuse, tripped by the breaker and by an alarm.

use serde_json::Value;
use serde_json::json;

use crate::account::Json;
use crate::ecs_gates::blue_green;
use crate::ecs_gates::in_two_steps;
use crate::ecs_gates::pause;
use crate::ecs_gates::team;
use crate::ecs_services::EcsTeam;
use crate::ecs_services::balancers;
use crate::ecs_services::encoded;
use crate::ecs_services::rolling;
use crate::window::Screen;
use crate::world::World;

const CONTINUE: &str = "ContinueServiceDeployment";

/// The page of the deployment that goes to this revision.
async fn opens(world: &World, window: &crate::window::Window, aws_id: &str) -> Value {
    let deployment = world.recorded(aws_id).await;
    let id = deployment["id"].as_str().unwrap_or_default();
    window.goes_to(&format!("/deployments/{id}")).await;
    deployment
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_linear_deployment_is_stepped_on_in_the_browser_and_rejected_at_its_last_step() {
    let world = World::start().await;
    let hook = pause("PRE_PRODUCTION_TRAFFIC_SHIFT", 120, "ROLLBACK");
    let team = team(&world, "checkout", in_two_steps(hook)).await;
    let revision = team.registers("2", &[]).await;
    let aws_id = encoded(&team.updates(&revision).await);
    let first = world.holds(&aws_id).await;

    let window = world.signed_in_window().await;
    window.goes_to("/approvals").await;
    window.sees("checkout").await;
    window.presses("Review").await;
    window
        .sees("Let production traffic reach checkout:2?")
        .await;
    window.sees("as the hook is set up").await;
    window.sees("The next shift brings checkout:2 50 %").await;
    window.hinders_nobody().await;
    window.presses("Approve :2").await;
    window.sees("Confirmed by AWS").await;

    opens(&world, &window, &aws_id).await;
    window.sees("How traffic moves").await;
    let second = world.holds(&aws_id).await;
    assert_ne!(first["id"], second["id"]);
    window
        .sees("Let more production traffic reach checkout:2?")
        .await;
    window.hinders_nobody().await;
    window.looks_through(Screen::Phone).await;
    window.fits().await;
    window.looks_through(Screen::Desktop).await;
    window.types("reason", "p99 doubled").await;
    window.presses("Reject :2").await;
    world.confirmed(&second).await;
    let ended = world.ends(&aws_id).await;
    assert_eq!(ended["outcome"], "rolled_back", "{ended}");
    window.sees("Rolled back").await;
    window.finish(&[]).await;
    world.finish(&[CONTINUE, CONTINUE]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fuse_of_ecs_burns_down_before_an_open_browser() {
    let world = World::start().await;
    let hook = pause("POST_TEST_TRAFFIC_SHIFT", 30, "ROLLBACK");
    let team = team(&world, "cart", blue_green(hook)).await;
    let revision = team.registers("2", &[]).await;
    let aws_id = encoded(&team.updates(&revision).await);
    let gate = world.holds(&aws_id).await;
    let window = world.signed_in_window().await;
    let id = gate["id"].as_str().unwrap_or_default();
    window.goes_to(&format!("/gates/{id}")).await;
    window.sees("ECS itself rolls the deployment back").await;
    let ended = world.ends(&aws_id).await;
    assert_eq!(
        (&ended["outcome"], &ended["outcome_cause"]),
        (&json!("rolled_back"), &json!("timeout")),
        "{ended}"
    );
    window.sees("Expired").await;
    opens(&world, &window, &aws_id).await;
    window
        .sees("Nobody decided at POST_TEST_TRAFFIC_SHIFT in time")
        .await;
    window.hinders_nobody().await;
    window.finish(&[]).await;
    world.finish(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_deployment_shows_its_tasks_its_breaker_and_the_signals_of_both() {
    let world = World::start().await;
    let groups = balancers(&world.account, "orders").await;
    // Rolling uses one target group only.
    let group = json!([{
        "targetGroupArn": groups[0]["targetGroupArn"], "containerName": "app", "containerPort": 80,
    }]);
    let team = EcsTeam::build(&world.account, "orders", rolling(), group).await;
    team.is_found(&world).await;
    let bad = team.registers("2", &[("SIM_CRASH_ON_START", "1")]).await;
    let aws_id = encoded(&team.updates(&bad).await);
    let window = world.signed_in_window().await;
    opens(&world, &window, &aws_id).await;
    window.sees("new running").await;
    window.sees("Circuit breaker:").await;
    window.sees("new running").await;
    window.does_not_see("How traffic moves").await;
    window.hinders_nobody().await;
    let ended = world.ends(&aws_id).await;
    assert_eq!(
        (&ended["outcome"], &ended["outcome_cause"]),
        (&json!("rolled_back"), &json!("circuit_breaker")),
        "{ended}"
    );
    window.sees("The circuit breaker opened at").await;
    world
        .passing(
            "the signals of the one target group are kept",
            900,
            async || {
                let points = world
                    .api
                    .items(&format!("/deployments/{aws_id}/metrics"))
                    .await;
                let requests = points
                    .iter()
                    .filter(|point| point["series"] == "requests")
                    .count();
                if requests >= 5 {
                    Ok(())
                } else {
                    Err(format!("{points:?}"))
                }
            },
        )
        .await;
    window.sees("All tasks").await;
    window.looks_through(Screen::Phone).await;
    window.fits().await;
    window.finish(&[]).await;
    world.finish(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_puts_a_canary_of_ecs_back() {
    let world = World::start().await;
    let balancers = balancers(&world.account, "cart").await;
    let alarm = json!({
        "AlarmName": "cart-5xx", "Namespace": "Custom", "MetricName": "Errors", "Statistic": "Sum", "Period": 60,
        "EvaluationPeriods": 1, "Threshold": 1.0, "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "ignore",
    });
    world
        .account
        .call(Json::CloudWatch, "PutMetricAlarm", alarm)
        .await;
    let state = |value: &str| json!({ "AlarmName": "cart-5xx", "StateValue": value, "StateReason": "by hand" });
    world
        .account
        .call(Json::CloudWatch, "SetAlarmState", state("OK"))
        .await;
    let canary = json!({
        "strategy": "CANARY", "bakeTimeInMinutes": 1,
        "canaryConfiguration": { "canaryPercent": 10.0, "canaryBakeTimeInMinutes": 8 },
        "alarms": { "enable": true, "rollback": true, "alarmNames": ["cart-5xx"] },
    });
    let team = EcsTeam::build(&world.account, "cart", canary, balancers).await;
    team.is_found(&world).await;
    let revision = team.registers("2", &[]).await;
    let aws_id = encoded(&team.updates(&revision).await);
    world.recorded(&aws_id).await;
    world
        .passing("a tenth of the traffic is on it", 900, async || {
            let deployment = world.api.deployment(&aws_id).await;
            match deployment["share_new"].as_f64() {
                Some(share) if share > 0.0 => Ok(()),
                _ => Err(deployment.to_string()),
            }
        })
        .await;
    let window = world.signed_in_window().await;
    opens(&world, &window, &aws_id).await;
    window.sees("How traffic moves").await;
    window.sees("8 min").await;
    world
        .account
        .call(Json::CloudWatch, "SetAlarmState", state("ALARM"))
        .await;
    let ended = world.ends(&aws_id).await;
    assert_eq!(
        (&ended["outcome"], &ended["outcome_cause"]),
        (&json!("rolled_back"), &json!("alarm")),
        "{ended}"
    );
    window.sees("Rolled back").await;
    window.sees("cart-5xx").await;
    window.finish(&[]).await;
    world.finish(&[]).await;
}
