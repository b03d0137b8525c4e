//! Requests of operators and their tools.

mod accounts;
mod groups;
mod lag;
mod offsets;
mod queues;
mod relay;
mod runtime;
mod topics;

pub(crate) use relay::question;
