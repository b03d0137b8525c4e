//! Test data made by an independent encoder of the format: single structures, and a small complete store.

use std::path::{Path, PathBuf};

use serde_json::Value;

const VECTORS: &str = include_str!("../testdata/store_vectors.json");
const MINI: &str = include_str!("../testdata/mini.json");

/// Bytes of the structure `name`.
pub(crate) fn hex(name: &str) -> Vec<u8> {
    let text = vector(name)["hex"].as_str().unwrap().to_string();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// A number that the vectors tell about the structure `name`.
pub(crate) fn field(name: &str, field: &str) -> i64 {
    vector(name)["fields"][field].as_i64().unwrap()
}

fn vector(name: &str) -> Value {
    let all: Value = serde_json::from_str(VECTORS).unwrap();
    all["binary"].as_array().unwrap().iter().find(|vector| vector["name"] == name).unwrap().clone()
}

/// One message of the small store.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MiniMessage {
    pub(crate) topic: String,
    pub(crate) queue_id: u32,
    pub(crate) queue_offset: u64,
    pub(crate) phy: u64,
    pub(crate) size: u32,
    pub(crate) tags_code: i64,
    pub(crate) store_timestamp: i64,
}

/// The messages of the small store, in log order.
pub(crate) fn mini_messages() -> Vec<MiniMessage> {
    let all: Value = serde_json::from_str(MINI).unwrap();
    serde_json::from_value(all["messages"].clone()).unwrap()
}

/// Sizes with which the small store was made.
pub(crate) const MINI_QUEUE_FILE_SIZE: u64 = 20 * 64;
pub(crate) const MINI_INDEX_SLOTS: u32 = 100;
pub(crate) const MINI_INDEX_ENTRIES: u32 = 400;
/// Name of its only index file.
pub(crate) const MINI_INDEX_FILE: &str = "20231114221320000";

/// The folder of the small store.
pub(crate) fn mini() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/mini")
}
