use super::*;
use crate::filter::expression::DEPTH_MAX;
use crate::filter::message::Message;
use crate::filter::parser::{EXPRESSION_BYTES_MAX, parse};

fn why(text: &str) -> String {
    Filter::parse(text).err().map(|error| error.to_string()).unwrap_or_default()
}

fn passes(text: &str, properties: &[(&str, &str)]) -> bool {
    let message: String = properties.iter().map(|(name, value)| format!("{name}\u{1}{value}\u{2}")).collect();
    Filter::parse(text).unwrap().passes(&message)
}

#[test]
fn a_filter_judges_by_the_properties() {
    assert!(passes("a BETWEEN 1 AND 5 AND b = 'x'", &[("a", "3"), ("b", "x")]));
    assert!(!passes("a > 3", &[("a", "3.5")]), "3.5 is no whole number, so it cannot be judged");
    assert!(passes("a > 3.0", &[("a", "3.5")]));
    assert!(!passes("a <> 'x'", &[]), "what is missing is unknown");
    assert!(passes("a IS NULL OR a <> 'x'", &[]));
    assert!(passes("tag IN ('it''s', 'b')", &[("tag", "it's")]));
}

#[test]
fn what_cannot_be_read_is_told_with_its_place() {
    for (text, part) in [
        ("", "character 1: it ends too early"),
        ("a = ", "character 5: it ends too early"),
        ("a = 'x", "character 5: the text is not closed"),
        ("ä = 1", "character 1: 'ä'"),
        ("a = NULL", "use IS NULL"),
        ("a > 'x'", "only numbers and properties"),
        ("a BETWEEN 5 AND 1", "greater than the second"),
        ("5 IN ('x')", "IN needs a property"),
        ("a = 9223372036854775808", "greater than 9223372036854775807"),
        ("a > 0.0", "character 5: 0.0 is not between"),
        ("5", "a value stands where a condition"),
        ("a NOT 5", "the number 5 is not expected"),
    ] {
        assert!(why(text).contains(part), "{text}: {}", why(text));
    }
}

#[test]
fn hostile_expressions_end_in_an_error_and_not_in_the_stack() {
    let deep = |n: usize| format!("{}a{}", "(".repeat(n), ")".repeat(n));
    assert_eq!(why(&deep(usize::from(DEPTH_MAX))), "");
    for text in [deep(30_000), "NOT ".repeat(10_000), "-".repeat(60_000), "+".repeat(60_000), "(".repeat(60_000)] {
        assert!(why(&text).contains("nested deeper than 100 levels"), "{}", why(&text));
    }
    assert!(why(&format!("a{}", " = 1".repeat(1_000))).contains("nested deeper"));
    assert!(why(&format!("a{}", " IS NULL".repeat(1_000))).contains("nested deeper"));
    let long = "a".repeat(EXPRESSION_BYTES_MAX + 1);
    assert_eq!(why(&long), "the filter expression has 65537 bytes, 65536 are allowed");
}

#[test]
fn long_chains_are_not_deep() {
    let text = format!("a = 'n'{}", " OR a = 'x'".repeat(5_000));
    assert!(passes(&text, &[("a", "x")]) && !passes(&text, &[("a", "y")]));
}

#[test]
fn compiled_size_and_evaluation_are_bounded() {
    let zeros = "0".repeat(EXPRESSION_BYTES_MAX);
    assert!(why(&zeros).contains("more than 32768 words"), "{}", why(&zeros));
    assert!(why(&"a or ".repeat(13_000)).contains("ends too early"));
    let most = format!("a=1{}", " or a=1".repeat(8_000));
    let node = parse(&most).unwrap().node;
    let value = |value: String| format!("a\u{1}{value}\u{2}");
    for (properties, bound) in [(value("2".to_owned()), 40_000), (value("2".repeat(32_000)), 100_000)] {
        let message = Message::new(&properties, node.lookups());
        let _ = node.judge(&message);
        assert!(message.steps() <= bound, "{}", message.steps());
    }
    assert!(!passes(
        &format!("a=b{}", " and a=b".repeat(7_000)),
        &[("a", &"x".repeat(15_000)), ("b", &"x".repeat(15_000))]
    ));
}

/// What the reference says of each message by each expression; `tests/capture/filter` made the files.
mod against_java {
    use kerolox_wire::properties;

    use crate::filter::expression::Value;
    use crate::filter::message::Message;
    use crate::filter::parser::parse;

    const MESSAGES: &str = include_str!("../../testdata/filter/messages.txt");
    const ANSWERS: &str = include_str!("../../testdata/filter/answers.txt");

    /// `\n`, `\r`, `\t`, `\f`, `\\` and `\uXXXX`.
    fn unescape(text: &str) -> String {
        let mut out = String::new();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            if c != '\\' {
                out.push(c);
                continue;
            }
            out.push(match rest.next().unwrap() {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'f' => '\u{c}',
                'u' => {
                    let hex: String = rest.by_ref().take(4).collect();
                    char::from_u32(u32::from_str_radix(&hex, 16).unwrap()).unwrap()
                }
                other => other,
            });
        }
        out
    }

    fn messages() -> Vec<String> {
        let message = |line: &str| {
            let mut text = String::new();
            for (name, value) in line.split('\t').filter_map(|pair| pair.split_once('=')) {
                properties::push(&mut text, name, &unescape(value));
            }
            text
        };
        MESSAGES.lines().map(message).collect()
    }

    fn judged(expression: &str, messages: &[String]) -> String {
        let Ok(parsed) = parse(&unescape(expression)) else { return "X".to_owned() };
        let node = parsed.node;
        let answer = |message: &String| match node.judge(&Message::new(message, node.lookups())) {
            Ok(Some(Value::Bool(true))) => 'T',
            Ok(Some(Value::Bool(false))) => 'F',
            Ok(None) => 'N',
            Ok(Some(_)) => '?',
            Err(_) => 'E',
        };
        messages.iter().map(answer).collect()
    }

    #[test]
    fn every_expression_gets_the_answers_of_the_reference() {
        let messages = messages();
        let wrong: Vec<String> = ANSWERS
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .filter_map(|(java, expression)| {
                let ours = judged(expression, &messages);
                (ours != java).then(|| format!("{java}\n{ours}\t{expression}"))
            })
            .collect();
        assert!(ANSWERS.lines().count() > 2_500);
        assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    }
}
