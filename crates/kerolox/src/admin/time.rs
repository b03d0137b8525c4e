//! Times as the Java tool prints and reads them: in the zone of the machine.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::failure::Failure;

/// `2026-11-25 03:33:49,323`.
pub(super) fn to_millis(ms: i64) -> String {
    show(ms, "%Y-%m-%d %H:%M:%S,%3f")
}

/// `2026-11-25 03:33:49`.
pub(super) fn to_seconds(ms: i64) -> String {
    show(ms, "%Y-%m-%d %H:%M:%S")
}

/// `20261125033349323`.
pub(super) fn packed(ms: i64) -> String {
    show(ms, "%Y%m%d%H%M%S%3f")
}

fn show(ms: i64, format: &str) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(time) => time.to_zoned(TimeZone::system()).strftime(format).to_string(),
        Err(_) => ms.to_string(),
    }
}

/// Reads milliseconds since 1970, or `yyyy-MM-dd#HH:mm:ss:SSS`.
pub(super) fn parse(text: &str) -> Result<i64, Failure> {
    if let Ok(ms) = text.parse() {
        return Ok(ms);
    }
    let wrong = || Failure::Usage(format!("[{text}] is neither milliseconds nor yyyy-MM-dd#HH:mm:ss:SSS"));
    let (second, millis) = text.rsplit_once(':').ok_or_else(wrong)?;
    let millis: i64 = millis.parse().map_err(|_| wrong())?;
    let local = DateTime::strptime("%Y-%m-%d#%H:%M:%S", second).map_err(|_| wrong())?;
    let zoned = local.to_zoned(TimeZone::system()).map_err(|_| wrong())?;
    Ok(zoned.timestamp().as_millisecond() + millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_reads_back() {
        let ms = 1_795_577_629_323;
        let shown = to_millis(ms);
        let typed = shown.replacen(' ', "#", 1).replace(',', ":");
        assert_eq!(parse(&typed).unwrap(), ms, "{typed}");
        assert_eq!(packed(ms).len(), 17);
        assert_eq!(to_seconds(ms), shown[..19]);
        assert_eq!(parse("1795577629323").unwrap(), ms);
        assert_eq!(parse("-1").unwrap(), -1);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["yesterday", "2026-11-25", "2026-13-25#00:00:00:000", "2026-11-25#00:00:00:x"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
