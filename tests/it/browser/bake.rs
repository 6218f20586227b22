//! CodeDeploy's bake, ended before its time.

use serde_json::Value;
use serde_json::json;

use crate::account::Json;
use crate::team::AT_ONCE;
use crate::team::NO_HOOK;
use crate::team::Team;
use crate::window::Screen;
use crate::world::World;

const CONTINUE: &str = "ContinueDeployment";

/// A deployment that bakes for ten hours; gives its id.
async fn baking(world: &World, team: &Team) -> String {
    world
        .account
        .call(
            Json::CodeDeploy,
            "UpdateDeploymentGroup",
            json!({
                "applicationName": team.application, "currentDeploymentGroupName": team.group,
                "blueGreenDeploymentConfiguration": {
                    "deploymentReadyOption": {
                        "actionOnTimeout": "CONTINUE_DEPLOYMENT", "waitTimeInMinutes": 0,
                    },
                    "terminateBlueInstancesOnDeploymentSuccess": {
                        "action": "TERMINATE", "terminationWaitTimeInMinutes": 600,
                    },
                },
            }),
        )
        .await;
    let revision = team.registers("2", &[]).await;
    let aws_id = team.deploys(&revision, AT_ONCE, NO_HOOK, "release 2").await;
    world.recorded(&aws_id).await;
    world
        .passing("it bakes", 900, async || {
            let deployment = world.api.deployment(&aws_id).await;
            match deployment["phase"].as_str() {
                Some("baking") => Ok(()),
                _ => Err(deployment.to_string()),
            }
        })
        .await;
    aws_id
}

async fn plan(world: &World, aws_id: &str) -> Value {
    let path = format!("/deployments/{aws_id}/end-bake");
    world.api.get(&path).await.json()["plan"].clone()
}

async fn asks(world: &World, aws_id: &str, digest: &Value) -> crate::wire::Answer {
    let body = json!({ "reason": "an hour of quiet", "plan_digest": digest });
    let path = format!("/deployments/{aws_id}/end-bake");
    world.api.post(&path, &body).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bake_is_ended_when_nobody_waits_for_it_any_more() {
    let world = World::start().await;
    let team = world.team("web").await;
    let aws_id = baking(&world, &team).await;
    let window = world.signed_in_window().await;
    window.goes_to(&format!("/deployments/{aws_id}")).await;
    window.presses("End the bake…").await;
    window
        .sees("removes the tasks of web:1 now instead of 600 minutes after the last shift")
        .await;
    window.sees("--deployment-wait-type TERMINATION_WAIT").await;
    window.hinders_nobody().await;
    window.keeps_picture("end-bake-desktop-light").await;
    window.wears("dark").await;
    window.looks_through(Screen::Phone).await;
    window.fits().await;
    window.keeps_picture("end-bake-phone-dark").await;
    window.wears("light").await;
    window.looks_through(Screen::Desktop).await;
    window.types("reason", "an hour of quiet").await;
    window.presses("End the bake now").await;
    window.sees("The end of the bake is recorded.").await;
    let ended = world.ends(&aws_id).await;
    assert_eq!(ended["outcome"], "succeeded", "{ended}");
    window.sees("an hour of quiet").await;
    window.sees("Done").await;
    window.finish(&[]).await;

    assert_eq!(plan(&world, &aws_id).await, Value::Null);
    let late = asks(&world, &aws_id, &json!("any")).await;
    late.refused(409, "not_baking");
    world.finish(&[CONTINUE]).await;
}

/// What goes wrong on the way of the call, and how often it is made then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_bake_is_asked_of_aws_whatever_happens_on_the_way() {
    for (fault, calls) in [("response_lost", 1), ("error_before", 2), ("throttle", 2)] {
        let world = World::start().await;
        let team = world.team("web").await;
        let aws_id = baking(&world, &team).await;
        let digest = plan(&world, &aws_id).await["digest"].clone();
        asks(&world, &aws_id, &json!("another"))
            .await
            .refused(409, "plan_changed");
        let rule =
            json!({ "service": "codedeploy", "operation": CONTINUE, "fault": fault, "times": 1 });
        world.account.tell("faults", rule).await;
        let operation = asks(&world, &aws_id, &digest).await.is(202);
        asks(&world, &aws_id, &digest)
            .await
            .refused(409, "operation_in_progress");
        let id = operation["id"].as_str().unwrap_or_default().to_string();
        let done = world.operation_ends(&id).await;
        assert_eq!(done["state"], "done", "{fault}: {done}");
        let ended = world.ends(&aws_id).await;
        assert_eq!(ended["outcome"], "succeeded", "{fault}: {ended}");
        world.finish(&vec![CONTINUE; calls]).await;
    }
}
