//! SQL92 filter text to tokens, as the tables of RocketMQ's `SelectorParser.jj` cut it.
//!
//! Of several readings the longest counts: `--` begins a comment only when a line end follows, `0123` is the number `0`
//! and the number `123`, and a quote that is never closed ends where a doubled quote before it could have closed it.

use winnow::combinator::{alt, dispatch, fail, opt, peek, repeat};
use winnow::error::ContextError;
use winnow::stream::{LocatingSlice, Location, Stream};
use winnow::token::{any, one_of, take_till, take_until, take_while};
use winnow::{Parser, Result};

/// What a word or a sign means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    And,
    Or,
    Not,
    Between,
    In,
    Is,
    True,
    False,
    Null,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Plus,
    Minus,
    Open,
    Close,
    Comma,
}

/// Words that are no names, in any case of their letters.
const WORDS: [(&str, Sign); 9] = [
    ("AND", Sign::And),
    ("OR", Sign::Or),
    ("NOT", Sign::Not),
    ("BETWEEN", Sign::Between),
    ("IN", Sign::In),
    ("IS", Sign::Is),
    ("TRUE", Sign::True),
    ("FALSE", Sign::False),
    ("NULL", Sign::Null),
];

/// One piece of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'s> {
    /// A word or sign of the language.
    Sign(Sign),
    /// Name of a property.
    Name(&'s str),
    /// Digits, possibly with an `l` behind them.
    Whole(&'s str),
    /// A number with a point or an exponent.
    Real(&'s str),
    /// What stands between the quotes, with doubled quotes as they are.
    Text(&'s str),
    /// No token of the language; nothing behind it is looked at.
    Wrong(char),
}

/// A token and where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placed<'s> {
    pub(super) token: Token<'s>,
    /// Byte within the expression.
    pub(super) at: usize,
}

type Input<'s> = LocatingSlice<&'s str>;

/// The tokens of `text`, up to the first wrong one and about `most` of them.
pub(super) fn tokens(text: &str, most: usize) -> Vec<Placed<'_>> {
    let mut input = LocatingSlice::new(text);
    let mut found = Vec::new();
    // Looked for once: signs of minus without a line end behind them must not be searched to the end one by one.
    let last_line_end = text.rfind(['\n', '\r']).unwrap_or(0);
    // Digits up to here are followed by neither point nor exponent. In zeros each is a number of its own, and looking
    // from each of them to the end of all would take time that grows with the square of their count.
    let mut whole_until = 0;
    while found.len() <= most {
        let blank = |input: &mut Input<'_>| blank(input, last_line_end);
        // Blanks may always be absent, so this cannot fail.
        let _: Result<()> = repeat(0.., blank).parse_next(&mut input);
        let at = input.current_token_start();
        if at >= whole_until {
            whole_until = at.saturating_add(whole_digits(&input));
        }
        let read = if at < whole_until { whole.parse_next(&mut input) } else { token.parse_next(&mut input) };
        match read {
            Ok(token) => found.push(Placed { token, at }),
            Err(_) => {
                found.extend(input.peek_token().map(|c| Placed { token: Token::Wrong(c), at }));
                return found;
            }
        }
    }
    found
}

/// How many digits `text` begins with, unless a point or an exponent makes them the begin of a real number.
fn whole_digits(text: &str) -> usize {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let count = digits(text);
    let real = match text.as_bytes().get(count..).unwrap_or_default() {
        [b'.', ..] => true,
        [b'e' | b'E', b'+' | b'-', power, ..] | [b'e' | b'E', power, ..] => power.is_ascii_digit(),
        _ => false,
    };
    if real { 0 } else { count }
}

fn blank(input: &mut Input<'_>, last_line_end: usize) -> Result<()> {
    let blanks = take_while(1.., [' ', '\t', '\n', '\r', '\u{c}']).void();
    let block = ("/*", take_until(0.., "*/"), "*/").void();
    if input.current_token_start() >= last_line_end {
        return alt((blanks, block)).parse_next(input);
    }
    let line = ("--", take_till(0.., ['\n', '\r']), one_of(['\n', '\r'])).void();
    alt((blanks, line, block)).parse_next(input)
}

fn token<'s>(input: &mut Input<'s>) -> Result<Token<'s>> {
    dispatch! { peek(any);
        'a'..='z' | 'A'..='Z' | '_' | '$' => name,
        '0'..='9' | '.' => alt((real, whole)),
        '\'' => text,
        _ => sign.map(Token::Sign),
    }
    .parse_next(input)
}

