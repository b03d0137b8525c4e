//! All topics: read from a snapshot without locks, changed one at a time.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::ops::{Deref, Not};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use kerolox_store::disk::Disk;
use kerolox_store::tables::{self, TableError};
use kerolox_wire::body::{DataVersion, TopicConfig, TopicConfigTable, Unreadable, from_json, to_json_pretty};
use kerolox_wire::names::{TopicName, topics};
use parking_lot::{Mutex, MutexGuard};

use super::system::{TopicRules, system_topics};
use super::{
    Made, NotMade, Perm, TOPIC_QUEUES_MAX, TOPICS_AUTOMATIC_MAX, Topic, TopicByProducer, TopicError, UNIT, UNIT_SUB,
};
use crate::changes::Changes;

/// Topics by name.
pub(crate) type TopicTable = HashMap<TopicName, Arc<Topic>>;

/// All topics at one moment, with the version that belongs to them.
#[derive(Debug)]
pub(crate) struct TopicSnapshot {
    topics: TopicTable,
    version: DataVersion,
}

impl Deref for TopicSnapshot {
    type Target = TopicTable;

    fn deref(&self) -> &TopicTable {
        &self.topics
    }
}

/// All topics of the broker.
#[derive(Debug)]
pub(crate) struct Topics {
    current: ArcSwap<TopicSnapshot>,
    system: BTreeSet<String>,
    auto_create: AtomicBool,
    /// Held by whoever changes the table.
    writing: Mutex<()>,
    changes: Changes,
    /// Topics of the file that cannot be used; they stay in it.
    unusable: Mutex<Vec<Unreadable>>,
}

impl Topics {
    /// The table with the system's topics.
    #[must_use]
    pub(crate) fn new(rules: TopicRules) -> Self {
        let auto_create = AtomicBool::new(rules.auto_create);
        let made = system_topics(rules);
        let mut system: BTreeSet<String> = topics::SYSTEM.iter().map(|&name| name.to_owned()).collect();
        system.extend(made.iter().map(|topic| topic.name.to_string()));
        let topics = made.into_iter().map(|topic| (topic.name.clone(), Arc::new(topic))).collect();
        let current = ArcSwap::from_pointee(TopicSnapshot { topics, version: DataVersion::default() });
        Self {
            current,
            system,
            auto_create,
            writing: Mutex::new(()),
            changes: Changes::default(),
            unusable: Mutex::default(),
        }
    }

