//! Filters by properties, in SQL92: the language, and what each group filters by.

mod expression;
mod lexer;
mod message;
mod number;
mod parser;
mod table;

use self::expression::Node;
use self::message::Message;
pub(crate) use self::parser::ParseError;
pub(crate) use self::table::Filters;

/// A filter that was read and checked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filter {
    node: Node,
    lookups: usize,
    /// Bytes that the compiled expression takes up, about.
    size: usize,
}

impl Filter {
    /// Reads an SQL92 expression.
    ///
    /// # Errors
    /// When it is too long, nested too deeply, or not of the language.
    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        let parsed = parser::parse(text)?;
        let size = parsed.tokens.saturating_mul(size_of::<Node>()).saturating_add(text.len());
        Ok(Self { lookups: parsed.node.lookups(), node: parsed.node, size })
    }

    /// Whether a message with this properties text passes.
    pub(crate) fn passes(&self, properties: &str) -> bool {
        self.node.passes(&Message::new(properties, self.lookups))
    }

    /// Bytes that the filter takes up, about.
    pub(crate) const fn size(&self) -> usize {
        self.size
    }
}

#[cfg(test)]
mod tests;
