//! The target `registration`.
#![no_main]

kerolox_fuzz::target!(registration);
