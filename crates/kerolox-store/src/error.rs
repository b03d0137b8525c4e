//! What can go wrong, with the facts.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kerolox_wire::names::LogOffset;

use crate::queues::LoadError;

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has the data directory open.
    #[error("the data directory {} is in use by another process", dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// A log file was made with another file size.
    #[error("{} is {len} bytes long but the configured size of log files is {expected}", file.display())]
    SegmentSize {
        /// The file.
        file: PathBuf,
        /// Its length.
        len: u64,
        /// The length it should have.
        expected: u64,
    },
    /// A setting that cannot work.
    #[error("setting {setting}: {why}")]
    Setting {
        /// Name of the setting.
        setting: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The files contradict each other.
    #[error("{} at {offset}: {why}", file.display())]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        why: String,
    },
    /// Queues or index cannot be used.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// There is no log beside files that were derived from one.
    #[error(
        "the log folder {} is empty, but {witness}: if its disk is not mounted, mount it; if the log is gone for good, \
         `kerolox store repair {} --forget-log` puts aside what belonged to it", dir.display(), root.display()
    )]
    LogMissing {
        /// The folder without a log.
        dir: PathBuf,
        /// The data directory.
        root: PathBuf,
        /// What knew a log.
        witness: String,
    },
    /// The disk failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
}

impl OpenError {
    /// Joins an error of the disk with the path it is about.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }
}

/// Why a record was not taken into a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefusedRecord {
    /// The whole record is too large.
    #[error("the record has {size} bytes, {limit} are allowed")]
    TooLarge {
        /// Bytes of the record.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The topic is too long for a record.
    #[error("the topic has {size} bytes, {limit} are allowed")]
    TopicTooLong {
        /// Bytes of the topic.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The properties are too long for a record.
    #[error("the properties have {size} bytes, {limit} are allowed")]
    PropertiesTooLong {
        /// Bytes of the properties text.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The topic is the store's own.
    #[error("the topic {topic} is the store's own")]
    ReservedTopic {
        /// The topic.
        topic: String,
    },
    /// A group without messages.
    #[error("a group of no messages cannot be stored")]
    Empty,
}

/// Why a batch was not appended. None of its records is stored then, unless the log is sealed: in that case a restart
/// may find some of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// An earlier write or sync failed; the log takes nothing more until a restart has recovered it.
    #[error("the log is sealed: {why}")]
    Sealed {
        /// What failed.
        why: String,
    },
    /// No room on the disk. Appends resume by themselves once there is.
    #[error("the disk is full: {used} % are used, {limit} % are allowed")]
    DiskFull {
        /// Used percent of the log's disk.
        used: u8,
        /// Percent above which appends are refused.
        limit: u8,
    },
    /// Another append has held the log for too long: its write hangs.
    #[error("the log is busy: a write of it has not ended for {} ms", waited.as_millis())]
    Busy {
        /// How long this append, or one before it, has waited.
        waited: Duration,
    },
    /// The store is shut down.
    #[error("the store is shut down")]
    ShutDown,
    /// A group is larger than a log file.
    #[error("{size} bytes that must stay together do not fit a log file of {limit}")]
    TooLarge {
        /// Bytes of the group.
        size: u64,
        /// Bytes of a log file.
        limit: u64,
    },
    /// A new log file could not be made, for another reason than room.
    #[error("a new log file cannot be made: {0}")]
    Io(#[from] io::Error),
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The offset lies outside of what the log holds.
    #[error("log offset {offset} lies outside of {begin}..{end}")]
    OutOfRange {
        /// The offset asked for.
        offset: LogOffset,
        /// First offset held.
        begin: LogOffset,
        /// End of the log.
        end: LogOffset,
    },
    /// No record begins there.
    #[error("no record begins at log offset {offset}: {why}")]
    NoRecord {
        /// The offset asked for.
        offset: LogOffset,
        /// What stands there instead.
        why: String,
    },
    /// The disk failed.
    #[error("reading the log: {0}")]
    Io(#[from] io::Error),
}
