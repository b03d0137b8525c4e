//! The target `message_id`.
#![no_main]

kerolox_fuzz::target!(message_id);
