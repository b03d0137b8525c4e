//! The target `filter`.
#![no_main]

kerolox_fuzz::target!(filter);
