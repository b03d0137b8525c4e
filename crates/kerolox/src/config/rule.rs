//! Which values a key takes, and what is said about all others.

use std::net::IpAddr;

use kerolox_wire::names::TopicName;

/// What values a key takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rule {
    /// `true` or `false`, in any case.
    Switch,
    /// A whole number of this range.
    Number(i64, i64),
    /// A whole number of this range; one that is too large counts as the end of it, since RocketMQ starts with it.
    AtMost(i64, i64),
    /// A whole number; outside of this range the nearest end of it counts, as in RocketMQ.
    Clamped(i64, i64),
    /// A number of this range of percents, or the same as a fraction: `90` or `0.90`.
    Percent(i64, i64),
    /// One of these words, exactly.
    OneOf(&'static [&'static str]),
    /// These words only; the sentence says why not others that RocketMQ takes.
    Only(&'static [&'static str], &'static str),
    /// A text of a form: what it is, and the test.
    Form(&'static str, fn(&str) -> bool),
    /// A path; one that is not absolute begins in the folder where the process was started, as in Java.
    Path,
    /// Any text.
    Text,
}

/// A value that was taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// The value in its usual spelling.
    pub(crate) text: String,
    /// What the operator should know about it.
    pub(crate) note: Option<String>,
}

impl Rule {
    /// Takes a trimmed value, or says what would be allowed.
    pub(crate) fn check(&self, text: &str) -> Result<Taken, String> {
        let plain = |text: &str| Ok(Taken { text: text.to_owned(), note: None });
        match *self {
            Self::Switch => match text.to_ascii_lowercase().as_str() {
                word @ ("true" | "false") => plain(word),
                _ => Err(self.allowed()),
            },
            Self::Number(min, max) => match text.parse::<i64>() {
                Ok(number) if (min..=max).contains(&number) => plain(&number.to_string()),
                _ => Err(self.allowed()),
            },
            Self::AtMost(min, max) => match text.parse::<i64>() {
                Ok(number) if number > max => {
                    Ok(Taken { text: max.to_string(), note: Some(format!("too large, so {max} is used")) })
                }
                Ok(number) if number >= min => plain(&number.to_string()),
                _ => Err(self.allowed()),
            },
            Self::Clamped(min, max) => {
                let number: i64 = text.parse().map_err(|_| self.allowed())?;
                let kept = number.clamp(min, max);
                let note = (kept != number).then(|| format!("outside of {min} to {max}, so {kept} is used"));
                Ok(Taken { text: kept.to_string(), note })
            }
            Self::Percent(min, max) => match percent(text) {
                Some(number) if (min..=max).contains(&number) => plain(&number.to_string()),
                _ => Err(self.allowed()),
            },
            Self::OneOf(words) if words.contains(&text) => plain(text),
            Self::OneOf(_) => Err(self.allowed()),
            Self::Only(words, _) => {
                let found = words.iter().find(|word| word.eq_ignore_ascii_case(text));
                found.map_or_else(|| Err(self.allowed()), |word| plain(word))
            }
            Self::Form(_, fits) if text.is_empty() || fits(text) => plain(text),
            Self::Form(..) => Err(self.allowed()),
            Self::Path if text.is_empty() || is_path(text) => plain(text),
            Self::Path => Err(self.allowed()),
            Self::Text => plain(text),
        }
    }

    /// The allowed values, to stand after "allowed: ".
    pub(crate) fn allowed(&self) -> String {
        match *self {
            Self::Switch => "true or false".to_owned(),
            Self::Number(min, i64::MAX) => format!("a whole number from {min}"),
            Self::Number(min, max) | Self::AtMost(min, max) | Self::Clamped(min, max) => {
                format!("a whole number from {min} to {max}")
            }
            Self::Percent(min, max) => format!("a percentage from {min} to {max}"),
            Self::OneOf(words) => words.join(", "),
            Self::Only(words, why) => format!("{} ({why})", words.join(", ")),
            Self::Form(what, _) => what.to_owned(),
            Self::Path => "a path (~ and variables are not expanded, as in RocketMQ)".to_owned(),
            Self::Text => "any text".to_owned(),
        }
    }

    /// The type as the reference page names it.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Switch => "switch",
            Self::Number(..) | Self::AtMost(..) | Self::Clamped(..) => "number",
            Self::Percent(..) => "percent",
            Self::OneOf(_) | Self::Only(..) => "word",
            Self::Form(..) | Self::Path | Self::Text => "text",
        }
    }
}

