//! The server of a demo on a runtime of its own, so that the plug can be pulled: connections, tasks and
//! reconcilers end wherever they are, as if the machine had lost its power, and the next start finds only
//! what is in the database.

use crate::run;
use crate::run::Running;
use crate::run::Start;
use anyhow::Context;
use std::future::Future;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

/// How long the answer to whoever pulled the plug, and the page it leads to, may take to arrive.
const LAST_WORDS: Duration = Duration::from_millis(1500);

/// How long the server stays away.
pub const AWAY: Duration = Duration::from_secs(5);

/// Where somebody pulls, and where the wiring waits for it.
#[derive(Default)]
pub struct Plug {
    pulled: Notify,
    back: AtomicU64,
}

impl Plug {
    /// Pulls it.
    pub fn pull(&self) {
        self.pulled.notify_one();
    }

    /// How often the server came back.
    pub fn times_back(&self) -> u64 {
        self.back.load(Ordering::Relaxed)
    }

    /// Says that the server is back.
    pub fn is_back(&self) {
        self.back.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until it is pulled and whoever did it has an answer.
    pub async fn pulled(&self) {
        self.pulled.notified().await;
        tokio::time::sleep(LAST_WORDS).await;
    }
}

/// A server on a runtime of its own.
pub struct Separate {
    runtime: Option<Runtime>,
    running: Option<Running>,
}

impl Separate {
    /// Starts a server from what `prepare` makes on the new runtime.
    pub async fn start<F>(prepare: impl FnOnce() -> F + Send + 'static) -> anyhow::Result<Separate>
    where
        F: Future<Output = anyhow::Result<Start>>,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("switchback")
            .enable_all()
            .build()
            .context("could not start the server's threads")?;
        let mut separate = Separate {
            runtime: Some(runtime),
            running: None,
        };
        let running = separate.on(|| async move { run::start(prepare().await?) });
        separate.running = Some(running.await??);
        Ok(separate)
    }

    /// Does something on the server's runtime. What is done is made there, and need not be `Send`.
    async fn on<T: Send + 'static, F: Future<Output = T>>(
        &self,
        work: impl FnOnce() -> F + Send + 'static,
    ) -> anyhow::Result<T> {
        let runtime = self.runtime.as_ref().context("the server has ended")?;
        let handle = runtime.handle().clone();
        tokio::task::spawn_blocking(move || handle.block_on(work()))
            .await
            .context("the server ended early")
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        let running = self.running.as_ref();
        running
            .map(|running| running.url.clone())
            .unwrap_or_default()
    }

    /// Waits until the database answers and AWS was looked at.
    pub async fn until_ready(&self) {
        if let Some(running) = &self.running {
            running.until_ready().await;
        }
    }

    /// Cuts it off without a goodbye.
    pub fn cut(mut self) {
        self.running = None;
        // Every task is dropped where it waits; nothing is told, closed or waited for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Ends it as it ends anywhere.
    pub async fn shutdown(mut self) -> anyhow::Result<()> {
        let ended = match self.running.take() {
            Some(running) => self.on(|| running.shutdown()).await?,
            None => Ok(()),
        };
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        ended
    }
}

impl Drop for Separate {
    fn drop(&mut self) {
        // A runtime may not simply be dropped where others wait for it.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
