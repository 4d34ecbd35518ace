//! The known name that looks most like one that is not known.

/// How alike two names must be, from 0 to 1, for one to be suggested for the other.
const ALIKE: f64 = 0.7;

/// The nearest of `known` to `name`, if one is near.
pub fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let lower = name.to_lowercase();
    let likeness =
        |candidate: &str| strsim::normalized_damerau_levenshtein(&lower, &candidate.to_lowercase());
    known
        .into_iter()
        .map(|candidate| (likeness(candidate), candidate))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_hand_are_mended_and_other_names_left_alone() {
        let known = ["TopicTest", "Orders", "%RETRY%orders"];
        assert_eq!(nearest("TopicTset", known), Some("TopicTest"));
        assert_eq!(nearest("order", known), Some("Orders"));
        assert_eq!(nearest("payments", known), None);
    }
}
