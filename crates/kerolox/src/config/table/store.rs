//! Keys of `MessageStoreConfig` that do what they say.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::key::{Class, key, keys};
use crate::config::rule::{DELAYS, HOURS, ONE_FOLDER, Rule};

/// `Integer.MAX_VALUE`, the end of most numbers in RocketMQ.
const INT_MAX: i64 = i32::MAX as i64;
/// Longest interval that makes sense for background work.
const DAY_MS: i64 = 86_400_000;

keys! {
    /// Where messages lie and how they are kept.
    struct StoreKeys, STORE_KEYS, Class::Store;
    /// Folder of queues, index, checkpoint and `config`.
    store_path_root_dir: PathBuf = key("storePathRootDir", Rule::Path, "")
        .of("$HOME/store", |host| host.below_home("store"))
        .important();
    /// Folder of the log; see the note on paths.
    store_path_commit_log: PathBuf = key("storePathCommitLog", ONE_FOLDER, "")
        .of("commitlog below the root", |_| String::new())
        .important();
    /// Size of one log file; must be that of the files which are there.
    mapped_file_size_commit_log: u64 = key("mappedFileSizeCommitLog", Rule::Number(4_096, INT_MAX), "1073741824")
        .bytes();
    /// Size of one queue file, rounded up to a multiple of 20.
    mapped_file_size_consume_queue: u64 = key("mappedFileSizeConsumeQueue", Rule::Number(20, INT_MAX), "6000000")
        .bytes();
    /// How often the log is made durable with `ASYNC_FLUSH`.
    flush_interval_commit_log: Duration = key("flushIntervalCommitLog", Rule::AtMost(1, DAY_MS), "500")
        .ms()
        .important();
    /// How often queues and checkpoint are made durable.
    flush_interval_consume_queue: Duration = key("flushIntervalConsumeQueue", Rule::AtMost(1, DAY_MS), "1000").ms();
    /// How often the store looks for files to delete and at the disk's usage.
    clean_resource_interval: Duration = key("cleanResourceInterval", Rule::AtMost(100, DAY_MS), "10000").ms();
    /// Pause between two deleted log files.
    delete_commit_log_files_interval: Duration = key("deleteCommitLogFilesInterval", Rule::AtMost(0, 60_000), "100")
        .ms();
    /// Hours, local time, in which files older than `fileReservedTime` are deleted.
    delete_when: String = key("deleteWhen", HOURS, "04").live("delete_hours").important();
    /// Usage of the disk above which such files are deleted at any hour.
    disk_max_used_space_ratio: u8 = key("diskMaxUsedSpaceRatio", Rule::Clamped(10, 95), "75")
        .live("disk_max_used")
        .percent();
    /// Usage of the disk above which the oldest files are deleted whatever their age.
    disk_space_clean_forcibly_ratio: u8 = key("diskSpaceCleanForciblyRatio", Rule::Percent(1, 100), "85")
        .percent()
        .later()
        .property("rocketmq.broker.diskSpaceCleanForciblyRatio");
    /// Usage of the disk above which sends are refused.
    disk_space_warning_level_ratio: u8 = key("diskSpaceWarningLevelRatio", Rule::Percent(1, 100), "90")
        .percent()
        .later()
        .property("rocketmq.broker.diskSpaceWarningLevelRatio");
    /// Whether the oldest files are deleted at all when the disk is that full.
    clean_file_forcibly_enable: bool = key("cleanFileForciblyEnable", Rule::Switch, "true").important();
    /// How long a log file is kept after its last write.
    file_reserved_time: u64 = key("fileReservedTime", Rule::AtMost(1, 876_000), "72")
        .live("reserved_hours")
        .unit(crate::config::key::Unit::Hours)
        .important();
    /// Largest message as stored, properties and all.
    max_message_size: u32 = key("maxMessageSize", Rule::AtMost(1_024, 16_777_216), "4194304").bytes();
    /// Whether recovery checks the body of each message.
    check_crc_on_recover: bool = key("checkCRCOnRecover", Rule::Switch, "true");
    /// Most bytes of one pull's answer, messages likely in memory.
    transfer_bytes_in_memory: usize = key("maxTransferBytesOnMessageInMemory", Rule::AtMost(1, 16_000_000), "262144")
        .bytes()
        .important();
    /// Most messages of one pull's answer, messages likely in memory.
    transfer_count_in_memory: usize = key("maxTransferCountOnMessageInMemory", Rule::AtMost(1, 100_000), "32")
        .important();
    /// Most bytes of one pull's answer from the disk.
    transfer_bytes_in_disk: usize = key("maxTransferBytesOnMessageInDisk", Rule::AtMost(1, 16_000_000), "65536")
        .bytes()
        .important();
    /// Most messages of one pull's answer from the disk.
    transfer_count_in_disk: usize = key("maxTransferCountOnMessageInDisk", Rule::AtMost(1, 100_000), "8").important();
    /// Part of the memory in which the newest messages are supposed to be.
    access_message_in_memory_max_ratio: u8 = key("accessMessageInMemoryMaxRatio", Rule::Number(0, 100), "40")
        .live("memory_ratio")
        .percent()
        .important();
    /// Whether messages are indexed by key.
    message_index_enable: bool = key("messageIndexEnable", Rule::Switch, "true").important();
    /// Hash slots of one index file.
    max_hash_slot_num: u32 = key("maxHashSlotNum", Rule::Number(1, 100_000_000), "5000000");
    /// Entries of one index file.
    max_index_num: u32 = key("maxIndexNum", Rule::Number(2, 400_000_000), "20000000");
    /// Most messages that a query by key returns.
    max_msgs_num_batch: usize = key("maxMsgsNumBatch", Rule::AtMost(1, 10_000), "64");
    /// Role among brokers of one name.
    broker_role: String =
        key("brokerRole", Rule::Only(&["ASYNC_MASTER", "SYNC_MASTER"], "this version has no replicas"), "ASYNC_MASTER")
        .important();
    /// When a message counts as stored: in the page cache, or on the medium.
    flush_disk_type: String = key("flushDiskType", Rule::OneOf(&["ASYNC_FLUSH", "SYNC_FLUSH"]), "ASYNC_FLUSH")
        .important();
    /// How long a send may wait for the medium with `SYNC_FLUSH`.
    sync_flush_timeout: Duration = key("syncFlushTimeout", Rule::AtMost(1, 600_000), "5000").ms();
    /// Delays of the delay levels 1, 2, 3 and so on.
    message_delay_level: String =
        key("messageDelayLevel", DELAYS, "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h");
    /// Whether messages may have a time of their own, as in 5.x; see the page on delays.
    timer_wheel_enable: bool = key("timerWheelEnable", Rule::Switch, "true");
    /// Longest delay of such a message.
    timer_max_delay_sec: i32 = key("timerMaxDelaySec", Rule::Number(1, INT_MAX), "259200")
        .unit(crate::config::key::Unit::Seconds);
    /// Time between two writes of `delayOffset.json`.
    flush_delay_offset_interval: Duration = key("flushDelayOffsetInterval", Rule::AtMost(100, DAY_MS), "10000").ms();
}
