//! The properties of one message as a filter looks at them, and how much work judging it may take.

use std::cell::Cell;
use std::collections::HashMap;

use kerolox_wire::properties;

use super::expression::Unfit;

/// Steps after which a message counts as one that cannot be judged. A step is a part of the expression, or some bytes of
/// a property; the longest expression whose properties are of ordinary length takes half of them.
const STEPS_MAX: usize = 100_000;
/// Bytes of text that are looked at in one step.
const STEP_BYTES: usize = 64;
/// With more lookups than this the properties are read once for all of them.
const LOOKUPS_WITHOUT_INDEX_MAX: usize = 8;

/// The properties of one message.
pub(super) struct Message<'a> {
    text: &'a str,
    /// Each property's last value.
    index: Option<HashMap<&'a str, &'a str>>,
    steps_left: Cell<usize>,
}

impl<'a> Message<'a> {
    /// The message with these properties, for an expression that looks up so many.
    pub(super) fn new(text: &'a str, lookups: usize) -> Self {
        let index = (lookups > LOOKUPS_WITHOUT_INDEX_MAX).then(|| properties::pairs(text).collect());
        Self { text, index, steps_left: Cell::new(STEPS_MAX) }
    }

    /// The value of a property.
    pub(super) fn find(&self, name: &str) -> Result<Option<&'a str>, Unfit> {
        let found = match &self.index {
            Some(index) => index.get(name).copied(),
            None => {
                self.spend(self.text.len() / STEP_BYTES)?;
                properties::find(self.text, name)
            }
        };
        self.spend(found.map_or(0, str::len) / STEP_BYTES)?;
        Ok(found)
    }

    /// Takes steps off those that are left.
    ///
    /// # Errors
    /// When there are too few.
    pub(super) fn spend(&self, steps: usize) -> Result<(), Unfit> {
        let left = self.steps_left.get().checked_sub(steps).ok_or(Unfit)?;
        self.steps_left.set(left);
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn steps(&self) -> usize {
        STEPS_MAX - self.steps_left.get()
    }
}
