//! The target `batch`.
#![no_main]

kerolox_fuzz::target!(batch);
