//! The table of targets, and how one input is run.

use crate::{bodies, broker, command, conf, frames, memory, records, store};

/// One decoder.
pub struct Target {
    name: &'static str,
    run: fn(&[u8]),
    memory: Memory,
}

/// How much memory an input may take.
struct Memory {
    /// Bytes whatever the input is: files of a simulated disk, the state of a compressor.
    base: usize,
    /// Bytes for each byte of the input.
    factor: usize,
}

impl Memory {
    /// Decoders that keep what they read, more or less.
    const PLAIN: Self = Self { base: 64 << 10, factor: 16 };
    /// Decoders that build maps and lists: a member of a few bytes becomes an entry of a few hundred.
    const TREE: Self = Self { base: 64 << 10, factor: 512 };
    /// Decoders over a simulated disk, whose files have a size of their own.
    const DISK: Self = Self { base: 4 << 20, factor: 64 };
    /// zlib makes a thousand bytes of one.
    const INFLATED: Self = Self { base: 1 << 20, factor: 4096 };
}

macro_rules! targets {
    ($($name:ident: $run:path, $memory:ident;)*) => {
        impl Target {
            $(
                #[doc = concat!("The target `", stringify!($name), "`.")]
                #[allow(non_upper_case_globals, reason = "named as its binary is")]
                pub const $name: Self = Self { name: stringify!($name), run: $run, memory: Memory::$memory };
            )*
        }
    };
}

targets! {
    frame: frames::frame, PLAIN;
    header_json: frames::header_json, PLAIN;
    header_compact: frames::header_compact, PLAIN;
    request: command::request, PLAIN;
    body: bodies::body, TREE;
    registration: bodies::registration, INFLATED;
    record: records::record, PLAIN;
    record_walk: records::walk, PLAIN;
    batch: records::batch, PLAIN;
    properties: records::properties, PLAIN;
    tags: records::tags, PLAIN;
    message_id: records::message_id, PLAIN;
    filter: broker::filter, TREE;
    accounts: broker::accounts, TREE;
    tables: broker::tables, TREE;
    conf: conf::conf, TREE;
    conf_lines: conf::lines, TREE;
    namesrv_settings: conf::namesrv_settings, TREE;
    checkpoint: store::checkpoint, DISK;
    queue_unit: store::queue_unit, PLAIN;
    index: store::index, DISK;
    timers: store::timers, DISK;
}

/// Has made what is made once, such as the tables of a parser: it is no input's cost.
pub fn warm_up(target: &Target) {
    (target.run)(&[0; 64]);
}

/// Gives one input to a target.
///
/// # Panics
/// When the target does, and when the input takes too much memory.
pub fn run(target: &Target, data: &[u8]) {
    let peak = memory::peak_of(|| (target.run)(data));
    let limit = target.memory.base + target.memory.factor * data.len();
    let (name, len) = (target.name, data.len());
    assert!(peak <= limit, "{name}: {len} bytes of input took {peak} bytes of memory, {limit} are allowed");
}
