//! Start of a shard: from the bytes on the disk to everything its memory must hold.

mod recovered;

pub use recovered::{
    Damage, DamageKind, LogHead, Recovered, RecoveredSegment, RecoveryReport, ShardState, TornTail,
};
