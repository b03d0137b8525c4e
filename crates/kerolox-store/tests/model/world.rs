//! A store on a simulated disk that lives through a history.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kerolox_store::disk::Disk;
use kerolox_store::disk::sim::{Fault, Loss, SimDisk};
use kerolox_store::{AppendBatch, AppendError, Durability, FlushMode, Store, StoreConfig};
use kerolox_wire::clock::{Clock, ManualClock};
use kerolox_wire::names::QueueId;
use kerolox_wire::sys_flag::{PREPARED, ROLLBACK};
use parking_lot::Mutex;

use crate::common::{clock, delete_topic, record, small, topic};
use crate::history::{Form, History, Place, QueueKey, Rules, Settled, Step, TOPICS};
use crate::ledger::{Ledger, Promise, Served, Violation};

const ROOT: &str = "/s";
const CAPACITY: u64 = 1 << 40;
const RESERVED: Duration = Duration::from_secs(60);
/// Bytes of a record before its body.
const HEADER: usize = 88;

pub(crate) struct World {
    pub(crate) disk: SimDisk,
    clock: Arc<ManualClock>,
    config: StoreConfig,
    store: Option<Store>,
    pub(crate) ledger: Ledger,
    pub(crate) rules: Rules,
    /// A loss that comes with the stop of the machine.
    pub(crate) stop: Option<Loss>,
    /// A fault is in force.
    pub(crate) faulty: bool,
    /// A fault was in force since the store was opened: it may refuse.
    trouble: bool,
    pub(crate) flipped: bool,
    planned: Option<Planned>,
    /// Messages that a waiter was told to be durable.
    told: Arc<Mutex<Vec<usize>>>,
}

struct Planned {
    batch: AppendBatch,
    number: usize,
    /// The topic was deleted since.
    deleted: bool,
}

impl World {
    pub(crate) fn new(history: &History) -> Result<Self, Violation> {
        let clock = clock();
        let disk = SimDisk::new(Arc::clone(&clock) as _);
        disk.create_dir_all(Path::new(ROOT)).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        disk.set_dirs_durable(!history.rules.new_dirs);
        // Nothing counts as being in memory, so that every record is checked when it is read.
        let config =
            StoreConfig { flush: history.flush, reserved: RESERVED, memory_bytes: 0, ..small(Path::new(ROOT)) };
        let mut world = Self {
            disk,
            clock,
            config,
            store: None,
            ledger: Ledger::new(),
            rules: history.rules,
            stop: None,
            faulty: false,
            trouble: false,
            flipped: false,
            planned: None,
            told: Arc::default(),
        };
        world.open()?;
        Ok(world)
    }

    pub(crate) fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    pub(crate) fn is_sync(&self) -> bool {
        self.config.flush == FlushMode::Sync
    }

    /// One step, and what it leads to.
    pub(crate) fn apply(&mut self, step: &Step) -> Result<(), Violation> {
        self.perform(step)?;
        for number in std::mem::take(&mut *self.told.lock()) {
            self.ledger.durable(number);
        }
        let durable = self.store().durable_end().get();
        self.ledger.durable_to(durable);
        match self.stop {
            Some(loss) if self.disk.has_stopped() => self.crash(loss),
            _ => Ok(()),
        }
    }

