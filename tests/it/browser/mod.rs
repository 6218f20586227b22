//! Journeys in a browser. `cargo xtask test --no-browser` leaves this module out.

mod bake;
pub mod demo;
mod ecs;
mod every_page;
mod gates;
mod hostile;
mod importing;
mod keys;
mod outages;
mod pages;
mod phone;
mod replicas;
mod rollbacks;
mod signing_in;
mod single_sign_on;
