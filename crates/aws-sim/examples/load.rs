//! What the account costs with many services: `cargo run --release -p switchback-aws-sim --example load --
//! [--services N] [--deploying N] [--speed N] [--seconds N] [--stepped yes]`.
//!
//! It makes the services with their listeners, target groups, alarms and deployment groups through the
//! door, lets as many as are asked for deploy (a canary of 10 % for five minutes that an alarm looks after;
//! whoever is done begins again), and asks while time runs, as a desk does. On stdout is a table: whether
//! simulated time kept up with the wall, and how much processor, memory and waiting that took. With `--stepped
//! yes` time is pushed by as much as passes between two looks, instead of running: what the same span costs in
//! processor time can then be read on a machine that is busy with something else. Linux only: it reads
//! `/proc/self`.

use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value as Json, json};
use switchback_aws_sim::door::{Options, serve};

type Failure = Box<dyn Error + Send + Sync>;

/// How many services share a load balancer, each with two ports of its own.
const SHARED_BY: usize = 20;

/// How often the desk asks, on the wall clock.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// What to measure.
struct Wanted {
    services: usize,
    deploying: usize,
    speed: f64,
    seconds: u64,
    stepped: bool,
}

impl Wanted {
    fn read() -> Result<Wanted, Failure> {
        let mut wanted = Wanted {
            services: 2_000,
            deploying: 200,
            speed: 60.0,
            seconds: 60,
            stepped: false,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or(format!("{name} needs a value"))?;
            match name.as_str() {
                "--services" => wanted.services = value.parse()?,
                "--deploying" => wanted.deploying = value.parse()?,
                "--speed" => wanted.speed = value.parse()?,
                "--stepped" => wanted.stepped = value == "yes",
                "--seconds" => wanted.seconds = value.parse()?,
                _ => return Err(format!("there is no option {name}").into()),
            }
        }
        Ok(wanted)
    }
}

/// Somebody who calls the account over HTTP.
#[derive(Clone)]
struct Caller {
    endpoint: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Caller {
    async fn send(&self, headers: &[(&str, &str)], body: String) -> Result<Bytes, Failure> {
        const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=AKIDLOAD/20261121/eu-central-1/ecs/aws4_request, \
                              SignedHeaders=host, Signature=00";
        let mut request = Request::post(&self.endpoint).header("authorization", SIGNED);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body)))?;
        let response = self.client.request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if status.is_success() {
            Ok(body)
        } else {
            Err(String::from_utf8_lossy(&body).into_owned().into())
        }
    }

    async fn json(&self, target: &str, input: &Json) -> Result<Json, Failure> {
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", target),
        ];
        Ok(serde_json::from_slice(
            &self.send(&headers, input.to_string()).await?,
        )?)
    }

    async fn ecs(&self, operation: &str, input: &Json) -> Result<Json, Failure> {
        let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
        self.json(&target, input).await
    }

    async fn codedeploy(&self, operation: &str, input: &Json) -> Result<Json, Failure> {
        let target = format!("CodeDeploy_20141006.{operation}");
        self.json(&target, input).await
    }

    /// One call of Elastic Load Balancing, and the first ARN of this kind in the answer.
    async fn elb(
        &self,
        action: &str,
        arn: &str,
        fields: &[(&str, &str)],
    ) -> Result<String, Failure> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", action)
            .append_pair("Version", "2015-12-01");
        for (name, value) in fields {
            form.append_pair(name, value);
        }
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let answer = self.send(&headers, form.finish()).await?;
        let answer = String::from_utf8_lossy(&answer);
        let (open, close) = (format!("<{arn}>"), format!("</{arn}>"));
        let found = answer
            .split_once(&open)
            .and_then(|(_, rest)| rest.split_once(&close));
        let (found, _) = found.ok_or_else(|| format!("{action} answered no {arn}"))?;
        Ok(found.to_string())
    }
}

/// One service and what a deployment of it needs.
struct Service {
    name: String,
    revision: String,
}

fn revision_of(service: &Service) -> Json {
    let spec = json!({
        "version": 0.0,
        "Resources": [{ "TargetService": { "Type": "AWS::ECS::Service", "Properties": {
            "TaskDefinition": service.revision,
            "LoadBalancerInfo": { "ContainerName": "web", "ContainerPort": 80 },
        }}}],
    });
    json!({ "revisionType": "AppSpecContent", "appSpecContent": { "content": spec.to_string() } })
}

