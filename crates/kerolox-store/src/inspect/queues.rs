//! The files of all queues, read only: found by name, scanned unit by unit, with a few numbers kept of each queue.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use kerolox_wire::names::TopicName;

use super::finding::{Finding, Findings, Kind};
use super::progress::Progress;
use crate::consume_queue::{UNIT_SIZE, Unit, parse_file_name};
use crate::disk::{DirEntry, Disk, OpenMode};

/// Bytes of units read at a time.
const PIECE: u64 = 3200 * UNIT_SIZE;
/// Bytes of the small window that a lookup reads.
const WINDOW: u64 = 200 * UNIT_SIZE;
/// Windows kept over all queues.
const WINDOWS_MAX: usize = 8192;
/// Names of queues that belong to several topics' records.
const LIGHT_QUEUE_PREFIX: &str = "%LMQ%";

/// One queue as its files are.
#[derive(Debug, Clone)]
pub(super) struct QueueFiles {
    /// The topic.
    pub(super) topic: String,
    /// Number within the topic.
    pub(super) id: u32,
    /// Its folder.
    pub(super) dir: PathBuf,
    /// Queue offset behind the last taken unit.
    pub(super) end: u64,
    /// The first unit of a message: queue offset and log offset.
    pub(super) first: Option<(u64, u64)>,
    /// Log offset behind the record of the last unit.
    pub(super) log_end: u64,
    /// Units whose record is not before the log's first.
    pub(super) live: u64,
    /// Units that the log confirmed.
    pub(super) confirmed: u64,
    /// Something is wrong that a rebuild mends.
    pub(super) damaged: bool,
    files: Vec<(u64, u64)>,
}

impl QueueFiles {
    /// Its name in messages: topic and number.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.topic, self.id)
    }

    /// Bytes of its files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, (_, len)| sum.saturating_add(*len))
    }

    /// A finding about this queue, which counts as damaged when a rebuild mends it.
    pub(super) fn finding(&mut self, kind: Kind, why: String) -> Finding {
        self.damaged |= kind.remedy() == super::Remedy::Repair;
        Finding::of(kind, &self.dir, why)
    }

    fn path(&self, start: u64) -> PathBuf {
        self.dir.join(format!("{start:020}"))
    }
}

/// All queues of a store.
pub(super) struct QueueTable<'a> {
    disk: &'a dyn Disk,
    root: PathBuf,
    queues: Vec<QueueFiles>,
    by_name: BTreeMap<String, BTreeMap<u32, usize>>,
    windows: BTreeMap<usize, (u64, Vec<u8>)>,
}

