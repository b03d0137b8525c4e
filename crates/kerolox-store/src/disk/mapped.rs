//! Read-only maps of files, and reads from them that fail where the disk cannot deliver a page.
//!
//! Touching such a page raises SIGBUS, which ends the process unless it is handled. The handler puts a page of zeros in
//! its place, so that the copy under way ends, and marks the map as broken, so that nothing copied from it is believed.
#![allow(unsafe_code, reason = "the one file of the store that touches mapped memory; each block says why it is sound")]

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering, compiler_fence};

use bytes::{BufMut, BytesMut};

/// A map of a whole file.
pub(super) struct Map {
    memory: NonNull<u8>,
    len: usize,
    /// Set once a page could not be delivered; the map is of no use from then on.
    broken: AtomicBool,
}

/// A copy out of a map that this thread has under way.
struct Copy<'a> {
    first: usize,
    end: usize,
    broken: &'a AtomicBool,
}

thread_local! {
    /// The copy under way; null outside of copies. Read by the signal handler of the same thread: without a destructor
    /// and with a constant as its first value, access is a plain load.
    static UNDER_WAY: Cell<*const Copy<'static>> = const { Cell::new(ptr::null()) };
}

// SAFETY: the memory belongs to the map alone, is only read, and stays where it is until the map is dropped.
unsafe impl Send for Map {}
// SAFETY: as above; the one thing that changes is an atomic.
unsafe impl Sync for Map {}

impl Map {
    /// Maps a file of `len` bytes; `None` when it is empty or the system has no room or no handler for it.
    pub(super) fn new(file: &File, len: u64) -> Option<Self> {
        if !handler_installed() {
            return None;
        }
        let len = usize::try_from(len).ok().filter(|len| *len > 0)?;
        // SAFETY: a fresh map at an address that the system chooses touches no memory in use.
        let memory =
            unsafe { libc::mmap(ptr::null_mut(), len, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        if memory == libc::MAP_FAILED {
            return None;
        }
        Some(Self { memory: NonNull::new(memory.cast())?, len, broken: AtomicBool::new(false) })
    }

    /// Whether a page could not be delivered.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Fills `out`; false, with `out` in any state, when the range is outside of the map or cannot be delivered.
    pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> bool {
        // SAFETY: `out` is valid for writes of its length, and a map that nothing writes through cannot overlap it.
        unsafe { self.copy(offset, out.as_mut_ptr(), out.len()) }
    }

    /// Appends `len` bytes to `out`; false, with `out` as before, when the range cannot be delivered.
    pub(super) fn append_to(&self, offset: u64, len: usize, out: &mut BytesMut) -> bool {
        out.reserve(len);
        let spare: &mut [MaybeUninit<u8>] = out.spare_capacity_mut();
        debug_assert!(spare.len() >= len, "reserved above");
        // SAFETY: the spare room has at least `len` bytes and belongs to `out` alone.
        let copied = unsafe { self.copy(offset, spare.as_mut_ptr().cast(), len) };
        if copied {
            // SAFETY: the copy has initialised `len` bytes behind the present end.
            unsafe { out.advance_mut(len) };
        }
        copied
    }

    /// Copies `len` bytes to `to`; false when the range is outside of the map or could not be delivered.
    ///
    /// # Safety
    /// `to` must be valid for writes of `len` bytes that do not lie in the map.
    unsafe fn copy(&self, offset: u64, to: *mut u8, len: usize) -> bool {
        let inside = usize::try_from(offset).ok().filter(|at| self.len.checked_sub(*at) >= Some(len));
        let Some(at) = inside else { return false };
        if self.is_broken() {
            return false;
        }
        // SAFETY: `at + len` is at most the length of the map.
        let from = unsafe { self.memory.as_ptr().cast_const().add(at) };
        let first = from as usize;
        let copy = Copy { first, end: first.wrapping_add(len), broken: &self.broken };
        UNDER_WAY.set(ptr::from_ref(&copy).cast());
        // The handler runs on this thread: only the compiler could reorder what it sees.
        compiler_fence(Ordering::SeqCst);
        // SAFETY: the source lies in the map, which lives as long as `self`; a page of it that is not there is replaced
        // by the handler. The store reads only bytes below a published end, which are not written again. The target is
        // the caller's promise.
        unsafe { ptr::copy_nonoverlapping(from, to, len) };
        compiler_fence(Ordering::SeqCst);
        UNDER_WAY.set(ptr::null());
        // Also true when another thread met the page first and this one has read its replacement.
        !self.is_broken()
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: the range is the one that was mapped, and nothing reads it while it is dropped. Failing leaves it mapped.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.len) };
    }
}

/// Installs the handler with the first map; false when the system refuses it.
fn handler_installed() -> bool {
    let before = installed().get_or_init(|| {
        let mut before = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: all zeros is a valid `sigaction`: no flags, an empty mask, the default handler.
        let mut action = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
        action.sa_sigaction = on_bus_error as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: both pointers are valid for the call, and the handler does only what a signal handler may.
        if unsafe { libc::sigaction(libc::SIGBUS, &raw const action, before.as_mut_ptr()) } != 0 {
            return None;
        }
        // SAFETY: the successful call has filled it.
        Some(unsafe { before.assume_init() })
    });
    before.is_some()
}

