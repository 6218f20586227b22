//! The world with everything that stands between it and its callers: the clock, the journal, the
//! faults, the ids of requests, and the pretend teams of the story.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::UnboundedSender;

use crate::door::clock::{SimulatedClock, rfc3339};
use crate::door::faults::{ActiveFault, Fault, FaultKind, Faults};
use crate::door::json::{self, TimeForm};
use crate::door::wire::Credential;
use crate::error::AwsError;
use crate::story::{Started, Story};
use crate::value::Value;
use crate::world::{Caller, Effect, World};

/// The account of every caller that did not assume a role elsewhere.
pub const ACCOUNT: &str = "123456789012";

/// The region that the story plays in and that the simulation names when it is asked for one.
pub const REGION: &str = "eu-central-1";

/// One call that changes something, as `/_sim/journal` tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// When, in simulated time, RFC 3339.
    pub at: String,
    /// `codedeploy`, `ecs`, `elasticloadbalancing`, `events`, `monitoring`, `s3` or `sqs`.
    pub service: String,
    /// As AWS names it.
    pub operation: String,
    /// As they were sent, decoded; times as RFC 3339.
    pub parameters: serde_json::Value,
    /// What the answer carried as `x-amzn-RequestId`.
    pub request_id: String,
    /// The code of the refusal; `None` when the call took effect, whatever its caller was told.
    pub error: Option<String>,
    /// The text of the refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// The fault that struck this call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<FaultKind>,
    /// Who called.
    pub caller: String,
}

/// One call of an operation.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Who calls.
    pub caller: &'a Caller,
    /// `codedeploy`, `ecs`, `elasticloadbalancing`, `events`, `monitoring`, `s3`, `sqs` or `sts`.
    pub service: &'a str,
    /// As AWS names it.
    pub operation: &'a str,
    /// Its parameters.
    pub input: &'a Value,
    /// What the answer carries as `x-amzn-RequestId`.
    pub request_id: &'a str,
    /// The fault that strikes it.
    pub fault: Option<FaultKind>,
}

/// The account of a simulation, and its surroundings.
pub struct Simulation {
    /// The account itself.
    pub world: World,
    /// What time it is.
    pub clock: SimulatedClock,
    /// What goes wrong on purpose.
    pub faults: Faults,
    /// Each entry as the JSON that it is told in, which takes a fraction of the room: nothing is ever dropped.
    journal: Vec<Box<str>>,
    story: Option<Story>,
    effects: UnboundedSender<Effect>,
    /// By access key: account, principal, and the digits that its secret is made of.
    assumed: BTreeMap<String, (String, String, String)>,
    seed: u64,
    requests: u64,
}

impl Simulation {
    /// An empty account at `now_ms`, with the clock standing still until [`Simulation::start`].
    pub fn new(seed: u64, now_ms: i64, effects: UnboundedSender<Effect>) -> Simulation {
        Simulation {
            world: World::new(seed, now_ms),
            clock: SimulatedClock::new(now_ms, Instant::now(), 0.0),
            faults: Faults::default(),
            journal: Vec::new(),
            story: None,
            effects,
            assumed: BTreeMap::new(),
            seed,
            requests: 0,
        }
    }

    /// Lets the pretend teams work from now on.
    pub fn tell(&mut self, story: Story) {
        self.story = Some(story);
    }

    /// Lets a pretend team that releases through a gate start its next release now, or says why none can.
    pub fn start_canary(&mut self) -> Result<Started, String> {
        let Some(mut story) = self.story.take() else {
            return Err("this account has no teams: it was started empty".to_string());
        };
        let started = story.start_canary(self);
        self.story = Some(story);
        started
    }

    /// How long it is until a pretend team that releases through a gate starts its next release by
    /// itself; `None` while all of them have something under way, or there are none.
    pub fn next_canary(&mut self) -> Option<Duration> {
        let mut story = self.story.take()?;
        let next = story.next_canary(self);
        self.story = Some(story);
        next
    }

    /// Lets the clock run: it shows `start_ms` at the instant `since`.
    pub fn start(&mut self, start_ms: i64, since: Instant, speed: f64) {
        self.clock = SimulatedClock::new(start_ms, since, speed);
    }

    /// Brings the account to what the clock shows at `instant`, and says what that is.
    pub fn catch_up(&mut self, instant: Instant) -> i64 {
        let now_ms = self.clock.at(instant);
        self.advance_to(now_ms);
        now_ms
    }

