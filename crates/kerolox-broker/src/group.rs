//! Consumer groups: what each may do, read from a snapshot without locks.

use std::collections::HashMap;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use kerolox_store::disk::Disk;
use kerolox_store::tables::{self, TableError};
use kerolox_wire::body::{
    DataVersion, SubscriptionGroupConfig, SubscriptionGroupTable, Unreadable, from_json, to_json_pretty,
};
use kerolox_wire::names::{GroupName, NameError, groups};
use parking_lot::{Mutex, MutexGuard};

use crate::changes::Changes;
use crate::topic::TOPIC_QUEUES_MAX;

/// What a consumer group may do.
pub(crate) type Group = SubscriptionGroupConfig;

/// With this many groups only an administrator makes more; a client of random names must not fill the memory.
pub(crate) const GROUPS_AUTOMATIC_MAX: usize = 50_000;

/// A group that was there or has just been made.
#[derive(Debug, Clone)]
pub(crate) struct FoundGroup {
    /// The group.
    pub(crate) group: Arc<Group>,
    /// It has just been made: save the table.
    pub(crate) new: bool,
}

/// Why a group is not found or not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum GroupError {
    /// There is no such group and its first use does not make it.
    #[error("subscription group [{0}] does not exist")]
    NotExist(GroupName),
    /// There are too many groups to make another one by itself.
    #[error("subscription group [{group}] does not exist, and with {limit} groups only an administrator creates more")]
    TooMany {
        /// The group asked for.
        group: GroupName,
        /// [`GROUPS_AUTOMATIC_MAX`]
        limit: usize,
    },
    /// Not a legal name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// More retry queues than a topic may have.
    #[error("subscription group [{group}] cannot have {queues} retry queues, the most is {limit}")]
    TooManyQueues {
        /// The group.
        group: GroupName,
        /// Queues asked for.
        queues: i32,
        /// [`TOPIC_QUEUES_MAX`]
        limit: u32,
    },
}

/// Groups by name.
pub(crate) type GroupTable = HashMap<GroupName, Arc<Group>>;

/// All groups at one moment, with the version that belongs to them.
#[derive(Debug)]
pub(crate) struct GroupSnapshot {
    groups: GroupTable,
    version: DataVersion,
}

impl Deref for GroupSnapshot {
    type Target = GroupTable;

    fn deref(&self) -> &GroupTable {
        &self.groups
    }
}

/// All consumer groups of the broker.
#[derive(Debug)]
pub(crate) struct Groups {
    current: ArcSwap<GroupSnapshot>,
    auto_create: AtomicBool,
    /// Held by whoever changes the table.
    writing: Mutex<()>,
    changes: Changes,
    /// Groups of the file that cannot be used; they stay in it.
    unusable: Mutex<Vec<Unreadable>>,
}

impl Groups {
    /// The table with the system's groups. `auto_create` allows others to be made at their first use.
    #[must_use]
    pub(crate) fn new(auto_create: bool) -> Self {
        let auto_create = AtomicBool::new(auto_create);
        let named = groups::SYSTEM.iter().filter_map(|name| GroupName::parse(name).ok());
        let groups = named.map(|name| (name.clone(), Arc::new(with_defaults(&name)))).collect();
        let current = ArcSwap::from_pointee(GroupSnapshot { groups, version: DataVersion::default() });
        let (writing, unusable) = (Mutex::new(()), Mutex::default());
        Self { current, auto_create, writing, changes: Changes::default(), unusable }
    }

    /// The group of that name.
    #[must_use]
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Group>> {
        self.current.load().groups.get(name).cloned()
    }

    /// All groups as they are now.
    #[must_use]
    pub(crate) fn snapshot(&self) -> Arc<GroupSnapshot> {
        self.current.load_full()
    }

    /// Whether the first use of a group makes it.
    pub(crate) fn set_auto_create(&self, allowed: bool) {
        self.auto_create.store(allowed, Ordering::Relaxed);
    }

    /// The group of that name, made with all defaults if there is none and that is allowed.
    ///
    /// # Errors
    /// When there is no such group and it is not made.
    pub(crate) fn find(&self, name: &GroupName, now_ms: i64) -> Result<FoundGroup, GroupError> {
        if let Some(group) = self.get(name.as_str()) {
            return Ok(FoundGroup { group, new: false });
        }
        if !self.auto_create.load(Ordering::Relaxed) && !name.as_str().starts_with(groups::SYSTEM_PREFIX) {
            return Err(GroupError::NotExist(name.clone()));
        }
        let writing = self.writing.lock();
        if let Some(group) = self.get(name.as_str()) {
            return Ok(FoundGroup { group, new: false });
        }
        if self.current.load().groups.len() >= GROUPS_AUTOMATIC_MAX {
            return Err(GroupError::TooMany { group: name.clone(), limit: GROUPS_AUTOMATIC_MAX });
        }
        tracing::info!(group = %name, "group created");
        let group = Arc::new(with_defaults(name));
        self.publish(&writing, now_ms, |groups| {
            groups.insert(name.clone(), Arc::clone(&group));
        });
        Ok(FoundGroup { group, new: true })
    }

