//! Names of index files: the local time at which they were made, `yyyyMMddHHmmssSSS`.

/// Digits of a name.
const DIGITS: usize = 17;
const MS_PER_SECOND: i64 = 1000;
const MS_PER_DAY: i64 = 24 * 60 * 60 * MS_PER_SECOND;

/// The name for a time, as a clock `utc_offset` seconds east of Greenwich shows it.
pub(super) fn file_name(wall_ms: i64, utc_offset: i32) -> String {
    let local = wall_ms.saturating_add(i64::from(utc_offset).saturating_mul(MS_PER_SECOND));
    let (year, month, day) = civil(local.div_euclid(MS_PER_DAY));
    let ms = local.rem_euclid(MS_PER_DAY);
    let (seconds, ms) = (ms / MS_PER_SECOND, ms % MS_PER_SECOND);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}{ms:03}")
}

/// Whether a file of this name is one of ours.
pub(super) fn is_file_name(name: &str) -> bool {
    name.len() == DIGITS && name.bytes().all(|byte| byte.is_ascii_digit())
}

/// A name that sorts behind `last`, which the clock may have stepped behind; that order is the order of the files.
pub(super) fn after(name: String, last: Option<&str>) -> String {
    match last {
        Some(last) if *name <= *last => {
            let next = last.parse::<u64>().map_or(u64::MAX, |last| last.saturating_add(1));
            format!("{next:0DIGITS$}")
        }
        _ => name,
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the calendar of today.
#[allow(clippy::arithmetic_side_effects, reason = "a day count is a 64-bit number of milliseconds divided by a day")]
fn civil(day: i64) -> (i64, i64, i64) {
    // Count from 0000-03-01: leap days then end their year, and the months' lengths follow one pattern.
    let day = day + 719_468;
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * from_march + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_local_time() {
        for (ms, offset, name) in [
            (0, 0, "19700101000000000"),
            (1_700_000_000_123, 0, "20231114221320123"),
            (1_700_000_000_123, 8 * 3600, "20231115061320123"),
            (1_709_164_800_000, 0, "20240229000000000"),
            (1_709_164_799_999, 0, "20240228235959999"),
            (951_782_400_000, -3600, "20000228230000000"),
            (4_107_542_400_000, 0, "21000301000000000"),
            (-1, 0, "19691231235959999"),
        ] {
            assert_eq!(file_name(ms, offset), name);
            assert!(is_file_name(name));
        }
        assert!(!is_file_name("2023111422132000x"));
        assert!(!is_file_name("20231114221320000.bak"));
    }

    #[test]
    fn a_name_sorts_behind_the_last_one_even_when_the_clock_steps_back() {
        let last = "20231114221320123";
        assert_eq!(after("20231114221319000".into(), Some(last)), "20231114221320124");
        assert_eq!(after(last.into(), Some(last)), "20231114221320124");
        assert_eq!(after("20231114221321000".into(), Some(last)), "20231114221321000");
    }
}
