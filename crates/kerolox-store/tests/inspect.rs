//! Inspecting a directory: what is found, and that nothing is written.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use std::any::Any;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::BytesMut;
use common::{bodies, open, record, send, small, topic};
use kerolox_store::disk::{DirEntry, Disk, DiskFile, DiskUsage, OpenMode, RealDisk};
use kerolox_store::inspect::{Directory, Item, Kind, LogFiles, Report, Silent, Walk, check, topics_from_queues};
use kerolox_wire::names::QueueId;

/// Refuses whatever is not reading, and fails to deliver one page of one file.
struct ReadOnly {
    bad_page: Option<(PathBuf, u64)>,
}

struct ReadOnlyFile {
    file: Arc<dyn DiskFile>,
    bad_page: Option<u64>,
}

fn refuse() -> io::Error {
    panic!("an inspection only reads")
}

impl Disk for ReadOnly {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        assert_eq!(mode, OpenMode::Read, "{}", path.display());
        let bad_page = self.bad_page.as_ref().filter(|(bad, _)| bad == path).map(|(_, at)| *at);
        Ok(Arc::new(ReadOnlyFile { file: RealDisk.open(path, mode)?, bad_page }))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        RealDisk.list(dir)
    }
    fn remove(&self, _: &Path) -> io::Result<()> {
        Err(refuse())
    }
    fn remove_dir(&self, _: &Path) -> io::Result<()> {
        Err(refuse())
    }
    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(refuse())
    }
    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        Err(refuse())
    }
    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Err(refuse())
    }
    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }
    fn write_file_atomic(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        Err(refuse())
    }
    fn usage(&self, path: &Path) -> io::Result<DiskUsage> {
        RealDisk.usage(path)
    }
    fn lock(&self, _: &Path) -> io::Result<Box<dyn Any + Send>> {
        Err(refuse())
    }
}

impl DiskFile for ReadOnlyFile {
    fn len(&self) -> u64 {
        self.file.len()
    }
    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(refuse())
    }
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.bad_page.is_some_and(|bad| offset < bad + 4096 && bad < offset + out.len() as u64) {
            return Err(io::Error::other("the disk is ill"));
        }
        self.file.read_at(offset, out)
    }
    fn append_to(&self, _: u64, _: usize, _: &mut BytesMut) -> io::Result<()> {
        Err(refuse())
    }
    fn zero(&self, _: u64, _: u64) -> io::Result<()> {
        Err(refuse())
    }
    fn sync_data(&self) -> io::Result<()> {
        Err(refuse())
    }
    fn write_back(&self, _: u64, _: u64) {
        panic!("an inspection only reads")
    }
    fn modified_ms(&self) -> io::Result<i64> {
        self.file.modified_ms()
    }
}

const SOUND: ReadOnly = ReadOnly { bad_page: None };

fn inspect(root: &Path) -> Report {
    check(&SOUND, &Directory::at(root), &mut Silent).unwrap()
}

/// Ids and numbers of what was found, damage and notes.
fn found(report: &Report) -> Vec<(&'static str, u64)> {
    report.findings.counts().map(|(kind, count)| (kind.id(), count)).collect()
}

/// A store of two topics with keys over several files of each kind, closed cleanly.
fn directory() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = open(small(dir.path()), Arc::new(RealDisk));
    for n in 0..120_u32 {
        let (name, queue) = if n % 4 == 3 { ("U", 0) } else { ("T", n % 4) };
        let body = format!("body {n}");
        let properties = format!("KEYS\u{1}k{n} shared\u{2}TAGS\u{1}tag{}\u{2}", n % 3);
        let handle = store.queue(&topic(name), QueueId::new(queue));
        let mut batch = store.batch();
        batch.push(&handle, &record(name, queue, body.as_bytes(), &properties)).unwrap();
        store.append(&mut batch).unwrap();
    }
    store.shutdown().unwrap();
    dir
}

fn first_file(dir: &Path) -> PathBuf {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.remove(0)
}

fn change(path: &Path, at: usize, change: impl FnOnce(&mut [u8])) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes[at..]);
    fs::write(path, bytes).unwrap();
}

/// Log offset and size of the n-th record.
fn nth_record(root: &Path, n: usize) -> (u64, u32) {
    let log = LogFiles::find(&SOUND, &root.join("commitlog"), &mut Default::default()).unwrap();
    let mut walk = Walk::new(&log, 0);
    let mut seen = 0;
    while let Some(item) = walk.next_item() {
        if let Item::Record(record) = item {
            if seen == n {
                return (record.log_offset().get(), record.total_size());
            }
            seen += 1;
        }
    }
    panic!("the log has {seen} records")
}

