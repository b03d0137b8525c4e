//! Filters by properties, in SQL92: the language, and what each group filters by.

mod expression;
mod lexer;
mod number;
mod parser;
mod table;

use self::expression::Node;
pub(crate) use self::parser::ParseError;
pub(crate) use self::table::Filters;

/// A filter that was read and checked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filter(Node);

impl Filter {
    /// Reads an SQL92 expression.
    ///
    /// # Errors
    /// When it is too long, nested too deeply, or not of the language.
    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        parser::parse(text).map(Self)
    }

    /// Whether a message with this properties text passes.
    pub(crate) fn passes(&self, properties: &str) -> bool {
        self.0.passes(properties)
    }
}

#[cfg(test)]
mod tests;
