//! The grammar of filter expressions, loosest first: OR, AND, equality, comparison, prefix, operand.
//!
//! What follows a complete expression is ignored, as in RocketMQ, unless it begins with something that is no token.

use winnow::combinator::{alt, cut_err, delimited, opt, preceded, separated, terminated};
use winnow::error::{ErrMode, ParserError};
use winnow::stream::{Stateful, TokenSlice};
use winnow::token::any;
use winnow::{ModalResult, Parser};

use super::expression::{DEPTH_MAX, Kind, Literal, Node, Order, compare};
use super::lexer::{Placed, Sign, Token, tokens};
use super::number::java_double;

/// Longest expression in bytes.
pub(super) const EXPRESSION_BYTES_MAX: usize = 64 * 1024;

/// Most tokens of an expression, which bounds what it is compiled to and how long it takes to judge a message.
pub(super) const TOKENS_MAX: usize = 32_768;

/// Why a text is no filter expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ParseError {
    /// Longer than what is read.
    #[error("the filter expression has {len} bytes, {EXPRESSION_BYTES_MAX} are allowed")]
    TooLong {
        /// Bytes given.
        len: usize,
    },
    /// More parts than what is compiled.
    #[error("the filter expression has more than {TOKENS_MAX} words, numbers and signs")]
    TooManyTokens,
    /// Not of the language.
    #[error("the filter expression cannot be read at character {at}: {why}")]
    Wrong {
        /// Character that is wrong, from 1.
        at: usize,
        /// What is wrong with it.
        why: String,
    },
}

/// What is wrong, and at which byte.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault {
    at: usize,
    why: String,
}

#[derive(Debug)]
struct Reading {
    /// Prefixes and brackets around the current token.
    depth: u16,
    /// Bytes of the expression.
    len: usize,
}

type Tokens<'t, 's> = Stateful<TokenSlice<'t, Placed<'s>>, Reading>;
type Read<T> = ModalResult<T, Fault>;

impl<'t, 's> ParserError<Tokens<'t, 's>> for Fault {
    type Inner = Self;

    fn from_input(input: &Tokens<'t, 's>) -> Self {
        match input.input.first() {
            None => Self { at: input.state.len, why: "it ends too early".to_owned() },
            Some(Placed { token: Token::Wrong('\''), at }) => {
                Self { at: *at, why: "the text is not closed by a quote".to_owned() }
            }
            Some(Placed { token: Token::Wrong(c), at }) => {
                Self { at: *at, why: format!("{c:?} is no part of the language") }
            }
            Some(Placed { token, at }) => Self { at: *at, why: format!("{} is not expected", shown(token)) },
        }
    }

    fn into_inner(self) -> Result<Self::Inner, Self> {
        Ok(self)
    }
}

fn shown(token: &Token<'_>) -> String {
    match token {
        Token::Sign(sign) => format!("{sign:?}"),
        Token::Name(name) => format!("the name {name}"),
        Token::Whole(number) | Token::Real(number) => format!("the number {number}"),
        Token::Text(text) => format!("the text '{text}'"),
        Token::Wrong(c) => format!("{c:?}"),
    }
}

/// An expression that was read.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) node: Node,
    /// How many tokens it has; it has no more nodes.
    pub(super) tokens: usize,
}

/// Reads an expression.
pub(super) fn parse(text: &str) -> Result<Parsed, ParseError> {
    if text.len() > EXPRESSION_BYTES_MAX {
        return Err(ParseError::TooLong { len: text.len() });
    }
    let found = tokens(text, TOKENS_MAX);
    let reading = Reading { depth: 0, len: text.len() };
    let mut input = Tokens { input: TokenSlice::new(&found), state: reading };
    let read = whole(&mut input);
    let read = read.map_err(|error| {
        let fault = match error {
            ErrMode::Backtrack(fault) | ErrMode::Cut(fault) => fault,
            ErrMode::Incomplete(_) => Fault { at: text.len(), why: "it ends too early".to_owned() },
        };
        // Of a text that was cut only its nesting is known for sure.
        if found.len() > TOKENS_MAX && fault.why != deeper() {
            return ParseError::TooManyTokens;
        }
        let before = text.get(..fault.at).map_or(0, |before| before.chars().count());
        ParseError::Wrong { at: before + 1, why: fault.why }
    });
    match read? {
        _ if found.len() > TOKENS_MAX => Err(ParseError::TooManyTokens),
        node => Ok(Parsed { node, tokens: found.len() }),
    }
}

