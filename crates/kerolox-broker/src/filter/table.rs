//! What each group filters by, as its heartbeats say; kept as `config/consumerFilter.json` by RocketMQ's rules.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use kerolox_store::disk::Disk;
use kerolox_store::tables::{self, TableError};
use kerolox_wire::body::{
    BloomBits, EXPRESSION_SQL92, FilterData, FilterTable, SubscriptionData, TopicFilters, from_json, to_json_pretty,
};
use kerolox_wire::names::{GroupName, TopicName};
use parking_lot::Mutex;

use super::Filter;
use crate::changes::Changes;

/// Most bytes that all compiled expressions take up; those of ten thousand groups take about one in eight of them.
const FILTERS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most bytes of one group's: what it takes up must not refuse another's.
const GROUP_FILTERS_BYTES_MAX: usize = 8 * 1024 * 1024;
/// A group that comes out of the file was there until this long before the start.
const SEEN_BEFORE_START_MS: i64 = 30_000;
/// Most recently read expressions of pulls that bring their own, and most bytes of them.
const RECENT_MAX: usize = 128;
const RECENT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The filters of all groups.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    table: Mutex<Table>,
    /// Expressions of pulls that bring their own, so that each is read once and not at every pull.
    recent: Mutex<HashMap<Box<str>, Arc<Filter>>>,
    changes: Changes,
}

#[derive(Debug, Default)]
struct Table {
    by_group: HashMap<GroupName, BTreeMap<TopicName, Entry>>,
    /// Bytes of all compiled expressions.
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    filter: Arc<Filter>,
    expression: Box<str>,
    version: i64,
    born_ms: i64,
    /// Since when the group is gone; 0 while it is there.
    dead_ms: i64,
    /// What a Java broker wrote; kept for it, not used.
    bloom: Option<BloomBits>,
}

impl Entry {
    fn is_dead(&self) -> bool {
        self.dead_ms >= self.born_ms
    }

    fn to_stored(&self, group: &GroupName, topic: &TopicName) -> FilterData {
        FilterData {
            bloom_filter_data: self.bloom.clone(),
            born_time: self.born_ms,
            client_version: self.version,
            consumer_group: group.to_string(),
            dead: self.is_dead(),
            dead_time: self.dead_ms,
            expression: self.expression.to_string(),
            expression_type: EXPRESSION_SQL92.to_owned(),
            topic: topic.to_string(),
        }
    }
}

impl Filters {
    /// Takes in what a group subscribes to; of topics that it no longer names the filter is dead. Expressions that
    /// cannot be read are left out, and the group's pulls will hear of it.
    pub(crate) fn register(&self, group: &GroupName, wanted: &[SubscriptionData], now_ms: i64) {
        let mut table = self.table.lock();
        let by_sql = |data: &&SubscriptionData| data.expression_type == EXPRESSION_SQL92 && !data.sub_string.is_empty();
        let mut changed = false;
        for data in wanted.iter().filter(by_sql) {
            changed |= table.register(group, data, now_ms);
        }
        if let Some(entries) = table.by_group.get_mut(group) {
            let named: HashSet<&str> = wanted.iter().map(|data| data.topic.as_str()).collect();
            for (topic, entry) in entries {
                if !named.contains(topic.as_str()) && !entry.is_dead() {
                    entry.dead_ms = now_ms;
                    changed = true;
                }
            }
        }
        if changed {
            self.changes.touch();
        }
    }

    /// The group's last member has left.
    pub(crate) fn unregister(&self, group: &GroupName, now_ms: i64) {
        let mut table = self.table.lock();
        let Some(entries) = table.by_group.get_mut(group) else { return };
        for entry in entries.values_mut().filter(|entry| !entry.is_dead()) {
            entry.dead_ms = now_ms;
            self.changes.touch();
        }
    }

    /// What a group filters a topic by, and the version of the subscription that said so.
    pub(crate) fn get(&self, group: &str, topic: &str) -> Option<(Arc<Filter>, i64)> {
        let table = self.table.lock();
        let entry = table.by_group.get(group)?.get(topic)?;
        Some((Arc::clone(&entry.filter), entry.version))
    }

