//! The target `index`.
#![no_main]

kerolox_fuzz::target!(index);
