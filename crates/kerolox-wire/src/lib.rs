//! The RocketMQ remoting protocol as typed values: frames, commands, headers, bodies and stored records.

pub mod addresses;
pub mod body;
pub mod clock;
pub mod command;
pub mod compress;
mod cursor;
pub mod fields;
pub mod frame;
mod header_binary;
mod header_json;
pub mod id;
pub mod names;
pub mod properties;
pub mod record;
pub mod reply;
pub mod response;
pub mod sys_flag;
pub mod tags;
pub mod text;
