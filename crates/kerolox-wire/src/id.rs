//! The two ids of a message: where a broker put it, and what its client called it.
//!
//! Both are upper-case hex, 32 digits with an IPv4 address and 56 with an IPv6 one.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::cursor::Cursor;
use crate::names::LogOffset;

const HEX_V4: usize = 32;
const HEX_V6: usize = 56;
const BYTES_MAX: usize = HEX_V6 / 2;

/// Why a text is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// Neither 32 nor 56 hex digits.
    #[error("not 32 or 56 hex digits")]
    Hex,
    /// The port has more than two bytes.
    #[error("no such port")]
    Port,
    /// The offset is negative.
    #[error("no such offset")]
    Offset,
}

/// Where a message is stored: the broker's address and the place in its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageId {
    /// The broker.
    pub host: SocketAddr,
    /// The record's place.
    pub offset: LogOffset,
}

impl MessageId {
    /// Reads an id.
    ///
    /// # Errors
    /// When the text is no id, or names an impossible place.
    pub fn parse(hex: &str) -> Result<Self, IdError> {
        let (bytes, len) = from_hex(hex)?;
        let mut cursor = Cursor::new(bytes.get(..len).unwrap_or_default());
        let ip = ip(&mut cursor, len).ok_or(IdError::Hex)?;
        let port = cursor.u32().ok_or(IdError::Hex)?;
        let port = u16::try_from(port).map_err(|_| IdError::Port)?;
        let offset = cursor.i64().ok_or(IdError::Hex)?;
        let offset = LogOffset::from_wire(offset).ok_or(IdError::Offset)?;
        Ok(Self { host: SocketAddr::new(ip, port), offset })
    }
}

impl FromStr for MessageId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::parse(text)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hex = Hex::default();
        hex.ip(self.host.ip());
        hex.put(&u32::from(self.host.port()).to_be_bytes());
        hex.put(&self.offset.get().to_be_bytes());
        f.write_str(hex.as_str())
    }
}

/// What a client calls its message: the property `UNIQ_KEY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UniqueKey {
    /// The client's address.
    pub ip: IpAddr,
    /// The low half of its process id.
    pub pid: u16,
    /// Tells clients of one process apart.
    pub hash: u32,
    /// Milliseconds since the month began, where the client is.
    pub since_month_start_ms: u32,
    /// Tells the messages of one millisecond apart.
    pub counter: u16,
}

impl UniqueKey {
    /// A key for a message made now, counting months as the calendar does where `utc_offset` says how many seconds east
    /// of Greenwich the clock is at a time in milliseconds. Java's tools read keys with the calendar of their own zone.
    #[must_use]
    pub fn generate(
        ip: IpAddr,
        pid: u16,
        hash: u32,
        now_ms: i64,
        utc_offset: &dyn Fn(i64) -> i32,
        counter: u16,
    ) -> Self {
        let offset_ms = |at_ms| i64::from(utc_offset(at_ms)).saturating_mul(1000);
        let start_shown = month_start_ms(now_ms.saturating_add(offset_ms(now_ms)));
        // The clocks may have been put forward or back since the month began.
        let start = start_shown.saturating_sub(offset_ms(start_shown.saturating_sub(offset_ms(now_ms))));
        // A month has at most 31 days and an hour, fewer milliseconds than 32 bits hold.
        let since = now_ms.saturating_sub(start);
        Self { ip, pid, hash, since_month_start_ms: u32::try_from(since).unwrap_or_default(), counter }
    }

    /// Reads a key.
    ///
    /// # Errors
    /// When the text is not hex of the right length.
    pub fn parse(hex: &str) -> Result<Self, IdError> {
        let (bytes, len) = from_hex(hex)?;
        Self::fields(bytes.get(..len).unwrap_or_default()).ok_or(IdError::Hex)
    }

    fn fields(bytes: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(bytes);
        let ip = ip(&mut cursor, bytes.len())?;
        let pid = u16::from_be_bytes(cursor.array()?);
        let (hash, since_month_start_ms) = (cursor.u32()?, cursor.u32()?);
        let counter = u16::from_be_bytes(cursor.array()?);
        Some(Self { ip, pid, hash, since_month_start_ms, counter })
    }

