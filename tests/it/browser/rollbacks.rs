//! Putting a revision back from the page: the plan is read before anything is done.

use serde_json::Value;
use serde_json::json;

use crate::account::PRODUCT_KEY;
use crate::team::AT_ONCE;
use crate::team::CANARY;
use crate::team::NO_HOOK;
use crate::team::app_spec;
use crate::world::USER;
use crate::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_in_flight_is_stopped_from_its_page() {
    let world = World::start().await;
    let team = world.team("web").await;
    let revision = team.registers("2", &[]).await;
    let aws_id = team.deploys(&revision, CANARY, NO_HOOK, "release 2").await;
    world.recorded(&aws_id).await;
    world
        .passing(
            "a tenth of the traffic is on the new one",
            600,
            async || {
                let deployment = world.api.deployment(&aws_id).await;
                if deployment["share_new"] == 0.1 {
                    Ok(())
                } else {
                    Err(deployment.to_string())
                }
            },
        )
        .await;

    let window = world.signed_in_window().await;
    window.goes_to(&format!("/deployments/{aws_id}")).await;
    window.presses("Stop and roll back").await;
    window.is_at("/services/").await;
    window.sees("Stop in flight").await;
    window.sees("StopDeployment").await;
    window.sees("aws deploy stop-deployment").await;
    window.sees(&aws_id).await;
    assert!(
        world.calls_of_the_product().await.is_empty(),
        "looking at a plan changed something"
    );

    window.types("reason", "INC-7: checkout is slow").await;
    window.presses("Stop and roll back web to :1").await;
    window.is_at("/deployments/").await;
    window.sees("The rollback is recorded.").await;
    window.sees("INC-7: checkout is slow").await;
    window.is_live().await;
    let deployment = world.ends(&aws_id).await;
    assert_eq!(
        (&deployment["outcome"], &deployment["outcome_cause"]),
        (&json!("rolled_back"), &json!("operator")),
        "{deployment}"
    );
    window.sees("Rolled back: operator").await;
    assert_eq!(team.serving().await, team.first_revision);
    let stops = world.account.journal(PRODUCT_KEY).await;
    assert_eq!(
        stops[0]["parameters"],
        json!({ "deploymentId": aws_id, "autoRollbackEnabled": true })
    );
    window.sees("Done").await;
    window.finish(&[]).await;
    world.finish(&["StopDeployment"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorded_revision_is_redeployed_with_its_hooks() {
    let world = World::start().await;
    let team = world.team("web").await;
    let good = team.registers("2", &[("COLOUR", "green")]).await;
    let hook = Some(("BeforeAllowTraffic", "sim-succeed"));
    let first = team.deploys(&good, AT_ONCE, hook, "release 2").await;
    assert_eq!(world.ends(&first).await["outcome"], "succeeded");
    let bad = team.registers("3", &[("COLOUR", "red")]).await;
    let second = team.deploys(&bad, AT_ONCE, NO_HOOK, "release 3").await;
    let second = world.ends(&second).await;
    assert_eq!(second["outcome"], "succeeded");

    let window = world.signed_in_window().await;
    window.goes_to("/services/web").await;
    window.presses("Roll back to :2").await;
    window.sees("Redeploy a recorded revision").await;
    window
        .sees("Its hooks run again: BeforeAllowTraffic: sim-succeed.")
        .await;
    window.sees("aws deploy create-deployment").await;
    window.sees("green").await;
    assert!(
        world.calls_of_the_product().await.is_empty(),
        "looking at a plan changed something"
    );
    window.types("reason", "INC-8: wrong colour").await;
    window.presses("Roll back web to :2").await;
    window.sees("The rollback is recorded.").await;

    let undone = world
        .passing(
            "the rollback has succeeded and is linked to what it undoes",
            1800,
            async || {
                let undone = world
                    .api
                    .deployment(second["id"].as_str().unwrap_or_default())
                    .await;
                if undone["rolled_back_by"].is_string() {
                    Ok(undone)
                } else {
                    Err(undone.to_string())
                }
            },
        )
        .await;
    let rollback = world
        .ends(undone["rolled_back_by"].as_str().unwrap_or_default())
        .await;
    assert_eq!(rollback["outcome"], "succeeded", "{rollback}");
    assert_eq!(rollback["rollback_of"], second["id"], "{rollback}");
    assert_eq!(rollback["previous_revision"], bad, "{rollback}");
    assert_eq!(rollback["target_revision"], good, "{rollback}");
    assert_eq!(rollback["initiator"], USER, "{rollback}");
    assert_eq!(rollback["reason"], "INC-8: wrong colour", "{rollback}");
    assert_eq!(team.serving().await, good);

    let calls = world.account.journal(PRODUCT_KEY).await;
    let sent = &calls[0]["parameters"];
    assert_eq!(
        sent["revision"]["appSpecContent"]["content"],
        app_spec(&good, hook)
    );
    assert_eq!(sent["deploymentGroupName"], team.group);
    let description = sent["description"].as_str().unwrap_or_default();
    assert!(description.contains("INC-8: wrong colour"), "{description}");

    window
        .goes_to(&format!("/deployments/{}", text(&rollback["id"])))
        .await;
    window.sees("Succeeded, rollback").await;
    window
        .goes_to(&format!("/deployments/{}", text(&second["id"])))
        .await;
    window.sees("Succeeded, later rolled back").await;
    window.goes_to("/services/web").await;
    window.sees("Known bad").await;
    window.finish(&[]).await;
    world.finish(&["CreateDeployment"]).await;
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
