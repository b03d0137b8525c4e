//! The target `namesrv_settings`.
#![no_main]

kerolox_fuzz::target!(namesrv_settings);
