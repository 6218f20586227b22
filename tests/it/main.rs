//! The journeys: the real binary, the simulated AWS account on the real wire, a real browser.
//!
//! One test binary, so that all journeys share one language: [`world`] starts an account and a
//! server, [`team`] does what a team outside Switchback does, [`window`] is a browser, [`wait`] is
//! the only way to wait. Nothing here uses a crate of ours: what the product says of itself is
//! read over HTTP, as anybody reads it.
//!
//! `cargo xtask test` builds the binary and sets the variables that [`machine`] reads.

mod account;
mod machine;
mod oidc;
mod team;
mod wait;
mod window;
mod wire;
mod world;

mod accounts;
mod api_document;
mod auditing;
mod browser;
mod campaign;
mod crashes;
mod deciding;
mod ecs_functions;
mod ecs_gates;
mod ecs_rollbacks;
mod ecs_services;
mod events;
mod foreign_clients;
mod importing;
mod independent_emulator;
mod ledger;
mod lists;
mod operating;
mod recording;
mod refusals;
mod replicas;
