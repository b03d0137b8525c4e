//! The target `properties`.
#![no_main]

kerolox_fuzz::target!(properties);