    fn perform(&mut self, step: &Step) -> Result<(), Violation> {
        match step {
            Step::Append(messages) => self.append(messages),
            Step::Group(key, sizes) => self.append_group(*key, sizes),
            Step::Plan(key, len) => self.plan(*key, *len),
            Step::AppendPlanned => self.append_planned(),
            Step::Dispatch => self.excuse("dispatch", self.store().dispatch_now(None)).map(drop),
            Step::Flush => self.excuse("flush", self.store().flush_now()).map(drop),
            Step::Checkpoint => self.excuse("checkpoint", self.store().checkpoint_now()).map(drop),
            Step::Read(key) => self.consume(*key),
            Step::Check => self.check(),
            Step::Delete(topic, settled) => self.delete(*topic, *settled),
            Step::CleanExpired => self.clean_expired(),
            Step::Expire => {
                self.clock.advance(RESERVED + Duration::from_secs(1));
                self.expire()
            }
            Step::Crash(loss) => self.crash(*loss),
            Step::Restart => self.restart(),
            Step::Stop(n, loss) => {
                self.disk.stop_after(*n);
                self.stop = Some(*loss);
                self.trouble();
                Ok(())
            }
            Step::CrashInRecovery(loss, more) => self.crash_in_recovery(*loss, more),
            Step::FailOnce(n) => {
                self.disk.fail_after(*n, std::io::ErrorKind::Other);
                self.trouble();
                Ok(())
            }
            Step::Fail { op, errno, after, times } => {
                self.disk.add_fault(Fault::errno(*op, *errno).after(*after).times(*times));
                self.trouble();
                Ok(())
            }
            Step::Fill(pages) => {
                let usage = self.disk.usage(Path::new(ROOT)).unwrap();
                self.disk.set_capacity(usage.total - usage.free + pages * 4096);
                self.trouble();
                Ok(())
            }
            Step::Heal => self.heal(),
            Step::Flip { back, place, at, bit } => {
                self.flip(*back, *place, *at, *bit);
                Ok(())
            }
        }
    }

    fn trouble(&mut self) {
        (self.faulty, self.trouble) = (true, true);
    }

