//! RocketMQ's remoting protocol as a pure codec: frames, headers, commands, stored records
#![forbid(unsafe_code)]
