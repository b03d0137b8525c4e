//! The broker: send, pull, offsets, groups, retry and delay over the store.
//!
//! A message comes in through [`kerolox_net`], is matched in `dispatch`, checked in `send` and stored; `pull` reads it
//! back, or `hold` waits for it.

mod acl;
mod admin;
mod announce;
mod aside;
mod changes;
mod config;
mod delay;
mod dispatch;
mod figures;
mod filter;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod group;
mod hold;
mod membership;
mod node;
mod offset;
mod outage;
mod place;
mod positions;
mod pull;
mod query;
mod queue_lock;
mod refusal;
mod refusals;
mod registry;
mod reply;
mod resubscribe;
mod retry;
mod saved;
mod send;
mod spans;
mod start;
mod stats;
mod timer;
mod topic;
mod transaction;
mod unserved;
mod upkeep;

pub use acl::tool_account;
pub use config::{BrokerConfig, Live, LiveSettings};
pub use figures::{Figures, GroupFigures, TopicFigures, Watch};
pub use spans::{Span, Spans, TraceContext};
pub use start::{Handle, StartError, start};
pub use timer::PendingTimer;
pub use unserved::Unserved;
