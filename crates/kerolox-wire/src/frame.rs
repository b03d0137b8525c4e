//! Frames: `length i32 | serialization u8 | header length u24 | header | body`, all big-endian.
//!
//! Format: remoting protocol of RocketMQ 4.x, both header encodings (JSON and the compact binary one).

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::command::RequestCode;
use crate::fields::Fields;
use crate::{header_binary, header_json};

/// Largest frame, its length field included.
pub const FRAME_SIZE_MAX: usize = 16 * 1024 * 1024;
/// Largest header. The protocol has room for 16 MiB; clients write up to 32 KiB of properties, six times that in escapes.
pub const HEADER_SIZE_MAX: usize = 256 * 1024;
/// A header's length has 24 bits.
const HEADER_LENGTH_MASK: u32 = 0x00FF_FFFF;
/// Version number that 4.7.1 puts into its headers; clients switch on it.
pub const VERSION_4_7_1: i32 = 355;

const LENGTH_SIZE: usize = 4;
const PREFIX_SIZE: usize = 8;
const FLAG_RESPONSE: i32 = 1;
const FLAG_ONEWAY: i32 = 2;

/// How a header is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Serialization {
    /// One JSON object.
    #[default]
    Json,
    /// Fixed fields, then length-prefixed pairs.
    Binary,
}

/// The language of the peer's client, by its number on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Language(pub u8);

impl Language {
    const NAMES: [&'static str; 14] = [
        "JAVA", "CPP", "DOTNET", "PYTHON", "DELPHI", "ERLANG", "RUBY", "OTHER", "HTTP", "GO", "PHP", "OMS", "RUST",
        "NODE_JS",
    ];
    /// Java, what servers say of themselves.
    pub const JAVA: Self = Self(0);
    /// C++, whose reset-offset body differs.
    pub const CPP: Self = Self(1);
    /// Any language without a number.
    pub const OTHER: Self = Self(7);

    /// The name used in JSON headers.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.get(usize::from(self.0)).copied().unwrap_or("OTHER")
    }

    /// The language of that name; unknown names are `OTHER`.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        let found = Self::NAMES.iter().position(|n| *n == name).and_then(|n| u8::try_from(n).ok());
        found.map_or(Self::OTHER, Self)
    }
}

/// One request or response.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Frame {
    /// Request code, or response code.
    pub code: i32,
    /// Language of the sender.
    pub language: Language,
    /// Version number of the sender.
    pub version: i32,
    /// Number that ties a response to its request on one connection.
    pub opaque: i32,
    /// Bit 0: response, bit 1: one-way.
    pub flag: i32,
    /// Sentence for people.
    pub remark: Option<String>,
    /// Extension fields: the typed header lives in them.
    pub fields: Fields,
    /// How the header was or will be encoded.
    pub serialization: Serialization,
    /// Whether bytes of the header that are no UTF-8 were replaced when it was read.
    pub replaced: bool,
    /// Body bytes, possibly none.
    pub body: Bytes,
}

/// Why bytes are not a frame. The connection they came from cannot be read further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The length field is below the smallest or above the largest frame.
    #[error("frame length {len} is not between {PREFIX_SIZE} and the limit of {limit} bytes")]
    Length {
        /// Length announced, its own four bytes included.
        len: i64,
        /// Largest allowed.
        limit: usize,
    },
    /// The header is announced longer than the frame.
    #[error("header length {header} exceeds the {rest} bytes that the frame has left")]
    HeaderLength {
        /// Header length announced.
        header: usize,
        /// Bytes after the length fields.
        rest: usize,
    },
    /// The header is announced longer than any may be.
    #[error("header length {header} exceeds the limit of {HEADER_SIZE_MAX} bytes")]
    HeaderTooLong {
        /// Header length announced.
        header: usize,
    },
    /// Neither JSON nor binary.
    #[error("unknown header serialization {0}")]
    Serialization(u8),
    /// The header cannot be read.
    #[error("malformed header at byte {at}: {why}")]
    Header {
        /// Byte within the header.
        at: usize,
        /// What is wrong there.
        why: &'static str,
    },
}

impl Frame {
    /// A request as this node sends it; `opaque` is set by whoever owns the connection.
    #[must_use]
    pub fn request(code: RequestCode, fields: Fields, body: Bytes) -> Self {
        Self { code: code.0, version: VERSION_4_7_1, fields, body, ..Self::default() }
    }

    /// The same request as one that nobody answers.
    #[must_use]
    pub fn oneway(mut self) -> Self {
        self.flag |= FLAG_ONEWAY;
        self
    }

    /// Whether this answers a request.
    #[must_use]
    pub fn is_response(&self) -> bool {
        self.flag & FLAG_RESPONSE != 0
    }

    /// Whether no answer must be sent.
    #[must_use]
    pub fn is_oneway(&self) -> bool {
        self.flag & FLAG_ONEWAY != 0
    }