#[test]
fn clean_directory_has_no_findings() {
    let dir = directory();
    let report = inspect(dir.path());
    // Queues without a table of topics are told: the store itself keeps none.
    assert_eq!(found(&report), [("topics.table-missing", 1)]);
    assert_eq!((report.records, report.units, report.queues), (120, 120, 4));
    assert!(report.log_files > 3 && report.index_files == 1 && report.log_end > 4096 * 3);
    let topics = topics_from_queues(&SOUND, dir.path()).unwrap();
    assert_eq!(topics.added, [("T".to_owned(), 3), ("U".to_owned(), 1)]);
    let config = &topics.table.topic_config_table["T"];
    assert_eq!((config.read_queue_nums, config.write_queue_nums, config.perm), (3, 3, 6));
}

#[test]
fn damaged_record_is_told_with_its_extent() {
    let dir = directory();
    let (at, size) = nth_record(dir.path(), 5);
    change(&first_file(&dir.path().join("commitlog")), at as usize + 90, |bytes| bytes[0] ^= 1);
    let report = inspect(dir.path());
    let finding = report.findings.of(Kind::LogDamaged).next().unwrap();
    assert_eq!((finding.offset, finding.length), (Some(at), Some(size.into())));
    assert_eq!(report.records, 119);
    assert_eq!(report.findings.count(Kind::QueueUnitOfDamage), 1);
    assert!(report.damaged_queues.is_empty(), "a queue of a damaged record is what it should be");
}

#[test]
fn torn_end_is_told() {
    let dir = directory();
    let (at, size) = nth_record(dir.path(), 119);
    let path = dir.path().join(format!("commitlog/{:020}", at / 4096 * 4096));
    change(&path, (at % 4096) as usize + size as usize - 1, |bytes| bytes[0] = 0);
    let report = inspect(dir.path());
    assert_eq!(report.log_end, at);
    assert_eq!(report.findings.of(Kind::LogTornEnd).next().unwrap().offset, Some(at));
    assert_eq!(report.findings.count(Kind::LogDamaged), 0);
}

#[test]
fn zeros_between_records_are_damage() {
    let dir = directory();
    let (at, _) = nth_record(dir.path(), 3);
    let (end, _) = nth_record(dir.path(), 6);
    change(&first_file(&dir.path().join("commitlog")), at as usize, |bytes| bytes[..(end - at) as usize].fill(0));
    let report = inspect(dir.path());
    let finding = report.findings.of(Kind::LogDamaged).next().unwrap();
    assert_eq!((finding.offset, finding.length), (Some(at), Some(end - at)));
}

#[test]
fn unreadable_page_is_told_and_passed() {
    let dir = directory();
    let path = dir.path().join("commitlog/00000000000000004096");
    let disk = ReadOnly { bad_page: Some((path, 0)) };
    let report = check(&disk, &Directory::at(dir.path()), &mut Silent).unwrap();
    assert_eq!(report.findings.of(Kind::LogUnreadable).next().unwrap().offset, Some(4096));
    assert_eq!(report.findings.count(Kind::LogUnreadable), 1);
    assert!(report.damaged_queues.is_empty() && report.records > 60);
}

#[test]
fn changed_unit_damages_its_queue_alone() {
    for (at, byte) in [(7, 1), (11, 1), (19, 1)] {
        let dir = directory();
        let queue = dir.path().join("consumequeue/T/1");
        change(&first_file(&queue), 20 * 3 + at, |bytes| bytes[0] ^= byte);
        let report = inspect(dir.path());
        assert_eq!(report.damaged_queues, [queue], "byte {at}");
        assert!(!report.findings.is_clean());
    }
}

#[test]
fn units_of_another_life_of_the_log_are_found() {
    let dir = directory();
    let queue = dir.path().join("consumequeue/U/0");
    change(&first_file(&queue), 20 * 2, |bytes| bytes[..20].fill(0));
    let report = inspect(dir.path());
    assert_eq!(report.findings.count(Kind::QueueHole), 1);
    assert_eq!(report.findings.count(Kind::QueueRecordWithoutUnit), 1);
    assert_eq!(report.damaged_queues, [queue]);
    fs::remove_dir_all(dir.path().join("consumequeue/U/0")).unwrap();
    let report = inspect(dir.path());
    let finding = report.findings.of(Kind::QueueMissing).next();
    // The newest records of all are its own, so they count as not dispatched yet.
    let behind: u64 = report.findings.of(Kind::QueueBehind).filter_map(|finding| finding.length).sum();
    assert_eq!(finding.and_then(|finding| finding.length).unwrap() + behind, 30);
}

