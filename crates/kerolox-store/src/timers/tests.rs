//! Random histories and every crash point, against a list of what was sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use kerolox_wire::clock::ManualClock;
use proptest::prelude::*;

use super::*;
use crate::disk::sim::{Loss, SimDisk};

/// A queue of timers as the log would keep it, and what was delivered of them.
struct Model {
    disk: SimDisk,
    now_ms: i64,
    queue: Vec<TimerEntry>,
    delivered: BTreeMap<u64, u32>,
    timers: Option<Timers>,
}

fn config() -> TimersConfig {
    TimersConfig { span_max: 8, ..TimersConfig::new(Path::new("/s"), 1000) }
}

impl Model {
    fn new() -> Self {
        let disk = SimDisk::new(Arc::new(ManualClock::at(0)));
        disk.create_dir_all(Path::new("/s/config")).unwrap();
        let mut model = Self { disk, now_ms: 0, queue: Vec::new(), delivered: BTreeMap::new(), timers: None };
        model.start().unwrap();
        model
    }

    fn start(&mut self) -> io::Result<()> {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.process());
        self.timers = Some(Timers::open(config(), disk, 0..self.queue.len() as u64)?);
        Ok(())
    }

    fn timers(&self) -> &Timers {
        self.timers.as_ref().unwrap()
    }

    fn send(&mut self, in_ms: i64) {
        let log_offset = self.queue.len() as u64;
        let wake_ms = self.now_ms + in_ms;
        self.queue.push(TimerEntry { wake_ms, kind: TimerKind::Message, log_offset, key_hash: log_offset });
    }

    fn read(&mut self) {
        let timers = self.timers();
        while timers.has_room() && timers.read_to() < self.queue.len() as u64 {
            let at = timers.read_to();
            timers.add(at, Some(self.queue[usize::try_from(at).unwrap()]));
        }
    }

    fn keep(&self) -> io::Result<()> {
        let caught_up = self.timers().read_to() == self.queue.len() as u64;
        while self.timers().keep(self.now_ms, caught_up, &|| Ok(()))? {}
        Ok(())
    }

    fn deliver(&mut self, max: usize) -> io::Result<usize> {
        let due = self.timers().due(self.now_ms, max)?;
        assert!(due.is_sorted());
        for entry in &due {
            assert!(entry.wake_ms <= self.now_ms, "never early");
            *self.delivered.entry(entry.log_offset).or_default() += 1;
        }
        self.timers().take(&due, false)?;
        Ok(due.len())
    }

    /// Delivers what has become due lately, before what is overdue.
    fn deliver_ahead(&mut self, max: usize) -> io::Result<()> {
        let from_ms = self.now_ms - 40;
        let due = self.timers().due_from(from_ms, self.now_ms, max)?;
        assert!(due.is_sorted());
        for entry in &due {
            assert!((from_ms..=self.now_ms).contains(&entry.wake_ms));
            *self.delivered.entry(entry.log_offset).or_default() += 1;
        }
        self.timers().take_ahead(&due, false);
        Ok(())
    }

    /// Reads and delivers all there is.
    fn finish(&mut self) -> io::Result<()> {
        self.now_ms += 1_000_000;
        loop {
            self.read();
            self.keep()?;
            if self.deliver(7)? == 0 && self.timers().read_to() == self.queue.len() as u64 {
                return Ok(());
            }
        }
    }

    fn check(&self, most: u32, what: &str) {
        assert_eq!(self.timers().len(), 0, "{what}");
        for n in 0..self.queue.len() as u64 {
            let times = self.delivered.get(&n).copied().unwrap_or(0);
            assert!((1..=most).contains(&times), "{what}: timer {n} was delivered {times} times");
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Send(i64),
    Read,
    Keep,
    Deliver(usize),
    Ahead(usize),
    Pass(i64),
    /// The clock is set.
    Jump(i64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..400_i64).prop_map(Step::Send),
        3 => Just(Step::Read),
        2 => Just(Step::Keep),
        3 => (1..9_usize).prop_map(Step::Deliver),
        3 => (1..9_usize).prop_map(Step::Ahead),
        3 => (1..90_i64).prop_map(Step::Pass),
        1 => (-300..300_i64).prop_map(Step::Jump),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #[test]
    fn every_timer_is_delivered_once_whatever_the_clock_does(steps in proptest::collection::vec(step(), 1..150)) {
        let mut model = Model::new();
        for step in steps {
            match step {
                Step::Send(in_ms) => model.send(in_ms),
                Step::Read => model.read(),
                Step::Keep => model.keep().unwrap(),
                Step::Deliver(max) => drop(model.deliver(max).unwrap()),
                Step::Ahead(max) => model.deliver_ahead(max).unwrap(),
                Step::Pass(ms) | Step::Jump(ms) => model.now_ms += ms,
                Step::Restart => {
                    let caught_up = model.timers().read_to() == model.queue.len() as u64;
                    model.timers().close(model.now_ms, caught_up, &|| Ok(())).unwrap();
                    model.disk.crash(Loss::Everything);
                    model.start().unwrap();
                }
            }
        }
        let left = model.timers().len();
        let known = u64::try_from(model.delivered.len()).unwrap();
        prop_assert!(left + known <= model.queue.len() as u64);
        prop_assert!(model.delivered.values().all(|times| *times == 1));
        model.finish().unwrap();
        model.check(1, "without crashes");
    }
}

/// A history that writes runs, merges them over several levels, and delivers in between.
fn history(model: &mut Model) -> io::Result<()> {
    for round in 0..60_i64 {
        for n in 0..12 {
            model.send(1 + (round * 37 + n * 91) % 700);
        }
        model.read();
        model.now_ms += 9;
        model.deliver(6)?;
        model.keep()?;
        model.deliver_ahead(2)?;
        model.deliver(4)?;
        if round % 20 == 19 {
            model.timers().close(model.now_ms, false, &|| Ok(()))?;
            model.start()?;
        }
    }
    Ok(())
}

#[test]
fn a_crash_anywhere_loses_nothing_and_repeats_only_what_was_not_saved() {
    let mut model = Model::new();
    history(&mut model).unwrap();
    let operations = model.disk.ops();
    assert!(operations > 500, "{operations} operations");
    for stop in (0..operations).step_by(3) {
        let losses = [Loss::Nothing, Loss::Everything, Loss::Torn(stop)];
        let loss = losses[usize::try_from(stop).unwrap() % 3];
        let mut model = Model::new();
        model.disk.stop_after(stop);
        assert!(history(&mut model).is_err());
        model.disk.crash(loss);
        model.start().unwrap();
        model.finish().unwrap();
        model.check(2, &format!("stopped at operation {stop}, {loss:?}"));
    }
}

#[test]
fn a_failed_operation_is_tried_again() {
    let mut model = Model::new();
    history(&mut model).unwrap();
    let operations = model.disk.ops();
    for fail in (0..operations).step_by(7) {
        let mut model = Model::new();
        model.disk.fail_after(fail, io::ErrorKind::StorageFull);
        for round in 0..60_i64 {
            for n in 0..12 {
                model.send(1 + (round * 37 + n * 91) % 700);
            }
            model.read();
            model.now_ms += 9;
            // Deliveries only read; what fails is the upkeep, and the next round does it.
            let _ = model.keep();
            model.deliver(6).unwrap();
        }
        // The fault may come in the first attempt; there is only one.
        if model.finish().is_err() {
            model.finish().unwrap();
        }
        model.check(1, &format!("operation {fail} failed"));
    }
}

#[test]
fn what_belongs_together_is_saved_together() {
    let mut model = Model::new();
    for _ in 0..20 {
        model.send(10);
    }
    let read_all = |model: &mut Model| {
        while model.timers().read_to() < 20 {
            model.read();
            model.keep().unwrap();
        }
    };
    read_all(&mut model);
    model.now_ms = 10;
    for (amid, left_after_a_crash) in [(true, 20), (false, 13)] {
        let due = model.timers().due(model.now_ms, 7).unwrap();
        model.timers().take(&due, amid).unwrap();
        model.keep().unwrap();
        model.disk.crash(Loss::Everything);
        model.start().unwrap();
        read_all(&mut model);
        assert_eq!(model.timers().len(), left_after_a_crash, "amid: {amid}");
    }
}

#[test]
fn damaged_files_are_rebuilt_from_the_queue_without_loss() {
    let mut model = Model::new();
    history(&mut model).unwrap();
    model.read();
    model.keep().unwrap();
    model.timers().close(model.now_ms, false, &|| Ok(())).unwrap();
    let state = State::decode(&model.disk.read_file(Path::new("/s/timer/state")).unwrap()).unwrap();
    let run = state.runs.iter().find(|run| run.done < run.count).unwrap();
    model.disk.flip_bit(&Path::new("/s/timer").join(file_name(run.seq)), 5, 3);
    model.start().unwrap();
    model.now_ms += 1_000_000;
    let broken = model.deliver(5).unwrap_err();
    assert_eq!(broken.kind(), io::ErrorKind::InvalidData);
    model.timers().rebuild(0..model.queue.len() as u64);
    model.finish().unwrap();
    assert!(model.delivered.len() == model.queue.len());

    // Without any file, the time in `timercheck` tells what is done.
    for n in 1..50 {
        model.send(n * 10);
    }
    while model.timers().read_to() < model.queue.len() as u64 {
        model.read();
        model.keep().unwrap();
    }
    model.now_ms += 250;
    while model.deliver(50).unwrap() > 0 {}
    model.timers().close(model.now_ms, true, &|| Ok(())).unwrap();
    for file in model.disk.list(Path::new("/s/timer")).unwrap() {
        model.disk.remove(&Path::new("/s/timer").join(file.name)).unwrap();
    }
    let before = model.delivered.clone();
    model.start().unwrap();
    model.finish().unwrap();
    assert!(before.iter().all(|(n, times)| model.delivered[n] == *times), "nothing comes again");
    assert_eq!(model.delivered.len(), model.queue.len());
}

#[test]
fn a_state_beyond_its_queue_is_no_witness_of_deliveries() {
    let mut model = Model::new();
    for n in 0..20 {
        model.send(100_000 + n);
    }
    while model.timers().read_to() < model.queue.len() as u64 {
        model.read();
        model.keep().unwrap();
    }
    model.now_ms += 200_000;
    while model.deliver(50).unwrap() > 0 {}
    model.send(1_000_000);
    model.read();
    model.timers().close(model.now_ms, true, &|| Ok(())).unwrap();
    assert_eq!(model.delivered.len(), 20);

    // The log is put back as it was before any of them was due, and its queue with it.
    let open = |end: u64, log_ms| {
        let config = TimersConfig { log_ms, ..config() };
        let timers = Timers::open(config, Arc::new(model.disk.process()), 0..end).unwrap();
        for (at, entry) in (0..end).zip(&model.queue) {
            if at < timers.read_to() {
                continue;
            }
            while !timers.has_room() {
                timers.keep(model.now_ms, false, &|| Ok(())).unwrap();
            }
            timers.add(at, Some(*entry));
        }
        timers.len()
    };
    assert_eq!(open(21, 200_000), 1, "the state belongs to this queue");
    assert_eq!(open(20, 50_000), 20, "none of their deliveries can be in the log");
}

#[test]
fn files_are_few_and_hold_no_more_than_what_is_pending() {
    let mut model = Model::new();
    for n in 0..5_000_i64 {
        model.send(1 + (n * 7919) % 100_000);
        if n % 8 == 7 {
            model.read();
            model.keep().unwrap();
        }
    }
    let runs = |model: &Model| model.disk.list(Path::new("/s/timer")).unwrap().len();
    assert!(runs(&model) < 7 * 4 + 4, "{} files", runs(&model));
    let last = model.queue[4_321];
    assert!(model.timers().contains(&last).unwrap());
    assert!(!model.timers().contains(&TimerEntry { wake_ms: last.wake_ms + 1, ..last }).unwrap());
    model.finish().unwrap();
    model.keep().unwrap();
    assert!(runs(&model) <= 3, "{} files", runs(&model));
    model.check(1, "all");
}
