use std::thread;

use kerolox_wire::clock::ManualClock;

use super::*;

/// A disk with a durable folder `/d`.
fn disk() -> SimDisk {
    let disk = SimDisk::new(Arc::new(ManualClock::at(0)));
    disk.set_dirs_durable(false);
    disk.create_dir_all(Path::new("/d")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

fn path(name: &str) -> PathBuf {
    Path::new("/d").join(name)
}

fn create(disk: &SimDisk, name: &str) -> Arc<dyn DiskFile> {
    let mode = OpenMode::Create { len: 10_000, allocate: Allocate::Full };
    disk.open(&path(name), mode).unwrap()
}

fn create_durable(disk: &SimDisk, name: &str) -> Arc<dyn DiskFile> {
    let file = create(disk, name);
    disk.sync_dir(Path::new("/d")).unwrap();
    file
}

fn head(disk: &SimDisk, name: &str) -> Vec<u8> {
    disk.read_file(&path(name)).unwrap()[..3].to_vec()
}

#[test]
fn unsynced_bytes_and_names_go_with_the_power() {
    let disk = disk();
    let file = create_durable(&disk, "a");
    create(&disk, "b");
    file.write_at(0, b"old").unwrap();
    file.sync_data().unwrap();
    file.write_at(0, b"new").unwrap();
    disk.crash(Loss::Everything);
    assert!(!disk.exists(&path("b")));
    assert_eq!(head(&disk, "a"), b"old");
    assert!(file.write_at(0, b"x").is_err(), "files opened before the crash are dead");
}

#[test]
fn process_end_loses_nothing_and_makes_nothing_durable() {
    let disk = disk();
    let process = disk.process();
    let file = create(&process, "a");
    file.write_at(0, b"new").unwrap();
    let _lock = process.lock(&path("lock")).unwrap();
    disk.crash(Loss::Nothing);
    let a = path("a");
    assert!(file.write_at(0, b"x").is_err() && file.sync_data().is_err());
    assert!(process.open(&a, OpenMode::ReadWrite).is_err() && process.remove(&a).is_err());
    assert!(process.write_file_atomic(&a, b"x").is_err() && process.create_dir_all(&path("e")).is_err());
    assert!(process.rename(&a, &path("b")).is_err() && process.lock(&a).is_err());
    let next = disk.process();
    next.lock(&path("lock")).unwrap();
    assert_eq!(head(&next, "a"), b"new");
    disk.sync_dir(Path::new("/d")).unwrap();
    disk.crash(Loss::Everything);
    assert_eq!(head(&disk, "a"), [0; 3], "the end of the process has synced nothing");
}

#[test]
fn failed_sync_leaves_pages_clean() {
    let disk = disk();
    let file = create_durable(&disk, "a");
    file.write_at(0, b"old").unwrap();
    file.sync_data().unwrap();
    file.write_at(0, b"new").unwrap();
    disk.fail_after(0, io::ErrorKind::Other);
    assert!(file.sync_data().is_err());
    assert_eq!(head(&disk, "a"), b"new", "later reads see them");
    file.write_at(5_000, b"far").unwrap();
    file.sync_data().unwrap();
    disk.crash(Loss::Nothing);
    assert_eq!(head(&disk, "a"), b"new", "the page cache outlives the process");
    disk.crash(Loss::Everything);
    let bytes = disk.read_file(&path("a")).unwrap();
    assert_eq!((&bytes[..3], &bytes[5_000..5_003]), (&b"old"[..], &b"far"[..]), "a later sync does not write them");
}

#[test]
fn page_written_again_after_a_failed_sync_is_synced() {
    let disk = disk();
    let file = create_durable(&disk, "a");
    file.write_at(0, b"new").unwrap();
    disk.fail_after(0, io::ErrorKind::Other);
    assert!(file.sync_data().is_err());
    file.write_at(100, b"x").unwrap();
    file.sync_data().unwrap();
    disk.crash(Loss::Everything);
    assert_eq!(head(&disk, "a"), b"new", "pages are written as a whole");
}

#[test]
fn stop_within_a_sync_leaves_pages_dirty() {
    let disk = disk();
    let file = create_durable(&disk, "a");
    file.write_at(0, b"new").unwrap();
    disk.stop_after(0);
    assert!(file.sync_data().is_err());
    disk.crash(Loss::Nothing);
    disk.open(&path("a"), OpenMode::ReadWrite).unwrap().sync_data().unwrap();
    disk.crash(Loss::Everything);
    assert_eq!(head(&disk, "a"), b"new");
}

#[test]
fn folders_are_durable_once_their_parents_are_synced() {
    let disk = disk();
    let deep = path("e/f");
    disk.create_dir_all(&deep).unwrap();
    for synced in ["/d/e/f", "/d/e", "/d"] {
        disk.create_dir_all(&deep).unwrap();
        let mode = OpenMode::Create { len: 1, allocate: Allocate::Sparse };
        disk.open(&deep.join("a"), mode).unwrap();
        disk.sync_dir(&deep).unwrap();
        if synced == "/d" {
            disk.sync_dir(&path("e")).unwrap();
        }
        disk.sync_dir(Path::new(synced)).unwrap();
        disk.crash(Loss::Everything);
        assert_eq!(disk.exists(&deep.join("a")), synced == "/d", "{synced}");
    }
    assert!(disk.sync_dir(&path("none")).is_err());
}

#[test]
fn files_need_a_folder() {
    let mode = OpenMode::Create { len: 1, allocate: Allocate::Sparse };
    let missing = disk().open(&path("e/a"), mode).err().unwrap();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
}

#[test]
fn rename_is_torn_to_the_old_or_the_new_file() {
    let mut seen = BTreeSet::new();
    for seed in 0..40 {
        let disk = disk();
        disk.write_file_atomic(&path("a"), b"old").unwrap();
        let new = create(&disk, "a.tmp");
        new.write_at(0, b"new").unwrap();
        new.sync_data().unwrap();
        disk.rename(&path("a.tmp"), &path("a")).unwrap();
        disk.crash(Loss::Torn(seed));
        seen.insert(head(&disk, "a"));
    }
    assert_eq!(seen, BTreeSet::from([b"old".to_vec(), b"new".to_vec()]));
}

#[test]
fn torn_sectors_hold_any_version_since_the_last_sync() {
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let disk = disk();
        let file = create_durable(&disk, "a");
        for version in [b"one", b"two"] {
            file.write_at(0, version).unwrap();
            file.write_at(600, version).unwrap();
        }
        disk.crash(Loss::Torn(seed));
        let bytes = disk.read_file(&path("a")).unwrap();
        seen.insert((bytes[..3].to_vec(), bytes[600..603].to_vec()));
    }
    let versions = [&[0; 3], b"one", b"two"];
    for (first, second) in versions.iter().flat_map(|a| versions.map(|b| (a.to_vec(), b.to_vec()))) {
        assert!(seen.contains(&(first, second)));
    }
    assert_eq!(seen.len(), 9);
}

#[test]
fn removed_file_stays_readable_while_open() {
    let disk = disk();
    let file = create(&disk, "a");
    file.write_at(0, b"kept").unwrap();
    disk.remove(&path("a")).unwrap();
    create(&disk, "a");
    assert_eq!(file.slice(0, 4).unwrap(), b"kept");
    assert_eq!(head(&disk, "a"), [0; 3]);
}

#[test]
fn removed_name_returns_with_a_power_loss() {
    let disk = disk();
    create_durable(&disk, "a");
    disk.remove(&path("a")).unwrap();
    disk.crash(Loss::Everything);
    assert!(disk.exists(&path("a")));
    disk.remove(&path("a")).unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    disk.crash(Loss::Everything);
    assert!(!disk.exists(&path("a")));
}

#[test]
fn full_disk_refuses_and_stopped_disk_writes_half() {
    let disk = disk();
    disk.set_capacity(3 * PAGE as u64);
    let file = create(&disk, "a");
    let mode = OpenMode::Create { len: 1, allocate: Allocate::Full };
    let full = disk.open(&path("b"), mode).err().unwrap();
    assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    let mode = OpenMode::Create { len: 1, allocate: Allocate::Sparse };
    let sparse = disk.open(&path("b"), mode).unwrap();
    assert_eq!(sparse.write_at(0, b"x").unwrap_err().kind(), io::ErrorKind::StorageFull);
    disk.stop_after(1);
    file.write_at(0, b"whole").unwrap();
    assert!(file.write_at(10, b"half").is_err());
    assert!(file.write_at(20, b"none").is_err());
    let bytes = disk.read_file(&path("a")).unwrap();
    assert_eq!((&bytes[..5], &bytes[10..14], bytes[20]), (&b"whole"[..], &b"ha\0\0"[..], 0));
}

#[test]
fn faults_meet_their_operations_below_their_path() {
    let disk = disk();
    let (a, b) = (create(&disk, "a"), create(&disk, "b"));
    disk.add_fault(Fault::errno(DiskOp::Read, 5).below("/d/a").after(1).times(2));
    let reads: Vec<_> = (0..4).map(|_| a.slice(0, 1).is_ok()).collect();
    assert_eq!(reads, [true, false, false, true]);
    assert!(b.slice(0, 1).is_ok());
    disk.add_fault(Fault::errno(DiskOp::Open, 24));
    disk.add_fault(Fault::errno(DiskOp::Create, 28));
    assert_eq!(disk.open(&path("a"), OpenMode::Read).err().unwrap().raw_os_error(), Some(24));
    let mode = OpenMode::Create { len: 1, allocate: Allocate::Sparse };
    assert_eq!(disk.open(&path("c"), mode).err().unwrap().kind(), io::ErrorKind::StorageFull);
    disk.crash(Loss::Nothing);
    assert!(disk.open(&path("a"), OpenMode::Read).is_err(), "faults of the disk outlive the process");
    disk.clear_faults();
    assert!(disk.open(&path("a"), OpenMode::Read).is_ok());
}

#[test]
fn hanging_write_ends_with_the_fault_or_with_its_process() {
    for crash in [false, true] {
        let disk = disk();
        let file = create(&disk.process(), "a");
        disk.add_fault(Fault::hang(DiskOp::Write));
        let writer = thread::spawn(move || file.write_at(0, b"new"));
        if crash {
            disk.crash(Loss::Nothing);
        } else {
            disk.clear_faults();
        }
        assert_eq!(writer.join().unwrap().is_err(), crash);
    }
}

#[test]
fn flipped_bit_is_seen_before_and_after_a_power_loss() {
    let disk = disk();
    let file = create_durable(&disk, "a");
    file.write_at(0, &[0, 7]).unwrap();
    disk.flip_bit(&path("a"), 2, 0);
    assert_eq!(head(&disk, "a"), [0, 7, 1]);
    disk.crash(Loss::Everything);
    assert_eq!(head(&disk, "a"), [0, 0, 1]);
}
