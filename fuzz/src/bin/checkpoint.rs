//! The target `checkpoint`.
#![no_main]

kerolox_fuzz::target!(checkpoint);
