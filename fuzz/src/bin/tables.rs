//! The target `tables`.
#![no_main]

kerolox_fuzz::target!(tables);