    /// The latest time before `now_ms` at which the key can have been made, for a client that counts months in UTC.
    #[must_use]
    pub fn made_at_ms(&self, now_ms: i64) -> i64 {
        let span = i64::from(self.since_month_start_ms);
        let (mut start, mut end) = (month_start_ms(now_ms), now_ms);
        // The month before a short one has 31 days, so a key that fits neither this one nor the last is of that one.
        for _ in 0..2 {
            let made = start.saturating_add(span);
            if made < end {
                return made;
            }
            // Where the clocks were put forward a month seems an hour longer.
            end = now_ms.min(start.saturating_add(HOUR_MS));
            start = month_start_ms(start.saturating_sub(1));
        }
        now_ms.min(start.saturating_add(span))
    }
}

impl FromStr for UniqueKey {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::parse(text)
    }
}

impl fmt::Display for UniqueKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hex = Hex::default();
        hex.ip(self.ip);
        hex.put(&self.pid.to_be_bytes());
        hex.put(&self.hash.to_be_bytes());
        hex.put(&self.since_month_start_ms.to_be_bytes());
        hex.put(&self.counter.to_be_bytes());
        f.write_str(hex.as_str())
    }
}

fn from_hex(hex: &str) -> Result<([u8; BYTES_MAX], usize), IdError> {
    if hex.len() != HEX_V4 && hex.len() != HEX_V6 {
        return Err(IdError::Hex);
    }
    let mut bytes = [0; BYTES_MAX];
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return Err(IdError::Hex) };
        let (high, low) = digit(*high).zip(digit(*low)).ok_or(IdError::Hex)?;
        *byte = high << 4 | low;
    }
    Ok((bytes, hex.len() / 2))
}

fn ip(cursor: &mut Cursor<'_>, len: usize) -> Option<IpAddr> {
    Some(if len == BYTES_MAX {
        IpAddr::V6(Ipv6Addr::from_octets(cursor.array()?))
    } else {
        IpAddr::V4(Ipv4Addr::from_octets(cursor.array()?))
    })
}

/// Hex digits of an id; every answer to a send has one, so they do not go through the formatter one by one.
struct Hex {
    digits: [u8; HEX_V6],
    len: usize,
}

impl Default for Hex {
    fn default() -> Self {
        Self { digits: [0; HEX_V6], len: 0 }
    }
}

impl Hex {
    fn ip(&mut self, ip: IpAddr) {
        match ip {
            IpAddr::V4(ip) => self.put(&ip.octets()),
            IpAddr::V6(ip) => self.put(&ip.octets()),
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        let free = self.digits.get_mut(self.len..).unwrap_or_default();
        for (pair, byte) in free.chunks_exact_mut(2).zip(bytes) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
            self.len += 2;
        }
    }

    fn as_str(&self) -> &str {
        self.digits.get(..self.len).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or_default()
    }
}

const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;

/// When the UTC month of a time began.
fn month_start_ms(ms: i64) -> i64 {
    let days = ms.div_euclid(DAY_MS);
    (days - (day_of_month(days) - 1)).saturating_mul(DAY_MS)
}