/// What handled SIGBUS before; empty when the handler could not be installed.
fn installed() -> &'static OnceLock<Option<libc::sigaction>> {
    static BEFORE: OnceLock<Option<libc::sigaction>> = OnceLock::new();
    &BEFORE
}

/// Handles SIGBUS: a page of the copy under way becomes zeros and its map broken; anything else goes to whoever handled
/// the signal before. Calls only what may be called in a signal handler.
extern "C" fn on_bus_error(signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the system gives a valid description along, and with SIGBUS it has an address.
    let address = unsafe { (*info).si_addr() } as usize;
    let copy = UNDER_WAY.get();
    // SAFETY: when not null it points to a local of the frame that this handler has interrupted.
    if unsafe { copy.as_ref() }.is_some_and(|copy| replace_pages(copy, address)) {
        return;
    }
    // Leaving the handler repeats the access, now without this handler; a signal that was sent must be raised again.
    let before = installed().get().and_then(Option::as_ref).map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the action is null or the one that the system gave; raising a blocked signal only marks it as due.
    unsafe {
        if before.is_null() {
            libc::signal(signal, libc::SIG_DFL);
        } else {
            libc::sigaction(signal, before, ptr::null_mut());
        }
        libc::raise(signal);
    }
}

/// Replaces what is left of the copy's range by zeros, so that one fault is enough for it; false when the address lies
/// elsewhere or the system refuses.
fn replace_pages(copy: &Copy<'_>, address: usize) -> bool {
    // SAFETY: asks for a constant of the system.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
    let to_page = !page.wrapping_sub(1);
    // Faults of the memory itself tell only the page.
    if address < copy.first & to_page || address >= copy.end {
        return false;
    }
    // Before the zeros appear: whoever reads them must find it set.
    copy.broken.store(true, Ordering::SeqCst);
    let start = address & to_page;
    let flags = libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let (target, len) = (ptr::with_exposed_provenance_mut(start), copy.end.wrapping_sub(start));
    // SAFETY: from `start` to the end of the range there are pages of the map alone, since the fault and the range lie in
    // it and a map is a whole number of pages. Whoever reads the zeros finds the map broken.
    let zeros = unsafe { libc::mmap(target, len, libc::PROT_READ, flags, -1, 0) };
    zeros != libc::MAP_FAILED
}

/// The error of a read that a file is too short for although it was not when it was opened.
pub(super) fn cut_while_open(offset: u64, len: usize) -> io::Error {
    io::Error::other(format!("bytes {offset}+{len} are gone: the file was cut while it was open"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;
    use std::sync::Arc;
    use std::thread;

    use super::*;

    const LEN: u64 = 1 << 20;

    fn mapped() -> (File, Map) {
        let file = tempfile::tempfile().unwrap();
        file.set_len(LEN).unwrap();
        file.write_all_at(&[7; 4096], 0).unwrap();
        let map = Map::new(&file, LEN).unwrap();
        (file, map)
    }

    #[test]
    fn lost_page_fails_the_read() {
        let (file, map) = mapped();
        let (_other_file, other) = mapped();
        let mut out = [0; 100];
        assert!(map.read(0, &mut out) && out == [7; 100]);
        file.set_len(4096).unwrap();
        assert!(!map.read(8_000, &mut out));
        assert!(map.is_broken() && !map.read(0, &mut out), "nothing of it is believed any more");
        let mut appended = BytesMut::from(&b"x"[..]);
        assert!(!map.append_to(0, 10, &mut appended));
        assert_eq!(&appended[..], b"x");
        assert!(other.read(0, &mut out) && out == [7; 100], "other maps are as they were");
    }

    #[test]
    fn lost_pages_of_one_append_fail_it() {
        let (file, map) = mapped();
        file.set_len(4096).unwrap();
        let mut out = BytesMut::new();
        assert!(!map.append_to(100, 500_000, &mut out));
        assert!(out.is_empty());
    }

    #[test]
    fn lost_page_fails_every_thread() {
        let (file, map) = mapped();
        file.set_len(0).unwrap();
        let map = Arc::new(map);
        let read = || {
            let map = Arc::clone(&map);
            thread::spawn(move || map.read(0, &mut [0; 65_536]))
        };
        let threads: Vec<_> = (0..8).map(|_| read()).collect();
        assert!(threads.into_iter().all(|thread| !thread.join().unwrap()));
    }

    #[test]
    fn range_outside_is_refused() {
        let (_file, map) = mapped();
        assert!(!map.read(LEN - 1, &mut [0; 2]));
        assert!(!map.read(u64::MAX, &mut [0; 2]));
        assert!(map.read(LEN, &mut []));
    }
}
