//! Wall time as log lines show it.

use std::fmt::{self, Display};
use std::time::{SystemTime, UNIX_EPOCH};

/// A time in UTC: `2026-02-28T23:59:59.123Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Utc(pub SystemTime);

impl Display for Utc {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.0.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (seconds, ms) = (since.as_secs(), since.subsec_millis());
        let (year, month, day) = date(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        write!(
            out,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z"
        )
    }
}

/// The date of a day counted from 1970-01-01, in the Gregorian calendar: counted within eras of 400
/// years that begin on 1 March, so that a leap day is the last of its year.
fn date(day: u64) -> (u64, u64, u64) {
    let day = day + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_shown_as_dates() {
        let shown = |ms| Utc(UNIX_EPOCH + Duration::from_millis(ms)).to_string();
        assert_eq!(shown(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(shown(951_782_400_007), "2000-02-29T00:00:00.007Z");
        assert_eq!(shown(1_772_323_199_123), "2026-02-28T23:59:59.123Z");
        assert_eq!(shown(1_772_323_200_000), "2026-03-01T00:00:00.000Z");
    }
}
