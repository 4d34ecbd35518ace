//! The answer to a stored message, prepared: what is the same for all messages of a broker is encoded
//! once, and only numbers and ids are put in for each.

use std::cell::Cell;
use std::net::SocketAddr;

use crate::frame::{self, FrameError, HeaderKind};
use crate::header::{ExtValue, Head, put_decimal, put_digits, put_json_escaped};
use crate::message_id::{OffsetId, hex_of};

/// What differs from answer to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt<'a> {
    /// The request's number.
    pub opaque: i32,
    /// Queue the message went to.
    pub queue_id: u32,
    /// Its offset there.
    pub queue_offset: u64,
    /// Its offset in the log, of which the message id is made.
    pub physical_offset: i64,
    /// The unique key, which clients call the transaction id; left out when empty.
    pub unique_key: &'a str,
}

/// Writes the answers of one broker: for every receipt the very bytes that [`Head::encode`] makes of the
/// fields of [`SendResponse`](super::send::SendResponse).
#[derive(Clone, Debug)]
pub struct Receipts {
    json: Pieces,
    /// What a JSON header has behind its opaque.
    json_end: Vec<u8>,
    binary: Pieces,
}

/// A header cut where the values of a receipt stand; each piece ends in front of the value of its name.
#[derive(Clone, Debug)]
struct Pieces {
    message_id: Vec<u8>,
    queue_id: Vec<u8>,
    queue_offset: Vec<u8>,
    unique_key: Vec<u8>,
    /// What is behind the last of them.
    rest: Vec<u8>,
}

/// Hex digits of the physical offset at the end of a message id.
const OFFSET_DIGITS: usize = 16;
/// Where the opaque stands in a binary header.
const BINARY_OPAQUE_AT: usize = 5;
/// Where the length of all fields stands in a binary header without a remark.
const BINARY_FIELDS_AT: usize = 17;
/// Bytes of the length in front of a binary value.
const LENGTH_BYTES: usize = 4;

impl Receipts {
    /// Prepares the answers of the broker at `host`. `head` is that of a response with code 0 and no
    /// remark; its opaque is not used.
    pub fn new(head: &Head<'_>, host: SocketAddr, region: &str, trace_on: bool) -> Self {
        let id = OffsetId { host, offset: 0 }.to_hex();
        let id = &id.as_str()[..id.as_str().len() - OFFSET_DIGITS];
        let head = Head { opaque: 0, ..*head };
        let mut json = Pieces::new(HeaderKind::Json, &head, id, region, trace_on);
        let mut binary = Pieces::new(HeaderKind::Binary, &head, id, region, trace_on);
        let json_end = json.cut_at_opaque();
        let id_at = binary.message_id.len() - id.len();
        put_length(&mut binary.message_id, id_at, id.len() + OFFSET_DIGITS);
        Self {
            json,
            json_end,
            binary,
        }
    }

    /// Appends a whole answer. On error `out` is as it was.
    pub fn encode(
        &self,
        kind: HeaderKind,
        receipt: &Receipt<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), FrameError> {
        let at = frame::start(out);
        match kind {
            HeaderKind::Json => self.put_json(receipt, out),
            HeaderKind::Binary => self.put_binary(receipt, out),
        }
        frame::finish(out, at, kind, 0)
    }

    fn put_json(&self, receipt: &Receipt<'_>, out: &mut Vec<u8>) {
        let pieces = &self.json;
        out.extend_from_slice(&pieces.message_id);
        out.extend_from_slice(&hex_of(receipt.physical_offset));
        out.extend_from_slice(&pieces.queue_id);
        put_digits(out, u64::from(receipt.queue_id));
        out.extend_from_slice(&pieces.queue_offset);
        put_digits(out, receipt.queue_offset);
        if !receipt.unique_key.is_empty() {
            out.extend_from_slice(&pieces.unique_key);
            put_json_escaped(out, receipt.unique_key);
        }
        out.extend_from_slice(&pieces.rest);
        put_decimal(out, i64::from(receipt.opaque));
        out.extend_from_slice(&self.json_end);
    }

    fn put_binary(&self, receipt: &Receipt<'_>, out: &mut Vec<u8>) {
        let (pieces, header_at) = (&self.binary, out.len());
        out.extend_from_slice(&pieces.message_id);
        let opaque_at = header_at + BINARY_OPAQUE_AT;
        out[opaque_at..opaque_at + 4].copy_from_slice(&receipt.opaque.to_be_bytes());
        out.extend_from_slice(&hex_of(receipt.physical_offset));
        out.extend_from_slice(&pieces.queue_id);
        with_length(out, |out| put_digits(out, u64::from(receipt.queue_id)));
        out.extend_from_slice(&pieces.queue_offset);
        with_length(out, |out| put_digits(out, receipt.queue_offset));
        if !receipt.unique_key.is_empty() {
            out.extend_from_slice(&pieces.unique_key);
            with_length(out, |out| {
                out.extend_from_slice(receipt.unique_key.as_bytes());
            });
        }
        out.extend_from_slice(&pieces.rest);
        let fields_at = header_at + BINARY_FIELDS_AT + LENGTH_BYTES;
        let fields = out.len() - fields_at;
        put_length(out, fields_at, fields);
    }
}

