//! The target `request`.
#![no_main]

kerolox_fuzz::target!(request);
