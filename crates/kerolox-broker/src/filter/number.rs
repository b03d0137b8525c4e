//! Text to numbers as Java's `Integer.valueOf`, `Long.valueOf` and `Double.valueOf` read it.
//!
//! Decimal digits of other scripts, which Java takes too, are no numbers here.

/// `Double.valueOf`: blanks around it, a sign, `NaN` or `Infinity`, hexadecimal numbers and a trailing `f` or `d`.
pub(super) fn java_double(text: &str) -> Option<f64> {
    let text = text.trim_matches(|c: char| c <= ' ');
    let (negative, text) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let value = match text {
        "NaN" => f64::NAN,
        "Infinity" => f64::INFINITY,
        _ => {
            let text = text.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(text);
            match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
                Some(hex) => hexadecimal(hex)?,
                None => decimal(text)?,
            }
        }
    };
    Some(if negative { -value } else { value })
}

/// Digits with at most one point and an exponent.
fn decimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (text.get(..at)?, Some(text.get(at + 1..)?)),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let some = !whole.is_empty() || !fraction.is_empty();
    if !some || !digits(whole) || !digits(fraction) || !exponent.is_none_or(is_exponent) {
        return None;
    }
    // Rust rounds as Java does and knows this form.
    text.parse().ok()
}

fn is_exponent(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// What follows `0x`: hexadecimal digits with at most one point, `p` and a power of two.
fn hexadecimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    if !is_exponent(exponent) {
        return None;
    }
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    // A power of many digits is beyond every double, whatever the digits before it are.
    let mut power: i64 = exponent.parse::<i64>().map_or_else(
        |_| if exponent.starts_with('-') { -1_000_000_000 } else { 1_000_000_000 },
        |power| power.clamp(-1_000_000_000, 1_000_000_000),
    );
    power -= 4 * i64::try_from(fraction.len()).ok()?;
    let mut bits: u64 = 0;
    let mut lost = false;
    for digit in whole.chars().chain(fraction.chars()) {
        let digit = u64::from(digit.to_digit(16)?);
        if bits >> 60 == 0 {
            bits = bits << 4 | digit;
        } else {
            lost |= digit != 0;
            power += 4;
        }
    }
    Some(scaled(bits, lost, power))
}

/// `bits * 2^power`, rounded to the nearest double and to an even one in the middle; `lost`: a bit more than `bits`.
fn scaled(bits: u64, lost: bool, power: i64) -> f64 {
    if bits == 0 {
        return 0.0;
    }
    let top = i64::from(63 - bits.leading_zeros()) + power;
    if top > 1_023 {
        return f64::INFINITY;
    }
    // The power of two of the last bit that a double of this size has.
    let last = (top - 52).max(-1_074);
    let drop = last - power;
    let mantissa = if drop <= 0 {
        u128::from(bits) << u32::try_from(-drop).unwrap_or(0).min(64)
    } else if drop > 64 {
        0
    } else {
        let wide = u128::from(bits);
        let kept = wide >> drop;
        let rest = wide & ((1 << drop) - 1);
        let half = 1_u128 << (drop - 1);
        let up = rest > half || rest == half && (lost || kept & 1 == 1);
        kept + u128::from(up)
    };
    // Exact: at most 54 bits of which the last is 0 when there are 54, scaled by powers of two in two steps.
    let value = mantissa as f64;
    let (first, second) = (last / 2, last - last / 2);
    value * 2.0_f64.powi(i32::try_from(first).unwrap_or(0)) * 2.0_f64.powi(i32::try_from(second).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_read_as_java_does() {
        for (text, expected) in [
            ("1", 1.0),
            (" \t+1.5e1f\u{0}", 15.0),
            ("5.", 5.0),
            (".5D", 0.5),
            ("1e400", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("0x1p4", 16.0),
            ("0X.8P1", 1.0),
            ("0x1.fffffffffffff8p0", 2.0),
            ("0x1p-1074", f64::from_bits(1)),
            ("0x1p-1076", 0.0),
            ("0x1p99999999999999999999", f64::INFINITY),
            ("0x123456789abcdef01p0", 0x1_2345_6789_abcd_ef01_u128 as f64),
        ] {
            assert_eq!(java_double(text), Some(expected), "{text}");
        }
        assert!(java_double("-NaN").is_some_and(f64::is_nan));
        for text in
            ["", " ", ".", "e5", "1e", "1_0", "nan", "inf", "infinity", "0x1", "0x.p1", "1 2", "1ff", "NaNf", "--1"]
        {
            assert_eq!(java_double(text), None, "{text}");
        }
    }
}
