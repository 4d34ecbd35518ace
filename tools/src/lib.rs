//! ringmq-admin: daily administration and the offline doctor
#![forbid(unsafe_code)]
