//! Fuzz targets, one for each decoder and each a binary of its own: libFuzzer looks at every counter of a binary after every
//! input, so a small one is several times as fast. See docs/fuzzing.md.
//!
//! A target takes any bytes. It must not panic, and it must not take much more memory than the input has bytes.

mod bodies;
mod broker;
mod command;
mod conf;
mod frames;
mod memory;
mod records;
mod store;
mod targets;

pub use targets::{Target, run, warm_up};

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// The settings of the product's binary, which is no library. Most of them has nothing to do here.
#[path = "../../crates/kerolox/src/config"]
#[allow(dead_code, unused_imports, clippy::all, reason = "only reading files is of interest")]
mod config {
    pub(crate) mod host;
    mod key;
    pub(crate) mod load;
    pub(crate) mod properties;
    pub(crate) mod rule;
    mod sources;
    pub(crate) mod table;
    mod values;
}

/// Stands in for the exporter, of which the settings ask whether they could be used.
mod otel {
    pub(crate) fn endpoint(_: &str) -> Option<()> {
        Some(())
    }

    pub(crate) fn headers(_: &str) -> Option<()> {
        Some(())
    }
}

/// Makes the binary of one target of the table.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        // A constant, so that the other targets are no part of the binary.
        const TARGET: $crate::Target = $crate::Target::$name;

        libfuzzer_sys::fuzz_target!(
            init: {
                $crate::warm_up(&TARGET);
            },
            |data: &[u8]| $crate::run(&TARGET, data)
        );
    };
}
