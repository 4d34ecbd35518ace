//! The checksum of a record.

use ringmq_protocol::RecordView;
use ringmq_ring::planted::{self, planted};

/// CRC32C over every byte of a record: in the block's list and in the index alike.
pub(crate) fn record_crc(record: &[u8]) -> u32 {
    if planted(planted::CHECKSUM_WITHOUT_PROPERTIES) {
        return crc32c::crc32c(without_properties(record));
    }
    crc32c::crc32c(record)
}

fn without_properties(record: &[u8]) -> &[u8] {
    let properties = RecordView::parse(record).map_or(0, |view| view.properties().as_bytes().len());
    &record[..record.len() - properties]
}
