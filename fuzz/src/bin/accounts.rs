//! The target `accounts`.
#![no_main]

kerolox_fuzz::target!(accounts);
