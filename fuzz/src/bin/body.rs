//! The target `body`.
#![no_main]

kerolox_fuzz::target!(body);
