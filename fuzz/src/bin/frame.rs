//! The target `frame`.
#![no_main]

kerolox_fuzz::target!(frame);
