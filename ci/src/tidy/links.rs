//! Links between pages lead somewhere.

use std::path::Path;

use super::sources::Source;
use crate::root;

/// Relative links of Markdown pages whose target does not exist.
pub fn check(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for page in sources.iter().filter(|source| source.path.ends_with(".md")) {
        let folder = Path::new(&page.path).parent().unwrap_or(Path::new(""));
        for target in targets(&page.text) {
            let file = target.split('#').next().unwrap_or_default();
            let outside = file.is_empty() || file.contains("://") || file.starts_with("mailto:");
            if !outside && !root::repository().join(folder).join(file).exists() {
                faults.push(format!(
                    "{}: the link to `{target}` leads nowhere",
                    page.path
                ));
            }
        }
    }
    faults
}

fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|target| !target.contains(char::is_whitespace))
}