async fn build(caller: &Caller, index: usize, balancer: &str) -> Result<Service, Failure> {
    let name = format!("service-{index:04}");
    let port = 10_000 + 2 * (index % SHARED_BY);
    let mut groups = Vec::new();
    for colour in ["blue", "green"] {
        let fields = [
            ("Name", &*format!("{name}-{colour}")),
            ("Protocol", "HTTP"),
            ("Port", "80"),
            ("VpcId", "vpc-1"),
            ("TargetType", "ip"),
        ];
        groups.push(
            caller
                .elb("CreateTargetGroup", "TargetGroupArn", &fields)
                .await?,
        );
    }
    let mut listeners = Vec::new();
    for port in [port, port + 1] {
        let fields = [
            ("LoadBalancerArn", balancer),
            ("Protocol", "HTTP"),
            ("Port", &*port.to_string()),
            ("DefaultActions.member.1.Type", "forward"),
            ("DefaultActions.member.1.TargetGroupArn", &*groups[0]),
        ];
        listeners.push(caller.elb("CreateListener", "ListenerArn", &fields).await?);
    }
    let definition = json!({
        "family": name, "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"],
        "cpu": "256", "memory": "512",
        "containerDefinitions": [{ "name": "web", "image": "web:v1", "portMappings": [{ "containerPort": 80 }] }],
    });
    let made = caller.ecs("RegisterTaskDefinition", &definition).await?;
    let revision = &made["taskDefinition"]["taskDefinitionArn"];
    let service = json!({
        "cluster": "load", "serviceName": name, "taskDefinition": revision, "desiredCount": 2,
        "launchType": "FARGATE", "deploymentController": { "type": "CODE_DEPLOY" },
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-1"] } },
        "loadBalancers": [{ "targetGroupArn": groups[0], "containerName": "web", "containerPort": 80 }],
    });
    caller.ecs("CreateService", &service).await?;
    let dimension =
        |arn: &str, at: &str| arn.split_once(at).map_or("", |(_, tail)| tail).to_string();
    let alarm = json!({
        "AlarmName": name, "Namespace": "AWS/ApplicationELB", "MetricName": "HTTPCode_Target_5XX_Count",
        "Dimensions": [
            { "Name": "LoadBalancer", "Value": dimension(balancer, "loadbalancer/") },
            { "Name": "TargetGroup", "Value": format!("targetgroup/{}", dimension(&groups[1], "targetgroup/")) },
        ],
        "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1, "Threshold": 50.0,
        "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching",
    });
    caller
        .json("GraniteServiceVersion20100801.PutMetricAlarm", &alarm)
        .await?;
    let application = json!({ "applicationName": name, "computePlatform": "ECS" });
    caller.codedeploy("CreateApplication", &application).await?;
    let group = json!({
        "applicationName": name, "deploymentGroupName": "web",
        "serviceRoleArn": "arn:aws:iam::123456789012:role/codedeploy",
        "deploymentConfigName": "CodeDeployDefault.ECSCanary10Percent5Minutes",
        "deploymentStyle": { "deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL" },
        "alarmConfiguration": { "enabled": true, "alarms": [{ "name": name }] },
        "autoRollbackConfiguration": { "enabled": true, "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"] },
        "blueGreenDeploymentConfiguration": {
            "deploymentReadyOption": { "actionOnTimeout": "CONTINUE_DEPLOYMENT", "waitTimeInMinutes": 0 },
            "terminateBlueInstancesOnDeploymentSuccess": { "action": "TERMINATE", "terminationWaitTimeInMinutes": 1 },
        },
        "ecsServices": [{ "clusterName": "load", "serviceName": name }],
        "loadBalancerInfo": { "targetGroupPairInfoList": [{
            "targetGroups": [{ "name": format!("{name}-blue") }, { "name": format!("{name}-green") }],
            "prodTrafficRoute": { "listenerArns": [listeners[0]] },
            "testTrafficRoute": { "listenerArns": [listeners[1]] },
        }]},
    });
    caller.codedeploy("CreateDeploymentGroup", &group).await?;
    Ok(Service {
        name,
        revision: revision.as_str().unwrap_or_default().to_string(),
    })
}

async fn deploy(caller: &Caller, service: &Service) -> Result<String, Failure> {
    let input = json!({
        "applicationName": service.name, "deploymentGroupName": "web", "revision": revision_of(service),
    });
    let made = caller.codedeploy("CreateDeployment", &input).await?;
    Ok(made["deploymentId"]
        .as_str()
        .unwrap_or_default()
        .to_string())
}

/// Processor time of this process so far, and its memory: (seconds, MiB, the most MiB it ever had).
fn usage() -> Result<(f64, f64, f64), Failure> {
    // Fields 14 and 15 are user and system time in ticks of 10 ms; the name before them ends with ')'.
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map_or("", |(_, rest)| rest)
        .split_whitespace()
        .collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok());
    let seconds = (ticks(11).unwrap_or_default() + ticks(12).unwrap_or_default()) / 100.0;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let memory = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next());
        number
            .and_then(|text| text.parse::<f64>().ok())
            .unwrap_or_default()
            / 1024.0
    };
    Ok((seconds, memory("VmRSS:"), memory("VmHWM:")))
}