    /// Creates or replaces a group on an administrator's word.
    ///
    /// # Errors
    /// When the name is not legal or a number out of range.
    pub(crate) fn update(&self, group: Group, now_ms: i64) -> Result<(), GroupError> {
        let name = GroupName::parse(&group.group_name)?;
        if i64::from(group.retry_queue_nums) > i64::from(TOPIC_QUEUES_MAX) {
            let queues = group.retry_queue_nums;
            return Err(GroupError::TooManyQueues { group: name, queues, limit: TOPIC_QUEUES_MAX });
        }
        let writing = self.writing.lock();
        self.publish(&writing, now_ms, |groups| {
            groups.insert(name, Arc::new(group));
        });
        Ok(())
    }

    /// Deletes a group; false when there was none.
    pub(crate) fn delete(&self, name: &str, now_ms: i64) -> bool {
        let writing = self.writing.lock();
        let known = self.get(name).is_some();
        if known {
            self.publish(&writing, now_ms, |groups| {
                groups.remove(name);
            });
        }
        known
    }

    /// The table as the protocol and the file know it.
    #[must_use]
    pub(crate) fn table(&self) -> SubscriptionGroupTable {
        let current = self.current.load();
        let entry = |(name, group): (&GroupName, &Arc<Group>)| (name.to_string(), Group::clone(group));
        SubscriptionGroupTable {
            data_version: current.version,
            subscription_group_table: current.groups.iter().map(entry).collect(),
            unreadable: Vec::new(),
        }
    }

    /// The text of `subscriptionGroup.json`.
    #[must_use]
    pub(crate) fn to_json(&self) -> String {
        to_json_pretty(&SubscriptionGroupTable { unreadable: self.unusable.lock().clone(), ..self.table() })
    }

    /// Takes over the groups and the version of a `subscriptionGroup.json`; they win over the groups made at start.
    ///
    /// # Errors
    /// When the text is no such table.
    #[cfg(test)]
    pub(crate) fn load_json(&self, text: &str) -> Result<(), String> {
        self.adopt(&parse(text)?);
        Ok(())
    }

    /// Reads `subscriptionGroup.json`, if there is one.
    ///
    /// # Errors
    /// When neither the file nor its previous text can be used.
    pub(crate) fn load(&self, disk: &dyn Disk, path: &Path) -> Result<(), TableError> {
        if let Some(table) = tables::load(disk, path, parse)? {
            self.adopt(&table);
        }
        Ok(())
    }

    /// Writes `subscriptionGroup.json` if something changed since the last time.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn save(&self, disk: &dyn Disk, path: &Path) -> Result<bool, TableError> {
        self.changes.save(disk, path, || self.to_json())
    }

    /// Replaces the snapshot by an edited copy with the next version.
    fn publish(&self, _writing: &MutexGuard<'_, ()>, now_ms: i64, edit: impl FnOnce(&mut GroupTable)) {
        let current = self.current.load();
        let mut groups = current.groups.clone();
        edit(&mut groups);
        let version = current.version.next(now_ms);
        self.current.store(Arc::new(GroupSnapshot { groups, version }));
        self.changes.touch();
    }

    fn adopt(&self, table: &SubscriptionGroupTable) {
        let _writing = self.writing.lock();
        let mut groups = self.current.load().groups.clone();
        let mut unusable = table.unreadable.clone();
        for (name, group) in &table.subscription_group_table {
            match GroupName::parse(name) {
                Ok(name) => {
                    let group_name = name.to_string();
                    groups.insert(name, Arc::new(Group { group_name, ..group.clone() }));
                }
                Err(why) => unusable.push(Unreadable::unusable(name, group, why)),
            }
        }
        for group in &unusable {
            tracing::warn!(%group, "group of the saved table is not served; it stays in the file");
        }
        *self.unusable.lock() = unusable;
        self.current.store(Arc::new(GroupSnapshot { groups, version: table.data_version }));
    }
}

fn parse(text: &str) -> Result<SubscriptionGroupTable, String> {
    from_json(text.as_bytes()).map_err(|why| why.to_string())
}

