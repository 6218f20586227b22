#![doc = include_str!("../README.md")]

pub mod actor;
pub mod appspec;
pub mod audit;
pub mod audit_proof;
pub mod checkpoint;
pub mod coverage;
pub mod deployment;
#[cfg(test)]
mod diagram;
pub mod diff;
pub mod digest;
pub mod ecs;
pub mod event;
pub mod evidence;
pub mod gate;
pub mod ids;
pub mod import;
pub mod lease;
pub mod metrics;
pub mod moment;
pub mod operation;
pub mod path;
pub mod plan;
pub mod previous;
pub mod revision;
pub mod service;
pub mod sign_in;
pub mod signature;
pub mod strategy;
