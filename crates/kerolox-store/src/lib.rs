//! The message store: commit log, consume queues, key index, recovery and retention over an injected disk.
//!
//! A record's way: [`AppendBatch`] lays it out, [`Store::append`] gives it its place in the log, the dispatch thread puts
//! a unit into its queue and its keys into the index, [`Store::read`] hands it out. Only the log has to be durable;
//! queues and index are derived from it again when a crash took them.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, clippy::cast_sign_loss)
)]

mod batch;
mod bell;
mod by_time;
pub mod checkpoint;
mod commit_log;
mod config;
pub mod consume_queue;
pub mod disk;
mod dispatch;
mod error;
mod fetch;
mod flush;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
pub mod index;
pub mod inspect;
mod lookup;
mod mark;
pub mod planted;
pub mod queues;
mod reader;
mod recovery;
mod retention;
mod segment;
mod stats;
mod store;
pub mod tables;
pub mod timers;
mod times;
mod tombstone;
#[cfg(test)]
mod vectors;
mod walk;
mod workers;

pub use batch::{AppendBatch, Appended};
pub use config::{DELAY_LEVELS_DEFAULT, DelayLevels, FlushMode, OnFailure, StoreConfig, TransferLimit};
pub use consume_queue::{Queue, Unit};
pub use dispatch::Arrivals;
pub use error::{AppendError, OpenError, ReadError, RefusedRecord};
pub use flush::{Durability, WhenDurable};
pub use lookup::QueryResult;
pub use reader::{ReadLimits, ReadResult, ReadStatus, Verdict};
pub use retention::{Deleted, Retention};
pub use stats::{DiskState, StoreStats};
pub use store::Store;
pub use times::{Times, TimesRead};