/// `90`, `90.0` and `0.90` are all 90.
fn percent(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(number);
    }
    let number: f64 = text.parse().ok().filter(|n: &f64| (0.0..=100.0).contains(n))?;
    let hundredths = if number <= 1.0 { number * 100.0 } else { number };
    (0..=100).find(|whole: &i32| (f64::from(*whole) - hundredths).abs() < 1e-6).map(i64::from)
}

/// Cluster and broker names: each is also the name of a topic. Brokers of RocketMQ are often named after their host.
pub(crate) const NAME: Rule = Rule::Form("1 to 127 letters, digits, %, |, _, - or ., and not dots alone", |text| {
    is_topic(&text.replace('.', "_")) && text.contains(|c: char| c != '.')
});

/// The name of a topic that is made.
pub(crate) const TOPIC: Rule = Rule::Form("1 to 127 letters, digits, %, |, _ or -", is_topic);

fn is_topic(text: &str) -> bool {
    TopicName::parse(text).is_ok_and(|topic| topic.check_as_new().is_ok())
}

/// An address of this machine.
pub(crate) const IP: Rule = Rule::Form("an IP address such as 192.168.1.20", |text| text.parse::<IpAddr>().is_ok());

/// What a machine is reached under: an address or a name.
pub(crate) const HOST: Rule =
    Rule::Form("an IP address or a host name", |text| text.parse::<IpAddr>().is_ok() || is_host(text));

/// Addresses joined by `;`.
pub(crate) const ADDRESSES: Rule = Rule::Form("host:port, several joined by ;", |text| addresses(text).is_some());

/// Hours of the day joined by `;`.
pub(crate) const HOURS: Rule = Rule::Form("hours from 00 to 23, several joined by ;", |text| {
    parts(text).all(|hour| hour.parse::<u8>().is_ok_and(|hour| hour < 24))
});

/// The delays of the levels.
pub(crate) const DELAYS: Rule =
    Rule::Form("delays such as 10s 5m 2h 1d, separated by one blank, none above 30 days", |text| {
        text.split(' ').all(is_delay)
    });

/// One folder: later versions of RocketMQ take several for the log, joined by commas, and some write colons.
pub(crate) const ONE_FOLDER: Rule = Rule::Form(
    "one folder: a log that is spread over several is not supported; join the disks below one file system",
    |text| is_path(text) && !text.contains([',', ';']) && !text.contains(":/"),
);

/// A path in a folder that another setting names, or an absolute one.
pub(crate) const PATH_THERE: Rule = Rule::Form("a path", is_path);

fn is_path(text: &str) -> bool {
    !text.starts_with('~') && !text.contains('$') && !text.chars().any(char::is_control)
}

/// Host with or without port.
pub(crate) const DOMAIN: Rule = Rule::Form("a host name or address, with or without :port", |text| {
    let host = text.split_once(':').map_or(text, |(host, _)| host);
    let port = text.split_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0));
    is_host(host) && port
});

/// One part of a URL's path.
pub(crate) const PATH_PART: Rule = Rule::Form("letters, digits, ., _, - and /", |text| {
    text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/'))
});

/// Where a collector of OpenTelemetry takes what is exported.
pub(crate) const COLLECTOR: Rule =
    Rule::Form("http://HOST:PORT or https://HOST:PORT, with or without a path", |text| {
        crate::otel::endpoint(text).is_some()
    });

/// A part of a whole.
pub(crate) const SHARE: Rule =
    Rule::Form("a number from 0 to 1", |text| text.parse::<f64>().is_ok_and(|share| (0.0..=1.0).contains(&share)));

/// Headers of HTTP.
pub(crate) const HEADERS: Rule =
    Rule::Form("name=value, several joined by commas", |text| crate::otel::headers(text).is_some());

/// Splits `host:port;host:port`; none when a part is no address. Empty parts are left out, as in RocketMQ.
pub(crate) fn addresses(text: &str) -> Option<Vec<String>> {
    let found: Vec<String> = parts(text).map(str::to_owned).collect();
    (!found.is_empty() && found.iter().all(|part| is_address(part))).then_some(found)
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(';').map(str::trim).filter(|part| !part.is_empty())
}

fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let host_fits = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_host(host),
    };
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    host_fits && digits && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_host(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !text.is_empty() && text.len() <= 253 && text.chars().all(fits)
}

