//! Services of the deployment controller ECS: found, recorded and shown with the same words as CodeDeploy's.

use serde_json::Value;
use serde_json::json;

use crate::account::ACCOUNT;
use crate::account::Account;
use crate::account::Json;
use crate::account::REGION;
use crate::account::tag;
use crate::importing::import_is;
use crate::importing::is_complete;
use crate::importing::past;
use crate::team::AT_ONCE;
use crate::team::NO_HOOK;
use crate::team::Team;
use crate::wait::SOON;
use crate::wait::until;
use crate::world::World;

/// The cluster of all services here.
pub const CLUSTER: &str = "native";

/// A team whose service ECS itself deploys.
pub struct EcsTeam {
    pub account: Account,
    service: String,
}

impl EcsTeam {
    /// Builds the service with four tasks of `:1` and lets its first deployment end.
    pub async fn build(
        account: &Account,
        service: &str,
        configuration: Value,
        balancers: Value,
    ) -> EcsTeam {
        let team = EcsTeam {
            account: account.clone(),
            service: service.to_string(),
        };
        let cluster = json!({ "clusterName": CLUSTER });
        account.call(Json::Ecs, "CreateCluster", cluster).await;
        let first = team.registers("1", &[]).await;
        let input = json!({
            "cluster": CLUSTER, "serviceName": service, "taskDefinition": first, "desiredCount": 4,
            "launchType": "FARGATE", "deploymentConfiguration": configuration, "loadBalancers": balancers,
            "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-a"] } },
        });
        account.call(Json::Ecs, "CreateService", input).await;
        account.advance(900).await;
        assert_eq!(team.latest().await["status"], "SUCCESSFUL");
        team
    }

    /// The same for a service with PAUSE hooks, which come once its first deployment has ended.
    pub async fn build_through(
        account: &Account,
        service: &str,
        configuration: Value,
        balancers: Value,
    ) -> EcsTeam {
        let mut without = configuration.clone();
        without["lifecycleHooks"] = json!([]);
        let team = EcsTeam::build(account, service, without, balancers).await;
        let input = json!({
            "cluster": CLUSTER, "service": service, "deploymentConfiguration": configuration,
        });
        account.call(Json::Ecs, "UpdateService", input).await;
        team
    }

    /// The newest service deployment with all that AWS tells of it.
    pub async fn described(&self) -> Value {
        let arn = self.latest().await["serviceDeploymentArn"].clone();
        let input = json!({ "serviceDeploymentArns": [arn] });
        let told = self
            .account
            .call(Json::Ecs, "DescribeServiceDeployments", input)
            .await;
        told["serviceDeployments"][0].clone()
    }

    /// Registers the next revision; gives its ARN.
    pub async fn registers(&self, image: &str, environment: &[(&str, &str)]) -> String {
        let environment: Vec<Value> = environment
            .iter()
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
        let input = json!({
            "family": self.service, "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"],
            "cpu": "256", "memory": "512",
            "containerDefinitions": [{
                "name": "app", "environment": environment, "portMappings": [{ "containerPort": 80 }],
                "image": format!("{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{}:{image}", self.service),
            }],
        });
        let made = self
            .account
            .call(Json::Ecs, "RegisterTaskDefinition", input)
            .await;
        text(&made["taskDefinition"]["taskDefinitionArn"])
    }

    /// Moves the service to a revision; gives the ARN of the service deployment.
    pub async fn updates(&self, revision: &str) -> String {
        let input =
            json!({ "cluster": CLUSTER, "service": self.service, "taskDefinition": revision });
        self.account.call(Json::Ecs, "UpdateService", input).await;
        text(&self.latest().await["serviceDeploymentArn"])
    }

    /// The newest service deployment as AWS tells it.
    pub async fn latest(&self) -> Value {
        let input = json!({ "cluster": CLUSTER, "service": self.service });
        let listed = self
            .account
            .call(Json::Ecs, "ListServiceDeployments", input)
            .await;
        listed["serviceDeployments"][0].clone()
    }

    /// Known to Switchback.
    pub async fn is_found(&self, world: &World) -> Value {
        until("the service is discovered", SOON, async || {
            let answer = world.api.get(&format!("/services/{}", self.service)).await;
            match answer.status {
                200 => Ok(answer.json()),
                _ => Err(answer.body),
            }
        })
        .await
    }
}

/// The text that a value is.
pub fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("a text, not {value}"))
        .to_string()
}

/// An ARN as a segment of a path.
pub fn encoded(arn: &str) -> String {
    arn.replace('/', "%2F")
}

