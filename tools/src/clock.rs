//! Times as operators write and read them: in the machine's own time zone.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// `2026-11-20 07:29:02.123`, or `-` for no time.
pub fn show(time_ms: i64) -> String {
    match Timestamp::from_millisecond(time_ms) {
        Ok(time) if time_ms > 0 => zoned(time).strftime("%Y-%m-%d %H:%M:%S%.3f").to_string(),
        _ => "-".to_owned(),
    }
}

fn zoned(time: Timestamp) -> Zoned {
    time.to_zoned(TimeZone::system())
}

/// Milliseconds since 1970 of now.
pub fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// Reads `now`, milliseconds since 1970, or a local time as `yyyy-MM-dd#HH:mm:ss:SSS` (mqadmin's
/// form), `yyyy-MM-dd HH:mm:ss[.SSS]` or `yyyy-MM-dd`.
pub fn parse(text: &str) -> Result<i64, String> {
    if text.eq_ignore_ascii_case("now") || text.eq_ignore_ascii_case("currentTimeMillis") {
        return Ok(now_ms());
    }
    if let Ok(time_ms) = text.parse() {
        return Ok(time_ms);
    }
    let local = match text.split_once('#') {
        Some((date, time)) => match time.rmatch_indices(':').next() {
            Some((place, _)) if time.matches(':').count() == 3 => {
                format!("{date}T{}.{}", &time[..place], &time[place + 1..])
            }
            _ => format!("{date}T{time}"),
        },
        None => text.trim().replace(' ', "T"),
    };
    let civil: Result<DateTime, _> = local.parse();
    let zoned = civil.and_then(|civil| civil.to_zoned(TimeZone::system()));
    zoned
        .map(|zoned| zoned.timestamp().as_millisecond())
        .map_err(|_| {
            "write `now`, milliseconds since 1970, or a local time as yyyy-MM-dd#HH:mm:ss:SSS"
                .to_owned()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_of_one_time_mean_the_same() {
        let time_ms = parse("2026-11-20#07:29:02:123").expect("a time");
        assert_eq!(parse("2026-11-20 07:29:02.123"), Ok(time_ms));
        assert_eq!(parse(&time_ms.to_string()), Ok(time_ms));
        assert_eq!(parse("2026-11-20#07:29:02"), Ok(time_ms - 123));
        assert_eq!(show(time_ms), "2026-11-20 07:29:02.123");
        assert!(parse("2026-11-20").is_ok_and(|day| day <= time_ms));
    }

    #[test]
    fn what_is_no_time_says_how_to_write_one() {
        for wrong in ["yesterday", "2026-13-01", "", "#"] {
            assert!(
                parse(wrong).is_err_and(|hint| hint.contains("yyyy-MM-dd")),
                "{wrong}"
            );
        }
        assert_eq!(show(0), "-");
    }
}
