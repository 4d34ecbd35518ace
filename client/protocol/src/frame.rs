//! Frames: cutting a byte stream into requests and responses.
//!
//! ```text
//! | total 4 | kind 1 | header length 3 | header | body |      total = 4 + header + body
//! ```
//!
//! A frame that does not fit these rules has no answer: the connection is closed.

/// How the header of a frame is written; each frame says it for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum HeaderKind {
    /// JSON text, the default of all clients.
    #[default]
    Json,
    /// The reference's own binary layout (`ROCKETMQ`).
    Binary,
}

impl HeaderKind {
    /// The kind that a frame's type byte names.
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Json),
            1 => Some(Self::Binary),
            _ => None,
        }
    }

    /// The type byte.
    pub fn byte(self) -> u8 {
        match self {
            Self::Json => 0,
            Self::Binary => 1,
        }
    }
}

/// Bytes before the header: total length, kind and header length.
pub const PREFIX_BYTES: usize = 8;

/// One frame, borrowed from the bytes received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// How `header` is written.
    pub kind: HeaderKind,
    /// The header, still encoded.
    pub header: &'a [u8],
    /// The body; an absent one is empty.
    pub body: &'a [u8],
    /// Bytes the frame takes in the stream, length word included.
    pub total: usize,
}

/// What the front of a stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split<'a> {
    /// Not yet a whole frame: it takes `needed` bytes from its start, as far as is known.
    Incomplete {
        /// Bytes from the start of the frame.
        needed: usize,
    },
    /// A whole frame; the next one starts `total` bytes later.
    Frame(Frame<'a>),
}

/// Cuts the first frame off `bytes`. `limit` is the largest frame accepted, in bytes, length word
/// included ([`FRAME_BYTES_MAX`](crate::limits::FRAME_BYTES_MAX) unless configured); a larger one
/// is an error as soon as its length word is there, so that nobody buffers for it.
pub fn split(bytes: &[u8], limit: usize) -> Result<Split<'_>, FrameError> {
    let Some(total_word) = bytes.first_chunk::<4>() else {
        return Ok(Split::Incomplete {
            needed: PREFIX_BYTES,
        });
    };
    let announced = i32::from_be_bytes(*total_word);
    let after_total = usize::try_from(announced).map_err(|_| FrameError::Total { announced })?;
    if after_total < 4 {
        return Err(FrameError::Total { announced });
    }
    let total = after_total + 4;
    if total > limit {
        return Err(FrameError::TooLarge { total, limit });
    }
    let Some(prefix) = bytes.first_chunk::<PREFIX_BYTES>() else {
        return Ok(Split::Incomplete { needed: total });
    };
    let kind = HeaderKind::from_byte(prefix[4]).ok_or(FrameError::Kind { byte: prefix[4] })?;
    let header_len = u32::from_be_bytes([0, prefix[5], prefix[6], prefix[7]]) as usize;
    let header_end = PREFIX_BYTES + header_len;
    if header_end > total {
        return Err(FrameError::HeaderLength {
            header: header_len,
            total,
        });
    }
    let Some(frame) = bytes.get(..total) else {
        return Ok(Split::Incomplete { needed: total });
    };
    let (header, body) = frame[PREFIX_BYTES..].split_at(header_len);
    Ok(Split::Frame(Frame {
        kind,
        header,
        body,
        total,
    }))
}

/// Starts a frame at the end of `out`: room for the prefix, which [`finish`] fills in once the
/// header behind it is written. Returns where the frame starts.
pub fn start(out: &mut Vec<u8>) -> usize {
    let at = out.len();
    out.extend_from_slice(&[0; PREFIX_BYTES]);
    at
}