/// Half of the tasks at a time, with a circuit breaker.
pub fn rolling() -> Value {
    json!({
        "strategy": "ROLLING", "minimumHealthyPercent": 50, "maximumPercent": 150,
        "deploymentCircuitBreaker": { "enable": true, "rollback": true },
    })
}

/// A balancer with two target groups behind one rule, for a service that ECS moves traffic for.
pub async fn balancers(account: &Account, name: &str) -> Value {
    let made = account
        .balancer_call(
            "CreateLoadBalancer",
            &[
                ("Name", name),
                ("Subnets.member.1", "subnet-a"),
                ("Subnets.member.2", "subnet-b"),
            ],
        )
        .await;
    let balancer = tag(&made, "LoadBalancerArn");
    let mut groups = Vec::new();
    for color in ["blue", "green"] {
        let group = format!("{name}-{color}");
        let members = [
            ("Name", group.as_str()),
            ("Protocol", "HTTP"),
            ("Port", "80"),
            ("VpcId", "vpc-1"),
            ("TargetType", "ip"),
        ];
        let made = account.balancer_call("CreateTargetGroup", &members).await;
        groups.push(tag(&made, "TargetGroupArn"));
    }
    let members = [
        ("LoadBalancerArn", balancer.as_str()),
        ("Protocol", "HTTP"),
        ("Port", "80"),
        ("DefaultActions.member.1.Type", "forward"),
        ("DefaultActions.member.1.TargetGroupArn", groups[0].as_str()),
    ];
    let made = account.balancer_call("CreateListener", &members).await;
    let listener = tag(&made, "ListenerArn");
    let forward = "Actions.member.1.ForwardConfig.TargetGroups.member";
    let keys: Vec<String> = [
        ".1.TargetGroupArn",
        ".1.Weight",
        ".2.TargetGroupArn",
        ".2.Weight",
    ]
    .iter()
    .map(|end| format!("{forward}{end}"))
    .collect();
    let members = [
        ("ListenerArn", listener.as_str()),
        ("Priority", "10"),
        ("Conditions.member.1.Field", "path-pattern"),
        ("Conditions.member.1.Values.member.1", "/*"),
        ("Actions.member.1.Type", "forward"),
        (keys[0].as_str(), groups[0].as_str()),
        (keys[1].as_str(), "1"),
        (keys[2].as_str(), groups[1].as_str()),
        (keys[3].as_str(), "0"),
    ];
    let made = account.balancer_call("CreateRule", &members).await;
    json!([{
        "targetGroupArn": groups[0], "containerName": "app", "containerPort": 80,
        "advancedConfiguration": {
            "alternateTargetGroupArn": groups[1], "productionListenerRule": tag(&made, "RuleArn"),
            "roleArn": format!("arn:aws:iam::{ACCOUNT}:role/ecs-infrastructure"),
        },
    }])
}