impl<'a> QueueTable<'a> {
    /// Finds the queues below `root`, the folder `consumequeue`.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub(super) fn find(disk: &'a dyn Disk, root: &Path, findings: &mut Findings) -> io::Result<Self> {
        let root = root.to_path_buf();
        let mut table = Self { disk, root, queues: Vec::new(), by_name: BTreeMap::new(), windows: BTreeMap::new() };
        for entry in sorted(disk, &table.root)? {
            let path = table.root.join(&entry.name);
            let legal = entry.is_dir && TopicName::parse(&entry.name).is_ok();
            if !legal || entry.name.starts_with(LIGHT_QUEUE_PREFIX) {
                findings.add(Finding::of(Kind::QueueStranger, &path, "no topic of this version; left alone"));
                continue;
            }
            table.topic(&entry.name, &path, findings)?;
        }
        let size = table.file_size();
        for queue in &mut table.queues {
            check_files(queue, size, findings);
        }
        Ok(table)
    }

    /// The queues.
    pub(super) fn queues(&self) -> &[QueueFiles] {
        &self.queues
    }

    /// Number of the queue in [`Self::queues`], if there is one.
    pub(super) fn number(&self, topic: &str, id: u32) -> Option<usize> {
        self.by_name.get(topic)?.get(&id).copied()
    }

    /// Topics with their numbers of queues, as the folders say: highest number and one.
    pub(super) fn topics(&self) -> impl Iterator<Item = (&str, u32)> {
        let queues = |ids: &BTreeMap<u32, usize>| ids.keys().next_back().map_or(0, |id| id.saturating_add(1));
        self.by_name.iter().map(move |(topic, ids)| (topic.as_str(), queues(ids)))
    }

    /// Whether the topic has any queue.
    pub(super) fn has_topic(&self, topic: &str) -> bool {
        self.by_name.contains_key(topic)
    }

    pub(super) fn queue_mut(&mut self, number: usize) -> Option<&mut QueueFiles> {
        self.queues.get_mut(number)
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.queues.iter().fold(0, |sum, queue| sum.saturating_add(queue.bytes()))
    }

    /// Goes through all units of all queues: order, holes, ends.
    pub(super) fn scan(&mut self, log_begin: u64, findings: &mut Findings, progress: &mut dyn Progress) {
        for number in 0..self.queues.len() {
            let Some(queue) = self.queues.get(number) else { continue };
            let mut scan = Scan { log_begin, ..Scan::new(queue.clone()) };
            let bytes = queue.bytes();
            if let Err(why) = self.units(number, &mut |at, unit| scan.unit(at, unit, findings)) {
                let finding = scan.queue.finding(Kind::QueueUnreadable, why.to_string());
                findings.add(finding);
            }
            if let Some(place) = self.queues.get_mut(number) {
                *place = scan.queue;
            }
            progress.advance(bytes);
        }
    }

    /// Hands all units of a queue that are not free to `each`, in their order.
    pub(super) fn units(&self, number: usize, each: &mut dyn FnMut(u64, Unit)) -> io::Result<()> {
        let Some(queue) = self.queues.get(number) else { return Ok(()) };
        let mut bytes = Vec::new();
        for (start, len) in &queue.files {
            let file = self.disk.open(&queue.path(*start), OpenMode::Read)?;
            let end = len.saturating_sub(len % UNIT_SIZE);
            let mut at = file.data_from(0) / UNIT_SIZE * UNIT_SIZE;
            while at < end {
                let len = PIECE.min(end.saturating_sub(at));
                bytes.resize(usize::try_from(len).unwrap_or(0), 0);
                file.read_once(at, &mut bytes)?;
                let first = start.saturating_add(at) / UNIT_SIZE;
                for (n, unit) in (first..).zip(bytes.as_chunks().0.iter().map(Unit::decode)) {
                    if unit != Unit::default() {
                        each(n, unit);
                    }
                }
                let data = file.data_from(at.saturating_add(len)) / UNIT_SIZE * UNIT_SIZE;
                at = data.max(at.saturating_add(len));
            }
        }
        Ok(())
    }

    /// The unit at a queue offset; `None` when there is no file for it.
    pub(super) fn unit(&mut self, number: usize, at: u64) -> io::Result<Option<Unit>> {
        let Some(byte) = at.checked_mul(UNIT_SIZE) else { return Ok(None) };
        let held = self.windows.get(&number).filter(|(from, bytes)| {
            byte >= *from && byte.saturating_add(UNIT_SIZE) <= from.saturating_add(bytes.len() as u64)
        });
        if held.is_none() && !self.read_window(number, byte)? {
            return Ok(None);
        }
        let Some((from, bytes)) = self.windows.get(&number) else { return Ok(None) };
        let within = usize::try_from(byte.saturating_sub(*from)).unwrap_or(usize::MAX);
        Ok(bytes.get(within..).and_then(|rest| rest.first_chunk()).map(Unit::decode))
    }

    fn read_window(&mut self, number: usize, byte: u64) -> io::Result<bool> {
        let Some(queue) = self.queues.get(number) else { return Ok(false) };
        let holding = queue.files.iter().find(|(start, len)| byte >= *start && byte < start.saturating_add(*len));
        let Some((start, len)) = holding else { return Ok(false) };
        let within = byte.saturating_sub(*start);
        let size = WINDOW.min(len.saturating_sub(within));
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        self.disk.open(&queue.path(*start), OpenMode::Read)?.read_once(within, &mut bytes)?;
        if self.windows.len() >= WINDOWS_MAX {
            self.windows.clear();
        }
        self.windows.insert(number, (byte, bytes));
        Ok(true)
    }

    fn topic(&mut self, topic: &str, folder: &Path, findings: &mut Findings) -> io::Result<()> {
        for entry in sorted(self.disk, folder)? {
            let dir = folder.join(&entry.name);
            let id = entry.name.parse::<u32>().ok().filter(|id| entry.is_dir && id.to_string() == entry.name);
            let Some(id) = id.filter(|id| i32::try_from(*id).is_ok()) else {
                findings.add(Finding::of(Kind::QueueStranger, &dir, "no queue; left alone"));
                continue;
            };
            let mut files = Vec::new();
            for entry in sorted(self.disk, &dir)? {
                match parse_file_name(&entry.name) {
                    Some(start) if !entry.is_dir => files.push((start, entry.len)),
                    _ => {
                        let path = dir.join(&entry.name);
                        findings.add(Finding::of(Kind::QueueStranger, &path, "no queue file; left alone"));
                    }
                }
            }
            self.by_name.entry(topic.to_owned()).or_default().insert(id, self.queues.len());
            self.queues.push(new_queue(topic, id, dir, files));
        }
        Ok(())
    }

    /// Bytes that most files have.
    fn file_size(&self) -> u64 {
        let mut lengths = BTreeMap::<u64, u64>::new();
        for (_, len) in self.queues.iter().flat_map(|queue| &queue.files) {
            lengths.entry(*len).and_modify(|n| *n = n.saturating_add(1)).or_insert(1);
        }
        lengths.into_iter().max_by_key(|(len, count)| (*count, *len)).map_or(0, |(len, _)| len)
    }
}

