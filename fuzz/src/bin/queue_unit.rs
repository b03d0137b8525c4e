//! The target `queue_unit`.
#![no_main]

kerolox_fuzz::target!(queue_unit);