    /// Appends the frame to `out`.
    ///
    /// A code that does not fit the binary header's 16 bits, or a header beyond [`HEADER_SIZE_MAX`], cannot be told in
    /// that form: the former is sent as JSON, the latter loses its fields and says so in the remark.
    pub fn encode(&self, out: &mut BytesMut) {
        let head = Head {
            code: self.code,
            language: self.language,
            version: self.version,
            opaque: self.opaque,
            flag: self.flag,
            remark: self.remark.as_deref(),
            fields: &self.fields,
        };
        head.encode(self.serialization, &self.body, out);
    }

    /// The frame as bytes of its own.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::new();
        self.encode(&mut out);
        out.freeze()
    }
}

/// What a header says, wherever it is kept.
#[derive(Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) code: i32,
    pub(crate) language: Language,
    pub(crate) version: i32,
    pub(crate) opaque: i32,
    pub(crate) flag: i32,
    pub(crate) remark: Option<&'a str>,
    pub(crate) fields: &'a Fields,
}

impl Head<'_> {
    /// Appends a whole frame; see [`Frame::encode`].
    pub(crate) fn encode(&self, serialization: Serialization, body: &[u8], out: &mut BytesMut) {
        let start = out.len();
        out.reserve(PREFIX_SIZE + 256 + body.len());
        out.put_slice(&[0; PREFIX_SIZE]);
        let binary = serialization == Serialization::Binary && i16::try_from(self.code).is_ok();
        if binary {
            header_binary::write(self, out);
        } else {
            header_json::write(self, out);
        }
        let header = out.len().saturating_sub(start + PREFIX_SIZE);
        if header > HEADER_SIZE_MAX {
            out.truncate(start);
            let remark = format!("header of {header} bytes exceeds the limit of {HEADER_SIZE_MAX}");
            let short = Head { fields: &Fields::new(), remark: Some(&remark), ..*self };
            return short.encode(serialization, body, out);
        }
        out.put_slice(body);
        let length = u32::try_from(out.len() - start - LENGTH_SIZE).unwrap_or(u32::MAX);
        let marked = u32::try_from(header).unwrap_or(0) | if binary { 1 << 24 } else { 0 };
        if let Some(prefix) = out.get_mut(start..start + PREFIX_SIZE) {
            let mut prefix = prefix;
            prefix.put_u32(length);
            prefix.put_u32(marked);
        }
    }
}

/// Size of the frame at the front of `buf`, once its length field is there.
///
/// # Errors
/// When the length is negative, too small, or above `limit`, or the header's length is there and above
/// [`HEADER_SIZE_MAX`]: no more of such a frame need arrive.
pub fn frame_size(buf: &[u8], limit: usize) -> Result<Option<usize>, FrameError> {
    let Some(head) = buf.first_chunk::<LENGTH_SIZE>() else { return Ok(None) };
    let len = i64::from(i32::from_be_bytes(*head)) + 4;
    let size = match usize::try_from(len) {
        Ok(size) if size >= PREFIX_SIZE && size <= limit => size,
        _ => return Err(FrameError::Length { len, limit }),
    };
    if let Some([_, _, _, _, marked @ ..]) = buf.first_chunk::<PREFIX_SIZE>() {
        let header = header_length(u32::from_be_bytes(*marked));
        if header > HEADER_SIZE_MAX {
            return Err(FrameError::HeaderTooLong { header });
        }
    }
    Ok(Some(size))
}

fn header_length(marked: u32) -> usize {
    usize::try_from(marked & HEADER_LENGTH_MASK).unwrap_or(usize::MAX)
}

/// Takes one whole frame off the front of `buf`; none when it has not arrived whole.
///
/// # Errors
/// When the bytes cannot be a frame of at most `limit` bytes; `buf` is then of no further use.
pub fn take_frame(buf: &mut BytesMut, limit: usize) -> Result<Option<Frame>, FrameError> {
    let mut frame = Frame::default();
    Ok(take_frame_into(buf, limit, &mut frame)?.then_some(frame))
}

/// As [`take_frame`], into a fresh frame where it will stay: frames are large to move. Returns whether there was one.
///
/// # Errors
/// As [`take_frame`].
pub fn take_frame_into(buf: &mut BytesMut, limit: usize, frame: &mut Frame) -> Result<bool, FrameError> {
    let Some(size) = frame_size(buf, limit)? else { return Ok(false) };
    if buf.len() < size {
        return Ok(false);
    }
    let mut bytes = buf.split_to(size);
    bytes.advance(LENGTH_SIZE);
    let marked = bytes.get_u32();
    let header = header_length(marked);
    let Some((head, _)) = bytes.split_at_checked(header) else {
        return Err(FrameError::HeaderLength { header, rest: bytes.len() });
    };
    match marked >> 24 {
        0 => header_json::read(head, frame)?,
        1 => header_binary::read(head, frame)?,
        other => return Err(FrameError::Serialization(u8::try_from(other).unwrap_or(u8::MAX))),
    }
    bytes.advance(header);
    frame.body = bytes.freeze();
    Ok(true)
}
