//! The target `header_json`.
#![no_main]

kerolox_fuzz::target!(header_json);
