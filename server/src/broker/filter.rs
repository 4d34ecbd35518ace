//! TAG subscription expressions (semantics page 8.1): `*`, or tags joined by `||`.

use ringmq_protocol::tags::tags_code;

use crate::limits::{EXPRESSION_BYTES_MAX, EXPRESSION_TAGS_MAX};

/// A parsed expression. The broker tests the hash codes on index entries; clients compare the tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagExpression {
    /// Sorted and unique; `None` lets every message through.
    tags: Option<Vec<String>>,
}

/// Why an expression is refused (23).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// A bound of `limits.rs`.
    #[error(
        "the subscription expression is longer than {EXPRESSION_BYTES_MAX} bytes or has more than {EXPRESSION_TAGS_MAX} tags"
    )]
    TooLong,
}

impl TagExpression {
    /// Lets every message through.
    pub fn all() -> Self {
        Self { tags: None }
    }

    /// Parses as `FilterAPI.buildSubscriptionData` does: absent, empty and `*` mean all. One that
    /// holds separators only has no tag and so matches nothing.
    pub fn parse(expression: Option<&str>) -> Result<Self, FilterError> {
        let expression = expression.unwrap_or("");
        if expression.is_empty() || expression == "*" {
            return Ok(Self::all());
        }
        if expression.len() > EXPRESSION_BYTES_MAX {
            return Err(FilterError::TooLong);
        }
        let mut tags: Vec<String> = expression
            .split("||")
            .map(str::trim)
            .filter(|tag| !tag.is_empty())
            .map(str::to_owned)
            .collect();
        if tags.len() > EXPRESSION_TAGS_MAX {
            return Err(FilterError::TooLong);
        }
        tags.sort_unstable();
        tags.dedup();
        Ok(Self { tags: Some(tags) })
    }

    /// The tags, sorted; `None` when every message passes.
    pub fn tags(&self) -> Option<&[String]> {
        self.tags.as_deref()
    }

    /// The tags' hash codes as index entries hold them, sorted; `None` when every message passes.
    pub fn codes(&self) -> Option<Vec<i64>> {
        let tags = self.tags.as_ref()?;
        let mut codes: Vec<i64> = tags.iter().map(|tag| tags_code(tag.as_bytes())).collect();
        codes.sort_unstable();
        codes.dedup();
        Some(codes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(expression: &str) -> Option<Vec<String>> {
        let parsed = TagExpression::parse(Some(expression)).unwrap();
        parsed.tags().map(<[String]>::to_vec)
    }

    #[test]
    fn star_empty_and_absent_mean_all() {
        assert_eq!(TagExpression::parse(None), Ok(TagExpression::all()));
        assert_eq!(tags("*"), None);
        assert_eq!(tags(""), None);
    }

    #[test]
    fn tags_are_split_trimmed_and_hashed_like_java() {
        assert_eq!(
            tags(" TagB||TagA || TagB"),
            Some(vec!["TagA".to_owned(), "TagB".to_owned()])
        );
        let parsed = TagExpression::parse(Some("TagA || TagB")).unwrap();
        assert_eq!(parsed.codes(), Some(vec![2_598_919, 2_598_920]));
    }

    #[test]
    fn separators_only_match_nothing() {
        assert_eq!(tags("|| ||"), Some(Vec::new()));
    }

    #[test]
    fn an_expression_beyond_the_bounds_is_refused() {
        assert_eq!(
            TagExpression::parse(Some(&"a||".repeat(5000))),
            Err(FilterError::TooLong)
        );
        assert_eq!(
            TagExpression::parse(Some(&"a".repeat(70_000))),
            Err(FilterError::TooLong)
        );
    }
}
