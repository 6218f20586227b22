//! What pages are made of. Every part is a function from views to markup: no clock, no randomness,
//! so that the server and the browser draw the same.

pub mod accounts;
pub mod calls;
pub mod chart;
pub mod chart_model;
pub mod coverage;
pub mod deployment_rows;
pub mod difference;
pub mod ecs_panel;
pub mod frame;
pub mod fuse;
pub mod gate_panel;
pub mod guide;
pub mod icon;
pub mod path;
pub mod small;
pub mod stages;
pub mod state;
pub mod timeline;
