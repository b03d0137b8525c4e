//! A reader for comparing texts of the reference's JSON dialect, independent of the one under test.
//!
//! Keys may be bare integers or whole objects; they become text. Members that are null are left out.

use serde_json::{Map, Value};

/// Reads one value that fills `text`.
pub(crate) fn read(text: &str) -> Value {
    let mut at = 0;
    let value = value(text.as_bytes(), &mut at);
    assert_eq!(text[at..].trim(), "", "text behind the value");
    value
}

/// Whether `is` has every member and item of `was` with the same value; objects may have more members.
pub(crate) fn holds(is: &Value, was: &Value) -> bool {
    match (is, was) {
        (Value::Object(is), Value::Object(was)) => {
            was.iter().all(|(name, value)| is.get(name).is_some_and(|found| holds(found, value)))
        }
        (Value::Array(is), Value::Array(was)) => {
            is.len() == was.len() && is.iter().zip(was).all(|(is, was)| holds(is, was))
        }
        (is, was) => is == was,
    }
}

fn skip(text: &[u8], at: &mut usize) -> u8 {
    while text[*at].is_ascii_whitespace() {
        *at += 1;
    }
    text[*at]
}

fn value(text: &[u8], at: &mut usize) -> Value {
    match skip(text, at) {
        b'{' => object(text, at),
        b'[' => {
            *at += 1;
            let mut items = Vec::new();
            while skip(text, at) != b']' {
                items.push(value(text, at));
                if skip(text, at) == b',' {
                    *at += 1;
                }
            }
            *at += 1;
            Value::Array(items)
        }
        b'"' => {
            let start = *at;
            *at += 1;
            while text[*at] != b'"' {
                *at += if text[*at] == b'\\' { 2 } else { 1 };
            }
            *at += 1;
            serde_json::from_slice(&text[start..*at]).expect("a text")
        }
        _ => {
            let start = *at;
            while *at < text.len() && !b",:]}".contains(&text[*at]) && !text[*at].is_ascii_whitespace() {
                *at += 1;
            }
            serde_json::from_slice(&text[start..*at]).expect("a number or a word")
        }
    }
}

fn object(text: &[u8], at: &mut usize) -> Value {
    *at += 1;
    let mut members = Map::new();
    while skip(text, at) != b'}' {
        let key = match value(text, at) {
            Value::String(key) => key,
            other => other.to_string(),
        };
        assert_eq!(skip(text, at), b':');
        *at += 1;
        let value = value(text, at);
        if !value.is_null() {
            members.insert(key, value);
        }
        if skip(text, at) == b',' {
            *at += 1;
        }
    }
    *at += 1;
    Value::Object(members)
}
