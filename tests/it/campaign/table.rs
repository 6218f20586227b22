//! What a run is: one act, one fault, both fixed by the campaign's seed and the run's number.
//!
//! The table of combinations is walked first: the number of acts and the number of faults have no common
//! divisor, so counting both on by one reaches every pair once before any pair comes again. Runs after
//! that are drawn at random, with a second death at a random moment in every other one.

use serde::Serialize;

/// What is done to AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// A person approves at a validation hook.
    ApproveAtHook,
    /// A person rejects at a validation hook.
    RejectAtHook,
    /// A person approves at a ready-wait.
    ApproveAtReady,
    /// A person rejects at a ready-wait.
    RejectAtReady,
    /// Nobody decides and the fuse burns out.
    FuseBurnsOut,
    /// A recorded revision is deployed again.
    Redeploy,
    /// A deployment in flight is stopped.
    StopInFlight,
    /// A rollback is asked for while a gate is open.
    RejectAsRollback,
    /// A recorded revision is deployed again, by ECS itself.
    MoveService,
    /// A deployment of ECS itself is stopped.
    StopServiceDeployment,
}

impl Act {
    /// Every other one has a hook, so that a fault that needs one meets it early in the table.
    pub const ALL: [Act; 10] = [
        Act::ApproveAtHook,
        Act::ApproveAtReady,
        Act::RejectAtHook,
        Act::RejectAtReady,
        Act::FuseBurnsOut,
        Act::Redeploy,
        Act::RejectAsRollback,
        Act::StopInFlight,
        Act::MoveService,
        Act::StopServiceDeployment,
    ];

    /// The one operation by which it changes AWS.
    pub const fn call(self) -> &'static str {
        match self {
            Act::ApproveAtHook | Act::RejectAtHook | Act::FuseBurnsOut | Act::RejectAsRollback => {
                "PutLifecycleEventHookExecutionStatus"
            }
            Act::ApproveAtReady => "ContinueDeployment",
            Act::RejectAtReady | Act::StopInFlight => "StopDeployment",
            Act::Redeploy => "CreateDeployment",
            Act::MoveService => "UpdateService",
            Act::StopServiceDeployment => "StopServiceDeployment",
        }
    }

    /// Whether a hook is posted for it.
    pub const fn has_hook(self) -> bool {
        matches!(
            self,
            Act::ApproveAtHook | Act::RejectAtHook | Act::FuseBurnsOut | Act::RejectAsRollback
        )
    }

    /// Whether it waits at CodeDeploy's ready-wait.
    pub const fn has_ready_wait(self) -> bool {
        matches!(self, Act::ApproveAtReady | Act::RejectAtReady)
    }

    /// Whether it is asked for as a rollback and so is an operation.
    pub const fn is_operation(self) -> bool {
        self.is_sent_as_such() || matches!(self, Act::RejectAsRollback)
    }

    /// Whether the operation itself is sent, not a verdict in its place.
    pub const fn is_sent_as_such(self) -> bool {
        self.redeploys() || matches!(self, Act::StopInFlight | Act::StopServiceDeployment)
    }

    /// Whether it begins a deployment of a recorded revision.
    pub const fn redeploys(self) -> bool {
        matches!(self, Act::Redeploy | Act::MoveService)
    }

    /// The service of AWS that it calls, as faults name it.
    pub const fn service(self) -> &'static str {
        match self {
            Act::MoveService | Act::StopServiceDeployment => "ecs",
            _ => "codedeploy",
        }
    }

    /// Whether the new revision serves in the end.
    pub const fn goes_on(self) -> bool {
        matches!(self, Act::ApproveAtHook | Act::ApproveAtReady)
    }
}

/// What goes wrong, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Killed while the intent waits for the database.
    KillBeforeTheIntent,
    /// Killed as soon as the intent is committed.
    KillAfterTheIntent,
    /// Killed when the request has left; it never arrives.
    KillAndTheRequestIsLost,
    /// Killed when the request has left; it arrives while nobody runs.
    KillAndTheRequestArrives,
    /// Killed when the request has left; it arrives after the restart and its first look.
    KillAndTheRequestArrivesLate,
    /// Killed after the effect; the answer never arrives.
    KillAfterTheEffect,
    /// Killed after the effect, and again as soon as the next process looks at AWS.
    KillTwiceAfterTheEffect,
    /// Killed with the answer in hand, before it is recorded.
    KillBeforeTheAnswerIsRecorded,
    /// Killed as soon as the answer is recorded.
    KillAfterTheAnswerIsRecorded,
    /// Killed after AWS confirmed everything.
    KillAfterTheEnd,
    /// AWS says that it is asked too often.
    Throttled,
    /// The same until the intent is too old to be sent.
    ThrottledTooLong,
    /// HTTP 500 without an effect.
    ErrorBefore,
    /// HTTP 500 after the effect.
    ErrorAfter,
    /// The effect, and the connection closes without an answer.
    ResponseLost,
    /// No effect, and the connection closes without an answer.
    ConnectionCut,
    /// The answer comes when the deployment has ended.
    AnswerAfterTheEnd,
    /// The permission is missing at the first call.
    Forbidden,
    /// The answer is lost and AWS lists nothing new for a while.
    ListedLate,
    /// AWS names the rollback deployment a while after the stop.
    RollbackNamedLate,
    /// The hook is delivered again, while the call is under way and after the end.
    HookAgain,
    /// The database is locked when the intent is to be committed.
    BusyAtTheIntent,
    /// The database is locked when the call is to be committed.
    BusyAtTheCall,
    /// The database is locked when the answer is to be committed.
    BusyAtTheAnswer,
    /// The database cannot grow when the intent is to be committed.
    FullAtTheIntent,
    /// The database cannot grow when the call is to be committed.
    FullAtTheCall,
    /// The database cannot grow when the answer is to be committed.
    FullAtTheAnswer,
}