impl Pieces {
    /// Has the general encoder write a header without the values, and cuts it where they belong.
    fn new(kind: HeaderKind, head: &Head<'_>, id: &str, region: &str, trace_on: bool) -> Self {
        let cuts = [const { Cell::new(0) }; 4];
        let [message_id, queue_id, queue_offset, unique_key] = &cuts;
        let mut whole = Vec::new();
        head.encode_header(kind, &mut whole, |ext| {
            ext.put("msgId", Place(id, message_id));
            ext.put("queueId", Place("", queue_id));
            ext.put("queueOffset", Place("", queue_offset));
            ext.put("transactionId", Place("", unique_key));
            ext.put("MSG_REGION", region);
            ext.put("TRACE_ON", trace_on);
        });
        let [message_id, queue_id, queue_offset, unique_key] = cuts.map(Cell::into_inner);
        Self {
            message_id: whole[..message_id].to_vec(),
            queue_id: whole[message_id..queue_id].to_vec(),
            queue_offset: whole[queue_id..queue_offset].to_vec(),
            unique_key: whole[queue_offset..unique_key].to_vec(),
            rest: whole[unique_key..].to_vec(),
        }
    }

    /// Takes off what stands behind the opaque of a JSON header, and the opaque. Inside of values quotes
    /// are escaped, so the name is found nowhere else.
    fn cut_at_opaque(&mut self) -> Vec<u8> {
        const NAME: &[u8] = b"\"opaque\":";
        let mut windows = self.rest.windows(NAME.len());
        let at = windows.position(|window| window == NAME);
        let end = at.map_or(self.rest.len(), |at| at + NAME.len());
        let mut behind = self.rest.split_off(end);
        if !behind.is_empty() {
            behind.remove(0);
        }
        behind
    }
}

/// A value that is put in later: writes the text in front of it and notes where it belongs.
struct Place<'a>(&'a str, &'a Cell<usize>);

impl ExtValue for Place<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_bytes());
        self.1.set(out.len());
    }
}

/// Appends a value, and fills in the length with which the piece before it ends.
fn with_length(out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    put(out);
    let length = out.len() - at;
    put_length(out, at, length);
}

/// Fills in the length of what begins at `at`.
fn put_length(out: &mut [u8], at: usize, length: usize) {
    out[at - LENGTH_BYTES..at].copy_from_slice(&(length as u32).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::{Language, version};

    const HEAD: Head<'_> = Head {
        code: 0,
        language: Language::Rust,
        version: version::V5_5_0,
        opaque: 77,
        flag: crate::header::FLAG_RESPONSE,
        remark: None,
    };

    fn general(kind: HeaderKind, host: SocketAddr, region: &str, receipt: &Receipt<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        let head = Head {
            opaque: receipt.opaque,
            ..HEAD
        };
        let offset = receipt.physical_offset;
        head.encode(kind, &mut out, 0, |ext| {
            ext.put("msgId", OffsetId { host, offset }.to_hex().as_str());
            ext.put("queueId", receipt.queue_id);
            ext.put("queueOffset", receipt.queue_offset);
            if !receipt.unique_key.is_empty() {
                ext.put("transactionId", receipt.unique_key);
            }
            ext.put("MSG_REGION", region);
            ext.put("TRACE_ON", true);
        })
        .unwrap();
        out
    }

    #[test]
    fn a_receipt_is_what_the_general_encoder_writes() {
        let keys = [
            "",
            "C0000202097E00000000063807B40002",
            "odd \"key\"\n\u{e4}",
        ];
        let numbers = [0, 9, 10, 1_234_567, i64::from(u32::MAX), i64::MAX];
        for host in ["127.0.0.1:10911", "[2001:db8::7]:20911"] {
            let host = host.parse().unwrap();
            for region in ["DefaultRegion", "", "\"opaque\":0\\"] {
                let receipts = Receipts::new(&HEAD, host, region, true);
                for number in numbers {
                    for unique_key in keys {
                        let receipt = Receipt {
                            opaque: number as i32,
                            queue_id: number as u32,
                            queue_offset: number as u64,
                            physical_offset: number,
                            unique_key,
                        };
                        for kind in [HeaderKind::Json, HeaderKind::Binary] {
                            let mut out = vec![7; 3];
                            receipts.encode(kind, &receipt, &mut out).unwrap();
                            let expected = general(kind, host, region, &receipt);
                            assert_eq!(out[3..], expected, "{kind:?} {receipt:?}");
                        }
                    }
                }
            }
        }
    }
}
