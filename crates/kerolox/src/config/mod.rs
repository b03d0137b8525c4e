//! Configuration: one table of keys, and everything that is made of it.

pub(crate) mod docs;
pub(crate) mod host;
mod key;
pub(crate) mod load;
mod paths;
mod properties;
pub(crate) mod roles;
pub(crate) mod rule;
pub(crate) mod settings;
mod sources;
pub(crate) mod table;
mod values;
