//! The web console: pages and a JSON interface over the calls that an administrator's client makes.
//!
//! It knows brokers and name servers only through [`kerolox_client::Client`], so whatever it shows, an admin tool could
//! ask. Nothing is asked of a broker while nobody looks: there is no task but the listener's until a page subscribes to
//! live figures, and none after the last one has closed.

mod accounts;
mod api;
mod assets;
mod audit;
mod door;
mod error;
mod file;
mod guard;
mod hosts;
pub mod http;
mod live;
mod owners;
mod password;
mod replays;
mod sessions;
mod span;
mod start;
mod throttle;

pub use start::{ConsoleConfig, FirstPassword, Handle, StartError, start};