fn whole(input: &mut Tokens<'_, '_>) -> Read<Node> {
    let node = or(input)?;
    let node = condition(input, node)?;
    match input.input.first() {
        Some(Placed { token: Token::Wrong(_), .. }) => Err(ErrMode::Cut(Fault::from_input(input))),
        _ => Ok(node),
    }
}

fn or(input: &mut Tokens<'_, '_>) -> Read<Node> {
    chain(input, Sign::Or, and, Kind::Or)
}

fn and(input: &mut Tokens<'_, '_>) -> Read<Node> {
    chain(input, Sign::And, equality, Kind::And)
}

/// One or more parts between which `between` stands; kept flat, so that long chains are not deep.
fn chain(
    input: &mut Tokens<'_, '_>,
    between: Sign,
    mut part: impl FnMut(&mut Tokens<'_, '_>) -> Read<Node>,
    made: fn(Vec<Node>) -> Kind,
) -> Read<Node> {
    let first = part(input)?;
    if opt(sign(between)).parse_next(input)?.is_none() {
        return Ok(first);
    }
    let mut parts = vec![condition(input, first)?];
    loop {
        let next = cut_err(&mut part).parse_next(input)?;
        parts.push(condition(input, next)?);
        if opt(sign(between)).parse_next(input)?.is_none() {
            break;
        }
    }
    let deepest = parts.iter().map(|part| part.depth).max().unwrap_or(0);
    over(input, deepest, made(parts))
}

fn equality(input: &mut Tokens<'_, '_>) -> Read<Node> {
    enum Rest {
        Equal(bool, Node),
        Null(bool),
    }
    let mut left = comparison(input)?;
    loop {
        let equal = |input: &mut Tokens<'_, '_>| {
            let not = alt((sign(Sign::Equal).value(false), sign(Sign::NotEqual).value(true)));
            (not, cut_err(comparison)).map(|(not, right)| Rest::Equal(not, right)).parse_next(input)
        };
        let null = |input: &mut Tokens<'_, '_>| {
            let rest = terminated(opt(sign(Sign::Not)), sign(Sign::Null));
            preceded(sign(Sign::Is), cut_err(rest)).map(|not| Rest::Null(not.is_some())).parse_next(input)
        };
        let Some(rest) = opt(alt((equal, null))).parse_next(input)? else { return Ok(left) };
        let (not, kind, depth) = match rest {
            Rest::Equal(not, right) => {
                comparable_for_equality(input, &left, &right)?;
                let depth = left.depth.max(right.depth);
                (not, Kind::Equal(Box::new(left), Box::new(right)), depth)
            }
            Rest::Null(not) => {
                let depth = left.depth;
                (not, Kind::IsNull(Box::new(left)), depth)
            }
        };
        left = over(input, depth, kind)?;
        if not {
            left = over(input, left.depth, Kind::Not(Box::new(left)))?;
        }
    }
}

fn comparison(input: &mut Tokens<'_, '_>) -> Read<Node> {
    let mut left = unary(input)?;
    loop {
        let order = alt((
            sign(Sign::Greater).value(Order::Greater),
            sign(Sign::GreaterOrEqual).value(Order::GreaterOrEqual),
            sign(Sign::Less).value(Order::Less),
            sign(Sign::LessOrEqual).value(Order::LessOrEqual),
        ));
        if let Some((order, right)) = opt((order, cut_err(unary))).parse_next(input)? {
            left = ordered(input, order, left, right)?;
            continue;
        }
        let not = opt(sign(Sign::Not)).parse_next(input)?.is_some();
        if opt(sign(Sign::Between)).parse_next(input)?.is_some() {
            let ends = (unary, preceded(sign(Sign::And), unary));
            let (low, high) = cut_err(ends).parse_next(input)?;
            left = between(input, left, low, high, not)?;
        } else if opt(sign(Sign::In)).parse_next(input)?.is_some() {
            let list = delimited(sign(Sign::Open), separated(1.., text, sign(Sign::Comma)), sign(Sign::Close));
            let list: Vec<Box<str>> = cut_err(list).parse_next(input)?;
            left = one_of(input, left, list, not)?;
        } else if not {
            return Err(ErrMode::Cut(Fault::from_input(input)));
        } else {
            return Ok(left);
        }
    }
}

