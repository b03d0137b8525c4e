//! The target `conf_lines`.
#![no_main]

kerolox_fuzz::target!(conf_lines);