#[test]
fn what_repair_sets_aside_is_derived_again() {
    let dir = directory();
    let queue = dir.path().join("consumequeue/T/1");
    change(&first_file(&queue), 20 * 3, |bytes| bytes[..20].fill(0));
    assert_eq!(inspect(dir.path()).damaged_queues, std::slice::from_ref(&queue));
    fs::remove_dir_all(&queue).unwrap();
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    fs::remove_file(dir.path().join("checkpoint")).unwrap();
    fs::write(dir.path().join("abort"), "").unwrap();
    let store = open(small(dir.path()), Arc::new(RealDisk));
    assert_eq!(bodies(&store, "T", 1).len(), 30);
    assert_eq!(bodies(&store, "T", 0).len(), 30);
    store.dispatch_now(None).unwrap();
    store.shutdown().unwrap();
    assert_eq!(found(&inspect(dir.path())), [("topics.table-missing", 1)]);
}

#[test]
fn index_entries_and_chains_are_checked() {
    // Slots end at 440; entry 2 stands at 480: hash, log offset, seconds, link.
    for (at, id) in
        [(480 + 3, Kind::IndexChain), (480 + 11, Kind::IndexEntryPointsNowhere), (480 + 19, Kind::IndexChain)]
    {
        let dir = directory();
        change(&first_file(&dir.path().join("index")), at, |bytes| bytes[0] ^= 1);
        let report = inspect(dir.path());
        assert!(report.findings.count(id) > 0, "{at}: {:?}", found(&report));
    }
}

#[test]
fn empty_log_beside_queues_is_told() {
    let dir = directory();
    fs::rename(dir.path().join("commitlog"), dir.path().join("elsewhere")).unwrap();
    let report = inspect(dir.path());
    assert_eq!(report.findings.count(Kind::LogMissing), 1);
    let elsewhere = Directory { commit_log: dir.path().join("elsewhere"), ..Directory::at(dir.path()) };
    let report = check(&SOUND, &elsewhere, &mut Silent).unwrap();
    assert_eq!(found(&report), [("topics.table-missing", 1)]);
}

#[test]
fn tables_are_compared_with_the_queues() {
    let dir = directory();
    let config = dir.path().join("config");
    fs::create_dir(&config).unwrap();
    fs::write(config.join("topics.json"), r#"{"topicConfigTable":{"T":{"topicName":"T","perm":6}}}"#).unwrap();
    fs::write(config.join("consumerOffset.json"), r#"{"offsetTable":{"T@g":{0:30,1:31},"gone@g":{0:9}}}"#).unwrap();
    fs::write(config.join("delayOffset.json"), r#"{"offsetTable":{1:5}}"#).unwrap();
    fs::write(config.join("subscriptionGroup.json"), "{").unwrap();
    let report = inspect(dir.path());
    let expected =
        [("table.damaged", 1), ("topics.queues-without-topic", 1), ("offsets.beyond-end", 1), ("delay.beyond-end", 1)];
    assert_eq!(found(&report), expected);
    let topics = topics_from_queues(&SOUND, dir.path()).unwrap();
    assert_eq!((topics.table.topic_config_table.len(), topics.added), (2, vec![("U".to_owned(), 1)]));
}

#[test]
fn checkpoint_of_another_log_is_told() {
    let dir = directory();
    let path = dir.path().join("checkpoint");
    change(&path, 2, |bytes| bytes[0] ^= 2);
    assert_eq!(inspect(dir.path()).findings.count(Kind::CheckpointAhead), 1);
    fs::write(&path, b"short").unwrap();
    assert_eq!(inspect(dir.path()).findings.count(Kind::CheckpointShort), 1);
    fs::remove_file(&path).unwrap();
    assert_eq!(inspect(dir.path()).findings.count(Kind::CheckpointMissing), 1);
}

#[test]
fn crashed_directory_has_only_notes() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(small(dir.path()), Arc::new(RealDisk));
    for n in 0..50_u32 {
        send(&store, "T", 0, format!("body {n}").as_bytes()).unwrap();
        if n == 30 {
            store.dispatch_now(None).unwrap();
        }
    }
    std::mem::forget(store);
    fs::create_dir(dir.path().join("config")).unwrap();
    fs::write(dir.path().join("config/topics.json"), r#"{"topicConfigTable":{"T":{"topicName":"T"}}}"#).unwrap();
    let report = inspect(dir.path());
    assert!(report.findings.is_clean(), "{:?}", found(&report));
    assert_eq!((report.findings.count(Kind::Abort), report.findings.count(Kind::QueueBehind)), (1, 1));
}
