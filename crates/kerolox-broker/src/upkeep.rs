//! Work that the broker does by the clock: answering held pulls, forgetting silent clients, saving, sampling.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};

use crate::node::Node;
use crate::stats::SAMPLE_INTERVAL;

/// Time between two looks for silent clients.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(10);
/// Time between two writes of `consumerFilter.json`.
const FILTER_SAVE_INTERVAL: Duration = Duration::from_secs(10);
/// Time between two looks at the file of accounts.
const ACCOUNTS_INTERVAL: Duration = Duration::from_secs(1);
/// Pause after a step that panicked.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Sleep while no pull is held.
const NO_DEADLINE: Duration = Duration::from_secs(3600);

/// Runs work to its end; a panic in it is told as a sentence and costs nothing else. It ends with who waits for it.
pub(crate) async fn survive(work: impl Future<Output = ()> + Send + 'static) -> Result<(), String> {
    let mut one = JoinSet::new();
    one.spawn(work);
    match one.join_next().await {
        Some(Err(error)) if error.is_panic() => Err(error.to_string()),
        _ => Ok(()),
    }
}

/// What work on another thread brought: nothing when the runtime ends. A panic there is one here.
pub(crate) fn joined<T>(outcome: Result<T, JoinError>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => None,
    }
}

impl Node {
    /// Starts all of it; everything ends when the set is dropped.
    pub(crate) fn start_upkeep(self: &Arc<Self>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(self).expire_holds());
        tasks.spawn(Arc::clone(self).keep_announced());
        tasks.spawn(Arc::clone(self).deliver_delayed());
        tasks.spawn(Arc::clone(self).deliver_timed());
        tasks.spawn(Arc::clone(self).keep_timers());
        tasks.spawn(Arc::clone(self).check_transactions());
        tasks.spawn(Arc::clone(self).every(EXPIRY_INTERVAL, Self::expire_clients));
        if self.acl.is_some() {
            tasks.spawn(Arc::clone(self).every(ACCOUNTS_INTERVAL, Self::reload_accounts));
        }
        tasks.spawn(Arc::clone(self).every(self.config.flush_offsets, Self::save_offsets));
        tasks.spawn(Arc::clone(self).every(FILTER_SAVE_INTERVAL, Self::save_filters));
        tasks.spawn(Arc::clone(self).every(self.config.flush_delay_offsets, Self::save_delay_progress));
        tasks
            .spawn(Arc::clone(self).every(SAMPLE_INTERVAL, |node| node.stats.sample(node.now(), node.clock.wall_ms())));
        tasks
    }

    async fn every(self: Arc<Self>, period: Duration, work: fn(&Self)) {
        loop {
            tokio::time::sleep(period).await;
            let node = Arc::clone(&self);
            // Some of this writes files, so not on a task that serves sockets.
            if let Err(error) = tokio::task::spawn_blocking(move || work(&node)).await {
                tracing::error!(%error, "periodic work failed");
            }
        }
    }

    /// Takes one step after the other until the task is ended. A step says how long there will be nothing to do;
    /// `arrived` cuts that short.
    pub(crate) async fn step_by_step(self: &Arc<Self>, step: fn(&Self) -> Duration, arrived: fn(&Self) -> &Notify) {
        loop {
            let node = Arc::clone(self);
            // Steps read and append, which may meet the disk, so not on a task that serves sockets.
            let pause = tokio::task::spawn_blocking(move || step(&node)).await.unwrap_or_else(|error| {
                tracing::error!(%error, "a delivery of waiting messages failed; it is tried again");
                RETRY_PAUSE
            });
            if pause.is_zero() {
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = arrived(self).notified() => {}
            }
        }
    }

    async fn expire_holds(self: Arc<Self>) {
        loop {
            let next = self.holds.lock().next_deadline();
            let pause = next.map_or(NO_DEADLINE, |at| at.saturating_sub(self.now()));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.earlier_deadline.notified() => continue,
            }
            let mut due = Vec::new();
            {
                let mut holds = self.holds.lock();
                holds.expired(self.now(), &mut due);
                self.held.store(holds.len(), Ordering::SeqCst);
            }
            self.answer_held(due);
        }
    }

    /// Writes everything that lives in memory, when the broker stops.
    pub(crate) fn save_all(&self) {
        self.save_topics();
        self.save_groups();
        self.save_offsets();
        self.save_filters();
        self.save_delay_progress();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_told_and_survived_also_one_on_another_thread() {
        let here = survive(async { panic!("here") }).await.unwrap_err();
        assert!(here.contains("here"), "{here}");
        let there = survive(async {
            joined(tokio::task::spawn_blocking(|| panic!("there")).await).unwrap_or(());
        });
        let there = there.await.unwrap_err();
        assert!(there.contains("there"), "{there}");
        assert_eq!(survive(async {}).await, Ok(()));
    }

    #[tokio::test]
    async fn it_ends_with_who_waits_for_it() {
        let (alive, mut ended) = tokio::sync::oneshot::channel::<()>();
        let waiting = survive(async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        });
        assert!(tokio::time::timeout(Duration::from_millis(10), waiting).await.is_err());
        assert!((&mut ended).await.is_err(), "dropped");
    }
}
