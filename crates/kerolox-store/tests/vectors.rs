//! Random histories of a store agree with plain vectors.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::{bodies, clock, record, small, topic};
use kerolox_store::disk::sim::{Loss, SimDisk};
use kerolox_store::{ReadLimits, ReadStatus, Store, StoreConfig, Verdict};
use kerolox_wire::clock::ManualClock;
use kerolox_wire::names::QueueId;
use kerolox_wire::sys_flag::{PREPARED, ROLLBACK};
use proptest::prelude::*;

const TOPICS: [&str; 3] = ["T", "%DLQ%g", "a-b_c"];

#[derive(Debug, Clone)]
enum Step {
    /// Messages as (topic, queue, body length, sys flag).
    Append(Vec<(usize, u32, usize, i32)>),
    Group(usize, u32, Vec<usize>),
    Dispatch,
    Flush,
    Checkpoint,
    Restart,
    /// The process ends; what was appended stays.
    Kill,
    Delete(usize),
    /// All log files but the last are past their age.
    Expire,
}

fn step() -> impl Strategy<Value = Step> {
    let flag = prop_oneof![6 => Just(0), 1 => Just(PREPARED), 1 => Just(ROLLBACK)];
    let message = (0..TOPICS.len(), 0..3_u32, 0..900_usize, flag);
    prop_oneof![
        8 => prop::collection::vec(message, 1..6).prop_map(Step::Append),
        2 => (0..TOPICS.len(), 0..3_u32, prop::collection::vec(0..300_usize, 1..8))
            .prop_map(|(t, q, sizes)| Step::Group(t, q, sizes)),
        4 => Just(Step::Dispatch),
        1 => Just(Step::Flush),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Restart),
        1 => Just(Step::Kill),
        1 => (0..TOPICS.len()).prop_map(Step::Delete),
        1 => Just(Step::Expire),
    ]
}

/// The store and what it must hold: per queue the messages in order, of which the first ones may have expired.
struct Pair {
    disk: SimDisk,
    clock: Arc<ManualClock>,
    store: Option<Store>,
    queues: BTreeMap<(usize, u32), Vec<Vec<u8>>>,
    sent: u32,
}

impl Pair {
    fn new() -> Self {
        let clock = clock();
        let disk = SimDisk::new(Arc::clone(&clock) as _);
        let mut pair = Self { disk, clock, store: None, queues: BTreeMap::new(), sent: 0 };
        pair.open();
        pair
    }

    fn open(&mut self) {
        let config = StoreConfig { reserved: Duration::from_secs(60), ..small(Path::new("/s")) };
        self.store = Some(Store::open(config, Arc::new(self.disk.process()), Arc::clone(&self.clock) as _).unwrap());
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn body(&mut self, len: usize) -> Vec<u8> {
        self.sent += 1;
        let mut body = self.sent.to_be_bytes().to_vec();
        body.resize(4 + len, b'.');
        body
    }

    fn append(&mut self, messages: &[(usize, u32, usize, i32)]) {
        let mut batch = self.store().batch();
        let mut expected = Vec::new();
        for (t, id, len, sys_flag) in messages {
            let body = self.body(*len);
            let queue = self.store().queue(&topic(TOPICS[*t]), QueueId::new(*id));
            let mut record = record(TOPICS[*t], *id, &body, "");
            record.sys_flag = *sys_flag;
            batch.push(&queue, &record).unwrap();
            let messages = self.queues.entry((*t, *id)).or_default();
            expected.push(if *sys_flag == 0 { messages.len() } else { 0 });
            if *sys_flag == 0 {
                messages.push(body);
            }
        }
        let appended = self.store().append(&mut batch).unwrap();
        let offsets: Vec<_> = appended.iter().map(|a| usize::try_from(a.queue_offset.get()).unwrap()).collect();
        assert_eq!(offsets, expected);
    }

    fn append_group(&mut self, t: usize, id: u32, sizes: &[usize]) {
        let own: Vec<_> = sizes.iter().map(|len| self.body(*len)).collect();
        let records: Vec<_> = own.iter().map(|body| record(TOPICS[t], id, body, "")).collect();
        let queue = self.store().queue(&topic(TOPICS[t]), QueueId::new(id));
        let mut batch = self.store().batch();
        batch.push_group(&queue, &records).unwrap();
        let appended = self.store().append(&mut batch).unwrap();
        let messages = self.queues.entry((t, id)).or_default();
        assert_eq!(appended[0].queue_offset.get(), messages.len() as u64);
        messages.extend(own);
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Append(messages) => self.append(messages),
            Step::Group(t, id, sizes) => self.append_group(*t, *id, sizes),
            Step::Dispatch => self.store().dispatch_now(None).unwrap(),
            Step::Flush => self.store().flush_now().unwrap(),
            Step::Checkpoint => self.store().checkpoint_now().unwrap(),
            Step::Restart => {
                self.store().shutdown().unwrap();
                self.store = None;
                self.open();
            }
            Step::Kill => {
                self.store = None;
                self.disk.crash(Loss::Nothing);
                self.open();
            }
            Step::Delete(t) => {
                self.store().delete_topic(&topic(TOPICS[*t])).unwrap();
                self.queues.retain(|(topic, _), _| topic != t);
            }
            Step::Expire => {
                self.store().dispatch_now(None).unwrap();
                self.clock.advance(Duration::from_secs(61));
                self.store().delete_expired_now().unwrap();
            }
        }
    }

    fn check(&self) {
        let store = self.store();
        store.dispatch_now(None).unwrap();
        for ((t, id), messages) in &self.queues {
            let (name, queue) = (topic(TOPICS[*t]), QueueId::new(*id));
            let (min, max) = store.queue_range(&name, queue).unwrap_or_default();
            assert_eq!(max.get(), messages.len() as u64, "{name}/{id}");
            let min = usize::try_from(min.get()).unwrap();
            assert_eq!(bodies(store, TOPICS[*t], *id), messages[min..], "{name}/{id} from {min}");
            if let Some(unit) = store.unit_at(&name, queue, max.checked_sub_one()).unwrap() {
                assert!(unit.log_offset >= store.begin().get());
            }
            // Every message from which the log still begins is there.
            let from = i64::try_from(messages.len() / 2).unwrap();
            let result = store.read(&name, queue, from, ReadLimits::count(5), &|_, _| Verdict::Keep);
            match result.status {
                ReadStatus::Found => assert!(result.count <= 5 && result.next.get() > 0),
                ReadStatus::OffsetTooSmall => assert!(usize::try_from(from).unwrap() < min),
                ReadStatus::NoMessageInQueue | ReadStatus::NoMatchedLogicQueue => assert!(messages.is_empty()),
                ReadStatus::OffsetOverflowOne => assert_eq!(from, i64::try_from(messages.len()).unwrap()),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(store.stats().records_skipped, 0);
    }
}

trait Before {
    fn checked_sub_one(self) -> Self;
}

impl Before for kerolox_wire::names::QueueOffset {
    fn checked_sub_one(self) -> Self {
        Self::new(self.get().saturating_sub(1))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn a_store_agrees_with_plain_vectors(steps in prop::collection::vec(step(), 1..50)) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.apply(step);
        }
        pair.check();
        pair.apply(&Step::Restart);
        pair.check();
        pair.apply(&Step::Kill);
        pair.check();
    }
}
