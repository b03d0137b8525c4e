//! The target `record_walk`.
#![no_main]

kerolox_fuzz::target!(record_walk);
