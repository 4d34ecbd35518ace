//! Where `unsafe` and `async` may stand.

use super::sources::Source;

/// The only folder that may hold `unsafe`.
const UNSAFE: &str = "engine/ring/";
/// Where `async` may stand: the control plane, the traits and worlds it runs on, and what runs
/// anywhere tokio does.
const ASYNC: &[&str] = &[
    "engine/src/control/",
    "engine/fuzz/",
    "server/fuzz/",
    "engine/ring/src/disk.rs",
    "engine/ring/src/blocking.rs",
    "engine/ring/src/sim/",
    "engine/src/recovery",
    "engine/src/store.rs",
    "engine/src/index/builder.rs",
    "engine/src/index/rebuild.rs",
    "server/src/control/",
    "client/src/",
    "tools/src/",
    "bench/src/",
    "ci/src/tidy/",
];

/// Faults of all Rust sources.
pub fn check(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources.iter().filter(|source| source.is_rust()) {
        let in_ring = source.path.starts_with(UNSAFE);
        if is_crate_root(&source.path)
            && !in_ring
            && !source.text.contains("#![forbid(unsafe_code)]")
        {
            faults.push(format!(
                "{}: a crate root must say `#![forbid(unsafe_code)]`",
                source.path
            ));
        }
        let test = source.path.contains("/tests/")
            || source.path.contains("/examples/")
            || source.path.ends_with("/tests.rs");
        let async_allowed = test || ASYNC.iter().any(|place| source.path.starts_with(place));
        for (number, line) in code_lines(&source.text) {
            if !in_ring && has_word(line, "unsafe") && !source.path.starts_with("ci/src/tidy/") {
                faults.push(format!(
                    "{}:{number}: `unsafe` stands outside {UNSAFE}",
                    source.path
                ));
            }
            if !async_allowed && (has_word(line, "async") || line.contains(".await")) {
                faults.push(format!(
                    "{}:{number}: `async` stands outside the control plane",
                    source.path
                ));
            }
        }
    }
    faults
}

/// A library, binary, test or benchmark of its own; fuzz targets use a macro that holds `unsafe`.
fn is_crate_root(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    let folder = path.rsplit('/').nth(1).unwrap_or_default();
    (folder == "src" && matches!(file, "lib.rs" | "main.rs"))
        || path.ends_with("tests/it/main.rs")
        || (folder == "tests" && !path.contains("/src/"))
}

/// Lines without comments, attributes and (roughly) strings, with their numbers.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().filter_map(|(index, line)| {
        let code = line.split("//").next().unwrap_or_default();
        let code = code.split('"').next().unwrap_or_default();
        let code = code.trim_start();
        (!code.is_empty() && !code.starts_with('#')).then_some((index + 1, code))
    })
}

fn has_word(line: &str, word: &str) -> bool {
    let boundary = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
    line.match_indices(word).any(|(at, _)| {
        boundary(line[..at].chars().next_back()) && boundary(line[at + word.len()..].chars().next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(path: &str, text: &str) -> usize {
        check(&[Source {
            path: path.into(),
            text: text.into(),
        }])
        .len()
    }

    #[test]
    fn unsafe_is_found_outside_the_ring_only() {
        assert_eq!(
            faults("engine/src/shard.rs", "fn f() { unsafe { g() } }"),
            1
        );
        assert_eq!(faults("engine/ring/src/uring.rs", "unsafe { g() }"), 0);
        assert_eq!(
            faults(
                "engine/src/shard.rs",
                "// no unsafe here\nlet not_unsafe_at_all = 1;"
            ),
            0
        );
    }

    #[test]
    fn async_is_found_on_the_data_plane_only() {
        assert_eq!(faults("engine/src/shard.rs", "async fn f() {}"), 1);
        assert_eq!(faults("server/src/connection.rs", "f().await;"), 1);
        assert_eq!(faults("engine/src/control/mod.rs", "async fn f() {}"), 0);
    }

    #[test]
    fn a_crate_root_must_forbid_unsafe() {
        assert_eq!(faults("server/src/lib.rs", "//! x\n"), 1);
        assert_eq!(faults("server/src/lib.rs", "#![forbid(unsafe_code)]\n"), 0);
    }
}
