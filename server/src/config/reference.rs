//! The table of settings as a page for operators, `docs/configuration.md`.

use std::fmt::Write as _;

use super::apache_keys;
use super::keys::{self, Key};
use super::values::allowed;

const HEAD: &str = "# Configuration reference

Written by `ringmq config` from the table that the program itself goes by; a test keeps it current.

Settings stand in a file of `key=value` lines, `broker.conf` or `namesrv.conf` (`-c FILE`), under Apache
RocketMQ's names; names that begin with `ringmq.` are ours. A flag wins over the file, the file over the environment
(`NAMESRV_ADDR`), that over the default. `ringmq broker -p` prints what holds.

* **live**: can be changed while the process runs (`ringmq-admin updateBrokerConfig`,
  `updateNamesrvConfig`, or mqadmin's): it counts at once, and the file is rewritten durably.
* **start**: read at the start; a change of the running process is refused by name.
* **fixed**: shown because tools ask for it; files may name it, nothing changes it.
";

/// The page.
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    table(&mut page, "Broker", keys::BROKER);
    table(&mut page, "Name server", keys::NAME_SERVER);
    page.push_str(
        "\n## Apache's settings without effect\n\nFiles that have them are taken, and each is named once at the start.\n",
    );
    list(&mut page, "Broker", apache_keys::BROKER);
    list(&mut page, "Name server", apache_keys::NAME_SERVER);
    page
}

fn table(page: &mut String, title: &str, keys: &[Key]) {
    // Writing to a string cannot fail.
    let _ = write!(
        page,
        "\n## {title}\n\n| key | default | change | meaning | allowed | in Apache RocketMQ |\n|---|---|---|---|---|---|\n"
    );
    for key in keys {
        let change = match (key.is_live, key.is_fixed) {
            (true, _) => "live",
            (_, true) => "fixed",
            _ => "start",
        };
        let alias = key
            .alias
            .map_or_else(String::new, |alias| format!(", `{alias}`"));
        let default = match key.default {
            "" => "(see meaning)".to_owned(),
            default => format!("`{default}`"),
        };
        let allowed = match key.is_fixed {
            true => String::new(),
            false => allowed(key.kind)
                .replace(" is allowed", "")
                .replace(" are allowed", ""),
        };
        let apache = match key.apache {
            Some(apache) => apache,
            None if key.is_fixed => "a setting",
            None if key.name.starts_with("ringmq.") => "not there",
            None => "the same",
        };
        let _ = writeln!(
            page,
            "| `{}`{alias} | {default} | {change} | {} | {allowed} | {apache} |",
            key.name, key.meaning
        );
    }
}

fn list(page: &mut String, title: &str, names: &[&str]) {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    let _ = write!(page, "\n{title}: {}.\n", names.join(", "));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_for_operators_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            page == markdown(),
            "docs/configuration.md is not current: write it with `cargo run -q -p ringmq-server -- config > docs/configuration.md`"
        );
    }

    #[test]
    fn no_cell_breaks_the_table() {
        for line in markdown().lines().filter(|line| line.starts_with('|')) {
            assert_eq!(line.matches('|').count(), 7, "{line}");
        }
    }
}
