//! The target `record`.
#![no_main]

kerolox_fuzz::target!(record);
