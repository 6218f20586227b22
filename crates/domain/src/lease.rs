//! The lease: of all processes on one database, one watches an account and acts on it.
//!
//! No clock is shared. The holder adds to a count of beats; who waits takes over only when it has seen
//! that count stand still for long enough by its own watch. Every new holder has a greater fence, and
//! whatever the holder writes is checked against it, so that one who was believed dead and is not can
//! write nothing any more.

use crate::deployment::words;
use serde::Deserialize;
use serde::Serialize;
use std::time::Duration;

/// Where a process stands towards the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseState {
    /// Another one holds it, or nobody does yet. Pages are served; AWS is neither watched nor changed.
    Standby,
    /// It is being taken.
    Claiming,
    /// It is held: this process watches and acts.
    Holding,
}

words!(LeaseState {
    Standby => "standby",
    Claiming => "claiming",
    Holding => "holding",
});

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseEvent {
    /// Nobody holds it.
    Free,
    /// Its holder lives, or has not been silent for long enough.
    Fresh,
    /// Its holder has been silent for too long.
    Stale,
    /// The database gave it to this process.
    Won,
    /// The database gave it to another one.
    Beaten,
    /// The holder's beat was written.
    Renewed,
    /// The holder's beat was refused: somebody else holds it.
    Overtaken,
    /// The database has not answered for so long that another one may soon take it.
    Silent,
    /// This process ends.
    Stop,
}

impl LeaseEvent {
    /// Every event.
    pub const ALL: [LeaseEvent; 9] = [
        LeaseEvent::Free,
        LeaseEvent::Fresh,
        LeaseEvent::Stale,
        LeaseEvent::Won,
        LeaseEvent::Beaten,
        LeaseEvent::Renewed,
        LeaseEvent::Overtaken,
        LeaseEvent::Silent,
        LeaseEvent::Stop,
    ];
}

/// The machine; `None` when the event does not fit the state.
pub fn lease_after(state: LeaseState, event: LeaseEvent) -> Option<LeaseState> {
    use LeaseEvent as Event;
    use LeaseState as State;
    match (state, event) {
        (State::Standby, Event::Free | Event::Stale) => Some(State::Claiming),
        (State::Standby, Event::Fresh | Event::Silent) => Some(State::Standby),
        (State::Claiming, Event::Won) => Some(State::Holding),
        (State::Claiming, Event::Beaten | Event::Silent) => Some(State::Standby),
        (State::Holding, Event::Renewed) => Some(State::Holding),
        (State::Holding, Event::Overtaken | Event::Silent | Event::Stop) => Some(State::Standby),
        (
            State::Standby,
            Event::Won | Event::Beaten | Event::Renewed | Event::Overtaken | Event::Stop,
        )
        | (
            State::Claiming,
            Event::Free
            | Event::Fresh
            | Event::Stale
            | Event::Renewed
            | Event::Overtaken
            | Event::Stop,
        )
        | (
            State::Holding,
            Event::Free | Event::Fresh | Event::Stale | Event::Won | Event::Beaten,
        ) => None,
    }
}

/// How often and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTerms {
    /// Between two beats of the holder, and between two looks of who waits.
    pub beat: Duration,
    /// A holder whose count has stood still for this long is taken for dead. Longer than [`LeaseTerms::silence`].
    pub patience: Duration,
    /// A holder that could not write a beat for this long stops by itself.
    pub silence: Duration,
}

impl LeaseTerms {
    /// For a database that several processes share: a dead holder is replaced within five seconds.
    pub const SHARED: LeaseTerms = LeaseTerms {
        beat: Duration::from_secs(1),
        patience: Duration::from_secs(4),
        silence: Duration::from_millis(2500),
    };

    /// For a database of one process: beats only tell a second one, started by mistake, to keep away.
    pub const ALONE: LeaseTerms = LeaseTerms {
        beat: Duration::from_secs(5),
        patience: Duration::from_secs(25),
        silence: Duration::from_secs(15),
    };
}

/// The lease as the database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The process that holds it; `None` when it was given back.
    pub holder: Option<String>,
    /// Greater with every new holder.
    pub fence: i64,
    /// Greater with every beat of this holder.
    pub beats: i64,
}

/// What a waiting process has seen last, and since when by its own watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    last: Option<(Lease, Duration)>,
}

impl Sight {
    /// A look at the lease. `now` is any time that only grows, the same for every look of one process.
    pub fn look(&mut self, lease: Option<&Lease>, now: Duration, terms: LeaseTerms) -> LeaseEvent {
        let Some(lease) = lease.filter(|lease| lease.holder.is_some()) else {
            self.last = None;
            return LeaseEvent::Free;
        };
        match &self.last {
            Some((seen, since)) if seen == lease => {
                if now.saturating_sub(*since) >= terms.patience {
                    LeaseEvent::Stale
                } else {
                    LeaseEvent::Fresh
                }
            }
            _ => {
                self.last = Some((lease.clone(), now));
                LeaseEvent::Fresh
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_diagram_is_the_machine() {
        let mut edges = Vec::new();
        for state in LeaseState::ALL {
            for event in LeaseEvent::ALL {
                if let Some(after) = lease_after(*state, event) {
                    let words = (state.word().to_string(), after.word().to_string());
                    edges.push((words.0, words.1, format!("{event:?}").to_lowercase()));
                }
            }
        }
        crate::diagram::assert_drawn(include_str!("../../../docs/machines/lease.md"), edges);
    }

    #[test]
    fn only_a_won_claim_is_held() {
        for state in LeaseState::ALL {
            for event in LeaseEvent::ALL {
                if lease_after(*state, event) == Some(LeaseState::Holding) {
                    assert!(matches!(event, LeaseEvent::Won | LeaseEvent::Renewed));
                }
            }
        }
    }

    #[test]
    fn a_holder_stops_before_another_one_starts() {
        for terms in [LeaseTerms::SHARED, LeaseTerms::ALONE] {
            assert!(terms.silence + terms.beat < terms.patience, "{terms:?}");
        }
    }

    #[test]
    fn only_a_count_that_stands_still_is_stale() {
        let lease = |fence, beats| Lease {
            holder: Some("a".to_string()),
            fence,
            beats,
        };
        let terms = LeaseTerms::SHARED;
        let at = Duration::from_millis;
        let mut sight = Sight::default();
        assert_eq!(sight.look(None, at(0), terms), LeaseEvent::Free);
        for (beats, millis, expected) in [
            (1, 0, LeaseEvent::Fresh),
            (2, 3000, LeaseEvent::Fresh),
            (2, 6999, LeaseEvent::Fresh),
            (2, 7000, LeaseEvent::Stale),
            (3, 7001, LeaseEvent::Fresh),
        ] {
            let event = sight.look(Some(&lease(1, beats)), at(millis), terms);
            assert_eq!(event, expected, "{beats} beats at {millis} ms");
        }
        // Another holder begins to count anew.
        assert_eq!(
            sight.look(Some(&lease(2, 3)), at(20_000), terms),
            LeaseEvent::Fresh
        );
        let given_back = Lease {
            holder: None,
            fence: 2,
            beats: 3,
        };
        assert_eq!(
            sight.look(Some(&given_back), at(20_001), terms),
            LeaseEvent::Free
        );
    }
}
