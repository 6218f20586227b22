//! Background work that must not end quietly: a panic is counted, told, and the work begins again.

use futures::FutureExt as _;
use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The wait before a task that panicked begins again; it doubles with every panic up to the longest.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait, and how long a task must have run for its earlier panics to be forgotten.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Runs a task until it ends by itself or `stop` is cancelled while it waits to begin again after a panic.
pub async fn keep_running<F: Future<Output = ()>>(
    task: &'static str,
    stop: CancellationToken,
    begin: impl Fn() -> F,
) {
    let mut wait = SHORTEST_WAIT;
    loop {
        let began = Instant::now();
        if caught(task, begin()).await.is_some() {
            return;
        }
        if began.elapsed() >= LONGEST_WAIT {
            wait = SHORTEST_WAIT;
        }
        tracing::error!(
            task,
            "a task panicked; it begins again in {} s",
            wait.as_secs()
        );
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// What the work gives; `None` when it panicked, which is then counted and told. What it guards by mutexes stays
/// valid at every step, and everything else is read again from the database.
pub(crate) async fn caught<T>(task: &'static str, work: impl Future<Output = T>) -> Option<T> {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(value) => Some(value),
        Err(panic) => {
            count_panic(task);
            tracing::error!(
                task,
                panic = panic_words(&*panic),
                "background work panicked"
            );
            None
        }
    }
}

/// One more panic, in `switchback_panics_total`.
pub fn count_panic(task: &'static str) {
    metrics::counter!("switchback_panics_total", "task" => task).increment(1);
}

/// What a panic said.
pub fn panic_words(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without words")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;
    use std::sync::atomic::Ordering;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_begins_again_later_and_later() {
        let began = Instant::now();
        let beginnings = AtomicU32::new(0);
        keep_running("a test", CancellationToken::new(), || async {
            if beginnings.fetch_add(1, Ordering::Relaxed) < 8 {
                panic!("on purpose");
            }
        })
        .await;
        assert_eq!(beginnings.load(Ordering::Relaxed), 9);
        // 1 + 2 + 4 + 8 + 16 + 32 + 60 + 60
        assert_eq!(began.elapsed().as_secs(), 183);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panicked_does_not_begin_again_once_it_was_told_to_stop() {
        let stop = CancellationToken::new();
        stop.cancel();
        let beginnings = AtomicU32::new(0);
        keep_running("a test", stop, || async {
            beginnings.fetch_add(1, Ordering::Relaxed);
            panic!("on purpose");
        })
        .await;
        assert_eq!(beginnings.load(Ordering::Relaxed), 1);
    }
}