    /// What is kept of a group's filter, as operators see it.
    pub(crate) fn stored(&self, group: &str, topic: &str) -> Option<FilterData> {
        let table = self.table.lock();
        let (group, entries) = table.by_group.get_key_value(group)?;
        let (topic, entry) = entries.get_key_value(topic)?;
        Some(entry.to_stored(group, topic))
    }

    /// Reads an expression that a pull brings.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn read(&self, expression: &str) -> Result<Arc<Filter>, super::ParseError> {
        if let Some(known) = self.recent.lock().get(expression) {
            return Ok(Arc::clone(known));
        }
        let filter = Arc::new(Filter::parse(expression)?);
        let mut recent = self.recent.lock();
        let bytes: usize = recent.values().map(|known| known.size()).sum();
        if recent.len() >= RECENT_MAX || bytes.saturating_add(filter.size()) > RECENT_BYTES_MAX {
            recent.clear();
        }
        recent.insert(expression.into(), Arc::clone(&filter));
        Ok(filter)
    }

    /// Forgets filters of groups that have been gone for `lifetime_ms`.
    pub(crate) fn clean(&self, now_ms: i64, lifetime_ms: i64) {
        let mut table = self.table.lock();
        let mut freed = 0;
        table.by_group.retain(|group, entries| {
            entries.retain(|topic, entry| {
                let expired = entry.is_dead() && now_ms.saturating_sub(entry.dead_ms) >= lifetime_ms;
                if expired {
                    tracing::info!(%group, %topic, "filter forgotten: the group has been gone for too long");
                    freed += entry.filter.size();
                }
                !expired
            });
            !entries.is_empty()
        });
        if freed > 0 {
            table.bytes = table.bytes.saturating_sub(freed);
            self.changes.touch();
        }
    }

    /// Reads `consumerFilter.json`, if there is one. All groups count as gone until they are heard of.
    ///
    /// # Errors
    /// When neither the file nor its previous text can be used.
    pub(crate) fn load(&self, disk: &dyn Disk, path: &Path, now_ms: i64) -> Result<(), TableError> {
        let parse = |text: &str| from_json::<FilterTable>(text.as_bytes()).map_err(|error| error.to_string());
        if let Some(stored) = tables::load(disk, path, parse)? {
            self.table.lock().adopt(stored, now_ms);
        }
        Ok(())
    }

    /// Writes `consumerFilter.json` if something changed since the last time.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn save(
        &self,
        disk: &dyn Disk,
        path: &Path,
        before: impl FnOnce() -> io::Result<()>,
    ) -> Result<bool, TableError> {
        self.changes.save_after(disk, path, || self.to_json(), before)
    }

    /// The text of `consumerFilter.json`.
    pub(crate) fn to_json(&self) -> String {
        to_json_pretty(&self.table.lock().to_stored())
    }
}

impl Table {
    /// Whether the table has changed.
    fn register(&mut self, group: &GroupName, data: &SubscriptionData, now_ms: i64) -> bool {
        let Ok(topic) = TopicName::parse(&data.topic) else { return false };
        let known = self.by_group.get_mut(group.as_str()).and_then(|entries| entries.get_mut(topic.as_str()));
        if let Some(known) = known {
            if data.sub_version < known.version {
                return false;
            }
            if data.sub_version == known.version || *known.expression == *data.sub_string {
                let changed = known.is_dead() || known.version != data.sub_version;
                known.version = data.sub_version;
                if known.is_dead() {
                    known.dead_ms = 0;
                }
                return changed;
            }
        }
        let gone = self.remove(group, &topic);
        match self.checked(group, &data.sub_string) {
            Ok(filter) => {
                tracing::info!(%group, %topic, expression = ?data.sub_string, "the group filters by SQL92");
                let entry = Entry {
                    filter: Arc::new(filter),
                    expression: data.sub_string.as_str().into(),
                    version: data.sub_version,
                    born_ms: now_ms,
                    dead_ms: 0,
                    bloom: gone.as_ref().and_then(|gone| gone.bloom.clone()),
                };
                self.insert(group.clone(), topic, entry);
                true
            }
            Err(why) => {
                tracing::warn!(%group, %topic, why, "filter of a heartbeat left out; the group's pulls are refused");
                gone.is_some()
            }
        }
    }

