//! Gates as people meet them: looking, approving, rejecting, coming too late.

use serde_json::Value;
use serde_json::json;

use crate::account::Json;
use crate::team::CANARY;
use crate::team::GATE;
use crate::team::NO_HOOK;
use crate::wait::SOON;
use crate::wait::until;
use crate::window::Screen;
use crate::window::Scripts;
use crate::window::Window;
use crate::world::PASSWORD;
use crate::world::USER;
use crate::world::World;

/// What all charts of the page draw.
async fn drawing(window: &Window) -> String {
    let drawn = window
        .run(
            "return [...document.querySelectorAll('svg path, svg polyline, svg circle')]\
             .map(shape => shape.getAttribute('d') ?? shape.getAttribute('points') ?? \
             shape.getAttribute('cx')).join(' ');",
        )
        .await;
    drawn.as_str().unwrap_or_default().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_holds_at_its_gate_and_its_charts_move() {
    let world = World::start().await;
    let team = world.team("web").await;
    // Its first tasks have been healthy for a while, so that there is a past to compare with.
    world.account.advance(900).await;
    let revision = team
        .registers("2", &[("FEATURE", "cart-in-one-step")])
        .await;
    let aws_id = team.deploys(&revision, CANARY, GATE, "release 2").await;
    let gate = world.holds(&aws_id).await;

    let window = world.signed_in_window().await;
    window.sees("1 gate").await;
    window.presses("Review").await;
    window.is_at("/gates/").await;
    window.sees("Let production traffic reach web:2?").await;
    window.sees("cart-in-one-step").await;
    window.sees("BeforeAllowTraffic").await;

    window.presses("Open deployment").await;
    window.sees("Holding at a gate").await;
    window.sees("release 2").await;
    window.is_live().await;
    window
        .run("window.keptSinceThePageWasLoaded = true; return null;")
        .await;
    window.types("reason", "half a sentence").await;
    let before = drawing(&window).await;
    let known = requests(&world, &aws_id).await.len();
    world
        .passing("three more minutes are known and drawn", 600, async || {
            let points = requests(&world, &aws_id).await;
            let drawn = drawing(&window).await != before;
            if drawn && points.len() >= known + 3 {
                Ok(())
            } else {
                Err(format!("{drawn} {points:?}"))
            }
        })
        .await;
    let kept = window
        .run("return window.keptSinceThePageWasLoaded === true;")
        .await;
    assert_eq!(kept, true, "the page was loaded anew, which is not live");
    assert_eq!(
        window.value_of("reason").await,
        "half a sentence",
        "what was typed is gone"
    );

    // Where CloudWatch has nothing for the new one, before it had any target, there is a gap, not a zero.
    let started = seconds_of(&gate["deployment"], "started_at");
    let points = requests(&world, &aws_id).await;
    let before: Vec<&Value> = points
        .iter()
        .filter(|point| seconds_of(point, "minute") + 60 <= started)
        .collect();
    assert!(before.len() >= 5, "no past to compare with: {points:?}");
    assert!(
        before.iter().all(|point| point["side"] == "old"),
        "{before:?}"
    );
    window.looks_through(Screen::Phone).await;
    window.sees("Stage 6 of 8").await;
    window.fits().await;
    window.looks_through(Screen::Desktop).await;

    world
        .api
        .decides(&gate_now(&world, &gate).await, "approve", None)
        .await
        .is(200);
    window.sees("Confirmed by AWS").await;
    world
        .passing("the new one gets a tenth of the traffic", 600, async || {
            let deployment = world.api.deployment(&aws_id).await;
            if deployment["share_new"] == 0.1 {
                Ok(())
            } else {
                Err(deployment.to_string())
            }
        })
        .await;
    compare_with_cloudwatch(&world, &aws_id).await;
    window.sees("10 %").await;
    window.finish(&[]).await;
    world
        .finish(&["PutLifecycleEventHookExecutionStatus"])
        .await;
}

/// A time of an answer, in seconds since 1970.
fn seconds_of(value: &Value, member: &str) -> i64 {
    crate::account::seconds(value[member].as_str().unwrap_or_default())
}

/// The request counts that are kept with the deployment.
async fn requests(world: &World, aws_id: &str) -> Vec<Value> {
    let points = world
        .api
        .items(&format!("/deployments/{aws_id}/metrics"))
        .await;
    points
        .into_iter()
        .filter(|point| point["series"] == "requests")
        .collect()
}

/// The gate as it stands now: its digest is what a decision must name.
async fn gate_now(world: &World, gate: &Value) -> Value {
    world
        .api
        .gate(gate["id"].as_str().unwrap_or_default())
        .await
}

/// Holds that every minute that is kept and can no longer change is the one that CloudWatch answers.
async fn compare_with_cloudwatch(world: &World, aws_id: &str) {
    let metrics = world
        .account
        .call(
            Json::CloudWatch,
            "ListMetrics",
            json!({ "Namespace": "AWS/ApplicationELB", "MetricName": "RequestCount" }),
        )
        .await;
    let now = world.account.now().await;
    let mut told = Vec::new();
    for metric in metrics["Metrics"].as_array().into_iter().flatten() {
        let dimensions = metric["Dimensions"].as_array().cloned().unwrap_or_default();
        let names: Vec<&str> = dimensions
            .iter()
            .filter_map(|d| d["Name"].as_str())
            .collect();
        if names.len() != 2 || !names.contains(&"TargetGroup") {
            continue;
        }
        let answer = world
            .account
            .call(
                Json::CloudWatch,
                "GetMetricStatistics",
                json!({
                    "Namespace": "AWS/ApplicationELB", "MetricName": "RequestCount",
                    "Dimensions": dimensions, "Period": 60, "Statistics": ["Sum"],
                    "StartTime": now - 3600, "EndTime": now,
                }),
            )
            .await;
        for point in answer["Datapoints"].as_array().into_iter().flatten() {
            let at = point["Timestamp"].as_f64().unwrap_or_default() as i64;
            told.push((at, point["Sum"].as_f64().unwrap_or_default()));
        }
    }
    let kept = requests(world, aws_id).await;
    let settled: Vec<(i64, f64)> = kept
        .iter()
        .map(|point| {
            (
                seconds_of(point, "minute"),
                point["value"].as_f64().unwrap_or(-1.0),
            )
        })
        .filter(|(minute, _)| *minute < now - 300)
        .collect();
    assert!(
        settled.len() >= 3,
        "too few points before {now} to compare: {settled:?}"
    );
    for point in settled {
        assert!(
            told.contains(&point),
            "{point:?} is not what CloudWatch tells: {told:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approved_canary_takes_all_traffic_and_succeeds() {
    let world = World::start().await;
    let team = world.team("web").await;
    let revision = team.registers("2", &[]).await;
    let aws_id = team.deploys(&revision, CANARY, GATE, "release 2").await;
    let gate = world.holds(&aws_id).await;

    let window = world.signed_in_window().await;
    let page = format!(
        "/deployments/{}",
        gate["deployment_id"].as_str().unwrap_or_default()
    );
    window.goes_to(&page).await;
    window.sees("Let production traffic reach web:2?").await;
    window.does_not_see("Confirmed by AWS").await;
    window.is_live().await;
    window.presses("Approve :2").await;
    window.is_at(&page).await;
    window.sees("Confirmed by AWS").await;
    window.sees("dana approved at BeforeAllowTraffic").await;

    let gate = world.confirmed(&gate).await;
    assert_eq!(
        (&gate["state"], &gate["delivery"]),
        (&json!("approved"), &json!("confirmed"))
    );
    assert_eq!(gate["decisions"][0]["actor"], USER);
    window.is_live().await;
    world
        .passing("the page shows the shift", 300, async || {
            window.shows("Shifting 10 %").await
        })
        .await;
    let deployment = world.ends(&aws_id).await;
    assert_eq!(deployment["outcome"], "succeeded", "{deployment}");
    assert_eq!(deployment["share_new"], 1.0, "{deployment}");
    assert_eq!(deployment["phase"], Value::Null);
    assert_eq!(team.serving().await, revision);
    window.sees("web:2 took all traffic.").await;
    window.finish(&[]).await;
    world
        .finish(&["PutLifecycleEventHookExecutionStatus"])
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejection_needs_its_reason_and_rolls_back() {
    let world = World::start().await;
    let team = world.team("web").await;
    let revision = team.registers("2", &[]).await;
    let aws_id = team.deploys(&revision, CANARY, GATE, "release 2").await;
    let gate = world.holds(&aws_id).await;
    let id = gate["id"].as_str().unwrap_or_default();

    let window = world.signed_in_window().await;
    window.goes_to(&format!("/gates/{id}")).await;
    window.presses("Reject :2").await;
    window
        .sees("A rejection needs its reason. Nothing was decided.")
        .await;
    assert_eq!(world.api.gate(id).await["state"], "open");
    assert!(world.calls_of_the_product().await.is_empty());

    window
        .types("reason", "p99 doubled in the test stage")
        .await;
    window.presses("Reject :2").await;
    window.sees("Confirmed by AWS").await;
    window.sees("p99 doubled in the test stage").await;

    let deployment = world.ends(&aws_id).await;
    assert_eq!(
        (&deployment["outcome"], &deployment["outcome_cause"]),
        (&json!("rolled_back"), &json!("gate")),
        "{deployment}"
    );
    assert_eq!(team.serving().await, team.first_revision);
    assert_linked(&world, &deployment).await;
    let audit = world.api.items(&format!("/audit?subject={id}")).await;
    let decided = audit.iter().find(|entry| entry["event"] == "gate_decided");
    let decided = decided.unwrap_or_else(|| panic!("no decision in {audit:?}"));
    assert_eq!(decided["actor"], USER);
    assert_eq!(decided["reason"], "p99 doubled in the test stage");
    window.goes_to(&format!("/deployments/{aws_id}")).await;
    window.sees("Rolled back: gate").await;
    window.sees("web:1 was put back.").await;
    window.finish(&[]).await;
    world
        .finish(&["PutLifecycleEventHookExecutionStatus"])
        .await;
}

/// Holds that the deployment and the one that undid it name each other.
async fn assert_linked(world: &World, deployment: &Value) {
    let undone_by = deployment["rolled_back_by"]
        .as_str()
        .expect("it names what undid it");
    let rollback = world.api.deployment(undone_by).await;
    assert_eq!(rollback["rollback_of"], deployment["id"], "{rollback}");
    assert_eq!(rollback["outcome"], "succeeded", "{rollback}");
    assert_eq!(rollback["initiator"], "CodeDeploy", "{rollback}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_page_cannot_decide_and_a_second_decision_is_refused() {
    let world = World::start().await;
    let team = world.team("web").await;
    let revision = team.registers("2", &[]).await;
    let aws_id = team.deploys(&revision, CANARY, GATE, "release 2").await;
    let gate = world.holds(&aws_id).await;
    let id = gate["id"].as_str().unwrap_or_default().to_string();

    // Without scripts a page stays as it was when it was loaded; so does its digest.
    let old = Window::open_with(&world.api.base, Scripts::Off).await;
    old.signs_in(USER, PASSWORD).await;
    old.goes_to(&format!("/gates/{id}")).await;
    old.sees("Let production traffic reach web:2?").await;
    let other = Window::open_with(&world.api.base, Scripts::Off).await;
    other.signs_in(USER, PASSWORD).await;

    // Time is held still, so that CodeDeploy does not act on the alarm before the person does.
    world.account.tell("clock", json!({ "speed": 0 })).await;
    let digest = world.api.gate(&id).await["evidence_digest"].clone();
    set_alarm(&world, &team.alarms[1], "ALARM").await;
    until("the evidence changes with the alarm", SOON, async || {
        let gate = world.api.gate(&id).await;
        if gate["evidence_digest"] != digest {
            Ok(())
        } else {
            Err(gate.to_string())
        }
    })
    .await;
    old.presses("Approve :2").await;
    old.sees("Nothing was decided. Review again.").await;
    old.sees("evidence_changed").await;
    old.sees(&team.alarms[1]).await;
    assert_eq!(world.api.gate(&id).await["state"], "open");
    assert!(world.calls_of_the_product().await.is_empty());

    set_alarm(&world, &team.alarms[1], "OK").await;
    until("the evidence is as it was", SOON, async || {
        let gate = world.api.gate(&id).await;
        if gate["evidence_digest"] == digest {
            Ok(())
        } else {
            Err(gate.to_string())
        }
    })
    .await;
    other.goes_to(&format!("/gates/{id}")).await;
    old.goes_to(&format!("/gates/{id}")).await;
    old.presses("Approve :2").await;
    old.sees("Your decision is recorded.").await;
    other.types("reason", "too late").await;
    other.presses("Reject :2").await;
    other
        .sees("This gate is no longer open. Nothing was decided.")
        .await;
    world.account.tell("clock", json!({ "speed": 1 })).await;

    let gate = world.confirmed(&gate).await;
    assert_eq!(gate["state"], "approved");
    assert_eq!(
        gate["decisions"].as_array().map(Vec::len),
        Some(1),
        "{gate}"
    );
    let deployment = world.ends(&aws_id).await;
    assert_eq!(deployment["outcome"], "succeeded", "{deployment}");
    old.finish(&[]).await;
    other.finish(&[]).await;
    world
        .finish(&["PutLifecycleEventHookExecutionStatus"])
        .await;
}

async fn set_alarm(world: &World, alarm: &str, state: &str) {
    let input = json!({ "AlarmName": alarm, "StateValue": state, "StateReason": "by hand" });
    world
        .account
        .call(Json::CloudWatch, "SetAlarmState", input)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_rolls_a_canary_back_and_the_page_says_so() {
    let world = World::start().await;
    let team = world.team("web").await;
    let revision = team.registers("2", &[("SIM_ERROR_RATE", "0.3")]).await;
    let aws_id = team.deploys(&revision, CANARY, NO_HOOK, "release 2").await;
    let recorded = world.recorded(&aws_id).await;

    let window = world.signed_in_window().await;
    window.goes_to(&format!("/deployments/{aws_id}")).await;
    window.sees("Stop and roll back").await;
    window.is_live().await;
    let deployment = world.ends(&aws_id).await;
    assert_eq!(
        (&deployment["outcome"], &deployment["outcome_cause"]),
        (&json!("rolled_back"), &json!("alarm")),
        "{deployment}"
    );
    window.sees("Rolled back: alarm").await;
    window.sees(&team.alarms[1]).await;
    window.sees("web:1 was put back.").await;
    window.sees("Undone by").await;
    window.presses("that deployment").await;
    window.sees("Undoes").await;
    assert_linked(&world, &deployment).await;
    assert_eq!(team.serving().await, team.first_revision);

    window.goes_to("/history?outcome=rolled_back").await;
    window.sees("release 2").await;
    window.sees("1 row").await;
    window.goes_to("/history?outcome=failed").await;
    window.sees("No deployment matches").await;
    window.goes_to("/services/web").await;
    window.sees("Known bad").await;
    assert_eq!(deployment["id"], recorded["id"]);
    window.finish(&[]).await;
    world.finish(&[]).await;
}
