//! A set of queue offsets.

use std::collections::HashMap;

/// Offsets of ended half messages: a word of bits for each 64 of them. Ended half messages lie close together, and for
/// each word there is at least one record in the log, so the set stays far smaller than the log.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    words: HashMap<u64, u64>,
}

impl Offsets {
    pub(super) fn insert(&mut self, offset: u64) {
        *self.words.entry(offset >> 6).or_default() |= 1 << (offset & 63);
    }

    pub(super) fn contains(&self, offset: u64) -> bool {
        self.words.get(&(offset >> 6)).is_some_and(|word| word >> (offset & 63) & 1 == 1)
    }

    /// How many there are from an offset on.
    pub(super) fn count_from(&self, offset: u64) -> u64 {
        let first = offset >> 6;
        let count = |(at, word): (&u64, &u64)| match (*at).cmp(&first) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => u64::from((word >> (offset & 63)).count_ones()),
            std::cmp::Ordering::Greater => u64::from(word.count_ones()),
        };
        self.words.iter().map(count).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_agrees_with_a_plain_set(
            offsets in prop::collection::vec(prop_oneof![0u64..300, any::<u64>()], 0..200), from in 0u64..300,
        ) {
            let mut set = Offsets::default();
            offsets.iter().for_each(|offset| set.insert(*offset));
            let plain: BTreeSet<u64> = offsets.into_iter().collect();
            for offset in (0..300).chain(plain.iter().copied()) {
                prop_assert_eq!(set.contains(offset), plain.contains(&offset));
            }
            prop_assert_eq!(set.count_from(from), plain.range(from..).count() as u64);
        }
    }
}
