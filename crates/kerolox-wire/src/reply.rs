//! Answers: what a handler returns, before it becomes a frame.

use bytes::{Bytes, BytesMut};

use crate::command::{Header, Names};
use crate::fields::Fields;
use crate::frame::{Frame, Head, Language, Serialization, VERSION_4_7_1};
use crate::response::ResponseCode;

const FLAG_RESPONSE: i32 = 1;
/// Room for the names and values of most answers, taken at once: growing to it would take five steps.
const FIELDS_TEXT: usize = 192;

/// What an answer must repeat of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyTo {
    /// The request's number on its connection.
    pub opaque: i32,
    /// The answer takes the request's form.
    pub serialization: Serialization,
    /// Nobody waits for an answer.
    pub oneway: bool,
}

impl From<&Frame> for ReplyTo {
    fn from(request: &Frame) -> Self {
        Self { opaque: request.opaque, serialization: request.serialization, oneway: request.is_oneway() }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// Outcome.
    pub code: ResponseCode,
    /// Sentence for people.
    pub remark: Option<String>,
    /// Response header fields.
    pub fields: Fields,
    /// Body, possibly none.
    pub body: Bytes,
}

impl Reply {
    /// Success with nothing to tell.
    #[must_use]
    pub fn ok() -> Self {
        Self::code(ResponseCode::SUCCESS)
    }

    /// The code alone.
    #[must_use]
    pub fn code(code: ResponseCode) -> Self {
        Self { code, remark: None, fields: Fields::new(), body: Bytes::new() }
    }

    /// Success with a response header.
    #[must_use]
    pub fn of(header: &impl Header) -> Self {
        let mut reply = Self::ok();
        reply.fields = Fields::with_capacity(FIELDS_TEXT);
        header.encode(&mut reply.fields, Names::Long);
        reply
    }

    /// Success with a body.
    #[must_use]
    pub fn body(body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..Self::ok() }
    }

    /// A refusal with its reason.
    #[must_use]
    pub fn refuse(code: ResponseCode, remark: impl Into<String>) -> Self {
        Self { remark: Some(remark.into()), ..Self::code(code) }
    }

    /// The same with a response header added.
    #[must_use]
    pub fn with_header(mut self, header: &impl Header) -> Self {
        header.encode(&mut self.fields, Names::Long);
        self
    }

    /// The same with another code.
    #[must_use]
    pub fn with_code(mut self, code: ResponseCode) -> Self {
        self.code = code;
        self
    }

    /// The same with a body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The same with a remark.
    #[must_use]
    pub fn with_remark(mut self, remark: impl Into<String>) -> Self {
        self.remark = Some(remark.into());
        self
    }

    /// The answer as a frame to the request that `to` was taken from.
    #[must_use]
    pub fn into_frame(self, to: ReplyTo) -> Frame {
        Frame {
            code: self.code.0,
            version: VERSION_4_7_1,
            opaque: to.opaque,
            flag: FLAG_RESPONSE,
            remark: self.remark,
            fields: self.fields,
            serialization: to.serialization,
            body: self.body,
            ..Frame::default()
        }
    }

    /// Appends the answer to `out`, or nothing when nobody waits for it.
    pub fn encode(&self, to: ReplyTo, out: &mut BytesMut) {
        if to.oneway {
            return;
        }
        let head = Head {
            code: self.code.0,
            language: Language::JAVA,
            version: VERSION_4_7_1,
            opaque: to.opaque,
            flag: FLAG_RESPONSE,
            remark: self.remark.as_deref(),
            fields: &self.fields,
        };
        head.encode(to.serialization, &self.body, out);
    }
}