    /// The topic of that name.
    #[must_use]
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.current.load().topics.get(name).cloned()
    }

    /// All topics as they are now.
    #[must_use]
    pub(crate) fn snapshot(&self) -> Arc<TopicSnapshot> {
        self.current.load_full()
    }

    /// The version of the table.
    #[must_use]
    pub(crate) fn data_version(&self) -> DataVersion {
        self.current.load().version
    }

    /// Whether the topic belongs to the system, so that requests neither create nor delete it.
    #[must_use]
    pub(crate) fn is_system(&self, name: &str) -> bool {
        self.system.contains(name) || name.starts_with(topics::SYSTEM_PREFIX)
    }

    /// The names that belong to the system, whether or not there is such a topic.
    #[must_use]
    pub(crate) fn system_names(&self) -> Vec<String> {
        self.system.iter().cloned().collect()
    }

    /// Whether clients may not send there.
    #[must_use]
    pub(crate) fn forbidden_to_send(name: &str) -> bool {
        matches!(name, topics::SCHEDULE | topics::TIMER | topics::TRANS_HALF | topics::TRANS_OP_HALF)
    }

    /// Whether sending may make topics after `TBW102`.
    pub(crate) fn set_auto_create(&self, allowed: bool) {
        self.auto_create.store(allowed, Ordering::Relaxed);
    }

    /// Makes `TBW102` with so many queues unless it is there, because automatic creation was switched on after the
    /// start; whether it was made.
    pub(crate) fn open_template(&self, queues: u32, now_ms: i64) -> bool {
        let writing = self.writing.lock();
        if self.get(topics::AUTO_CREATE).is_some() {
            return false;
        }
        let template = Topic::new(TopicName::known(topics::AUTO_CREATE), queues, Perm::TEMPLATE);
        self.publish(&writing, now_ms, |topics| {
            topics.insert(template.name.clone(), Arc::new(template));
        });
        true
    }

    /// The topic a message is sent to, made after its template if there is none yet.
    ///
    /// # Errors
    /// When there is no such template or it does not pass on its permission, or there are too many topics.
    pub(crate) fn create_by_send(&self, ask: &TopicByProducer<'_>, now_ms: i64) -> Result<Made, TopicError> {
        let writing = self.writing.lock();
        if let Some(topic) = self.get(ask.topic.as_str()) {
            return Ok(Made { topic, new: false });
        }
        ask.topic.check_as_new()?;
        let topic = match self.inherit(ask) {
            Ok(topic) => topic,
            Err(_) if ask.topic.is_retry() => Topic::new(ask.topic.clone(), 1, Perm::READ_WRITE),
            Err(why) => {
                tracing::warn!(topic = %ask.topic, %why, "topic not created by sending");
                return Err(TopicError::NotExist { topic: ask.topic.clone(), why });
            }
        };
        let sys_flag = match (ask.unit_mode, ask.topic.is_retry()) {
            (false, _) => 0,
            (true, true) => UNIT_SUB,
            (true, false) => UNIT,
        };
        self.insert_new(&writing, Topic { sys_flag, ..topic }, now_ms)
    }

    /// The topic named as `wanted`, made as given if there is none yet: retry, dead letter and transaction topics. One
    /// that has fewer queues gets as many: with 4.7.1 nobody reads the retry queues that a group gets later.
    ///
    /// # Errors
    /// When there are too many topics.
    pub(crate) fn ensure(&self, wanted: Topic, now_ms: i64) -> Result<Made, TopicError> {
        let suffices =
            |topic: &Topic| topic.read_queues >= wanted.read_queues && topic.write_queues >= wanted.write_queues;
        if let Some(topic) = self.get(wanted.name.as_str()).filter(|topic| suffices(topic)) {
            return Ok(Made { topic, new: false });
        }
        let writing = self.writing.lock();
        match self.get(wanted.name.as_str()) {
            Some(topic) if suffices(&topic) => Ok(Made { topic, new: false }),
            Some(topic) => Ok(Made { topic: self.grow(&writing, &topic, &wanted, now_ms), new: true }),
            None => self.insert_new(&writing, wanted, now_ms),
        }
    }

    /// Gives a topic as many queues as another one has.
    fn grow(&self, writing: &MutexGuard<'_, ()>, topic: &Topic, wanted: &Topic, now_ms: i64) -> Arc<Topic> {
        let read_queues = topic.read_queues.max(wanted.read_queues);
        let write_queues = topic.write_queues.max(wanted.write_queues);
        tracing::info!(topic = %topic.name, read_queues, write_queues, "topic got more queues");
        let grown = Arc::new(Topic { read_queues, write_queues, ..topic.clone() });
        self.publish(writing, now_ms, |topics| {
            topics.insert(grown.name.clone(), Arc::clone(&grown));
        });
        grown
    }

    /// Creates or replaces a topic on an administrator's word. As in 4.7.1 `order` comes from the name server alone,
    /// so the topic counts as unordered until the next registration.
    ///
    /// # Errors
    /// When the topic is the system's, or a number is out of range.
    pub(crate) fn replace(&self, topic: Topic, now_ms: i64) -> Result<Arc<Topic>, TopicError> {
        if self.is_system(topic.name.as_str()) {
            return Err(TopicError::System(topic.name));
        }
        if self.get(topic.name.as_str()).is_none() {
            topic.name.check_as_new()?;
        }
        let queues = topic.read_queues.max(topic.write_queues);
        if queues > TOPIC_QUEUES_MAX {
            return Err(TopicError::TooManyQueues { topic: topic.name, queues, limit: TOPIC_QUEUES_MAX });
        }
        let topic = Arc::new(Topic { order: false, ..topic });
        let writing = self.writing.lock();
        self.publish(&writing, now_ms, |topics| {
            topics.insert(topic.name.clone(), Arc::clone(&topic));
        });
        Ok(topic)
    }

    /// Deletes a topic; false when there was none.
    ///
    /// # Errors
    /// When the topic is the system's.
    pub(crate) fn delete(&self, name: &TopicName, now_ms: i64) -> Result<bool, TopicError> {
        if self.is_system(name.as_str()) {
            return Err(TopicError::System(name.clone()));
        }
        let writing = self.writing.lock();
        let known = self.get(name.as_str()).is_some();
        if known {
            self.publish(&writing, now_ms, |topics| {
                topics.remove(name.as_str());
            });
        }
        Ok(known)
    }

    /// Marks exactly these topics as ordered, as a name server listed them; true when that changed something.
    pub(crate) fn apply_order<S: AsRef<str>>(&self, ordered: &[S], now_ms: i64) -> bool {
        let ordered: BTreeSet<&str> = ordered.iter().map(AsRef::as_ref).collect();
        let differs = |topic: &Topic| topic.order != ordered.contains(topic.name.as_str());
        let writing = self.writing.lock();
        if !self.current.load().topics.values().any(|topic| differs(topic)) {
            return false;
        }
        self.publish(&writing, now_ms, |topics| {
            for topic in topics.values_mut().filter(|topic| differs(topic)) {
                let order = !topic.order;
                *topic = Arc::new(Topic { order, ..Topic::clone(topic) });
            }
        });
        true
    }

    /// What the broker announces of all its topics. A broker that is not both readable and writable publishes its own
    /// permission in place of each topic's.
    #[must_use]
    pub(crate) fn register_all(&self, broker: Perm) -> TopicConfigTable {
        let current = self.current.load();
        wire_table(current.version, current.topics.values().map(|topic| announced(topic, broker)))
    }

    /// What the broker announces of one topic.
    #[must_use]
    pub(crate) fn register_one(&self, name: &str, broker: Perm) -> Option<TopicConfigTable> {
        let current = self.current.load();
        let topic = current.topics.get(name)?;
        Some(wire_table(current.version, std::iter::once(announced(topic, broker))))
    }

    /// The text of `topics.json`.
    #[must_use]
    pub(crate) fn to_json(&self) -> String {
        let unreadable = self.unusable.lock().clone();
        to_json_pretty(&TopicConfigTable { unreadable, ..self.register_all(Perm::READ_WRITE) })
    }

    /// Takes over the topics and the version of a `topics.json`; they win over the topics made at start.
    ///
    /// # Errors
    /// When the text is no such table.
    #[cfg(test)]
    pub(crate) fn load_json(&self, text: &str) -> Result<(), String> {
        self.adopt(&parse(text)?);
        Ok(())
    }

    /// Reads `topics.json`, if there is one.
    ///
    /// # Errors
    /// When neither the file nor its previous text can be used.
    pub(crate) fn load(&self, disk: &dyn Disk, path: &Path) -> Result<(), TableError> {
        if let Some(table) = tables::load(disk, path, parse)? {
            self.adopt(&table);
        }
        Ok(())
    }

    /// Writes `topics.json` if something changed since the last time.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn save(&self, disk: &dyn Disk, path: &Path) -> Result<bool, TableError> {
        self.changes.save(disk, path, || self.to_json())
    }

    /// Whether the file at `path` or its previous text has topics. A text that cannot be read counts as such: loading it
    /// tells what is wrong.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn is_saved(disk: &dyn Disk, path: &Path) -> io::Result<bool> {
        for path in [path.to_path_buf(), path.with_extension("json.bak")] {
            let text = if disk.exists(&path) { disk.read_file(&path)? } else { Vec::new() };
            if !text.is_empty() {
                let table = String::from_utf8(text).map_err(|e| e.to_string()).and_then(|text| parse(&text));
                return Ok(table.is_ok_and(|table| table.topic_config_table.is_empty()).not());
            }
        }
        Ok(false)
    }

    /// Has the next save write the table although nothing changed.
    pub(crate) fn require_save(&self) {
        self.changes.touch();
    }

    fn inherit(&self, ask: &TopicByProducer<'_>) -> Result<Topic, NotMade> {
        // 4.7.1 takes the inherit bit off the template here, for good; a switch that is on again shall create again.
        if ask.template == topics::AUTO_CREATE && !self.auto_create.load(Ordering::Relaxed) {
            return Err(NotMade::SwitchedOff);
        }
        let Some(template) = self.get(ask.template) else {
            return Err(NotMade::NoTemplate(ask.template.to_owned()));
        };
        if !template.perm.inherited() {
            return Err(NotMade::NotInherited(ask.template.to_owned(), template.perm.get()));
        }
        let queues = u32::try_from(ask.queues).unwrap_or(0).min(template.write_queues);
        let topic = Topic::new(ask.topic.clone(), queues, template.perm.without_inherit());
        Ok(Topic { filter_type: template.filter_type, ..topic })
    }

    fn insert_new(&self, writing: &MutexGuard<'_, ()>, topic: Topic, now_ms: i64) -> Result<Made, TopicError> {
        if self.current.load().topics.len() >= TOPICS_AUTOMATIC_MAX {
            return Err(TopicError::TooMany { topic: topic.name, limit: TOPICS_AUTOMATIC_MAX });
        }
        tracing::info!(topic = %topic.name, queues = topic.write_queues, perm = topic.perm.get(), "topic created");
        let topic = Arc::new(topic);
        self.publish(writing, now_ms, |topics| {
            topics.insert(topic.name.clone(), Arc::clone(&topic));
        });
        Ok(Made { topic, new: true })
    }

    /// Replaces the snapshot by an edited copy with the next version.
    fn publish(&self, _writing: &MutexGuard<'_, ()>, now_ms: i64, edit: impl FnOnce(&mut TopicTable)) {
        let current = self.current.load();
        let mut topics = current.topics.clone();
        edit(&mut topics);
        let version = current.version.next(now_ms);
        self.current.store(Arc::new(TopicSnapshot { topics, version }));
        self.changes.touch();
    }

    fn adopt(&self, table: &TopicConfigTable) {
        let _writing = self.writing.lock();
        let auto_create = self.auto_create.load(Ordering::Relaxed);
        let mut adopted = self.current.load().topics.clone();
        let mut unusable = table.unreadable.clone();
        for (name, config) in &table.topic_config_table {
            match TopicName::parse(name) {
                Ok(name) => {
                    let mut topic = Topic::from_config(name, config);
                    // The template is there while automatic creation is on, and no longer: clients must find no route to
                    // it otherwise. Its inherit bit is no setting either; 4.7.1 may have left the file without it.
                    if topic.name.as_str() == topics::AUTO_CREATE {
                        if !auto_create {
                            continue;
                        }
                        topic.perm = Perm::TEMPLATE;
                    }
                    adopted.insert(topic.name.clone(), Arc::new(topic));
                }
                Err(why) => unusable.push(Unreadable::unusable(name, config, why)),
            }
        }
        for topic in &unusable {
            tracing::warn!(%topic, "topic of the saved table is not served; it stays in the file");
        }
        *self.unusable.lock() = unusable;
        self.current.store(Arc::new(TopicSnapshot { topics: adopted, version: table.data_version }));
    }
}

fn parse(text: &str) -> Result<TopicConfigTable, String> {
    from_json(text.as_bytes()).map_err(|why| why.to_string())
}

fn announced(topic: &Topic, broker: Perm) -> TopicConfig {
    let own = broker.readable() && broker.writable();
    topic.to_config(if own { topic.perm } else { broker })
}

fn wire_table(version: DataVersion, configs: impl Iterator<Item = TopicConfig>) -> TopicConfigTable {
    TopicConfigTable {
        data_version: version,
        topic_config_table: configs.map(|config| (config.topic_name.clone(), config)).collect(),
        unreadable: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