    /// Brings the account to `to_ms`. The teams of the story act at moments of their own on the way,
    /// so that what happens does not depend on how often this is called.
    pub fn advance_to(&mut self, to_ms: i64) {
        while let Some(mut story) = self.story.take_if(|story| story.due_ms() <= to_ms) {
            self.world.advance_to(story.due_ms());
            story.step(self);
            self.story = Some(story);
        }
        self.world.advance_to(to_ms);
        self.hand_over_effects();
    }

    /// Gives what the account wants done outside to whoever does it.
    pub fn hand_over_effects(&mut self) {
        for effect in self.world.take_effects() {
            let silent = match &effect {
                Effect::InvokeHook { function, .. }
                | Effect::InvokeLifecycleHook { function, .. } => self.faults.silences(function),
            };
            if silent {
                continue;
            }
            // Nobody listens any more only while the simulation shuts down.
            let _ = self.effects.send(effect);
        }
    }

    /// Puts a fault in force, or says what is wrong with it.
    pub fn add_fault(&mut self, fault: Fault) -> Result<ActiveFault, String> {
        let active = self.faults.add(fault)?;
        self.world.event_faults.extend(Faults::for_events(&active));
        Ok(active)
    }

    /// The faults in force. What happened to events is counted by the account.
    pub fn list_faults(&self) -> Vec<ActiveFault> {
        let mut active = self.faults.list().to_vec();
        for one in &mut active {
            let of_events = self.world.event_faults.iter();
            if let Some(counted) = of_events.into_iter().find(|fault| fault.id == one.id) {
                (one.matched, one.fired) = (counted.matched, counted.fired);
            }
        }
        active
    }

    /// Takes one fault out of force, or all; says how many.
    pub fn remove_faults(&mut self, id: Option<u64>) -> usize {
        let events = &mut self.world.event_faults;
        events.retain(|fault| id.is_some_and(|id| fault.id != id));
        self.faults.remove(id)
    }

    /// The secret of an access key that AssumeRole handed out.
    pub fn session_secret(&self, access_key: &str) -> Option<String> {
        let digits = self.assumed.get(access_key).map(|assumed| &assumed.2)?;
        Some(format!("simulated/{digits}"))
    }

    /// Who the holder of a credential is.
    pub fn caller(&self, credential: &Credential) -> Caller {
        let (account, principal) = self
            .assumed
            .get(&credential.access_key)
            .map(|(account, principal, _)| (account.clone(), principal.clone()))
            .unwrap_or_else(|| {
                let user = credential
                    .access_key
                    .replace(|c: char| !c.is_ascii_alphanumeric(), "-");
                (
                    ACCOUNT.to_string(),
                    format!("arn:aws:iam::{ACCOUNT}:user/{user}"),
                )
            });
        Caller {
            account,
            region: credential.region.clone(),
            principal,
        }
    }

    /// A new request id: the same for the same seed and the same order of calls.
    pub fn next_request_id(&mut self) -> String {
        self.requests += 1;
        let mut hash = Sha256::new();
        hash.update(self.seed.to_be_bytes());
        hash.update(self.requests.to_be_bytes());
        let digits = hex::encode(hash.finalize());
        format!(
            "{}-{}-4{}-a{}-{}",
            &digits[..8],
            &digits[8..12],
            &digits[13..16],
            &digits[17..20],
            &digits[20..32]
        )
    }

    /// One operation, written into the journal if it changes something.
    pub fn call(&mut self, call: &Call<'_>) -> Result<Value, AwsError> {
        let outcome = if (call.service, call.operation) == ("sts", "AssumeRole") {
            self.assume_role(call)
        } else {
            self.world
                .call(call.caller, call.service, call.operation, call.input)
        };
        self.write_down(call, outcome.as_ref().err());
        self.hand_over_effects();
        outcome
    }

    /// One operation of a pretend team, by the same way as anybody's.
    pub fn call_as(
        &mut self,
        caller: &Caller,
        service: &str,
        operation: &str,
        input: &Value,
    ) -> Result<Value, AwsError> {
        let request_id = &*self.next_request_id();
        self.call(&Call {
            caller,
            service,
            operation,
            input,
            request_id,
            fault: None,
        })
    }

    /// Writes a call into the journal if it changes something. A call that a fault kept from the
    /// account stands there with the fault as its error.
    pub fn write_down(&mut self, call: &Call<'_>, error: Option<&AwsError>) {
        if is_read_only(call.service, call.operation) || is_traffic(call.service, call.operation) {
            return;
        }
        let entry = JournalEntry {
            at: rfc3339(self.world.now_ms()),
            service: call.service.to_string(),
            operation: call.operation.to_string(),
            parameters: json::to_json(call.input, TimeForm::Rfc3339),
            request_id: call.request_id.to_string(),
            error: error.map(|error| error.code.clone()),
            error_message: error.map(|error| error.message.clone()),
            fault: call.fault,
            caller: call.caller.principal.clone(),
        };
        // Names are text and numbers finite, so that every entry can be written.
        if let Ok(text) = serde_json::to_string(&entry) {
            self.journal.push(text.into_boxed_str());
        }
    }