fn name<'s>(input: &mut Input<'s>) -> Result<Token<'s>> {
    let name: &str = take_while(1.., |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$').parse_next(input)?;
    let word = WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(name));
    Ok(word.map_or(Token::Name(name), |(_, sign)| Token::Sign(*sign)))
}

fn digits<'s>(input: &mut Input<'s>) -> Result<&'s str> {
    take_while(1.., |c: char| c.is_ascii_digit()).parse_next(input)
}

fn real<'s>(input: &mut Input<'s>) -> Result<Token<'s>> {
    let exponent = |input: &mut Input<'s>| -> Result<()> {
        (one_of(['e', 'E']), opt(one_of(['+', '-'])), digits).void().parse_next(input)
    };
    let both = (digits, '.', opt(digits), opt(exponent)).void();
    let fraction = ('.', digits, opt(exponent)).void();
    let power = (digits, exponent).void();
    alt((both, fraction, power)).take().map(Token::Real).parse_next(input)
}

fn whole<'s>(input: &mut Input<'s>) -> Result<Token<'s>> {
    let long = (one_of('1'..='9'), take_while(0.., |c: char| c.is_ascii_digit()), opt(one_of(['l', 'L']))).void();
    alt(('0'.void(), long)).take().map(Token::Whole).parse_next(input)
}

fn text<'s>(input: &mut Input<'s>) -> Result<Token<'s>> {
    let start = input.checkpoint();
    any.parse_next(input)?;
    let inside = **input;
    let mut end = None;
    let mut quotes = inside.char_indices().filter(|(_, c)| *c == '\'').map(|(at, _)| at).peekable();
    while let Some(quote) = quotes.next() {
        end = Some(quote);
        if quotes.next_if_eq(&(quote + 1)).is_none() {
            break;
        }
    }
    let Some(inside) = end.and_then(|end| inside.get(..end)) else {
        input.reset(&start);
        return fail::<_, Token<'s>, ContextError>.parse_next(input);
    };
    let _closed = input.next_slice(inside.len() + 1);
    Ok(Token::Text(inside))
}

fn sign(input: &mut Input<'_>) -> Result<Sign> {
    alt((
        alt(("<>".value(Sign::NotEqual), "<=".value(Sign::LessOrEqual), ">=".value(Sign::GreaterOrEqual))),
        alt(('='.value(Sign::Equal), '<'.value(Sign::Less), '>'.value(Sign::Greater))),
        '+'.value(Sign::Plus),
        '-'.value(Sign::Minus),
        '('.value(Sign::Open),
        ')'.value(Sign::Close),
        ','.value(Sign::Comma),
    ))
    .parse_next(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<Token<'_>> {
        tokens(text, 100).into_iter().map(|placed| placed.token).collect()
    }

    #[test]
    fn the_longest_reading_counts() {
        use Token::{Name, Real, Sign as S, Text, Whole, Wrong};
        for (text, expected) in [
            ("0123", &[Whole("0"), Whole("123")][..]),
            ("12L 0l", &[Whole("12L"), Whole("0"), Name("l")]),
            ("5. .5 5.E1 5e+3 5e", &[Real("5."), Real(".5"), Real("5.E1"), Real("5e+3"), Whole("5"), Name("e")]),
            ("a--b", &[Name("a"), S(Sign::Minus), S(Sign::Minus), Name("b")]),
            ("a--b\r\nc", &[Name("a"), Name("c")]),
            ("a/*b**/c", &[Name("a"), Name("c")]),
            ("a/*b*", &[Name("a"), Wrong('/')]),
            ("'it''s' ''", &[Text("it''s"), Text("")]),
            ("'a''b", &[Text("a"), Wrong('\'')]),
            ("<>= <= >=", &[S(Sign::NotEqual), S(Sign::Equal), S(Sign::LessOrEqual), S(Sign::GreaterOrEqual)]),
            ("NoTe noT $_9", &[Name("NoTe"), S(Sign::Not), Name("$_9")]),
            ("a.b", &[Name("a"), Wrong('.')]),
            ("ä", &[Wrong('ä')]),
            (" \t\u{c}", &[]),
        ] {
            assert_eq!(all(text), expected, "{text}");
        }
    }

    #[test]
    fn tokens_know_where_they_stand() {
        let at: Vec<usize> = tokens("ab = 'ä' ;", 100).iter().map(|placed| placed.at).collect();
        assert_eq!(at, [0, 3, 5, 10]);
    }
}
