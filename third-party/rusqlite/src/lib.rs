//! rusqlite 0.32 under the number that dynoxide asks for; the manifest says why.

pub use rusqlite_032::*;