/// Day of the month, from 1, of the day that many days after 1970-01-01.
fn day_of_month(days: i64) -> i64 {
    // Years are counted from March, so that the leap day comes last; 719,468 days lie between 0000-03-01 and 1970.
    let day_of_era = (days + 719_468).rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Five months from March on have 153 days, and so have the next five.
    let month = (5 * day_of_year + 2) / 153;
    day_of_year - (153 * month + 2) / 5 + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn message_ids_agree_with_the_reference() {
        for (hex, host, offset) in [
            ("C0A8000100002A9F0000000000000000", "192.168.0.1:10911", 0),
            ("20010DB800000000000000000000000200002A9F00000000000000BB", "[2001:db8::2]:10911", 187),
        ] {
            let id = MessageId::parse(hex).unwrap();
            assert_eq!(id, MessageId { host: host.parse().unwrap(), offset: LogOffset::new(offset) });
            assert_eq!(id.to_string(), hex);
            assert_eq!(hex.to_lowercase().parse(), Ok(id));
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for (hex, error) in [
            ("", IdError::Hex),
            ("C0A8000100002A9F000000000000000", IdError::Hex),
            ("C0A8000100002A9F00000000000000é", IdError::Hex),
            ("+0A8000100002A9F0000000000000000", IdError::Hex),
            ("C0A8000100012A9F0000000000000000", IdError::Port),
            ("C0A8000100002A9F8000000000000000", IdError::Offset),
        ] {
            assert_eq!(MessageId::parse(hex), Err(error), "{hex}");
        }
    }

    #[test]
    fn a_key_of_the_31st_is_not_of_a_short_month() {
        // 2024-01-31T01:00:00Z, looked at on the 1st and on the 5th of March.
        let made = 1_706_662_800_000;
        let key = UniqueKey::generate("127.0.0.1".parse().unwrap(), 1, 2, made, &|_| 0, 3);
        for now in [1_709_254_800_000, 1_709_600_400_000] {
            assert_eq!(key.made_at_ms(now), made);
        }
    }

    #[test]
    fn unique_keys_tell_when_they_were_made() {
        // 2023-11-14T22:13:20Z, 13 days and some hours into the month.
        let now = 1_700_000_000_000;
        let key = UniqueKey::generate("127.0.0.1".parse().unwrap(), 0x2A13, 0x9A55_0000, now, &|_| 0, 7);
        assert_eq!(key.since_month_start_ms, 1_203_200_000);
        assert_eq!(key.to_string(), "7F0000012A139A55000047B760000007");
        assert_eq!(UniqueKey::parse(&key.to_string()), Ok(key));
        assert_eq!(key.made_at_ms(now + 1), now);
        assert_eq!(key.made_at_ms(now), now - 31 * DAY_MS, "a key of the future is one of last month");
    }

    #[test]
    fn unique_keys_count_months_of_the_local_calendar() {
        let since = |now_ms, utc_offset: &dyn Fn(i64) -> i32| {
            UniqueKey::generate(Ipv4Addr::LOCALHOST.into(), 0, 0, now_ms, utc_offset, 0).since_month_start_ms
        };
        let hour = 3_600_000;
        // 2023-10-31T18:00Z is the first of November in Shanghai, and still October in New York.
        let evening = 1_698_775_200_000;
        assert_eq!(since(evening, &|_| 8 * 3600), 2 * 3_600_000);
        assert_eq!(i64::from(since(evening, &|_| -4 * 3600)), 30 * DAY_MS + 14 * hour);
        // New York put its clocks back on 2023-11-05 at 06:00Z: ten days into the month are an hour longer.
        let new_york = |at_ms| if at_ms < 1_699_164_000_000 { -4 * 3600 } else { -5 * 3600 };
        assert_eq!(i64::from(since(1_699_678_800_000, &new_york)), 10 * DAY_MS + hour);
    }

    #[test]
    fn months_begin_where_the_calendar_says() {
        for (ms, start) in [
            (0, 0),
            (-1, -31 * DAY_MS),
            (951_782_400_000, 949_363_200_000),     // 2000-02-29
            (951_868_800_000, 951_868_800_000),     // 2000-03-01
            (4_107_542_399_999, 4_105_123_200_000), // 2100-02-28, no leap year
            (4_107_542_400_000, 4_107_542_400_000), // 2100-03-01
        ] {
            assert_eq!(month_start_ms(ms), start, "{ms}");
        }
    }

    proptest! {
        #[test]
        fn ids_round_trip(host in any::<([u8; 16], bool, u16)>(), offset in 0..i64::MAX, rest: (u16, u32, u32, u16)) {
            let (octets, v6, port) = host;
            let [a, b, c, d, ..] = octets;
            let ip: IpAddr = if v6 { octets.into() } else { [a, b, c, d].into() };
            let id = MessageId {
                host: SocketAddr::new(ip, port), offset: LogOffset::new(offset.cast_unsigned()),
            };
            prop_assert_eq!(MessageId::parse(&id.to_string()), Ok(id));
            let (pid, hash, since_month_start_ms, counter) = rest;
            let key = UniqueKey { ip, pid, hash, since_month_start_ms, counter };
            prop_assert_eq!(UniqueKey::parse(&key.to_string()), Ok(key));
        }

        #[test]
        fn any_text_is_an_id_or_an_error(text in "\\PC{0,60}", hex in "[0-9A-Fa-f]{32}|[0-9A-Fa-f]{56}", now: i64) {
            let _ = MessageId::parse(&text);
            let _ = MessageId::parse(&hex);
            let _ = UniqueKey::parse(&hex).unwrap().made_at_ms(now);
        }
    }
}
