//! Somebody who looks after all services over HTTP as a control plane does, and begins deployments.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use tokio::task::JoinSet;

use crate::caller::{Caller, Failure};
use crate::fleet::{CLUSTER, Fleet, Kind, QUEUE};

/// Every so many deployments are of a bad image: of every kind in turn.
const BAD_EACH: usize = 19;
/// What CodeDeploy answers to a question about a deployment's target that comes too early.
const NOT_STARTED: &str = "DeploymentNotStartedException";
/// Every service is looked at once in so many seconds.
const IDLE_SECONDS: usize = 30;
/// How far back the metrics of a service that deploys are asked for.
const WINDOW_S: i64 = 600;

/// One request, and what becomes of its answer.
pub enum Question {
    /// Service, operation, input.
    Json(&'static str, &'static str, Json),
    /// Action and fields.
    Elb(&'static str, Vec<(&'static str, String)>),
}

/// Something a deployment waits for somebody to do: operation's service, operation, input.
type Decision = (&'static str, &'static str, Json);

pub struct Desk {
    caller: Caller,
    fleet: Fleet,
    /// What does not deploy; the one that has rested longest is next.
    resting: VecDeque<usize>,
    /// What deploys: the service, and what CodeDeploy or ECS calls its deployment.
    moving: Vec<(usize, String)>,
    begun: usize,
    over: BTreeMap<String, String>,
    decisions: Vec<Decision>,
    outcomes: BTreeMap<String, usize>,
    asked: Vec<Duration>,
    events: usize,
}

fn texts<'a>(items: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    items.collect()
}

impl Desk {
    pub fn new(caller: Caller, fleet: Fleet) -> Desk {
        Desk {
            caller,
            resting: (0..fleet.services.len()).collect(),
            fleet,
            moving: Vec::new(),
            begun: 0,
            over: BTreeMap::new(),
            decisions: Vec::new(),
            outcomes: BTreeMap::new(),
            asked: Vec::new(),
            events: 0,
        }
    }

    /// Lets so many more services deploy.
    pub async fn begin(&mut self, count: usize) -> Result<(), Failure> {
        for _ in 0..count {
            let index = self.resting.pop_front().ok_or("every service deploys")?;
            self.begun += 1;
            let service = &mut self.fleet.services[index];
            let id = service.deploy(&self.caller, self.begun.is_multiple_of(BAD_EACH));
            self.moving.push((index, id.await?));
        }
        Ok(())
    }

    fn of_codedeploy(&self) -> Vec<(&str, &str)> {
        let moving = self.moving.iter();
        moving
            .map(|(index, id)| (&self.fleet.services[*index], id))
            .filter(|(service, _)| matches!(service.kind, Kind::CodeDeploy { .. }))
            .map(|(service, id)| (service.name.as_str(), id.as_str()))
            .collect()
    }

    fn of_ecs(&self) -> Vec<&str> {
        let moving = self.moving.iter();
        moving
            .map(|(index, id)| (&self.fleet.services[*index], id))
            .filter(|(service, _)| !matches!(service.kind, Kind::CodeDeploy { .. }))
            .map(|(_, id)| id.as_str())
            .collect()
    }

    /// Where every deployment under way stands.
    fn questions_of_deployments(&self) -> Vec<Question> {
        let of_codedeploy = self.of_codedeploy();
        let ids: Vec<&str> = texts(of_codedeploy.iter().map(|(_, id)| *id));
        let batches = ids.chunks(25).map(|ids| {
            let input = json!({ "deploymentIds": ids });
            Question::Json("codedeploy", "BatchGetDeployments", input)
        });
        let of_ecs = self.of_ecs();
        let native = of_ecs.chunks(20).map(|ids| {
            let input = json!({ "serviceDeploymentArns": ids });
            Question::Json("ecs", "DescribeServiceDeployments", input)
        });
        batches.chain(native).collect()
    }

