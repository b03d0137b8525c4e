//! The target `timers`.
#![no_main]

kerolox_fuzz::target!(timers);
