#![doc = include_str!("../README.md")]

mod audit;
mod backup;
mod change;
mod connect;
mod deployment;
mod error;
mod examine;
mod gate;
mod hook;
mod idempotency;
mod lease;
mod ledger;
mod metric;
mod numbers;
mod operation;
#[cfg(test)]
mod plans;
pub mod records;
mod revision;
mod row;
mod schema;
mod search;
mod service;
mod session;
mod timeline;
mod tx;
mod user;
mod watch_mark;

pub use audit::AuditQuery;
pub use audit::ChainWalk;
pub use backup::Copied;
pub use backup::CopyError;
pub use backup::Restored;
pub use connect::Store;
pub use deployment::DeploymentQuery;
pub use error::StoreError;
pub use examine::Examination;
pub use idempotency::IdempotencyRecord;
pub use ledger::LedgerHeadRecord;
pub use numbers::Numbers;
pub use numbers::PoolUse;
pub use schema::SchemaState;
pub use search::SHORTEST_SEARCH;
pub use search::SearchState;
pub use session::SessionStore;
pub use tx::Tx;
