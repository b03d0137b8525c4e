//! What the fuzz targets of `fuzz/` reach of the broker. Built for them alone, with `--cfg fuzzing`.

use std::path::Path;
use std::sync::Arc;

use kerolox_store::disk::Disk;
use kerolox_store::disk::sim::SimDisk;
use kerolox_wire::clock::ManualClock;

use crate::acl;
use crate::delay::DelayProgress;
use crate::filter::{Filter, Filters};
use crate::group::Groups;
use crate::offset::Offsets;
use crate::topic::{TopicRules, Topics};

/// The time at which tables are read, ms since 1970.
const NOW_MS: i64 = 1_700_000_000_000;

/// A saved table.
#[derive(Debug, Clone, Copy)]
pub enum Table {
    /// `topics.json`.
    Topics,
    /// `subscriptionGroup.json`.
    Groups,
    /// `consumerOffset.json`.
    Offsets,
    /// `delayOffset.json`.
    Delays,
    /// `consumerFilter.json`.
    Filters,
}

/// Whether a message with these properties passes an SQL92 expression.
///
/// # Errors
/// When the expression cannot be read.
pub fn filter(expression: &str, properties: &str) -> Result<bool, String> {
    Ok(Filter::parse(expression).map_err(|why| why.to_string())?.passes(properties))
}

/// Reads a file of accounts as the start does, and writes it as a change does.
///
/// # Panics
/// When what is written says something else.
pub fn accounts(text: &[u8]) {
    acl::fuzzing::read_and_write(text);
}

/// Reads a table as the start does and returns it as it is saved.
///
/// # Errors
/// When the text is no such table.
///
/// # Panics
/// When the simulated disk fails.
pub fn read_and_write(table: Table, text: &[u8]) -> Result<String, String> {
    let disk = SimDisk::new(Arc::new(ManualClock::at(NOW_MS)));
    let path = Path::new("/table.json");
    disk.write_file_atomic(path, text).expect("a simulated disk without faults");
    let failed = |why: kerolox_store::tables::TableError| why.to_string();
    match table {
        Table::Topics => {
            let topics = Topics::new(rules());
            topics.load(&disk, path).map_err(failed)?;
            Ok(topics.to_json())
        }
        Table::Groups => {
            let groups = Groups::new(true);
            groups.load(&disk, path).map_err(failed)?;
            Ok(groups.to_json())
        }
        Table::Offsets => {
            let offsets = Offsets::new();
            offsets.load(&disk, path).map_err(failed)?;
            Ok(offsets.to_json())
        }
        Table::Delays => {
            let text = std::str::from_utf8(text).map_err(|why| why.to_string())?;
            DelayProgress::from_json(text).map(|progress| progress.to_json())
        }
        Table::Filters => {
            let filters = Filters::default();
            filters.load(&disk, path, NOW_MS).map_err(failed)?;
            Ok(filters.to_json())
        }
    }
}

fn rules() -> TopicRules {
    TopicRules {
        cluster_name: "DefaultCluster".to_owned(),
        broker_name: "broker-a".to_owned(),
        auto_create: true,
        default_queues: 8,
        cluster_topic: true,
        broker_topic: true,
        trace_topic: None,
    }
}
