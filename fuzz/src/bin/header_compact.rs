//! The target `header_compact`.
#![no_main]

kerolox_fuzz::target!(header_compact);