    /// What is asked in one second.
    pub fn questions(&self, second: usize, now_ms: i64) -> Vec<Question> {
        let mut questions = self.questions_of_deployments();
        for (service, id) in self.of_codedeploy() {
            let input = json!({ "deploymentId": id, "targetId": format!("{CLUSTER}:{service}") });
            questions.push(Question::Json("codedeploy", "GetDeploymentTarget", input));
        }
        let mut queries = Vec::new();
        for (index, _) in &self.moving {
            let service = &self.fleet.services[*index];
            let listener = service.listener.clone();
            questions.push(match service.kind {
                Kind::Native { .. } => {
                    Question::Elb("DescribeRules", vec![("ListenerArn", listener)])
                }
                _ => Question::Elb(
                    "DescribeListeners",
                    vec![("ListenerArns.member.1", listener)],
                ),
            });
            for group in &service.groups {
                let fields = vec![("TargetGroupArn", group.clone())];
                questions.push(Question::Elb("DescribeTargetHealth", fields));
                for (name, statistic) in [
                    ("RequestCount", "Sum"),
                    ("HTTPCode_Target_5XX_Count", "Sum"),
                    ("TargetResponseTime", "p50"),
                    ("TargetResponseTime", "p99"),
                ] {
                    let metric = service.metric(group, name);
                    let id = format!("q{}", queries.len() % 500);
                    queries.push(json!({ "Id": id, "MetricStat": {
                        "Metric": metric, "Period": 60, "Stat": statistic,
                    }}));
                }
            }
        }
        let end = now_ms / 1000;
        for queries in queries.chunks(500) {
            let input = json!({
                "StartTime": end - WINDOW_S, "EndTime": end, "MetricDataQueries": queries,
            });
            questions.push(Question::Json("monitoring", "GetMetricData", input));
        }
        let moving: Vec<&str> = texts(self.moving.iter().map(|(index, _)| self.name(*index)));
        let idle = (0..self.fleet.services.len())
            .filter(|index| index % IDLE_SECONDS == second % IDLE_SECONDS);
        let idle: Vec<&str> = texts(idle.map(|index| self.name(index)));
        for names in [&moving, &idle] {
            for names in names.chunks(10) {
                let input = json!({ "cluster": CLUSTER, "services": names });
                questions.push(Question::Json("ecs", "DescribeServices", input));
            }
            for names in names.chunks(100) {
                let input = json!({ "AlarmNames": names });
                questions.push(Question::Json("monitoring", "DescribeAlarms", input));
            }
        }
        let under_way =
            json!({ "includeOnlyStatuses": ["Created", "Queued", "InProgress", "Ready"] });
        questions.push(Question::Json("codedeploy", "ListDeployments", under_way));
        questions
    }

    fn name(&self, index: usize) -> &str {
        &self.fleet.services[index].name
    }

    /// Asks all of this at once, and sees what has ended and what waits for somebody.
    pub async fn ask(&mut self, questions: Vec<Question>) -> Result<(), Failure> {
        let mut answers = JoinSet::new();
        for question in questions {
            let caller = self.caller.clone();
            answers.spawn(async move {
                let begun = Instant::now();
                let answer = match &question {
                    Question::Json(service, operation, input) => {
                        match caller.call(service, operation, input).await {
                            Ok(answer) => Some((*operation, answer)),
                            // A deployment that has just been created has no target yet.
                            Err(error) if error.to_string().contains(NOT_STARTED) => None,
                            Err(error) => return Err(error),
                        }
                    }
                    Question::Elb(action, fields) => {
                        let fields: Vec<(&str, &str)> = fields
                            .iter()
                            .map(|(name, value)| (*name, value.as_str()))
                            .collect();
                        caller.elb(action, &fields).await?;
                        None
                    }
                };
                Ok::<_, Failure>((answer, begun.elapsed()))
            });
        }
        while let Some(answer) = answers.join_next().await {
            let (answer, took) = answer??;
            self.asked.push(took);
            if let Some((operation, answer)) = answer {
                self.understand(operation, &answer);
            }
        }
        Ok(())
    }