impl Fault {
    pub const ALL: [Fault; 27] = [
        Fault::KillTwiceAfterTheEffect,
        Fault::ThrottledTooLong,
        Fault::KillBeforeTheIntent,
        Fault::Throttled,
        Fault::KillAfterTheIntent,
        Fault::ErrorBefore,
        Fault::KillAndTheRequestIsLost,
        Fault::ErrorAfter,
        Fault::KillAndTheRequestArrives,
        Fault::ResponseLost,
        Fault::KillAndTheRequestArrivesLate,
        Fault::ConnectionCut,
        Fault::KillAfterTheEffect,
        Fault::AnswerAfterTheEnd,
        Fault::KillBeforeTheAnswerIsRecorded,
        Fault::Forbidden,
        Fault::KillAfterTheAnswerIsRecorded,
        Fault::ListedLate,
        Fault::KillAfterTheEnd,
        Fault::RollbackNamedLate,
        Fault::BusyAtTheIntent,
        Fault::FullAtTheIntent,
        Fault::HookAgain,
        Fault::BusyAtTheCall,
        Fault::FullAtTheCall,
        Fault::BusyAtTheAnswer,
        Fault::FullAtTheAnswer,
    ];
}

/// One run.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub seed: u64,
    pub number: u64,
    pub act: Act,
    pub fault: Fault,
    /// How many calls in a row are harmed.
    pub times: u64,
    /// A second death, so many milliseconds after the first fault was dealt with.
    pub second_death_ms: Option<u64>,
}

impl Run {
    /// The run with this number in the campaign with this seed.
    pub fn of(seed: u64, number: u64) -> Run {
        let (acts, faults) = (Act::ALL.len() as u64, Fault::ALL.len() as u64);
        let mut random = Random(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let in_the_table = number < acts * faults;
        let (act, fault) = if in_the_table {
            let place = seed.wrapping_mul(17).wrapping_add(number);
            (place % acts, place % faults)
        } else {
            (random.below(acts), random.below(faults))
        };
        let (act, mut fault) = (Act::ALL[act as usize], Fault::ALL[fault as usize]);
        if fault == Fault::HookAgain && !act.has_hook() {
            fault = Fault::KillAfterTheEffect;
        }
        if fault == Fault::ThrottledTooLong && !act.is_sent_as_such() {
            // A verdict does not grow old: AWS still waits for it.
            fault = Fault::Throttled;
        }
        Run {
            seed,
            number,
            act,
            fault,
            times: 1 + random.below(2),
            second_death_ms: (!in_the_table && random.below(2) == 0).then(|| random.below(1500)),
        }
    }

    /// What a failure is told with.
    pub fn name(&self) -> String {
        format!(
            "run {} of seed {} ({:?}, {:?} × {}{})",
            self.number,
            self.seed,
            self.act,
            self.fault,
            self.times,
            match self.second_death_ms {
                Some(after) => format!(", killed again after {after} ms"),
                None => String::new(),
            }
        )
    }

    /// The service of its own.
    pub fn service(&self) -> String {
        format!("svc-{}", self.number)
    }
}

/// SplitMix64: small, and the same everywhere.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

#[test]
fn the_table_has_every_pair_once_and_its_beginning_everything() {
    use std::collections::BTreeSet;

    let size = (Act::ALL.len() * Fault::ALL.len()) as u64;
    for seed in [1, 2, 77] {
        let mut pairs: Vec<(Act, Fault)> = Vec::new();
        for number in 0..size {
            let run = Run::of(seed, number);
            pairs.push((run.act, run.fault));
        }
        let distinct: BTreeSet<(Act, Fault)> = pairs.iter().copied().collect();
        // Acts without a hook have nothing to be delivered again, and only four acts are intents that grow old.
        let without = Act::ALL.iter().filter(|act| !act.has_hook()).count();
        assert_eq!(distinct.len(), pairs.len() - without - 6);
    }
    // What every run of the tests does.
    let first: Vec<Run> = (0..50).map(|number| Run::of(1, number)).collect();
    for fault in Fault::ALL {
        assert!(first.iter().any(|run| run.fault == fault), "{fault:?}");
    }
    for act in Act::ALL {
        assert!(first.iter().any(|run| run.act == act), "{act:?}");
    }
}
