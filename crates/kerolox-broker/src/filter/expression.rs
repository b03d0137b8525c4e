//! Compiled filter expressions and how they judge a message, by the rules of RocketMQ's `ComparisonExpression`.
//!
//! Properties are text; what they are compared with decides what they are read as. A missing property is null, and null
//! makes most answers unknown. Only what is certainly true passes.

use std::cmp::Ordering;

use super::message::Message;
use super::number::java_double;

/// Deepest nesting of an expression, so that neither reading nor judging runs out of stack.
pub(super) const DEPTH_MAX: u16 = 100;

/// A value: of the expression, or of the message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Bool(bool),
    Int(i32),
    Long(i64),
    Double(f64),
    Text(&'a str),
}

/// A literal of the expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i32),
    Long(i64),
    Double(f64),
    Text(Box<str>),
}

/// Which way two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Part of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Literal(Literal),
    Property(Box<str>),
    Negate(Box<Node>),
    Not(Box<Node>),
    /// A property where a condition is asked for.
    Condition(Box<Node>),
    /// Two or more, judged in order up to the first that decides.
    And(Vec<Node>),
    Or(Vec<Node>),
    Equal(Box<Node>, Box<Node>),
    IsNull(Box<Node>),
    Compare(Order, Box<Node>, Box<Node>),
    Between {
        value: Box<Node>,
        low: Box<Node>,
        high: Box<Node>,
        outside: bool,
    },
    /// The property is one of these, sorted.
    In {
        name: Box<str>,
        list: Box<[Box<str>]>,
        outside: bool,
    },
}

/// A part and how deep the parts in it are nested.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) depth: u16,
}

/// The message cannot be judged: its properties do not fit what they are compared with. Java logs it and skips the
/// message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unfit;

type Judged<'a> = Result<Option<Value<'a>>, Unfit>;

impl Node {
    /// A part without parts.
    pub(super) fn leaf(kind: Kind) -> Self {
        Self { kind, depth: 1 }
    }

    /// Whether the part is a condition whatever the message is.
    pub(super) fn is_condition(&self) -> bool {
        match &self.kind {
            Kind::Literal(literal) => matches!(literal, Literal::Null | Literal::Bool(_)),
            Kind::Property(_) | Kind::Negate(_) => false,
            Kind::Not(_)
            | Kind::Condition(_)
            | Kind::And(_)
            | Kind::Or(_)
            | Kind::Equal(..)
            | Kind::IsNull(_)
            | Kind::Compare(..)
            | Kind::Between { .. }
            | Kind::In { .. } => true,
        }
    }

    /// Whether the message certainly passes.
    pub(super) fn passes(&self, message: &Message<'_>) -> bool {
        matches!(self.judge(message), Ok(Some(Value::Bool(true))))
    }

    /// How often judging a message may look for a property.
    pub(super) fn lookups(&self) -> usize {
        match &self.kind {
            Kind::Literal(_) => 0,
            Kind::Property(_) | Kind::In { .. } => 1,
            Kind::Negate(part) | Kind::Not(part) | Kind::Condition(part) | Kind::IsNull(part) => part.lookups(),
            Kind::And(parts) | Kind::Or(parts) => parts.iter().map(Self::lookups).sum(),
            Kind::Equal(left, right) | Kind::Compare(_, left, right) => left.lookups() + right.lookups(),
            Kind::Between { value, low, high, .. } => value.lookups() + low.lookups() + high.lookups(),
        }
    }

    pub(super) fn judge<'a>(&'a self, message: &Message<'a>) -> Judged<'a> {
        message.spend(1)?;
        match &self.kind {
            Kind::Literal(literal) => Ok(literal.value()),
            Kind::Property(name) => Ok(message.find(name)?.map(Value::Text)),
            Kind::Negate(part) => Ok(part.judge(message)?.and_then(negate)),
            Kind::Not(part) => Ok(part.truth(message)?.map(|truth| Value::Bool(!truth))),
            // A property is text and so never true; it is looked up since a missing one is unknown.
            Kind::Condition(part) => Ok(part.judge(message)?.map(|value| Value::Bool(value == Value::Bool(true)))),
            Kind::And(parts) => all(parts, message, false),
            Kind::Or(parts) => all(parts, message, true),
            Kind::Equal(left, right) => equal(left.judge(message)?, right.judge(message)?),
            Kind::IsNull(part) => Ok(Some(Value::Bool(part.judge(message)?.is_none()))),
            Kind::Compare(order, left, right) => {
                let Some(left) = left.judge(message)? else { return Ok(None) };
                let Some(right) = right.judge(message)? else { return Ok(None) };
                in_order(*order, left, right).map(|holds| Some(Value::Bool(holds)))
            }
            Kind::Between { value, low, high, outside } => {
                let value = value.judge(message)?;
                between(value, [low, high], *outside, message)
            }
            Kind::In { name, list, outside } => Ok(message.find(name)?.map(|text| {
                let listed = list.binary_search_by(|known| (**known).cmp(text)).is_ok();
                Value::Bool(listed != *outside)
            })),
        }
    }

    fn truth(&self, message: &Message<'_>) -> Result<Option<bool>, Unfit> {
        match self.judge(message)? {
            None => Ok(None),
            Some(Value::Bool(truth)) => Ok(Some(truth)),
            Some(_) => Err(Unfit),
        }
    }
}