fn new_queue(topic: &str, id: u32, dir: PathBuf, files: Vec<(u64, u64)>) -> QueueFiles {
    let begin = files.first().map_or(0, |(start, _)| start / UNIT_SIZE);
    QueueFiles {
        topic: topic.to_owned(),
        id,
        dir,
        end: begin,
        first: None,
        log_end: 0,
        live: 0,
        confirmed: 0,
        damaged: false,
        files,
    }
}

fn sorted(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<DirEntry>> {
    let mut entries = disk.list(dir)?;
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// Sizes and names of a queue's files.
fn check_files(queue: &mut QueueFiles, size: u64, findings: &mut Findings) {
    let mut expected = queue.files.first().map_or(0, |(start, _)| *start);
    let last = queue.files.last().map_or(0, |(start, _)| *start);
    for (start, len) in queue.files.clone() {
        let path = queue.path(start);
        if len == 0 && start == last {
            // A crash came between the making of the file and the setting of its length.
            continue;
        }
        if len != size || !start.is_multiple_of(size.max(1)) {
            let why = format!("{}: {len} bytes, where other queue files have {size}", queue.name());
            findings.add(Finding { path, ..queue.finding(Kind::QueueFileSize, why) }.at(start / UNIT_SIZE, 0));
        } else if start != expected {
            let missing = start.saturating_sub(expected) / UNIT_SIZE;
            let why = format!("{}: the file before it is missing", queue.name());
            let finding = Finding { path, ..queue.finding(Kind::QueueFileGap, why) };
            findings.add(finding.at(expected / UNIT_SIZE, missing));
        }
        expected = start.saturating_add(size);
    }
}

/// The state of a scan along one queue.
struct Scan {
    queue: QueueFiles,
    log_begin: u64,
    /// A message was met.
    begun: bool,
}

impl Scan {
    fn new(queue: QueueFiles) -> Self {
        Self { queue, log_begin: 0, begun: false }
    }

    fn unit(&mut self, at: u64, unit: Unit, findings: &mut Findings) {
        let expected = self.queue.end;
        if at > expected {
            let missing = at.saturating_sub(expected);
            let why = format!("{}: units {expected} to {} are free, and taken ones follow", self.queue.name(), at - 1);
            let finding = self.queue.finding(Kind::QueueHole, why);
            findings.add(finding.at(expected, missing));
        }
        self.queue.end = at.saturating_add(1);
        if unit.is_blank() {
            return;
        }
        if !unit.is_message() {
            let why = format!("{}: unit {at} holds no position of a record", self.queue.name());
            let finding = self.queue.finding(Kind::QueueUnitPointsNowhere, why);
            findings.add(finding.at(at, 1));
            return;
        }
        if self.begun && unit.log_offset < self.queue.log_end {
            let why = format!(
                "{}: unit {at} points to {}, before the end of the record of the unit before, {}",
                self.queue.name(),
                unit.log_offset,
                self.queue.log_end
            );
            let finding = self.queue.finding(Kind::QueueOrder, why);
            findings.add(finding.at(at, 1));
        }
        self.begun = true;
        self.queue.first.get_or_insert((at, unit.log_offset));
        self.queue.log_end = unit.log_end();
        if unit.log_offset >= self.log_begin {
            self.queue.live = self.queue.live.saturating_add(1);
        }
    }
}