/// The value that this share of the sorted values does not exceed.
fn quantile(sorted: &[Duration], share: f64) -> f64 {
    let at = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(at).map_or(0.0, Duration::as_secs_f64) * 1000.0
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let wanted = Wanted::read()?;
    #[expect(
        clippy::disallowed_methods,
        reason = "the wiring hands the machine's time to the simulation"
    )]
    let now = SystemTime::now();
    let running = serve(Options {
        listen: "127.0.0.1:0".parse()?,
        speed: 0.0,
        seed: 1,
        empty: true,
        relay_url: None,
        relay_secret: None,
        start_ms: i64::try_from(now.duration_since(UNIX_EPOCH)?.as_millis())?,
        progress: |_| {},
    })
    .await?;
    let caller = Caller {
        endpoint: running.endpoint(),
        client: Client::builder(TokioExecutor::new()).build_http(),
    };
    let built = Instant::now();
    caller
        .ecs("CreateCluster", &json!({ "clusterName": "load" }))
        .await?;
    let mut balancer = String::new();
    let mut services = Vec::new();
    for index in 0..wanted.services {
        if index % SHARED_BY == 0 {
            let name = format!("load-{:03}", index / SHARED_BY);
            let fields = [
                ("Name", &*name),
                ("Subnets.member.1", "subnet-1"),
                ("Subnets.member.2", "subnet-2"),
            ];
            balancer = caller
                .elb("CreateLoadBalancer", "LoadBalancerArn", &fields)
                .await?;
        }
        services.push(build(&caller, index, &balancer).await?);
    }
    let building = built.elapsed();
    eprintln!(
        "{} services after {:.1} s",
        services.len(),
        building.as_secs_f64()
    );
    // Every task is up and well before anything is measured.
    let started = Instant::now();
    running.advance(600.0)?;
    let starting = started.elapsed();
    eprintln!(
        "ten minutes in which all of them start took {:.1} s",
        starting.as_secs_f64()
    );
    let mut moving = Vec::new();
    for service in services.iter().take(wanted.deploying) {
        moving.push(deploy(&caller, service).await?);
    }

    let (cpu_before, ..) = usage()?;
    let (simulated_before, wall) = (running.now_ms(), Instant::now());
    if !wanted.stepped {
        running.set_speed(wanted.speed)?;
    }
    let mut passed = Duration::ZERO;
    let (mut asked, mut finished, mut behind, mut outcomes) = (Vec::new(), 0, 0.0_f64, Vec::new());
    let mut next = wall;
    let mut at = 0;
    while passed < Duration::from_secs(wanted.seconds) {
        if wanted.stepped {
            passed += ASK_EVERY;
            running.advance(ASK_EVERY.as_secs_f64() * wanted.speed)?;
        } else {
            next += ASK_EVERY;
            tokio::time::sleep_until(next.into()).await;
            passed = wall.elapsed();
        }
        at += 1;
        let index = at % wanted.deploying.max(1);
        let begun = Instant::now();
        let name = &services[at % services.len()].name;
        let service = json!({ "cluster": "load", "services": [name] });
        caller.ecs("DescribeServices", &service).await?;
        asked.push(begun.elapsed());
        if wanted.deploying > 0 {
            let begun = Instant::now();
            let asked_for = json!({ "deploymentId": moving[index] });
            let answer = caller.codedeploy("GetDeployment", &asked_for).await?;
            asked.push(begun.elapsed());
            let status = answer["deploymentInfo"]["status"]
                .as_str()
                .unwrap_or_default()
                .to_string();
            if ["Succeeded", "Failed", "Stopped"].contains(&&*status) {
                finished += 1;
                outcomes.push(status);
                moving[index] = deploy(&caller, &services[index]).await?;
            }
        }
        let simulated = (running.now_ms() - simulated_before) as f64 / 1000.0;
        behind = behind.max(passed.as_secs_f64() * wanted.speed - simulated);
    }
    let elapsed = wall.elapsed().as_secs_f64();
    let (cpu, memory, most) = usage()?;
    asked.sort_unstable();
    outcomes.sort();
    outcomes.dedup();
    let mut out = std::io::stdout().lock();
    for (what, value) in [
        ("services", format!("{}", wanted.services)),
        ("deploying at once", format!("{}", wanted.deploying)),
        ("speed", format!("{}", wanted.speed)),
        ("wall time", format!("{elapsed:.1} s")),
        (
            "asked at most this far behind the wall",
            format!("{behind:.1} simulated s"),
        ),
        (
            "processor",
            format!(
                "{:.1} s for {:.1} s at this speed, {:.0} % of one core",
                cpu - cpu_before,
                passed.as_secs_f64(),
                (cpu - cpu_before) / passed.as_secs_f64() * 100.0,
            ),
        ),
        (
            "resident memory",
            format!("{memory:.0} MiB, at most {most:.0} MiB"),
        ),
        (
            "answers, with their tick",
            format!(
                "{} asked, p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
                asked.len(),
                quantile(&asked, 0.5),
                quantile(&asked, 0.99),
                quantile(&asked, 1.0),
            ),
        ),
        (
            "deployments that ended",
            format!("{finished} ({})", outcomes.join(", ")),
        ),
        ("building", format!("{:.1} s", building.as_secs_f64())),
        (
            "ten minutes in which all start",
            format!("{:.1} s", starting.as_secs_f64()),
        ),
    ] {
        writeln!(out, "| {what} | {value} |")?;
    }
    drop(out);
    running.shutdown().await;
    Ok(())
}