impl Literal {
    pub(super) fn value(&self) -> Option<Value<'_>> {
        match self {
            Self::Null => None,
            Self::Bool(value) => Some(Value::Bool(*value)),
            Self::Int(value) => Some(Value::Int(*value)),
            Self::Long(value) => Some(Value::Long(*value)),
            Self::Double(value) => Some(Value::Double(*value)),
            Self::Text(value) => Some(Value::Text(value)),
        }
    }
}

/// AND and OR: the first part that is `decisive` decides; otherwise one unknown part makes it unknown.
fn all<'a>(parts: &[Node], message: &Message<'_>, decisive: bool) -> Judged<'a> {
    let mut unknown = false;
    for part in parts {
        match part.truth(message)? {
            Some(truth) if truth == decisive => return Ok(Some(Value::Bool(decisive))),
            Some(_) => {}
            None => unknown = true,
        }
    }
    Ok((!unknown).then_some(Value::Bool(!decisive)))
}

/// `BETWEEN` is `value >= low AND value <= high`, with NOT it is `value < low OR value > high`.
fn between<'a>(value: Option<Value<'_>>, ends: [&'a Node; 2], outside: bool, message: &Message<'a>) -> Judged<'a> {
    let orders = if outside { [Order::Less, Order::Greater] } else { [Order::GreaterOrEqual, Order::LessOrEqual] };
    let Some(value) = value else { return Ok(None) };
    let mut unknown = false;
    for (end, order) in ends.into_iter().zip(orders) {
        match end.judge(message)? {
            None => unknown = true,
            Some(end) if in_order(order, value, end)? == outside => return Ok(Some(Value::Bool(outside))),
            Some(_) => {}
        }
    }
    Ok((!unknown).then_some(Value::Bool(!outside)))
}

/// Equality is lopsided, as in Java: something is not null, but whether null is something is unknown.
fn equal<'a>(left: Option<Value<'_>>, right: Option<Value<'_>>) -> Judged<'a> {
    Ok(match (left, right) {
        (None, None) => Some(Value::Bool(true)),
        (None, Some(_)) => None,
        (Some(_), None) => Some(Value::Bool(false)),
        (Some(left), Some(right)) => Some(Value::Bool(compare(left, right)? == Ordering::Equal)),
    })
}

fn in_order(order: Order, left: Value<'_>, right: Value<'_>) -> Result<bool, Unfit> {
    let answer = if let (Value::Text(left), Value::Text(right)) = (left, right) {
        let (left, right) = (java_double(left).ok_or(Unfit)?, java_double(right).ok_or(Unfit)?);
        compare_doubles(left, right)
    } else {
        compare(left, right)?
    };
    Ok(match order {
        Order::Less => answer.is_lt(),
        Order::LessOrEqual => answer.is_le(),
        Order::Greater => answer.is_gt(),
        Order::GreaterOrEqual => answer.is_ge(),
    })
}

/// Java's `__compare`: the left value is made what the right one is or the other way round; what cannot be made alike
/// counts as less.
pub(super) fn compare(left: Value<'_>, right: Value<'_>) -> Result<Ordering, Unfit> {
    use Value::{Bool, Double, Int, Long, Text};
    Ok(match (left, right) {
        (Bool(left), Bool(right)) => left.cmp(&right),
        (Text(left), Text(right)) => left.cmp(right),
        (Int(left), Int(right)) => left.cmp(&right),
        (Int(left), Long(right)) => i64::from(left).cmp(&right),
        (Long(left), Int(right)) => left.cmp(&i64::from(right)),
        (Long(left), Long(right)) => left.cmp(&right),
        (Int(left), Double(right)) => compare_doubles(left.into(), right),
        (Double(left), Int(right)) => compare_doubles(left, right.into()),
        (Long(left), Double(right)) => compare_doubles(left as f64, right),
        (Double(left), Long(right)) => compare_doubles(left, right as f64),
        (Double(left), Double(right)) => compare_doubles(left, right),
        (Text(left), Bool(right)) => left.eq_ignore_ascii_case("true").cmp(&right),
        (Text(left), Int(right)) => left.parse::<i32>().map_err(|_| Unfit)?.cmp(&right),
        (Text(left), Long(right)) => left.parse::<i64>().map_err(|_| Unfit)?.cmp(&right),
        (Text(left), Double(right)) => compare_doubles(java_double(left).ok_or(Unfit)?, right),
        (Int(left), Text(right)) => left.cmp(&right.parse::<i32>().map_err(|_| Unfit)?),
        (Long(left), Text(right)) => left.cmp(&right.parse::<i64>().map_err(|_| Unfit)?),
        (Double(left), Text(right)) => compare_doubles(left, java_double(right).ok_or(Unfit)?),
        // Java casts the wrong one of the two and fails.
        (Bool(_), Text(_)) => return Err(Unfit),
        (Bool(_), _) | (_, Bool(_)) => Ordering::Less,
    })
}

/// `Double.compareTo`: -0.0 lies before 0.0, and NaN behind everything.
fn compare_doubles(left: f64, right: f64) -> Ordering {
    let plain = |value: f64| if value.is_nan() { f64::NAN.abs() } else { value };
    plain(left).total_cmp(&plain(right))
}

fn negate(value: Value<'_>) -> Option<Value<'static>> {
    match value {
        Value::Int(value) => Some(Value::Int(value.wrapping_neg())),
        Value::Long(value) => Some(Value::Long(value.wrapping_neg())),
        Value::Double(value) => Some(Value::Double(-value)),
        Value::Bool(_) | Value::Text(_) => None,
    }
}
