//! Every bound of the codec, and how they hang together.

/// Largest frame in bytes including the length word: the default of the reference implementation.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Largest header in bytes: the header length of a frame is a 24-bit number.
pub const HEADER_BYTES_MAX: usize = (1 << 24) - 1;

/// Deepest nesting of objects and arrays that a JSON header may contain in members nobody reads.
pub const JSON_DEPTH_MAX: usize = 32;

/// Largest property string of a record in bytes: its length is a signed 16-bit number.
pub const PROPERTIES_BYTES_MAX: usize = i16::MAX as usize;

/// Longest topic that a V1 record can hold, and that ordinary topics may have.
pub const TOPIC_BYTES_MAX: usize = i8::MAX as usize;

/// Longest derived topic (`%RETRY%group`, `%DLQ%group`, retry topics of POP): stored as V2.
pub const DERIVED_TOPIC_BYTES_MAX: usize = 255;

/// Longest group name.
pub const GROUP_BYTES_MAX: usize = 255;

/// Largest record in bytes: its size is a signed 32-bit number.
pub const RECORD_BYTES_MAX: usize = i32::MAX as usize;

/// Most bytes that a compressed broker registration may inflate to.
pub const INFLATED_BYTES_MAX: usize = 64 * 1024 * 1024;

const _: () = {
    assert!(HEADER_BYTES_MAX < FRAME_BYTES_MAX);
    assert!(TOPIC_BYTES_MAX < DERIVED_TOPIC_BYTES_MAX);
    assert!(PROPERTIES_BYTES_MAX < RECORD_BYTES_MAX);
};