fn is_delay(part: &str) -> bool {
    const SECONDS_MAX: u64 = 30 * 86_400;
    let Some(last) = part.chars().last() else { return false };
    let seconds = match last {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return false,
    };
    let number = part.get(..part.len() - 1).unwrap_or("");
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    digits && number.parse::<u64>().is_ok_and(|n| n.saturating_mul(seconds) <= SECONDS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(rule: Rule, value: &str) -> Option<String> {
        rule.check(value).ok().map(|taken| taken.text)
    }

    #[test]
    fn numbers_keep_to_their_range() {
        let rule = Rule::Number(1, 65_535);
        assert_eq!(text(rule, "0010911").as_deref(), Some("10911"));
        for bad in ["0", "65536", "", "10k", "1.5", "99999999999999999999"] {
            assert_eq!(rule.check(bad), Err("a whole number from 1 to 65535".to_owned()), "{bad}");
        }
        assert_eq!(Rule::Number(0, i64::MAX).allowed(), "a whole number from 0");
    }

    #[test]
    fn clamped_numbers_are_taken_with_a_note() {
        let taken = Rule::Clamped(10, 95).check("99").unwrap();
        assert_eq!((taken.text.as_str(), taken.note.as_deref()), ("95", Some("outside of 10 to 95, so 95 is used")));
        assert_eq!(Rule::Clamped(10, 95).check("50").unwrap().note, None);
    }

    #[test]
    fn what_is_too_large_is_cut_and_what_is_too_small_is_refused() {
        let rule = Rule::AtMost(1_024, 16_777_216);
        let taken = rule.check("524288000").unwrap();
        assert_eq!((taken.text.as_str(), taken.note.as_deref()), ("16777216", Some("too large, so 16777216 is used")));
        assert_eq!(rule.check("2048").unwrap().note, None);
        assert!(rule.check("1000").is_err() && rule.check("-1").is_err() && rule.check("4m").is_err());
    }

    #[test]
    fn percents_may_be_fractions() {
        for (value, expected) in [("90", "90"), ("0.90", "90"), ("0.9", "90"), ("1.0", "100"), ("85.0", "85")] {
            assert_eq!(text(Rule::Percent(1, 100), value).as_deref(), Some(expected), "{value}");
        }
        for bad in ["0.905", "101", "-1", "NaN", "x"] {
            assert_eq!(text(Rule::Percent(1, 100), bad), None, "{bad}");
        }
    }

    #[test]
    fn words_are_exact_and_switches_are_not() {
        assert_eq!(text(Rule::OneOf(&["ASYNC_FLUSH", "SYNC_FLUSH"]), "async_flush"), None);
        assert_eq!(text(Rule::Switch, "TRUE").as_deref(), Some("true"));
        assert_eq!(text(Rule::Switch, "yes"), None);
        assert_eq!(Rule::Only(&["false"], "not yet").allowed(), "false (not yet)");
    }

    #[test]
    fn addresses_are_host_and_port() {
        assert_eq!(addresses("a:1;b:2; 10.0.0.1:9876 ;").map(|all| all.len()), Some(3));
        assert!(addresses("[::1]:9876").is_some());
        for bad in ["", ";", "a", "a:", "a:0", "a:65536", "a:+1", "http://a:1", "a b:1", "a:1,b:2", "::1:9876"] {
            assert!(addresses(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn forms_take_the_usual_and_refuse_the_odd() {
        for (rule, good, bad) in [
            (NAME, "broker-a", "broker/a"),
            (NAME, "node.example.org", ".."),
            (TOPIC, "orders", "order.created"),
            (IP, "10.0.0.1", "10.0.0"),
            (HOURS, "04;16", "24"),
            (DELAYS, "1s 5m 2h 1d", "1s  5m"),
            (DELAYS, "30d", "31d"),
            (Rule::Path, "/data/store", "~/store"),
            (Rule::Path, "./store", "$HOME/store"),
            (ONE_FOLDER, "/d1/commitlog", "/d1/commitlog,/d2/commitlog"),
            (ONE_FOLDER, "./a:b", "/d1:/d2"),
            (DOMAIN, "jmenv.tbsite.net:80", "a:b"),
            (HOST, "broker-0.broker.mq.svc", "a:1"),
            (PATH_PART, "nsaddr", "ns addr"),
            (COLLECTOR, "http://collector:4318", "collector:4318"),
            (COLLECTOR, "https://[::1]/otlp/", "grpc://collector:4317"),
            (COLLECTOR, "http://10.0.0.1:4318/", "http://user@host:4318"),
            (COLLECTOR, "http://c", "http://c/?x=1"),
            (HEADERS, "authorization=Bearer%20x, x-tenant=7", "authorization"),
            (SHARE, "0.001", "1.5"),
            (SHARE, "1", "NaN"),
            (HEADERS, "a=b=c", "a b=c"),
            (HEADERS, "a=%C3%A4", "a=%2"),
            (HEADERS, "a=", "a=b%0Ac"),
        ] {
            assert!(rule.check(good).is_ok(), "{good}");
            assert!(rule.check(bad).is_err(), "{bad}");
            assert!(rule.check("").is_ok(), "empty is the same as not set");
        }
    }
}
