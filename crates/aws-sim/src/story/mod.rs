//! The pretend teams of an account that does not start empty: what they built, what they deployed in
//! the last month, and what they deploy next.
//!
//! The teams only call operations, as anybody does, and everything they do stands in the journal.
//! They decide *when* something is deployed and *what*; how it ends is never written here: it follows
//! from the traffic, the error rates, the alarms and the hooks of the account. Which revision a team
//! makes next comes from the seed and the order of their own work alone.
//!
//! [`native`] has the teams whose services ECS deploys itself. [`services`] says who the teams are and what their habits are, [`calendar`] makes a month of releases
//! out of the habits, [`team`] builds, deploys and looks.

mod calendar;
mod native;
mod services;
mod team;

use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tracing::warn;

use crate::door::simulation::Simulation;
use crate::error::AwsError;
use crate::world::Effect;
use native::NativeTeam;
use services::PLACES;
use team::{Author, Team};

/// How much past the account has when it starts.
const PAST_MS: i64 = 30 * DAY_MS;

const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
const MINUTE_MS: i64 = 60_000;

/// Why the account could not be filled.
#[derive(Debug, thiserror::Error)]
#[error("{team} was refused {operation}")]
pub struct StoryError {
    /// Whose call it was.
    pub team: String,
    /// The operation as AWS names it.
    pub operation: String,
    /// The account's answer.
    #[source]
    pub source: AwsError,
}

/// How far the account has come with its past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Days that it has lived through.
    pub day: i64,
    /// Of so many.
    pub days: i64,
    /// Deployments that the teams have begun.
    pub deployments: usize,
}

/// A deployment that a team was asked to start at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The service.
    pub service: String,
    /// Its region.
    pub region: String,
    /// `d-XXXXXXXXX`.
    pub deployment_id: String,
}

/// The regions that the story plays in, the first being where most of it happens.
pub fn regions() -> Vec<String> {
    PLACES
        .iter()
        .map(|place| place.region.to_string())
        .collect()
}

/// An account with its teams and their past, at `start_ms` (milliseconds since 1970 UTC). `progress` is
/// told of every day that was lived through.
pub fn begin(
    seed: u64,
    start_ms: i64,
    effects: UnboundedSender<Effect>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Simulation, StoryError> {
    // On a whole minute, so that metrics and alarms fall alike in every run.
    let origin_ms = (start_ms - PAST_MS).div_euclid(MINUTE_MS) * MINUTE_MS;
    let mut simulation = Simulation::new(seed, origin_ms, effects);
    let mut story = Story {
        teams: services::teams(seed, start_ms),
        native: native::teams(seed, start_ms, &services::NATIVE),
        start_ms,
        refused: None,
    };
    story.build(&mut simulation)?;
    // The teams' first steps are taken here and not by the simulation, so that a refusal is noticed.
    let mut day = 0;
    while story.due_ms() <= start_ms {
        simulation.advance_to(story.due_ms());
        story.step(&mut simulation);
        if let Some(refused) = story.refused.take() {
            return Err(refused);
        }
        let today = (simulation.world.now_ms() - origin_ms) / DAY_MS;
        if today > day {
            day = today;
            progress(Progress {
                day,
                days: PAST_MS / DAY_MS,
                deployments: story.begun(),
            });
        }
    }
    simulation.advance_to(start_ms);
    simulation.tell(story);
    Ok(simulation)
}

/// The teams at work.
pub struct Story {
    teams: Vec<Team>,
    native: Vec<NativeTeam>,
    start_ms: i64,
    refused: Option<StoryError>,
}

impl Story {
    /// When a team looks at its deployments next, in milliseconds since 1970 UTC.
    pub fn due_ms(&self) -> i64 {
        let native = self.native.iter().map(NativeTeam::due_ms);
        let due = self.teams.iter().map(Team::due_ms).chain(native).min();
        due.unwrap_or(i64::MAX)
    }

    /// How many deployments the teams have begun.
    fn begun(&self) -> usize {
        let native = self.native.iter().map(NativeTeam::begun);
        self.teams.iter().map(Team::begun).chain(native).sum()
    }

    /// The teams whose time has come look, and do what is due.
    pub fn step(&mut self, simulation: &mut Simulation) {
        let now_ms = self.due_ms();
        for team in &mut self.teams {
            if team.due_ms() > now_ms {
                continue;
            }
            let stepped = team.step(simulation, self.start_ms, now_ms);
            note(&mut self.refused, stepped);
        }
        for team in &mut self.native {
            if team.due_ms() <= now_ms {
                note(&mut self.refused, team.step(simulation, now_ms));
            }
        }
    }

    /// Lets a team that releases through a gate start its next release now, or says why none can.
    pub fn start_canary(&mut self, simulation: &mut Simulation) -> Result<Started, String> {
        let now_ms = simulation.world.now_ms();
        let mut busy = Vec::new();
        for team in self.teams.iter_mut().filter(|team| team.has_gate()) {
            match team.start_now(simulation, now_ms) {
                Ok(Some(started)) => return Ok(started),
                Ok(None) => busy.push(team.name()),
                Err(refused) => return Err(format!("{refused}: {}", refused.source)),
            }
        }
        Err(format!(
            "every service that releases through a gate is busy: {}",
            busy.join(", ")
        ))
    }

    /// How long it is at the soonest until a team that releases through a gate starts its next release,
    /// in simulated time; `None` while all of them have something under way.
    pub fn next_canary(&mut self, simulation: &mut Simulation) -> Option<Duration> {
        let now_ms = simulation.world.now_ms();
        self.teams
            .iter()
            .filter(|team| team.has_gate())
            .filter_map(|team| team.next_release_ms(simulation).ok().flatten())
            .min()
            .map(|at_ms| Duration::from_millis((at_ms - now_ms).max(0).unsigned_abs()))
    }

    fn build(&mut self, simulation: &mut Simulation) -> Result<(), StoryError> {
        for place in PLACES {
            Author::infrastructure("platform", place).call(
                simulation,
                "ecs",
                "CreateCluster",
                serde_json::json!({
                    "clusterName": place.cluster,
                    "settings": [{ "name": "containerInsights", "value": "enabled" }],
                }),
            )?;
        }
        for team in &mut self.teams {
            team.build(simulation)?;
        }
        for team in &mut self.native {
            team.build(simulation)?;
        }
        Ok(())
    }
}

/// Keeps a refusal. Somebody else may have taken a team's things away: that is their right.
fn note(refused: &mut Option<StoryError>, stepped: Result<(), StoryError>) {
    if let Err(error) = stepped {
        warn!(team = error.team, operation = error.operation, error = %error.source,
              "a pretend team was refused");
        *refused = Some(error);
    }
}
