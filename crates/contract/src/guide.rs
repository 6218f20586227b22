//! What a demo offers to try beside the pages.

use crate::Refusal;
use async_trait::async_trait;
use serde::Deserialize;
use serde::Serialize;
use std::sync::Arc;

/// What stands beside the pages to be tried out. Only a demo has something there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GuideView {
    /// What there is to try, in order.
    pub tries: Vec<TryView>,
    /// Simulated seconds that pass each second.
    pub speed: f64,
    /// The speeds that can be chosen.
    pub speeds: Vec<f64>,
    /// Whether the reader may use the buttons.
    pub may_act: bool,
    /// Whether the reader put it away.
    pub hidden: bool,
}

/// One thing to try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TryView {
    /// What to do, beginning with a verb.
    pub words: String,
    /// What happens, or why it cannot be done now.
    pub detail: String,
    /// Whether the record shows that it was done.
    pub done: bool,
    /// How it is done.
    pub way: Option<TryWay>,
}

/// How something is tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TryWay {
    /// By going to a page.
    Link {
        /// The page's path.
        path: String,
        /// What the link says.
        label: String,
    },
    /// By a form that posts nothing but itself.
    Button {
        /// Where it posts to.
        path: String,
        /// What the button says.
        label: String,
    },
}

/// What a guide shows one reader.
#[async_trait]
pub trait Guide: Send + Sync {
    /// The guide as it stands; `None` where there is none.
    async fn guide(&self) -> Result<Option<GuideView>, Refusal>;
}

/// How pages hold the guide.
pub type GuideHandle = Arc<dyn Guide>;