fn with_defaults(name: &GroupName) -> Group {
    Group { group_name: name.to_string(), ..Group::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> GroupName {
        GroupName::parse(text).unwrap()
    }

    #[test]
    fn system_groups_exist_from_the_start() {
        let groups = Groups::new(true);
        for system in groups::SYSTEM {
            assert!(groups.get(system).is_some(), "{system}");
        }
        assert_eq!(groups.table().data_version.counter, 0);
    }

    #[test]
    fn an_unknown_group_is_made_with_defaults_only_when_allowed() {
        let groups = Groups::new(true);
        for (group, auto_create, made) in [("a", false, false), ("a", true, true), ("CID_RMQ_SYS_TRANS", false, true)] {
            groups.set_auto_create(auto_create);
            let found = groups.find(&name(group), 7);
            assert_eq!(found.as_ref().is_ok_and(|found| found.new), made, "{group} {auto_create} {found:?}");
        }
        let again = groups.find(&name("a"), 8).unwrap();
        assert!(!again.new);
        let Group { retry_queue_nums, retry_max_times, consume_enable, which_broker_when_consume_slowly, .. } =
            *again.group;
        assert_eq!((retry_queue_nums, retry_max_times), (1, 16));
        assert_eq!((consume_enable, which_broker_when_consume_slowly), (true, 1));
        let version = groups.table().data_version;
        assert_eq!((version.counter, version.timestamp), (2, 7));
    }

    #[test]
    fn an_update_replaces_the_group_and_a_deletion_removes_it() {
        let groups = Groups::new(true);
        let slow = Group { retry_max_times: 3, ..with_defaults(&name("g")) };
        groups.update(slow, 1).unwrap();
        assert_eq!(groups.get("g").unwrap().retry_max_times, 3);
        assert!(groups.delete("g", 2));
        assert!(!groups.delete("g", 3));
        assert_eq!(groups.table().data_version.counter, 2);
    }

    #[test]
    fn an_administrator_cannot_make_a_group_whose_name_could_leave_a_folder() {
        let groups = Groups::new(true);
        for bad in ["../g", "", "a\\b"] {
            let group = Group { group_name: bad.to_owned(), ..Group::default() };
            assert!(matches!(groups.update(group, 1), Err(GroupError::Name(_))), "{bad:?}");
        }
        let group = Group { retry_queue_nums: 1_000_000, ..with_defaults(&name("g")) };
        assert!(matches!(groups.update(group, 1), Err(GroupError::TooManyQueues { .. })));
    }

    #[test]
    fn a_file_of_either_reference_version_is_read_and_written_in_the_old_shape() {
        let old = "{\"dataVersion\":{\"counter\":3,\"timestamp\":9},\"subscriptionGroupTable\":{\"G\":{\"brokerId\":0,\
            \"consumeBroadcastEnable\":true,\"consumeEnable\":false,\"consumeFromMinEnable\":true,\"groupName\":\"G\",\
            \"notifyConsumerIdsChangedEnable\":true,\"retryMaxTimes\":5,\"retryQueueNums\":2,\
            \"whichBrokerWhenConsumeSlowly\":1}}}";
        let new = old
            .replace("\"counter\":3", "\"counter\":3,\"stateVersion\":0")
            .replace("\"groupName\"", "\"attributes\":{},\"groupRetryPolicy\":{\"type\":\"CUSTOMIZED\"},\"groupName\"");
        for text in [old, &new] {
            let groups = Groups::new(true);
            groups.load_json(text).unwrap();
            let group = groups.get("G").unwrap();
            assert_eq!((group.retry_max_times, group.retry_queue_nums, group.consume_enable), (5, 2, false));
            assert!(groups.get("TOOLS_CONSUMER").is_some(), "loading keeps the system's groups");
            assert_eq!(groups.table().data_version.counter, 3);
            let written: String = groups.to_json().split_whitespace().collect();
            let entry = old.split_once("\"G\":").unwrap().1.strip_suffix("}}").unwrap();
            assert!(written.contains(entry), "{written}");
        }
    }

    #[test]
    fn what_of_the_file_cannot_be_served_stays_in_it_and_takes_no_other_with_it() {
        let groups = Groups::new(true);
        let text = "{\"subscriptionGroupTable\":{\"../x\":{\"groupName\":\"../x\"},\
            \"bad\":{\"groupName\":\"bad\",\"retryMaxTimes\":\"many\"},\"com.shop\":{\"groupName\":\"com.shop\"}}}";
        groups.load_json(text).unwrap();
        assert!(groups.get("../x").is_none() && groups.get("bad").is_none());
        assert!(groups.get("com.shop").is_some());
        let written = groups.to_json();
        for kept in ["\"../x\"", "\"retryMaxTimes\":\"many\"", "\"com.shop\""] {
            assert!(written.contains(kept), "{kept}: {written}");
        }
    }
}
