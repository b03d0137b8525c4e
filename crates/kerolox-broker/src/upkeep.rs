//! Work that the broker does by the clock: answering held pulls, forgetting silent clients, saving, sampling.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::node::Node;
use crate::stats::SAMPLE_INTERVAL;

/// Time between two looks for silent clients.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(10);
/// Time between two writes of `consumerFilter.json`.
const FILTER_SAVE_INTERVAL: Duration = Duration::from_secs(10);
/// Time between two looks at the file of accounts.
const ACCOUNTS_INTERVAL: Duration = Duration::from_secs(1);
/// Sleep while no pull is held.
const NO_DEADLINE: Duration = Duration::from_secs(3600);

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
