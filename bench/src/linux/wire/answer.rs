//! An answer, read as far as a measurement needs it.

use memchr::memmem;
use ringmq_protocol::frame::{Frame, HeaderKind};
use ringmq_protocol::header::Header;

use crate::linux::error::{BenchError, Result};

/// One response frame.
pub struct Answer<'a> {
    /// The number of the request.
    pub opaque: u32,
    /// Whether the response code is 0.
    pub ok: bool,
    /// The frame, for those who need more.
    pub frame: Frame<'a>,
}

impl<'a> Answer<'a> {
    /// Reads number and code; by their place where the header is written as all known servers write
    /// it, by decoding it otherwise.
    pub fn read(frame: Frame<'a>) -> Result<Self> {
        if let Some((opaque, ok)) = by_place(&frame) {
            return Ok(Self { opaque, ok, frame });
        }
        let header = Header::decode(frame.kind, frame.header)
            .map_err(|error| BenchError::Malformed(error.to_string()))?;
        Ok(Self {
            opaque: header.opaque as u32,
            ok: header.code == 0,
            frame,
        })
    }

    /// The code and remark of an answer that is an error.
    pub fn error(&self) -> String {
        Header::decode(self.frame.kind, self.frame.header).map_or_else(
            |error| error.to_string(),
            |header| {
                let remark = header.remark.map(|text| text.to_cow().into_owned());
                format!("code {}: {}", header.code, remark.unwrap_or_default())
            },
        )
    }
}

fn by_place(frame: &Frame<'_>) -> Option<(u32, bool)> {
    const OPAQUE: &[u8] = b"\"opaque\":";
    if frame.kind != HeaderKind::Json {
        return None;
    }
    let ok = frame.header.starts_with(b"{\"code\":0,");
    let at = memmem::find(frame.header, OPAQUE)? + OPAQUE.len();
    let digits = frame.header[at..]
        .iter()
        .skip_while(|byte| **byte == b' ')
        .take_while(|byte| byte.is_ascii_digit());
    let opaque = digits.fold(0u32, |value, digit| {
        value.wrapping_mul(10).wrapping_add(u32::from(digit - b'0'))
    });
    Some((opaque, ok))
}