    fn checked(&self, group: &GroupName, expression: &str) -> Result<Filter, String> {
        let filter = Filter::parse(expression).map_err(|error| error.to_string())?;
        let of_group = self.by_group.get(group.as_str()).into_iter().flat_map(BTreeMap::values);
        let of_group: usize = of_group.map(|entry| entry.filter.size()).sum();
        if of_group.saturating_add(filter.size()) > GROUP_FILTERS_BYTES_MAX {
            return Err(format!("the group has filters of more than {GROUP_FILTERS_BYTES_MAX} bytes"));
        }
        if self.bytes.saturating_add(filter.size()) > FILTERS_BYTES_MAX {
            return Err(format!("all groups together have filters of more than {FILTERS_BYTES_MAX} bytes"));
        }
        Ok(filter)
    }

    fn insert(&mut self, group: GroupName, topic: TopicName, entry: Entry) {
        self.bytes = self.bytes.saturating_add(entry.filter.size());
        self.by_group.entry(group).or_default().insert(topic, entry);
    }

    fn remove(&mut self, group: &GroupName, topic: &TopicName) -> Option<Entry> {
        let entries = self.by_group.get_mut(group.as_str())?;
        let gone = entries.remove(topic.as_str())?;
        if entries.is_empty() {
            self.by_group.remove(group.as_str());
        }
        self.bytes = self.bytes.saturating_sub(gone.filter.size());
        Some(gone)
    }

    fn adopt(&mut self, stored: FilterTable, now_ms: i64) {
        let filters = stored.filter_data_by_topic.into_values().flat_map(|topic| topic.group_filter_data.into_values());
        for data in filters {
            let names = GroupName::parse(&data.consumer_group).and_then(|g| Ok((g, TopicName::parse(&data.topic)?)));
            let read = names.map_err(|e| e.to_string()).and_then(|names| {
                let filter = self.checked(&names.0, &data.expression)?;
                Ok((names, filter))
            });
            match read {
                Ok(((group, topic), filter)) => {
                    let dead_ms = if data.dead_time == 0 {
                        now_ms.saturating_sub(SEEN_BEFORE_START_MS).max(data.born_time)
                    } else {
                        data.dead_time
                    };
                    let entry = Entry {
                        filter: Arc::new(filter),
                        expression: data.expression.into(),
                        version: data.client_version,
                        born_ms: data.born_time,
                        dead_ms,
                        bloom: data.bloom_filter_data,
                    };
                    self.insert(group, topic, entry);
                }
                Err(why) => {
                    tracing::warn!(group = data.consumer_group, topic = data.topic, why, "stored filter left out");
                }
            }
        }
    }

    fn to_stored(&self) -> FilterTable {
        let mut stored = FilterTable::default();
        for (group, entries) in &self.by_group {
            for (topic, entry) in entries {
                let data = entry.to_stored(group, topic);
                let of_topic = stored.filter_data_by_topic.entry(topic.to_string());
                let of_topic =
                    of_topic.or_insert_with(|| TopicFilters { topic: topic.to_string(), ..TopicFilters::default() });
                of_topic.group_filter_data.insert(group.to_string(), data);
            }
        }
        stored
    }
}

#[cfg(test)]
mod tests {
    use kerolox_store::disk::RealDisk;

    use super::*;

    fn group(name: &str) -> GroupName {
        GroupName::parse(name).unwrap()
    }

    fn sql(topic: &str, expression: &str, version: i64) -> SubscriptionData {
        SubscriptionData {
            topic: topic.to_owned(),
            sub_string: expression.to_owned(),
            expression_type: EXPRESSION_SQL92.to_owned(),
            sub_version: version,
            ..SubscriptionData::default()
        }
    }

