//! The most similar of some words.

/// The candidate with the fewest changed letters; the first of equals.
pub fn nearest(word: &str, candidates: impl Iterator<Item = &'static str>) -> &'static str {
    let word: Vec<char> = word
        .chars()
        .take(100)
        .flat_map(char::to_lowercase)
        .collect();
    candidates
        .min_by_key(|candidate| distance(&word, candidate))
        .unwrap_or("")
}

/// Letters to insert, remove or replace, upper and lower case being equal.
fn distance(word: &[char], candidate: &str) -> usize {
    let mut row: Vec<usize> = (0..=word.len()).collect();
    for (line, letter) in candidate.chars().flat_map(char::to_lowercase).enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, other) in word.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[word.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_changed_letters() {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        assert_eq!(distance(&chars("kitten"), "sitting"), 3);
        assert_eq!(distance(&chars(""), "abc"), 3);
        assert_eq!(distance(&chars("abc"), ""), 3);
        assert_eq!(distance(&chars("same"), "SAME"), 0);
    }

    #[test]
    fn a_slip_of_the_finger_finds_its_word() {
        let words = ["brokerName", "brokerIP1", "listenPort"];
        assert_eq!(nearest("brokerNmae", words.into_iter()), "brokerName");
        assert_eq!(nearest("brokerip", words.into_iter()), "brokerIP1");
    }
}
