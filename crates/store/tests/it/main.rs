//! The store against real databases, one test binary: SQLite always, PostgreSQL when `PG_BIN` names the folder of its
//! programs.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test fails the test by panicking"
)]

mod audit;
mod backups;
mod changes;
mod databases;
mod event_hints;
mod history;
mod imports;
mod leases;
mod lists;
mod migrations;
mod races;
mod round_trips;
mod samples;
mod sealing;
mod sessions;
mod sign_in_flows;
