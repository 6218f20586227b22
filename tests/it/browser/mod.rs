//! Journeys in a browser. `cargo xtask test --no-browser` leaves this module out.

mod demo;
mod gates;
mod replicas;
mod rollbacks;
mod signing_in;
