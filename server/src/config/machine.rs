//! What a setting is when only the machine can tell: its name, the home folder.

use std::path::PathBuf;

/// The host's name as a broker name may be: other characters become `-`. `DEFAULT_BROKER` when there
/// is none, as Apache's.
pub fn host_name() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    broker_name(&name)
}

fn broker_name(host: &str) -> String {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let name: String = host
        .chars()
        .take(100)
        .map(|c| if is_legal(c) { c } else { '-' })
        .collect();
    if name.is_empty() {
        "DEFAULT_BROKER".to_owned()
    } else {
        name
    }
}

/// The user's home folder.
pub fn home_folder() -> Option<PathBuf> {
    std::env::var_os("HOME")
        .filter(|home| !home.is_empty())
        .map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_becomes_a_broker_name() {
        assert_eq!(broker_name("node-1.example.org"), "node-1-example-org");
        assert_eq!(broker_name(""), "DEFAULT_BROKER");
        assert!(!host_name().is_empty());
    }
}
