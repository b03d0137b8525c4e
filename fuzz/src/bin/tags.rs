//! The target `tags`.
#![no_main]

kerolox_fuzz::target!(tags);
