//! Patterns of addresses, as `globalWhiteRemoteAddresses` and `whiteRemoteAddress` of accounts have them.
//!
//! `*`; one address; several joined by commas; `10.0.0.{1,2,3}` and `fe80::{1,2}`; a part that is `*` or a range
//! `a-b`, as `192.168.*.*`, `192.168.1.10-20` or `5::7:6:1-200:*`. Parts of IPv6 are hexadecimal.

use std::net::IpAddr;

/// Which addresses are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Addresses {
    /// No address.
    None,
    /// Every address.
    All,
    /// Those that one of the patterns matches.
    Any(Vec<Pattern>),
}

/// One range for each part of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// Of IPv4.
    V4([(u16, u16); 4]),
    /// Of IPv6.
    V6([(u16, u16); 8]),
}

const PARTS_V6: usize = 8;

impl Addresses {
    /// Reads one entry.
    ///
    /// # Errors
    /// A sentence with the entry.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        match text {
            "" => return Ok(Self::None),
            "*" | "*.*.*.*" | "*:*:*:*:*:*:*:*" => return Ok(Self::All),
            _ => {}
        }
        let wrong = |part: &str| format!("{part:?} is not an address or a pattern of addresses");
        if let Some((head, set)) = text.strip_suffix('}').and_then(|text| text.split_once('{')) {
            let each = set.split(',').map(|last| format!("{head}{}", last.trim()));
            return each.map(|one| pattern(&one).ok_or_else(|| wrong(&one))).collect::<Result<_, _>>().map(Self::Any);
        }
        let each = text.split(',').map(str::trim).filter(|one| !one.is_empty());
        each.map(|one| pattern(one).ok_or_else(|| wrong(one))).collect::<Result<_, _>>().map(Self::Any)
    }

    /// Whether `address` is among them.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Any(patterns) => patterns.iter().any(|pattern| pattern.matches(address.to_canonical())),
        }
    }
}

impl Pattern {
    fn matches(&self, address: IpAddr) -> bool {
        let within = |(part, (from, to)): (u16, &(u16, u16))| (*from..=*to).contains(&part);
        match (self, address) {
            (Self::V4(ranges), IpAddr::V4(ip)) => ip.octets().into_iter().map(u16::from).zip(ranges).all(within),
            (Self::V6(ranges), IpAddr::V6(ip)) => ip.segments().into_iter().zip(ranges).all(within),
            _ => false,
        }
    }
}

fn pattern(text: &str) -> Option<Pattern> {
    if !text.contains(':') {
        let parts: Vec<_> = text.split('.').map(|part| range(part, 10, 255)).collect::<Option<_>>()?;
        return parts.try_into().ok().map(Pattern::V4);
    }
    let groups = |text: &str| -> Option<Vec<(u16, u16)>> {
        text.split(':').filter(|_| !text.is_empty()).map(|part| range(part, 16, u16::MAX)).collect()
    };
    let parts = match text.split_once("::") {
        None => groups(text)?,
        Some((head, tail)) => {
            let (mut parts, tail) = (groups(head)?, groups(tail)?);
            let zeros = PARTS_V6.checked_sub(parts.len() + tail.len()).filter(|zeros| *zeros > 0)?;
            parts.extend(std::iter::repeat_n((0, 0), zeros));
            parts.extend(tail);
            parts
        }
    };
    parts.try_into().ok().map(Pattern::V6)
}

/// `*`, a number, or two joined by `-`.
fn range(part: &str, radix: u32, max: u16) -> Option<(u16, u16)> {
    if part == "*" {
        return Some((0, max));
    }
    let number = |text: &str| {
        let digits = !text.is_empty() && text.chars().all(|c| c.is_digit(radix));
        digits.then(|| u16::from_str_radix(text, radix).ok()).flatten().filter(|n| *n <= max)
    };
    let (from, to) = part.split_once('-').unwrap_or((part, part));
    let (from, to) = (number(from.trim())?, number(to.trim())?);
    (from <= to).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn contains(pattern: &str, address: &str) -> bool {
        Addresses::parse(pattern).unwrap().contain(address.parse().unwrap())
    }

    #[test]
    fn every_form_of_4_7_1_is_understood() {
        for (pattern, inside, outside) in [
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("127.0.0.1,127.0.0.3", "127.0.0.3", "127.0.0.2"),
            ("127.0.0.{1,2,3}", "127.0.0.2", "127.0.0.4"),
            ("127.0.0.*", "127.0.0.255", "127.0.1.1"),
            ("127.0.*.*", "127.0.7.9", "127.1.0.1"),
            ("127.*.*.*", "127.9.7.9", "128.1.0.1"),
            ("127.0.0.1-200", "127.0.0.200", "127.0.0.201"),
            ("127.0.20-30.*", "127.0.25.9", "127.0.31.0"),
            ("10.10.103.*", "::ffff:10.10.103.8", "10.10.104.1"),
            ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:9"),
            ("5::7:6:1-200:*", "5:0:0:0:7:6:1ff:9", "5:0:0:0:7:6:201:0"),
            ("2::ac5:78:1-200", "2::ac5:78:200", "2::ac5:78:201"),
            ("fe80::*", "fe80::1", "fe81::1"),
            ("2001:db8::{1,A}", "2001:DB8::a", "2001:db8::b"),
            ("::1,fe80::2", "::1", "::2"),
        ] {
            assert!(contains(pattern, inside), "{pattern} {inside}");
            assert!(!contains(pattern, outside), "{pattern} {outside}");
        }
        for all in ["*", "*.*.*.*", "*:*:*:*:*:*:*:*"] {
            assert!(contains(all, "1.2.3.4") && contains(all, "::1"));
        }
        assert!(!contains("", "127.0.0.1") && !contains(" ", "::1"));
    }

    #[test]
    fn what_is_no_pattern_is_named() {
        for text in [
            "256.0.0.0",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.9-1",
            "1.2.3.-1",
            "1.2.3.x",
            "+1.2.3.4",
            "10.0.0.0/8",
            "1::2::3",
            ":1:2",
            "10000::",
            "1.2.3.{1,y}",
            "a",
        ] {
            let why = Addresses::parse(text).unwrap_err();
            assert!(why.contains("is not an address"), "{text}: {why}");
        }
    }

    proptest! {
        #[test]
        fn an_address_means_itself(bits in any::<u128>(), v4 in any::<u32>(), text in "\\PC{0,40}") {
            for ip in [IpAddr::V4(v4.into()), IpAddr::V6(bits.into())] {
                prop_assert!(contains(&ip.to_string(), &ip.to_string()) || ip.to_string().contains('.'));
            }
            let _ = Addresses::parse(&text);
        }
    }
}