    /// An error needs a fault; `None` when there was one.
    fn excuse<T, E: std::fmt::Display>(&self, what: &str, result: Result<T, E>) -> Result<Option<T>, Violation> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(_) if self.trouble => Ok(None),
            Err(e) => Err(format!("{what} fails without a fault: {e}")),
        }
    }

    fn append(&mut self, messages: &[(QueueKey, usize, Form)]) -> Result<(), Violation> {
        let mut batch = self.store().batch();
        let mut numbers = Vec::new();
        for (key, len, form) in messages {
            numbers.push(vec![self.push(&mut batch, *key, *len, *form)]);
        }
        self.send(&mut batch, &numbers)
    }

    fn push(&mut self, batch: &mut AppendBatch, key: QueueKey, len: usize, form: Form) -> usize {
        let (number, body) = self.ledger.message(key, len, form);
        let properties = properties(number);
        let queue = self.store().queue(&topic(TOPICS[key.0]), QueueId::new(key.1));
        let mut record = record(TOPICS[key.0], key.1, &body, &properties);
        record.sys_flag = match form {
            Form::Plain => 0,
            Form::Prepared => PREPARED,
            Form::RolledBack => ROLLBACK,
        };
        batch.push(&queue, &record).unwrap();
        number
    }

    fn append_group(&mut self, key: QueueKey, sizes: &[usize]) -> Result<(), Violation> {
        let own: Vec<_> = sizes.iter().map(|len| self.ledger.message(key, *len, Form::Plain)).collect();
        let texts: Vec<_> = own.iter().map(|(number, _)| properties(*number)).collect();
        let each = own.iter().zip(&texts);
        let records: Vec<_> = each.map(|((_, body), text)| record(TOPICS[key.0], key.1, body, text)).collect();
        let queue = self.store().queue(&topic(TOPICS[key.0]), QueueId::new(key.1));
        let mut batch = self.store().batch();
        batch.push_group(&queue, &records).unwrap();
        self.send(&mut batch, &[own.iter().map(|(number, _)| *number).collect()])
    }

    /// Appends a batch of which each item has the messages of these numbers.
    fn send(&mut self, batch: &mut AppendBatch, numbers: &[Vec<usize>]) -> Result<(), Violation> {
        let appended = match self.store().append(batch) {
            Ok(appended) => appended,
            Err(e) => {
                if matches!(e, AppendError::Sealed { .. }) {
                    numbers.iter().flatten().for_each(|number| self.ledger.float(*number));
                }
                return self.excuse::<(), _>("append", Err(e)).map(drop);
            }
        };
        for (item, own) in appended.iter().zip(numbers) {
            let starts = item.record_offsets.iter().map(|at| at.get());
            let ends = starts.clone().skip(1).chain([item.end.get()]);
            for ((number, log), offset) in own.iter().zip(starts.zip(ends)).zip(item.queue_offset.get()..) {
                self.ledger.acknowledge(Served { number: *number, offset, log }, item.store_timestamp)?;
            }
            if self.is_sync() {
                let (told, own) = (Arc::clone(&self.told), own.clone());
                let tell = move |d| {
                    if d == Durability::Durable {
                        told.lock().extend(own)
                    }
                };
                self.store().when_durable(item.end, Box::new(tell));
            }
        }
        Ok(())
    }

    fn plan(&mut self, key: QueueKey, len: usize) -> Result<(), Violation> {
        let mut batch = self.store().batch();
        let number = self.push(&mut batch, key, len, Form::Plain);
        self.planned = Some(Planned { batch, number, deleted: false });
        Ok(())
    }

    fn append_planned(&mut self) -> Result<(), Violation> {
        let Some(Planned { mut batch, number, deleted }) = self.planned.take() else { return Ok(()) };
        let had_trouble = self.trouble;
        // The queue of a deleted topic may refuse.
        self.trouble |= deleted;
        let sent = self.send(&mut batch, &[vec![number]]);
        self.trouble = had_trouble;
        sent
    }

    fn delete(&mut self, number: usize, settled: Settled) -> Result<(), Violation> {
        if settled == Settled::Yes && self.excuse("dispatch", self.store().dispatch_now(None))?.is_none() {
            return Ok(());
        }
        match self.excuse("delete", delete_topic(self.store(), TOPICS[number]))? {
            Some(_) => self.forget(number),
            None => self.ledger.doubt(number),
        }
        Ok(())
    }

    fn forget(&mut self, number: usize) {
        self.ledger.delete(number);
        if let Some(planned) = &mut self.planned {
            planned.deleted |= self.ledger.messages[planned.number].key.0 == number;
        }
    }

    fn clean_expired(&mut self) -> Result<(), Violation> {
        let removed = self.excuse("cleaning", self.store().clean_expired_queues())?;
        for (number, topic) in TOPICS.into_iter().enumerate() {
            let is_removed = removed.as_ref().map(|names| names.iter().any(|name| name.as_str() == topic));
            let is_needed = self.ledger.has_promises(number);
            match is_removed {
                Some(true) if is_needed => return Err(format!("{topic} was cleaned with messages in it")),
                Some(true) => self.forget(number),
                None if !is_needed => self.ledger.doubt(number),
                _ => {}
            }
        }
        Ok(())
    }

    /// A round of retention.
    fn expire(&mut self) -> Result<(), Violation> {
        let store = self.store();
        let settled = store.dispatched_end().min(store.durable_end()).get();
        self.excuse("retention", store.delete_expired_now())?;
        let begin = self.store().begin().get();
        let old_ms = self.clock.wall_ms() - i64::try_from(RESERVED.as_millis()).unwrap();
        self.ledger.retain(begin, old_ms, settled)
    }

    fn clear_faults(&mut self) {
        self.disk.clear_faults();
        self.disk.set_capacity(CAPACITY);
        if self.stop.is_none() {
            self.disk.fail_after(u64::MAX, std::io::ErrorKind::Other);
            self.faulty = false;
        }
    }

    /// Faults end; a sealed log is opened anew.
    pub(crate) fn heal(&mut self) -> Result<(), Violation> {
        self.clear_faults();
        if self.store().stats().sealed.is_some() {
            return self.crash(Loss::Nothing);
        }
        // Looks whether there is room again.
        self.expire()?;
        self.trouble = self.stop.is_some();
        Ok(())
    }

    /// The machine or the process ends, and the store is opened again.
    pub(crate) fn crash(&mut self, loss: Loss) -> Result<(), Violation> {
        self.end(loss);
        self.open()
    }

    fn end(&mut self, loss: Loss) {
        // What a torn write leaves is passed over where it does not look like one.
        self.flipped |= matches!(loss, Loss::Torn(_));
        let durable = self.store.as_ref().map_or(0, |store| store.durable_end().get());
        self.ledger.durable_to(durable);
        self.ledger.keep(match loss {
            Loss::Nothing if !self.is_sync() => Promise::Process,
            _ => Promise::Power,
        });
        (self.planned, self.store, self.stop) = (None, None, None);
        self.told.lock().clear();
        self.disk.crash(loss);
    }

    fn crash_in_recovery(&mut self, loss: Loss, more: &[(u64, Loss)]) -> Result<(), Violation> {
        self.end(loss);
        for (n, loss) in more {
            self.disk.stop_after(*n);
            self.store = self.start().ok();
            self.end(*loss);
        }
        self.open()
    }

    fn restart(&mut self) -> Result<(), Violation> {
        let stopped = self.store().shutdown();
        if self.excuse("shutdown", stopped)?.is_none() {
            let loss = self.stop.filter(|_| self.disk.has_stopped()).unwrap_or(Loss::Nothing);
            return self.crash(loss);
        }
        self.end(Loss::Nothing);
        self.open()
    }

    fn start(&self) -> Result<Store, String> {
        let (disk, clock) = (Arc::new(self.disk.process()), Arc::clone(&self.clock) as Arc<dyn Clock>);
        Store::open(self.config.clone(), disk, clock).map_err(|e| e.to_string())
    }

    /// Opens the store, if need be once more after faults have ended, and looks at what is there.
    fn open(&mut self) -> Result<(), Violation> {
        let first = self.start();
        let was_faulty = self.faulty;
        self.clear_faults();
        self.store = Some(match first {
            Ok(store) => store,
            Err(_) if was_faulty => {
                self.disk.crash(Loss::Nothing);
                self.start().map_err(|e| format!("does not start after faults: {e}"))?
            }
            Err(e) => return Err(format!("does not start: {e}")),
        });
        self.trouble = was_faulty;
        if was_faulty && self.store().stats().sealed.is_some() {
            return self.crash(Loss::Nothing);
        }
        let observed = self.observe();
        self.trouble = false;
        observed
    }

    fn flip(&mut self, back: usize, place: Place, at: usize, bit: u8) {
        let begin = self.store().begin().get();
        let Some(number) = self.ledger.messages.len().checked_sub(back + 1) else { return };
        let message = &mut self.ledger.messages[number];
        if message.promise == Promise::Nothing || message.log.0 < begin {
            return;
        }
        let range = match place {
            Place::Header => 0..HEADER,
            Place::Body => HEADER..HEADER + self.body_len(number),
        };
        let byte = range.start + at % range.len();
        if QUEUE_ID.contains(&byte)
            || STORE_TIME.contains(&byte)
            || (byte == TRANSACTION_FLAG.0 && TRANSACTION_FLAG.1.contains(&bit))
        {
            // Nothing tells whose message it was, when it was stored, or that it was prepared or rolled back.
            return;
        }
        let message = &mut self.ledger.messages[number];
        (message.promise, message.damaged) = (Promise::Nothing, true);
        self.flipped = true;
        let size = self.config.segment_size;
        let base = message.log.0 / size * size;
        let within = usize::try_from(message.log.0 - base).unwrap() + byte;
        self.disk.flip_bit(&self.config.commit_log_dir.join(format!("{base:020}")), within, bit);
    }

    fn body_len(&self, number: usize) -> usize {
        self.ledger.body(number).len()
    }
}

/// Bytes of a record that name its queue.
const QUEUE_ID: std::ops::Range<usize> = 12..16;
/// Bytes of a record that say when it was stored: keys are searched by it.
const STORE_TIME: std::ops::Range<usize> = 56..64;
/// Byte and bits of a record that say whether it is part of a transaction.
const TRANSACTION_FLAG: (usize, std::ops::RangeInclusive<u8>) = (39, 2..=3);

fn properties(number: usize) -> String {
    format!("UNIQ_KEY\u{1}k{number}\u{2}")
}