/// Fills in the prefix of the frame started at `at`, whose header now ends `out` and whose body of
/// `body_len` bytes the caller puts behind it, in `out` or in a gather write.
///
/// On error `out` is cut back to `at`.
pub fn finish(
    out: &mut Vec<u8>,
    at: usize,
    kind: HeaderKind,
    body_len: usize,
) -> Result<(), FrameError> {
    let header_len = out.len() - at - PREFIX_BYTES;
    let announced = 4 + header_len + body_len;
    let (Ok(total), true) = (i32::try_from(announced), header_len < 1 << 24) else {
        out.truncate(at);
        return Err(FrameError::TooLarge {
            total: announced + 4,
            limit: i32::MAX as usize,
        });
    };
    out[at..at + 4].copy_from_slice(&total.to_be_bytes());
    let [_, high, middle, low] = (header_len as u32).to_be_bytes();
    out[at + 4..at + PREFIX_BYTES].copy_from_slice(&[kind.byte(), high, middle, low]);
    Ok(())
}

/// Why bytes are no frame. The stream cannot be read on: close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Negative or too small to hold even the header's length.
    #[error("frame length {announced} is impossible: close the connection")]
    Total {
        /// The length word.
        announced: i32,
    },
    /// Above the limit.
    #[error(
        "a frame of {total} bytes is beyond the limit of {limit}: send less, or raise the limit"
    )]
    TooLarge {
        /// Size of the frame with its length word.
        total: usize,
        /// Largest size accepted.
        limit: usize,
    },
    /// No such header kind.
    #[error("header kind {byte} is neither JSON (0) nor ROCKETMQ (1): close the connection")]
    Kind {
        /// The type byte.
        byte: u8,
    },
    /// A header longer than its frame.
    #[error("a header of {header} bytes does not fit a frame of {total}: close the connection")]
    HeaderLength {
        /// Length of the header.
        header: usize,
        /// Size of the frame.
        total: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::FRAME_BYTES_MAX;

    fn frame(kind: HeaderKind, header: &[u8], body: &[u8]) -> Vec<u8> {
        let mut out = vec![9; 3];
        let at = start(&mut out);
        out.extend_from_slice(header);
        finish(&mut out, at, kind, body.len()).unwrap();
        out.extend_from_slice(body);
        out.split_off(3)
    }

    #[test]
    fn two_frames_in_one_read_are_cut_apart() {
        let mut stream = frame(HeaderKind::Json, b"{}", b"body");
        let first_len = stream.len();
        stream.extend(frame(HeaderKind::Binary, b"", b""));
        let Split::Frame(first) = split(&stream, FRAME_BYTES_MAX).unwrap() else {
            panic!()
        };
        assert_eq!(
            (first.kind, first.header, first.body),
            (HeaderKind::Json, &b"{}"[..], &b"body"[..])
        );
        assert_eq!(first.total, first_len);
        let Split::Frame(second) = split(&stream[first.total..], FRAME_BYTES_MAX).unwrap() else {
            panic!()
        };
        assert_eq!((second.kind, second.total), (HeaderKind::Binary, 8));
    }

    #[test]
    fn every_cut_of_a_frame_is_incomplete_and_says_how_much_it_needs() {
        let stream = frame(HeaderKind::Json, b"{}", b"body");
        for len in 0..stream.len() {
            let needed = if len < 4 { PREFIX_BYTES } else { stream.len() };
            assert_eq!(
                split(&stream[..len], FRAME_BYTES_MAX),
                Ok(Split::Incomplete { needed })
            );
        }
    }

    #[test]
    fn impossible_prefixes_are_errors_before_the_frame_is_there() {
        fn split(bytes: &[u8]) -> Result<Split<'_>, FrameError> {
            super::split(bytes, 100)
        }
        assert_eq!(split(&[0xFF; 4]), Err(FrameError::Total { announced: -1 }));
        assert_eq!(
            split(&[0, 0, 0, 3]),
            Err(FrameError::Total { announced: 3 })
        );
        assert_eq!(
            split(&[0, 0, 0, 97]),
            Err(FrameError::TooLarge {
                total: 101,
                limit: 100
            })
        );
        assert_eq!(
            split(&[0, 0, 0, 96, 2, 0, 0, 0]),
            Err(FrameError::Kind { byte: 2 })
        );
        assert_eq!(
            split(&[0, 0, 0, 5, 0, 0, 0, 2]),
            Err(FrameError::HeaderLength {
                header: 2,
                total: 9
            })
        );
    }
}