    fn version(filters: &Filters, topic: &str) -> Option<i64> {
        filters.get("g", topic).map(|(_, version)| version)
    }

    fn stored(filters: &Filters, topic: &str) -> FilterData {
        filters.stored("g", topic).unwrap()
    }

    #[test]
    fn the_latest_version_holds_and_a_wrong_one_takes_the_filter_away() {
        let filters = Filters::default();
        filters.register(&group("g"), &[sql("t", "a = 1", 5)], 100);
        filters.register(&group("g"), &[sql("t", "a = 2", 4)], 110);
        assert_eq!(version(&filters, "t"), Some(5), "an older one changes nothing");
        filters.register(&group("g"), &[sql("t", "a = 1", 6)], 120);
        assert_eq!((version(&filters, "t"), stored(&filters, "t").born_time), (Some(6), 100), "the same text lives on");
        filters.register(&group("g"), &[sql("t", "a = 3", 7)], 130);
        assert_eq!((stored(&filters, "t").expression.as_str(), stored(&filters, "t").born_time), ("a = 3", 130));
        filters.register(&group("g"), &[sql("t", "a = ", 8)], 140);
        assert_eq!(version(&filters, "t"), None);
        assert_eq!(filters.table.lock().bytes, 0);
    }

    #[test]
    fn filters_of_groups_that_are_gone_expire() {
        let filters = Filters::default();
        filters.register(&group("g"), &[sql("t", "a = 1", 1), sql("u", "a = 2", 1)], 100);
        filters.register(&group("g"), &[sql("t", "a = 1", 1)], 200);
        assert_eq!((stored(&filters, "u").dead_time, stored(&filters, "t").dead), (200, false));
        filters.unregister(&group("g"), 300);
        filters.clean(1_299, 1_000);
        assert_eq!((version(&filters, "u"), version(&filters, "t")), (None, Some(1)));
        filters.register(&group("g"), &[sql("t", "a = 1", 1)], 1_300);
        filters.clean(9_999, 1_000);
        assert_eq!((version(&filters, "t"), stored(&filters, "t").dead_time), (Some(1), 0), "alive again");
    }

    #[test]
    fn the_file_comes_back_with_all_groups_gone_and_what_java_added() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("consumerFilter.json");
        let java = r#"{"filterDataByTopic":{"t":{"groupFilterData":{
            "g":{"bloomFilterData":{"bitNum":176,"bitPos":[1,2]},"bornTime":7,"clientVersion":3,"consumerGroup":"g",
                 "dead":false,"deadTime":0,"expression":"a = 1","expressionType":"SQL92","topic":"t"},
            "h":{"bornTime":7,"clientVersion":3,"consumerGroup":"h","expression":"a = ","topic":"t"}},"topic":"t"}}}"#;
        std::fs::write(&path, java).unwrap();
        let filters = Filters::default();
        filters.load(&RealDisk, &path, 100_000).unwrap();
        let loaded = stored(&filters, "t");
        assert_eq!((loaded.dead, loaded.dead_time, loaded.client_version), (true, 70_000, 3));
        assert!(filters.get("h", "t").is_none());
        filters.register(&group("g"), &[sql("t", "a = 1", 3)], 110_000);
        assert!(filters.save(&RealDisk, &path, || Ok(())).unwrap());
        let again = Filters::default();
        again.load(&RealDisk, &path, 200_000).unwrap();
        assert_eq!(stored(&again, "t").bloom_filter_data, Some(BloomBits { bit_num: 176, bit_pos: vec![1, 2] }));
    }

    #[test]
    fn what_pulls_bring_is_read_once_and_little_of_it_is_kept() {
        let filters = Filters::default();
        let first = filters.read("a = 1").unwrap();
        assert!(Arc::ptr_eq(&first, &filters.read("a = 1").unwrap()));
        assert!(filters.read("a = ").is_err());
        for n in 0..1_000 {
            filters.read(&format!("a = {n}")).unwrap();
        }
        assert!(filters.recent.lock().len() <= RECENT_MAX);
    }
}
