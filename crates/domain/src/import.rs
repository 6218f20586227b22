//! The import: what an account still has of its past is taken in once, for each account and region.
//!
//! Design notes. The past is read newest first, since what served last is wanted first. That is possible because what
//! BatchGetDeployments tells of all deployments is read before the first is recorded: what served before a deployment
//! is then known although the deployment before it is not recorded yet. Rejected: oldest first, which makes the
//! revisions that a rollback needs appear last.
//! What is listed has parts, one of each deployment controller, since an account may allow the one and refuse the other:
//! the part that cannot be listed is left for later and keeps nothing else from being taken in.
//! What begins after [`the import's bound`](crate::coverage) is the watcher's and never waits for the import.

use crate::deployment::words;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

/// A part of the list of an account's past.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportPart {
    /// What CodeDeploy lists.
    Codedeploy,
    /// What ECS lists of each service that it deploys itself.
    Ecs,
}

words!(ImportPart {
    Codedeploy => "codedeploy",
    Ecs => "ecs",
});

/// How far the import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportState {
    /// The list of deployments is read, page by page.
    Listing,
    /// The listed deployments are read and recorded.
    Reading,
    /// Task definitions that no deployment named are read.
    ReadingDefinitions,
    /// Everything that AWS still had is recorded.
    Complete,
}

words!(ImportState {
    Listing => "listing",
    Reading => "reading",
    ReadingDefinitions => "reading_definitions",
    Complete => "complete",
});

/// What can happen to an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportEvent {
    /// A page of the list is kept, and there are more.
    PageListed,
    /// AWS no longer takes the token of the next page: the list begins again.
    ListLost,
    /// The list is complete, but for what cannot be listed yet.
    Listed,
    /// A part that could not be listed before can be: its first page is kept.
    ListResumed,
    /// Some of what is listed is recorded, or is known not to be recordable.
    Settled,
    /// All deployments are settled, and the task definitions to be read are listed.
    DefinitionsListed,
    /// Nothing is left.
    AllSettled,
    /// AWS throttled, did not answer or refused.
    Interrupted,
}

words!(ImportEvent {
    PageListed => "page_listed",
    ListLost => "list_lost",
    Listed => "listed",
    ListResumed => "list_resumed",
    Settled => "settled",
    DefinitionsListed => "definitions_listed",
    AllSettled => "all_settled",
    Interrupted => "interrupted",
});

/// The event does not fit the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("An import that is {} takes no {}.", state.word(), event.word())]
pub struct ImportRefused {
    /// How far it is.
    pub state: ImportState,
    /// What was tried.
    pub event: ImportEvent,
}

/// The import's machine.
pub fn import_after(state: ImportState, event: ImportEvent) -> Result<ImportState, ImportRefused> {
    use ImportEvent as Event;
    use ImportState as State;
    match (state, event) {
        (State::Listing, Event::PageListed | Event::ListLost | Event::Interrupted) => {
            Ok(State::Listing)
        }
        (State::Listing, Event::Listed) => Ok(State::Reading),
        (State::Reading, Event::Settled | Event::Interrupted) => Ok(State::Reading),
        (State::Reading, Event::DefinitionsListed) => Ok(State::ReadingDefinitions),
        (State::ReadingDefinitions, Event::Settled | Event::Interrupted) => {
            Ok(State::ReadingDefinitions)
        }
        (State::ReadingDefinitions, Event::AllSettled) => Ok(State::Complete),
        (State::Complete, Event::ListResumed) => Ok(State::Listing),
        (
            State::Listing,
            Event::ListResumed | Event::Settled | Event::DefinitionsListed | Event::AllSettled,
        )
        | (
            State::Reading,
            Event::PageListed
            | Event::ListLost
            | Event::Listed
            | Event::ListResumed
            | Event::AllSettled,
        )
        | (
            State::ReadingDefinitions,
            Event::PageListed
            | Event::ListLost
            | Event::Listed
            | Event::ListResumed
            | Event::DefinitionsListed,
        )
        | (
            State::Complete,
            Event::PageListed
            | Event::ListLost
            | Event::Listed
            | Event::Settled
            | Event::DefinitionsListed
            | Event::AllSettled
            | Event::Interrupted,
        ) => Err(ImportRefused { state, event }),
    }
}

/// The shortest pause after an interruption, in milliseconds.
const SHORTEST_PAUSE_MILLIS: u64 = 500;

/// The longest, in milliseconds.
const LONGEST_PAUSE_MILLIS: u64 = 60_000;

/// How long the import pauses after so many interruptions in a row, in milliseconds: twice as long each time.
pub fn pause_millis(interruptions: u32) -> u64 {
    let doublings = interruptions.saturating_sub(1).min(16);
    (SHORTEST_PAUSE_MILLIS << doublings).min(LONGEST_PAUSE_MILLIS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_diagram_is_the_machine() {
        let mut edges = Vec::new();
        for state in ImportState::ALL {
            for event in ImportEvent::ALL {
                if let Ok(after) = import_after(*state, *event) {
                    let words = (state.word().to_string(), after.word().to_string());
                    edges.push((words.0, words.1, event.word().to_string()));
                }
            }
        }
        crate::diagram::assert_drawn(include_str!("../../../docs/machines/import.md"), edges);
    }

    #[test]
    fn every_event_in_every_state() {
        use ImportState as State;
        // In the order of ImportEvent::ALL; `None` is refused.
        let table = [
            (
                State::Listing,
                [
                    Some(State::Listing),
                    Some(State::Listing),
                    Some(State::Reading),
                    None,
                    None,
                    None,
                    None,
                    Some(State::Listing),
                ],
            ),
            (
                State::Reading,
                [
                    None,
                    None,
                    None,
                    None,
                    Some(State::Reading),
                    Some(State::ReadingDefinitions),
                    None,
                    Some(State::Reading),
                ],
            ),
            (
                State::ReadingDefinitions,
                [
                    None,
                    None,
                    None,
                    None,
                    Some(State::ReadingDefinitions),
                    None,
                    Some(State::Complete),
                    Some(State::ReadingDefinitions),
                ],
            ),
            (
                State::Complete,
                [
                    None,
                    None,
                    None,
                    Some(State::Listing),
                    None,
                    None,
                    None,
                    None,
                ],
            ),
        ];
        assert_eq!(table.map(|(state, _)| state), State::ALL);
        for (state, expected) in table {
            for (event, after) in ImportEvent::ALL.iter().zip(expected) {
                assert_eq!(
                    import_after(state, *event).ok(),
                    after,
                    "{state:?} {event:?}"
                );
            }
        }
    }

    #[test]
    fn an_interruption_loses_nothing_and_only_a_late_list_leads_back() {
        for state in ImportState::ALL {
            if let Ok(after) = import_after(*state, ImportEvent::Interrupted) {
                assert_eq!(after, *state);
            }
            for event in ImportEvent::ALL {
                if let Ok(after) = import_after(*state, *event) {
                    let back = (after as u8) < (*state as u8);
                    assert_eq!(
                        back,
                        *event == ImportEvent::ListResumed,
                        "{state:?} {event:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn pauses_grow_to_a_minute() {
        assert_eq!(
            [0, 1, 2, 3, 8, 9, u32::MAX].map(pause_millis),
            [500, 500, 1000, 2000, 60_000, 60_000, 60_000]
        );
    }
}
