//! What many services cost while one of them deploys, counted in looks and not in time: nothing.

use serde_json::json;

use super::{Account, MINUTE, SECOND, Setup, text};
use crate::world::Work;

const IDLE: usize = 500;
/// How many services share a load balancer, each with a listener of its own.
const SHARED_BY: usize = 40;

impl Account {
    fn work(&self) -> Work {
        let caller = &self.caller;
        self.world.work(&caller.account, &caller.region)
    }

    /// A service with two tasks behind a listener of its own.
    fn idle_service(&mut self, index: usize, balancer: &str) {
        let name = format!("idle-{index}");
        let made = self.ok(
            "elasticloadbalancing",
            "CreateTargetGroup",
            json!({"Name": name, "Protocol": "HTTP", "Port": "80", "VpcId": "vpc-1", "TargetType": "ip"}),
        );
        let group = text(&made["TargetGroups"][0]["TargetGroupArn"]);
        self.ok(
            "elasticloadbalancing",
            "CreateListener",
            json!({
                "LoadBalancerArn": balancer, "Protocol": "HTTP", "Port": (1000 + index).to_string(),
                "DefaultActions": [{"Type": "forward", "TargetGroupArn": group}],
            }),
        );
        self.ok(
            "ecs",
            "CreateService",
            json!({
                "cluster": "prod", "serviceName": name, "taskDefinition": "web:1", "desiredCount": 2,
                "launchType": "FARGATE",
                "deploymentController": {"type": "CODE_DEPLOY"},
                "loadBalancers": [{"targetGroupArn": group, "containerName": "web", "containerPort": 80}],
                "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
            }),
        );
    }
}

#[test]
fn a_deployment_among_five_hundred_idle_services_touches_only_its_own() {
    let mut account = Account::new(Setup::default());
    let mut balancer = String::new();
    for index in 0..IDLE {
        if index % SHARED_BY == 0 {
            let made = account.ok(
                "elasticloadbalancing",
                "CreateLoadBalancer",
                json!({"Name": format!("idle-{index}"), "Subnets": ["subnet-1", "subnet-2"]}),
            );
            balancer = text(&made["LoadBalancers"][0]["LoadBalancerArn"]);
        }
        account.idle_service(index, &balancer);
    }
    account.pass(20 * MINUTE);

    let before = account.work();
    assert!(before.services > IDLE as u64 && before.target_groups > IDLE as u64);
    account.pass(10 * MINUTE);
    assert_eq!(account.work(), before, "what is at rest is looked at");

    let next = account.register("shop/web:v2", json!([]));
    let before = account.work();
    let id = account.deploy(&next, "CodeDeployDefault.ECSCanary10Percent5Minutes", &[]);
    for _ in 0..40 * 60 {
        account.world.advance_to(account.world.now_ms() + SECOND);
        if account.status(&id) == "Succeeded" {
            break;
        }
    }
    account.pass(0);
    assert_eq!(account.status(&id), "Succeeded");
    let after = account.work();
    let moments = after.moments - before.moments;
    assert!(moments > 10, "{moments} moments");
    // At one moment everything is looked at in rounds, of which there are few, until nothing moves.
    for (what, looks, most) in [
        ("services", after.services - before.services, 6),
        (
            "target groups",
            after.target_groups - before.target_groups,
            12,
        ),
        ("plans", after.plans - before.plans, 2),
        ("deployments", after.deployments - before.deployments, 6),
    ] {
        assert!(
            looks > 0 && looks <= most * moments,
            "{looks} {what} at {moments} moments"
        );
    }
}