    /// Hands out credentials whose holder is in the role's account. They do not expire: a client
    /// renews them by its own clock, which does not know how fast simulated time runs.
    fn assume_role(&mut self, call: &Call<'_>) -> Result<Value, AwsError> {
        let input = call.input;
        World::check_members(call.service, call.operation, input)?;
        let role = input.get("RoleArn").as_str().unwrap_or_default();
        let session = input.get("RoleSessionName").as_str().unwrap_or_default();
        let parts: Vec<&str> = role.splitn(6, ':').collect();
        let ["arn", _, "iam", "", account, resource] = parts[..] else {
            let message = format!("{role} is invalid");
            return Err(AwsError::caller("ValidationError", message));
        };
        let lawful = account.len() == 12
            && account.bytes().all(|byte| byte.is_ascii_digit())
            && resource.starts_with("role/")
            && (2..=64).contains(&session.len());
        if !lawful {
            let message = "1 validation error detected: RoleArn or RoleSessionName is malformed";
            return Err(AwsError::caller("ValidationError", message));
        }
        let given = input.get("DurationSeconds");
        let seconds = match (given.is_null(), given.as_i64()) {
            (true, _) => 3600,
            (false, Some(seconds)) if (900..=43_200).contains(&seconds) => seconds,
            _ => {
                let message = "1 validation error detected: Value at 'durationSeconds' failed to satisfy \
                               constraint: Member must have value between 900 and 43200";
                return Err(AwsError::caller("ValidationError", message));
            }
        };
        let name = resource.rsplit('/').next().unwrap_or(resource);
        let principal = format!("arn:aws:sts::{account}:assumed-role/{name}/{session}");
        let digits = call.request_id.replace('-', "").to_uppercase();
        let access_key = format!("ASIA{}", &digits[..16]);
        self.assumed.insert(
            access_key.clone(),
            (account.to_string(), principal.clone(), digits.clone()),
        );
        let credentials = Value::map()
            .with("AccessKeyId", access_key)
            .with("SecretAccessKey", format!("simulated/{digits}"))
            .with("SessionToken", format!("simulated/{digits}"))
            .with(
                "Expiration",
                Value::Time(self.world.now_ms() + seconds * 1000),
            );
        let user = Value::map()
            .with("AssumedRoleId", format!("AROASIMULATED:{session}"))
            .with("Arn", principal);
        Ok(Value::map()
            .with("Credentials", credentials)
            .with("AssumedRoleUser", user))
    }

    /// Every call that changed something or tried to, in order.
    pub fn journal(&self) -> Vec<JournalEntry> {
        self.latest_calls(self.journal.len())
    }

    /// The last so many of them, in order.
    pub fn latest_calls(&self, count: usize) -> Vec<JournalEntry> {
        let first = self.journal.len().saturating_sub(count);
        let latest = self.journal.iter().skip(first);
        latest
            .filter_map(|text| serde_json::from_str(text).ok())
            .collect()
    }

    /// How many there are.
    pub fn calls(&self) -> usize {
        self.journal.len()
    }

    /// All of them as a JSON array.
    pub fn journal_as_json(&self) -> String {
        format!("[{}]", self.journal.join(","))
    }

    /// The whole account with its time, for people and tests.
    pub fn state(&self) -> serde_json::Value {
        let mut state = json::to_json(&self.world.state(), TimeForm::Rfc3339);
        if let Some(state) = state.as_object_mut() {
            state.insert("now".to_string(), rfc3339(self.world.now_ms()).into());
        }
        state
    }
}

/// Whether the journal leaves a call out: messages are traffic, not changes of the account.
fn is_traffic(service: &str, operation: &str) -> bool {
    service == "sqs" && operation.contains("Message")
}

/// Whether an operation only reads, as AWS's names tell. STS changes nothing in an account.
pub fn is_read_only(service: &str, operation: &str) -> bool {
    const READING: [&str; 8] = [
        "BatchGet", "Describe", "Discover", "Get", "Head", "List", "Search", "Test",
    ];
    service == "sts" || READING.iter().any(|verb| operation.starts_with(verb))
}
