//! The checksum of a record.

use ringmq_protocol::RecordView;
use ringmq_ring::planted::{self, planted};

/// CRC32C over every byte of a record: in the block's list and in the index alike.
pub(crate) fn record_crc(record: &[u8]) -> u32 {
    if planted(planted::CHECKSUM_WITHOUT_PROPERTIES) {
        return crc32c::crc32c(without_properties(record));
    }
    // The same polynomial as everywhere; for records of a kilobyte this crate takes a quarter of the time.
    crc_fast::crc32_iscsi(record)
}

fn without_properties(record: &[u8]) -> &[u8] {
    let properties = RecordView::parse(record).map_or(0, |view| view.properties().as_bytes().len());
    &record[..record.len() - properties]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_any_length_has_the_crc32c_that_the_format_names() {
        let bytes: Vec<u8> = (0..5000u32).map(|n| ((n * n) >> 3) as u8).collect();
        for len in (0..1500).chain([2048, 4095, 4096, 5000]) {
            let record = &bytes[..len];
            assert_eq!(record_crc(record), crc32c::crc32c(record), "{len} bytes");
        }
    }
}
