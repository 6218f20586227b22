//! A simulated AWS account that speaks the real wire protocols; see the crate's README for a map.
//!
//! `world` is the account: plain structures and `step`, seeded, without async, clock or network.
//! `door` is the HTTP server: it decodes any of AWS's protocols into a [`value::Value`], calls the
//! world and encodes the answer. `story` holds the pretend teams of an account that does not start
//! empty. Nothing of Switchback is used here, so that the two cannot agree
//! by accident.

pub mod door;
pub mod error;
pub mod story;
pub mod value;
pub mod world;