    fn understand(&mut self, operation: &str, answer: &Json) {
        let list = |name: &str| answer[name].as_array().cloned().unwrap_or_default();
        let text = |value: &Json| value.as_str().unwrap_or_default().to_string();
        match operation {
            "BatchGetDeployments" => {
                for one in list("deploymentsInfo") {
                    let (id, status) = (text(&one["deploymentId"]), text(&one["status"]));
                    match &*status {
                        "Succeeded" | "Failed" | "Stopped" => {
                            self.over.insert(id, status);
                        }
                        "Ready" => {
                            let input =
                                json!({ "deploymentId": id, "deploymentWaitType": "READY_WAIT" });
                            self.decisions
                                .push(("codedeploy", "ContinueDeployment", input));
                        }
                        _ => {}
                    }
                }
            }
            "DescribeServiceDeployments" => {
                for one in list("serviceDeployments") {
                    let (id, status) = (text(&one["serviceDeploymentArn"]), text(&one["status"]));
                    let hooks = one["lifecycleHookDetails"].as_array();
                    let waiting = hooks
                        .into_iter()
                        .flatten()
                        .find(|hook| hook["status"] == "AWAITING_ACTION");
                    if let Some(hook) = waiting {
                        let input = json!({
                            "serviceDeploymentArn": id, "hookId": hook["hookId"], "action": "CONTINUE",
                        });
                        self.decisions
                            .push(("ecs", "ContinueServiceDeployment", input));
                    }
                    if !matches!(
                        &*status,
                        "PENDING"
                            | "IN_PROGRESS"
                            | "STOP_REQUESTED"
                            | "ROLLBACK_REQUESTED"
                            | "ROLLBACK_IN_PROGRESS"
                    ) {
                        self.over.insert(id, status);
                    }
                }
            }
            _ => {}
        }
    }

    /// Continues whatever waits for somebody, and lets as many deployments begin as have ended.
    pub async fn go_on(&mut self) -> Result<(), Failure> {
        for (service, operation, input) in std::mem::take(&mut self.decisions) {
            // An alarm may have stopped it since it was seen waiting.
            if let Err(error) = self.caller.call(service, operation, &input).await {
                eprintln!("not continued: {error}");
            }
        }
        let mut over = std::mem::take(&mut self.over);
        let mut ended = Vec::new();
        self.moving.retain(|(index, id)| match over.remove(id) {
            Some(status) => {
                ended.push((*index, status));
                false
            }
            None => true,
        });
        let count = ended.len();
        for (index, status) in ended {
            *self.outcomes.entry(status).or_default() += 1;
            self.resting.push_back(index);
        }
        self.begin(count).await
    }

    /// Asks where the deployments stand, and lets others begin where they have ended.
    pub async fn look_at_deployments(&mut self) -> Result<(), Failure> {
        self.ask(self.questions_of_deployments()).await?;
        self.receive().await?;
        self.go_on().await
    }

    /// Takes every event out of the queue that is there.
    pub async fn receive(&mut self) -> Result<(), Failure> {
        loop {
            let input = json!({ "QueueUrl": QUEUE, "MaxNumberOfMessages": 10 });
            let begun = Instant::now();
            let answer = self.caller.call("sqs", "ReceiveMessage", &input).await?;
            self.asked.push(begun.elapsed());
            let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
            if messages.is_empty() {
                return Ok(());
            }
            self.events += messages.len();
            let entries = messages.iter().enumerate().map(|(index, message)| {
                json!({ "Id": index.to_string(), "ReceiptHandle": message["ReceiptHandle"] })
            });
            let input = json!({ "QueueUrl": QUEUE, "Entries": entries.collect::<Vec<Json>>() });
            self.caller
                .call("sqs", "DeleteMessageBatch", &input)
                .await?;
        }
    }

    /// Counts from nothing again.
    pub fn forget_figures(&mut self) {
        self.outcomes.clear();
        self.asked.clear();
        self.events = 0;
    }

    /// How many deployments have ended.
    pub fn ended(&self) -> usize {
        self.outcomes.values().sum()
    }

    /// How they ended.
    pub fn outcomes(&self) -> String {
        let outcomes = self.outcomes.iter();
        let outcomes: Vec<String> = outcomes
            .map(|(status, count)| format!("{count} {status}"))
            .collect();
        outcomes.join(", ")
    }

    /// How many events arrived.
    pub fn events(&self) -> usize {
        self.events
    }

    /// How long each answer took, ascending.
    pub fn asked_for(&self) -> Vec<Duration> {
        let mut asked = self.asked.clone();
        asked.sort_unstable();
        asked
    }
}
