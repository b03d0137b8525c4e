//! The hashes that queue units and the key index keep of tags and keys.

/// Java's `String.hashCode`: over UTF-16 units, in wrapping 32 bits.
#[must_use]
pub fn java_hash(text: &str) -> i32 {
    extend_hash(0, text)
}

/// The hash of `a + text` when `hash` is that of `a`.
fn extend_hash(hash: i32, text: &str) -> i32 {
    let step = |hash: i32, unit: u16| hash.wrapping_mul(31).wrapping_add(i32::from(unit));
    // Nearly all tags and keys are ASCII, where a unit is a byte.
    if text.is_ascii() {
        text.bytes().fold(hash, |hash, byte| step(hash, byte.into()))
    } else {
        text.encode_utf16().fold(hash, step)
    }
}

/// What a queue unit keeps of the TAGS property: its hash, sign-extended; 0 when absent or empty.
#[must_use]
pub fn tags_code(tags: Option<&str>) -> i64 {
    tags.map_or(0, |tags| java_hash(tags).into())
}

/// What the key index keeps of a whole key text: the hash without its sign; 0 for the one hash that has no positive
/// counterpart.
#[must_use]
pub fn index_hash(key: &str) -> u32 {
    positive(java_hash(key))
}

/// [`index_hash`] of `topic#key`, the text under which a message's key is indexed.
#[must_use]
pub fn index_key_hash(topic: &str, key: &str) -> u32 {
    positive(extend_hash(extend_hash(java_hash(topic), "#"), key))
}

fn positive(hash: i32) -> u32 {
    hash.checked_abs().map_or(0, i32::cast_unsigned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hashes_agree_with_java() {
        for (text, java, index) in [
            ("", 0, 0),
            ("TagA", 2_598_919, 2_598_919),
            ("TagA || TagB", 1_359_775_119, 1_359_775_119),
            ("订单", 1_129_459, 1_129_459),
            ("polygenelubricants", i32::MIN, 0),
            ("\u{1F600}", 1_772_899, 1_772_899),
        ] {
            assert_eq!(java_hash(text), java, "{text}");
            assert_eq!(tags_code(Some(text)), i64::from(java), "{text}");
            assert_eq!(index_hash(text), index, "{text}");
        }
        assert_eq!(tags_code(None), 0);
    }

    proptest! {
        #[test]
        fn a_key_hash_needs_no_joined_text(topic in "\\PC{0,20}", key in "\\PC{0,20}") {
            prop_assert_eq!(index_key_hash(&topic, &key), index_hash(&format!("{topic}#{key}")));
        }
    }
}
