//! `ringmq-bench`: how fast, and how evenly, a server of the protocol takes and gives messages.
//!
//! The same driver measures RingMQ, Apache RocketMQ and the *null broker* (a server that splits real
//! frames, writes the bytes durably and answers a constant: the ceiling of the machine). README.md
//! says what is measured, from where to where.
#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    eprintln!("ringmq-bench drives sockets through epoll: it runs on Linux");
    std::process::ExitCode::FAILURE
}