fn unary(input: &mut Tokens<'_, '_>) -> Read<Node> {
    let prefix = alt((sign(Sign::Plus), sign(Sign::Minus), sign(Sign::Not)));
    match opt(prefix).parse_next(input)? {
        None => primary(input),
        Some(Sign::Plus) => nested(input, unary),
        Some(Sign::Minus) => {
            let part = nested(input, unary)?;
            over(input, part.depth, Kind::Negate(Box::new(part)))
        }
        Some(_) => {
            let part = nested(input, unary)?;
            let part = condition(input, part)?;
            over(input, part.depth, Kind::Not(Box::new(part)))
        }
    }
}

fn primary(input: &mut Tokens<'_, '_>) -> Read<Node> {
    if opt(sign(Sign::Open)).parse_next(input)?.is_some() {
        let inside = nested(input, or)?;
        cut_err(sign(Sign::Close)).parse_next(input)?;
        return Ok(inside);
    }
    let Some(placed) = input.input.first().copied() else {
        return Err(ErrMode::Backtrack(Fault::from_input(input)));
    };
    let kind = match placed.token {
        Token::Name(name) => Kind::Property(name.into()),
        Token::Text(inside) => Kind::Literal(Literal::Text(unquoted(inside))),
        Token::Whole(digits) => Kind::Literal(
            whole_number(digits).ok_or_else(|| fault(placed.at, format!("{digits} is greater than {}", i64::MAX)))?,
        ),
        Token::Real(digits) => Kind::Literal(Literal::Double(real_number(digits).ok_or_else(|| {
            fault(placed.at, format!("{digits} is not between {:e} and {:e}", f64::from_bits(1), f64::MAX))
        })?)),
        Token::Sign(Sign::True) => Kind::Literal(Literal::Bool(true)),
        Token::Sign(Sign::False) => Kind::Literal(Literal::Bool(false)),
        Token::Sign(Sign::Null) => Kind::Literal(Literal::Null),
        Token::Sign(_) | Token::Wrong(_) => return Err(ErrMode::Backtrack(Fault::from_input(input))),
    };
    any.void().parse_next(input)?;
    Ok(Node::leaf(kind))
}

/// `part` one level deeper; the level counts while it is read, the depth of nodes is counted by [`over`].
fn nested<'t, 's>(input: &mut Tokens<'t, 's>, part: fn(&mut Tokens<'t, 's>) -> Read<Node>) -> Read<Node> {
    if input.state.depth >= DEPTH_MAX {
        return Err(too_deep(input));
    }
    input.state.depth += 1;
    let read = cut_err(part).parse_next(input);
    input.state.depth -= 1;
    read
}

/// A node over parts of which the deepest has `depth`.
fn over(input: &Tokens<'_, '_>, depth: u16, kind: Kind) -> Read<Node> {
    if depth >= DEPTH_MAX {
        return Err(too_deep(input));
    }
    Ok(Node { kind, depth: depth + 1 })
}

fn sign<'t, 's: 't>(wanted: Sign) -> impl Parser<Tokens<'t, 's>, Sign, ErrMode<Fault>> {
    any.verify_map(move |placed: &Placed<'_>| (placed.token == Token::Sign(wanted)).then_some(wanted))
}

fn text(input: &mut Tokens<'_, '_>) -> Read<Box<str>> {
    any.verify_map(|placed: &Placed<'_>| match placed.token {
        Token::Text(inside) => Some(unquoted(inside)),
        _ => None,
    })
    .parse_next(input)
}

fn unquoted(inside: &str) -> Box<str> {
    inside.replace("''", "'").into()
}

