//! How far an inspection has come.

/// Told of the work while it is done.
pub trait Progress {
    /// So many bytes are to be read in all, as far as that is known.
    fn total(&mut self, bytes: u64);

    /// So many more bytes are done.
    fn advance(&mut self, bytes: u64);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn total(&mut self, _bytes: u64) {}

    fn advance(&mut self, _bytes: u64) {}
}
