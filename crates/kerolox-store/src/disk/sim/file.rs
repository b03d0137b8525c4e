//! An open file of the simulated disk. It stays readable after its name is gone, and takes no change after a crash.

use std::io;
use std::path::{Path, PathBuf};

use bytes::BytesMut;

use super::tree::SharedInode;
use super::{DiskOp, Progress, SimDisk};
use crate::disk::{DiskFile, check_range};

pub(super) struct SimFile {
    disk: SimDisk,
    path: PathBuf,
    inode: SharedInode,
    len: u64,
    /// Crashes that came before it was opened.
    epoch: u64,
    writable: bool,
}

impl SimFile {
    pub(super) fn new(disk: SimDisk, path: &Path, inode: SharedInode, epoch: u64, writable: bool) -> Self {
        let len = inode.lock().len;
        Self { disk, path: path.to_path_buf(), inode, len, epoch, writable }
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.writable { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        check_range(self.len, offset, bytes.len())?;
        self.check_writable()?;
        let now_ms = self.disk.clock.wall_ms();
        // The disk stays locked, so that no crash comes between a check and what it allows.
        let state = match self.disk.begin(DiskOp::Write, &self.path, Some(self.epoch)) {
            Ok(state) => state,
            Err(stopped) => {
                if stopped.refused.progress != Progress::None {
                    let (half, _) = bytes.split_at(bytes.len() / 2);
                    self.inode.lock().write(offset, half, now_ms);
                }
                return Err(stopped.refused.error);
            }
        };
        let missing = self.inode.lock().pages_missing(offset, bytes.len());
        state.claim(missing)?;
        self.inode.lock().write(offset, bytes, now_ms);
        Ok(())
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        check_range(self.len, offset, out.len())?;
        drop(self.disk.look(DiskOp::Read, &self.path)?);
        self.inode.lock().read(offset, out);
        Ok(())
    }

    fn append_to(&self, offset: u64, len: usize, out: &mut BytesMut) -> io::Result<()> {
        out.extend_from_slice(&self.slice(offset, len)?);
        Ok(())
    }

    fn data_from(&self, offset: u64) -> u64 {
        self.inode.lock().data_from(offset)
    }

    fn zero(&self, offset: u64, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        check_range(self.len, offset, len)?;
        self.check_writable()?;
        let _state =
            self.disk.begin(DiskOp::Write, &self.path, Some(self.epoch)).map_err(|stopped| stopped.refused.error)?;
        self.inode.lock().zero(offset, len, self.disk.clock.wall_ms());
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let _state = match self.disk.begin(DiskOp::Sync, &self.path, Some(self.epoch)) {
            Ok(state) => state,
            Err(stopped) => {
                if stopped.refused.progress == Progress::Failed {
                    self.inode.lock().fail_sync();
                }
                return Err(stopped.refused.error);
            }
        };
        self.inode.lock().sync();
        Ok(())
    }

    fn write_back(&self, _offset: u64, _len: u64) {}

    fn modified_ms(&self) -> io::Result<i64> {
        Ok(self.inode.lock().modified_ms)
    }
}