/// A number that fits 32 bits is one of 32 bits: that decides how properties are read.
fn whole_number(digits: &str) -> Option<Literal> {
    let value: i64 = digits.trim_end_matches(['l', 'L']).parse().ok()?;
    Some(i32::try_from(value).map_or(Literal::Long(value), Literal::Int))
}

/// 0.0 is refused as Java refuses it: it takes the smallest double above 0 for the smallest of all.
fn real_number(digits: &str) -> Option<f64> {
    java_double(digits).filter(|value| (f64::from_bits(1)..=f64::MAX).contains(value))
}

fn fault(at: usize, why: String) -> ErrMode<Fault> {
    ErrMode::Cut(Fault { at, why })
}

/// A fault of what was just read, told at the place where reading stands.
fn wrong(input: &Tokens<'_, '_>, why: &str) -> ErrMode<Fault> {
    let at = input.input.first().map_or(input.state.len, |placed| placed.at);
    fault(at, format!("before here, {why}"))
}

fn too_deep(input: &Tokens<'_, '_>) -> ErrMode<Fault> {
    let at = input.input.first().map_or(input.state.len, |placed| placed.at);
    fault(at, deeper())
}

fn deeper() -> String {
    format!("it is nested deeper than {DEPTH_MAX} levels")
}

/// The node where a condition is asked for; a bare property becomes one.
fn condition(input: &Tokens<'_, '_>, node: Node) -> Read<Node> {
    if node.is_condition() {
        return Ok(node);
    }
    if matches!(node.kind, Kind::Property(_)) {
        return over(input, node.depth, Kind::Condition(Box::new(node)));
    }
    Err(wrong(input, "a value stands where a condition is needed"))
}

fn comparable_for_equality(input: &Tokens<'_, '_>, left: &Node, right: &Node) -> Read<()> {
    let null = |node: &Node| matches!(node.kind, Kind::Literal(Literal::Null));
    if null(left) || null(right) {
        return Err(wrong(input, "NULL is compared by = or <>; use IS NULL or IS NOT NULL"));
    }
    let literals = matches!(left.kind, Kind::Literal(_)) && matches!(right.kind, Kind::Literal(_));
    if literals && left.is_condition() && !right.is_condition() {
        return Err(wrong(input, "TRUE or FALSE is compared with a value of another kind"));
    }
    Ok(())
}

fn comparable_by_order(input: &Tokens<'_, '_>, node: &Node) -> Read<()> {
    let number = matches!(node.kind, Kind::Literal(Literal::Int(_) | Literal::Long(_) | Literal::Double(_)));
    if number || !matches!(node.kind, Kind::Literal(_)) && !node.is_condition() {
        return Ok(());
    }
    Err(wrong(input, "only numbers and properties have an order"))
}

fn ordered(input: &Tokens<'_, '_>, order: Order, left: Node, right: Node) -> Read<Node> {
    comparable_by_order(input, &left)?;
    comparable_by_order(input, &right)?;
    let depth = left.depth.max(right.depth);
    over(input, depth, Kind::Compare(order, Box::new(left), Box::new(right)))
}

fn between(input: &Tokens<'_, '_>, value: Node, low: Node, high: Node, outside: bool) -> Read<Node> {
    for node in [&value, &low, &high] {
        comparable_by_order(input, node)?;
    }
    if let (Kind::Literal(least), Kind::Literal(most)) = (&low.kind, &high.kind)
        && !outside
        && let (Some(least), Some(most)) = (least.value(), most.value())
        && compare(most, least).is_ok_and(std::cmp::Ordering::is_lt)
    {
        return Err(wrong(input, "the first number of BETWEEN is greater than the second"));
    }
    let depth = value.depth.max(low.depth).max(high.depth);
    let kind = Kind::Between { value: Box::new(value), low: Box::new(low), high: Box::new(high), outside };
    over(input, depth, kind)
}

fn one_of(input: &Tokens<'_, '_>, left: Node, mut list: Vec<Box<str>>, outside: bool) -> Read<Node> {
    let Kind::Property(name) = left.kind else {
        return Err(wrong(input, "IN needs a property on its left"));
    };
    list.sort_unstable();
    list.dedup();
    Ok(Node::leaf(Kind::In { name, list: list.into(), outside }))
}
