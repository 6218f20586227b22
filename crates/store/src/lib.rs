#![doc = include_str!("../README.md")]

mod audit;
mod backup;
mod change;
mod connect;
mod deployment;
mod error;
mod gate;
mod hook;
mod idempotency;
mod lease;
mod metric;
mod numbers;
mod operation;
pub mod records;
mod revision;
mod row;
mod schema;
mod service;
mod session;
mod timeline;
mod tx;
mod user;
mod watch_mark;

pub use audit::AuditQuery;
pub use backup::Copied;
pub use backup::CopyError;
pub use backup::Restored;
pub use connect::Store;
pub use deployment::DeploymentQuery;
pub use error::StoreError;
pub use idempotency::IdempotencyRecord;
pub use numbers::Numbers;
pub use numbers::PoolUse;
pub use schema::SchemaState;
pub use session::SessionStore;
pub use tx::Tx;
