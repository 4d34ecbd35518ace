//! Headers of frames: what is asked or answered, in either of the two serialisations.
//!
//! Decoding borrows everything and allocates nothing; text of a JSON header keeps its escapes
//! until somebody asks for it. Custom fields (`extFields`) are read in place, not into a map.

mod binary;
mod ext;
mod json;
mod language;
mod text;
mod writer;

pub use ext::{Ext, ExtIter};
pub use language::{Language, version};
pub use text::Text;
pub use writer::{ExtValue, ExtWriter};
pub(crate) use writer::{put_decimal, put_digits, put_json_escaped};

use crate::frame::{self, FrameError, HeaderKind};

/// Flag bit: this is a response.
pub const FLAG_RESPONSE: i32 = 1;
/// Flag bit: the receiver must not answer.
pub const FLAG_ONEWAY: i32 = 2;

/// A decoded header, borrowed from its frame.
#[derive(Clone, Debug)]
pub struct Header<'a> {
    /// Request or response code.
    pub code: i32,
    /// What the sender is written in.
    pub language: Language,
    /// Version ordinal of the sender ([`version`]).
    pub version: i32,
    /// Identifies a request on its connection and direction; the response repeats it.
    pub opaque: i32,
    /// [`FLAG_RESPONSE`] and [`FLAG_ONEWAY`]; other bits mean nothing.
    pub flag: i32,
    /// Status or error text.
    pub remark: Option<Text<'a>>,
    /// Custom fields.
    pub ext: Ext<'a>,
    /// How it was written; answer in kind.
    pub kind: HeaderKind,
}

impl<'a> Header<'a> {
    /// Decodes the header of a frame.
    pub fn decode(kind: HeaderKind, bytes: &'a [u8]) -> Result<Self, HeaderError> {
        Self::decode_with(kind, bytes, &mut NoVisitor)
    }

    /// Decodes the header of a frame and shows each custom field to `visitor` on the way: for
    /// requests that every nanosecond counts for. What was shown means nothing until this returns
    /// without error.
    #[inline(always)]
    pub fn decode_with(
        kind: HeaderKind,
        bytes: &'a [u8],
        visitor: &mut impl FieldVisitor<'a>,
    ) -> Result<Self, HeaderError> {
        match kind {
            HeaderKind::Json => json::decode(bytes, visitor),
            HeaderKind::Binary => binary::decode(bytes, visitor),
        }
    }

    #[inline(always)]
    fn empty(kind: HeaderKind, bytes: &'a [u8]) -> Self {
        Self {
            code: 0,
            language: Language::Java,
            version: 0,
            opaque: 0,
            flag: 0,
            remark: None,
            ext: Ext::absent(kind, bytes),
            kind,
        }
    }

    /// Whether this answers a request of ours.
    pub fn is_response(&self) -> bool {
        self.flag & FLAG_RESPONSE != 0
    }

    /// Whether the sender wants no answer.
    pub fn is_oneway(&self) -> bool {
        self.flag & FLAG_ONEWAY != 0
    }
}

/// Sees custom fields while their header is being decoded.
pub trait FieldVisitor<'a> {
    /// A field, in the order of the header; one may be shown twice. `code` is what was read so far:
    /// all known peers put it first. Mark it `#[inline(always)]`, or the gain is lost.
    fn field(&mut self, code: i32, name: Text<'a>, value: Text<'a>);
}

struct NoVisitor;

impl FieldVisitor<'_> for NoVisitor {
    #[inline(always)]
    fn field(&mut self, _: i32, _: Text<'_>, _: Text<'_>) {}
}

/// The fixed fields of a header to be written. Custom fields are written by a closure, straight
/// into the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// Request or response code.
    pub code: i32,
    /// What the sender says it is written in. The constructors say Java, the one name that every
    /// peer knows; a client that prefers the truth sets [`Language::Rust`], known from 4.9 on.
    pub language: Language,
    /// Our version ordinal.
    pub version: i32,
    /// Identifies the request.
    pub opaque: i32,
    /// [`FLAG_RESPONSE`] and [`FLAG_ONEWAY`].
    pub flag: i32,
    /// Status or error text.
    pub remark: Option<&'a str>,
}

impl<'a> Head<'a> {
    /// A two-way request.
    pub fn request(code: i32, opaque: i32) -> Self {
        let (language, version) = (Language::Java, version::OURS);
        Self {
            code,
            language,
            version,
            opaque,
            flag: 0,
            remark: None,
        }
    }

    /// A request that wants no answer.
    pub fn oneway(code: i32, opaque: i32) -> Self {
        Self {
            flag: FLAG_ONEWAY,
            ..Self::request(code, opaque)
        }
    }

    /// The response with `code` to request `opaque`.
    pub fn response(code: i32, opaque: i32) -> Self {
        Self {
            flag: FLAG_RESPONSE,
            ..Self::request(code, opaque)
        }
    }

    /// The same with a remark.
    pub fn with_remark(self, remark: &'a str) -> Self {
        Self {
            remark: Some(remark),
            ..self
        }
    }

    /// Appends prefix and header of a frame to `out`; a body of `body_len` bytes must follow, in
    /// `out` or in a gather write. `ext` puts the custom fields; if it puts none, the header has
    /// none (unless it calls [`ExtWriter::open`]).
    ///
    /// On error `out` is as it was.
    pub fn encode(
        &self,
        kind: HeaderKind,
        out: &mut Vec<u8>,
        body_len: usize,
        ext: impl FnOnce(&mut ExtWriter<'_>),
    ) -> Result<(), FrameError> {
        let at = frame::start(out);
        self.encode_header(kind, out, ext);
        frame::finish(out, at, kind, body_len)
    }

    /// Appends the whole frame, body included.
    pub fn encode_frame(
        &self,
        kind: HeaderKind,
        out: &mut Vec<u8>,
        body: &[u8],
        ext: impl FnOnce(&mut ExtWriter<'_>),
    ) -> Result<(), FrameError> {
        self.encode(kind, out, body.len(), ext)?;
        out.extend_from_slice(body);
        Ok(())
    }

    /// Appends the header alone, without the frame's prefix.
    pub fn encode_header(
        &self,
        kind: HeaderKind,
        out: &mut Vec<u8>,
        ext: impl FnOnce(&mut ExtWriter<'_>),
    ) {
        match kind {
            HeaderKind::Json => json::encode(self, out, ext),
            HeaderKind::Binary => binary::encode(self, out, ext),
        }
    }
}

/// Why bytes are no header. The request has no number to answer to: close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Ends in the middle.
    #[error("the header ends in the middle of {0}: close the connection")]
    Truncated(&'static str),
    /// JSON with something else than expected.
    #[error("the JSON header lacks {expected} at byte {at}: close the connection")]
    Syntax {
        /// What should have been there.
        expected: &'static str,
        /// Position in the header.
        at: usize,
    },
    /// JSON that is not UTF-8.
    #[error("the JSON header is not UTF-8 from byte {at}: close the connection")]
    NotUtf8 {
        /// Position in the header.
        at: usize,
    },
    /// JSON nested deeper than [`JSON_DEPTH_MAX`](crate::limits::JSON_DEPTH_MAX).
    #[error("the JSON header nests too deeply at byte {at}: close the connection")]
    TooDeep {
        /// Position in the header.
        at: usize,
    },
    /// A fixed field that is not a 32-bit number.
    #[error("header field {0} is no 32-bit number: close the connection")]
    Number(&'static str),
    /// A length of a binary header that is negative or goes beyond its end.
    #[error("the length of {0} does not fit the header: close the connection")]
    Length(&'static str),
}
