//! Requests: their codes, headers and answers, each declared once.

pub mod admin;
pub mod client;
mod header;
pub mod name_server;
pub mod offset;
pub mod pull;
pub mod send;
mod table;

pub use header::{FieldSpec, FieldValue, Header, HeaderError, HeaderSpec, Names, NoFields};
pub use table::{COMMANDS, Call, CommandSpec, Request, RequestCode, Served, call};
