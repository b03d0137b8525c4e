//! The target `conf`.
#![no_main]

kerolox_fuzz::target!(conf);