/// A rolling service from its discovery to a success and, by the circuit breaker, back.
async fn rolling_is_watched(world: World) {
    let team = EcsTeam::build(&world.account, "orders", rolling(), json!([])).await;
    let service = team.is_found(&world).await;
    assert_eq!(
        (&service["controller"], &service["strategy"]),
        (&json!("ecs"), &json!("rolling")),
        "{service}"
    );
    assert!(
        service.get("application").is_none() && service.get("group").is_none(),
        "{service}"
    );

    let good = team.registers("2", &[]).await;
    let aws_id = encoded(&team.updates(&good).await);
    let first = world.recorded(&aws_id).await;
    assert_eq!(
        first["previous_revision"],
        good.replace(":2", ":1"),
        "{first}"
    );
    assert_eq!(first["target_revision"], good, "{first}");
    assert_eq!(
        (&first["controller"], &first["strategy"]),
        (&json!("ecs"), &json!("rolling")),
        "{first}"
    );
    let tasks = world
        .passing("old and new tasks run side by side", 300, async || {
            let deployment = world.api.deployment(&aws_id).await;
            let tasks = &deployment["tasks"];
            let both =
                tasks["new_running"].as_i64() > Some(0) && tasks["old_running"].as_i64() > Some(0);
            if both {
                Ok(tasks.clone())
            } else {
                Err(deployment.to_string())
            }
        })
        .await;
    assert_eq!(
        (&tasks["least"], &tasks["most"], &tasks["new_wanted"]),
        (&json!(2), &json!(6), &json!(4)),
        "{tasks}"
    );
    let ended = world.ends(&aws_id).await;
    assert_eq!(ended["outcome"], "succeeded", "{ended}");
    assert_eq!(ended["phase"], Value::Null, "{ended}");
    let serving = world.api.get("/services/orders").await.is(200)["serving_revision"].clone();
    assert_eq!(serving, good);

    let bad = team.registers("3", &[("SIM_CRASH_ON_START", "1")]).await;
    let aws_id = encoded(&team.updates(&bad).await);
    let ended = world.ends(&aws_id).await;
    assert_eq!(ended["previous_revision"], good, "{ended}");
    assert_eq!(
        (&ended["outcome"], &ended["outcome_cause"]),
        (&json!("rolled_back"), &json!("circuit_breaker")),
        "the service is stable again, which is no success: {ended}"
    );
    let revisions = world.api.items("/services/orders/revisions").await;
    let proof = |number: i64| {
        let found = revisions
            .iter()
            .find(|revision| revision["number"] == number);
        found.map(|revision| revision["proof"].clone())
    };
    assert_eq!(
        (proof(2), proof(3)),
        (Some(json!("known_good")), Some(json!("known_bad"))),
        "{revisions:?}"
    );
    world.finish(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_service_is_watched_from_start_to_success_and_back() {
    rolling_is_watched(World::start_on_sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_service_is_watched_from_start_to_success_and_back_on_postgres() {
    rolling_is_watched(World::start_on_postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_of_ecs_shows_its_stages_and_weights() {
    let world = World::start().await;
    let balancers = balancers(&world.account, "cart").await;
    let canary = json!({
        "strategy": "CANARY", "bakeTimeInMinutes": 2,
        "canaryConfiguration": { "canaryPercent": 10.0, "canaryBakeTimeInMinutes": 5 },
    });
    let team = EcsTeam::build(&world.account, "cart", canary, balancers).await;
    let service = team.is_found(&world).await;
    assert_eq!(service["strategy"], "canary", "{service}");
    let revision = team.registers("2", &[]).await;
    let aws_id = encoded(&team.updates(&revision).await);
    world.recorded(&aws_id).await;
    let (mut phases, mut shares) = (Vec::new(), Vec::new());
    let ended = world
        .passing("the canary ends", 2400, async || {
            let deployment = world.api.deployment(&aws_id).await;
            for (seen, now) in [
                (&mut phases, &deployment["phase"]),
                (&mut shares, &deployment["share_new"]),
            ] {
                if !now.is_null() && seen.last() != Some(now) {
                    seen.push(now.clone());
                }
            }
            match deployment["outcome"].as_str() {
                Some("in_progress") => Err(deployment.to_string()),
                _ => Ok(deployment),
            }
        })
        .await;
    assert_eq!(ended["outcome"], "succeeded", "{ended}");
    assert_eq!(shares, [json!(0.0), json!(0.1), json!(1.0)], "{phases:?}");
    for phase in ["preparing", "shifting", "baking"] {
        assert!(phases.contains(&json!(phase)), "{phase}: {phases:?}");
    }
    world.finish(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_that_a_newer_one_replaces_is_superseded() {
    let world = World::start().await;
    let team = EcsTeam::build(&world.account, "search", rolling(), json!([])).await;
    team.is_found(&world).await;
    let (second, third) = (
        team.registers("2", &[]).await,
        team.registers("3", &[]).await,
    );
    let first_id = encoded(&team.updates(&second).await);
    world.recorded(&first_id).await;
    let next_id = encoded(&team.updates(&third).await);
    let first = world.ends(&first_id).await;
    assert_eq!(
        (&first["outcome"], &first["outcome_cause"]),
        (&json!("superseded"), &Value::Null),
        "{first}"
    );
    let next = world.ends(&next_id).await;
    assert_eq!(next["outcome"], "succeeded", "{next}");
    assert_eq!(
        next["previous_revision"],
        second.replace(":2", ":1"),
        "what served, not what was on its way: {next}"
    );
    world.finish(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_deleted_meanwhile_ends_its_deployment() {
    let world = World::start().await;
    let team = EcsTeam::build(&world.account, "legacy", rolling(), json!([])).await;
    team.is_found(&world).await;
    let revision = team.registers("2", &[]).await;
    let aws_id = encoded(&team.updates(&revision).await);
    world.recorded(&aws_id).await;
    let input = json!({ "cluster": CLUSTER, "service": "legacy", "force": true });
    world.account.call(Json::Ecs, "DeleteService", input).await;
    let ended = world.ends(&aws_id).await;
    assert_eq!(
        (&ended["outcome"], &ended["outcome_cause"]),
        (&json!("stopped"), &json!("operator")),
        "{ended}"
    );
    assert!(
        ended["outcome_detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("deleted")),
        "{ended}"
    );
    world.finish(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_history_that_ecs_keeps_is_taken_in_at_the_first_start() {
    let mut world = World::start_without_server().await;
    let team = EcsTeam::build(&world.account, "ledger", rolling(), json!([])).await;
    let good = team.registers("2", &[]).await;
    let second = team.updates(&good).await;
    world.account.advance(900).await;
    assert_eq!(team.latest().await["status"], "SUCCESSFUL");
    let bad = team.registers("3", &[("SIM_CRASH_ON_START", "1")]).await;
    let third = team.updates(&bad).await;
    world.account.advance(1800).await;
    assert_eq!(team.latest().await["status"], "ROLLBACK_SUCCESSFUL");
    world.start_server().await;
    import_is(&world.api, "is complete", is_complete).await;
    let items = world.api.items("/deployments?service=ledger").await;
    let facts = |aws_id: &str| {
        let found = items.iter().find(|item| item["aws_id"] == aws_id);
        found.map(|item| {
            let member = |name: &str| item[name].as_str().unwrap_or("null").to_string();
            [
                "outcome",
                "outcome_cause",
                "previous_revision",
                "target_revision",
                "first_seen",
            ]
            .map(member)
        })
    };
    let first = good.replace(":2", ":1");
    assert_eq!(items.len(), 3, "{items:?}");
    let expected = ["succeeded", "null", &first, &good, "imported"].map(str::to_string);
    assert_eq!(facts(&second), Some(expected));
    let expected = ["rolled_back", "circuit_breaker", &good, &bad, "imported"].map(str::to_string);
    assert_eq!(facts(&third), Some(expected));
    world.finish(&[]).await;
}

/// The past of ECS's service `ledger` and of CodeDeploy's `web`, of which an account refuses one until its policy allows it.
async fn one_controller_is_refused(refused: &str, operation: &str, part: &str) {
    let mut world = World::start_without_server().await;
    let native = EcsTeam::build(&world.account, "ledger", rolling(), json!([])).await;
    let second = native.registers("2", &[]).await;
    native.updates(&second).await;
    let team = Team::build(&world.account, "web").await;
    let revision = team.registers("2", &[]).await;
    past(&world.account, &team, &revision).await;
    let fault = json!({ "service": refused, "operation": operation, "fault": "access_denied" });
    world.account.tell("faults", fault).await;
    world.start_server().await;
    let (seen, unseen) = match part {
        "ecs" => ("web", "ledger"),
        _ => ("ledger", "web"),
    };
    let coverage = import_is(&world.api, "is complete but for one part", |import| {
        is_complete(import) && import["trouble"].is_string()
    })
    .await;
    let import = &coverage["import"];
    assert_eq!(import["unlisted"], json!([part]), "{coverage}");
    let trouble = text(&import["trouble"]);
    assert!(
        trouble.contains(operation) && trouble.contains("AccessDenied"),
        "{coverage}"
    );
    let count = async |service: &str| {
        let items = world.api.items("/deployments").await;
        items
            .iter()
            .filter(|item| item["service"] == service)
            .count()
    };
    assert!(count(seen).await > 0);
    assert_eq!(count(unseen).await, 0);
    // What begins now is recorded as it happens.
    let aws_id = match part {
        "ecs" => {
            let third = team.registers("3", &[]).await;
            team.deploys(&third, AT_ONCE, NO_HOOK, "now").await
        }
        _ => {
            let third = native.registers("3", &[]).await;
            encoded(&native.updates(&third).await)
        }
    };
    let item = world.recorded(&aws_id).await;
    assert_eq!(item["first_seen"], "as_it_happened", "{item}");

    world.account.heal().await;
    import_is(&world.api, "is complete", |import| {
        is_complete(import) && import["unlisted"] == json!([]) && import["trouble"].is_null()
    })
    .await;
    assert!(count(unseen).await > 0);
    world.finish(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_refuses_what_ecs_lists_has_the_rest_of_its_past_taken_in() {
    one_controller_is_refused("ecs", "ListClusters", "ecs").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_refuses_the_deployments_of_ecs_has_the_rest_of_its_past_taken_in() {
    one_controller_is_refused("ecs", "ListServiceDeployments", "ecs").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_refuses_what_codedeploy_lists_has_the_rest_of_its_past_taken_in() {
    one_controller_is_refused("codedeploy", "ListApplications", "codedeploy").await;
}
