//! zlib for bodies, with a bound on what may come out.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

/// Level that the reference's clients use.
pub const LEVEL_DEFAULT: u32 = 5;
/// The best level.
pub const LEVEL_BEST: u32 = 9;

/// Why compressed bytes could not be inflated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InflateError {
    /// Not zlib, or cut short.
    #[error("not a zlib stream")]
    Damaged,
    /// More came out than allowed.
    #[error("inflates to more than {limit} bytes")]
    TooLarge {
        /// Bytes allowed.
        limit: usize,
    },
}

/// Inflates a zlib stream; bytes behind it are not looked at. Memory grows with what comes out, never with what a header
/// promises.
///
/// # Errors
/// When it is damaged or gives more than `limit` bytes.
pub fn inflate(bytes: &[u8], limit: usize) -> Result<Vec<u8>, InflateError> {
    let one_more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut out = Vec::new();
    ZlibDecoder::new(bytes).take(one_more).read_to_end(&mut out).map_err(|_| InflateError::Damaged)?;
    if out.len() > limit { Err(InflateError::TooLarge { limit }) } else { Ok(out) }
}

/// Deflates into a zlib stream; `level` is 0 to 9.
///
/// # Panics
/// Never: writing into memory cannot fail.
#[must_use]
pub fn deflate(bytes: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(level.min(LEVEL_BEST)));
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("writing into memory cannot fail")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = deflate(&vec![0; 1 << 20], LEVEL_BEST);
        assert!(bomb.len() < 4096);
        assert_eq!(inflate(&bomb, 1000), Err(InflateError::TooLarge { limit: 1000 }));
        assert_eq!(inflate(&bomb, 1 << 20).unwrap().len(), 1 << 20);
    }

    #[test]
    fn a_stream_cut_short_is_damaged() {
        let whole = deflate(b"some text, some text", LEVEL_DEFAULT);
        assert_eq!(inflate(&whole, 100).unwrap(), b"some text, some text");
        for len in 0..whole.len() {
            assert_eq!(inflate(&whole[..len], 100), Err(InflateError::Damaged), "{len}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_stream_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(out) = inflate(&bytes, 10_000) {
                prop_assert!(out.len() <= 10_000);
            }
        }

        #[test]
        fn what_was_deflated_comes_back(bytes in prop::collection::vec(any::<u8>(), 0..500), level in 0..12_u32) {
            prop_assert_eq!(inflate(&deflate(&bytes, level), 500).unwrap(), bytes);
        }
    }
}
