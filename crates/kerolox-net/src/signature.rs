//! Signatures of requests, as RocketMQ's access control of the 4.x kind has them.
//!
//! HMAC-SHA1, in base64, over the values of all extension fields in the order of their names, then the body. Neither
//! the names nor the request code are covered, and nothing makes a signature stale: who hears a request can repeat it.

use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use kerolox_wire::fields::Fields;
use kerolox_wire::frame::Frame;
use sha1::Sha1;

/// Field with the name of the account.
pub const ACCESS_KEY: &str = "AccessKey";
/// Field with the signature.
pub const SIGNATURE: &str = "Signature";
/// Added by clients after they have signed, so no part of what is signed.
const UNIQUE_KEY_QUERY: &str = "_UNIQUE_KEY_QUERY";

/// An account's name and secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Name, sent along with each request.
    pub access_key: String,
    /// Never sent, and never shown.
    pub secret_key: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Adds the account's name and the signature to a request that is otherwise complete.
    pub fn sign(&self, frame: &mut Frame) {
        frame.fields.set(ACCESS_KEY, &self.access_key);
        if let Some(mac) = mac_of(&self.secret_key, frame) {
            let signature = Base64::encode_string(&mac.finalize().into_bytes());
            frame.fields.set(SIGNATURE, &signature);
        }
    }
}

/// Whether a request carries the signature that this secret makes; takes equally long wherever they differ.
#[must_use]
pub fn is_signed(frame: &Frame, secret_key: &str) -> bool {
    let given = frame.fields.get(SIGNATURE).and_then(|text| Base64::decode_vec(text).ok());
    // A request without one takes as long as one with a wrong one.
    let given = given.unwrap_or_default();
    mac_of(secret_key, frame).is_some_and(|mac| mac.verify_slice(&given).is_ok())
}

fn mac_of(secret_key: &str, frame: &Frame) -> Option<Hmac<Sha1>> {
    // Any length of key will do for HMAC, so there always is one.
    let mut mac = Hmac::<Sha1>::new_from_slice(secret_key.as_bytes()).ok()?;
    for (_, value) in signed_fields(&frame.fields) {
        mac.update(value.as_bytes());
    }
    mac.update(&frame.body);
    Some(mac)
}

/// By name; of fields that come twice the last, as in a map. Java orders by UTF-16 units, which for the names of the
/// protocol is the same.
fn signed_fields(fields: &Fields) -> Vec<(&str, &str)> {
    let mut sorted: Vec<_> =
        fields.iter().filter(|(name, _)| *name != SIGNATURE && *name != UNIQUE_KEY_QUERY).collect();
    sorted.reverse();
    sorted.sort_by_key(|(name, _)| *name);
    sorted.dedup_by_key(|(name, _)| *name);
    sorted
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kerolox_wire::command::RequestCode;
    use proptest::prelude::*;

    use super::*;

    fn account() -> Credentials {
        Credentials { access_key: "rocketmq2".to_owned(), secret_key: "12345678".to_owned() }
    }

    fn frame(fields: &[(&str, &str)], body: &'static str) -> Frame {
        Frame::request(RequestCode(310), fields.iter().copied().collect(), Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn what_is_signed_is_accepted_and_whatever_changes_is_not() {
        let mut sent = frame(&[("b", "topic"), ("a", "group"), ("_UNIQUE_KEY_QUERY", "true")], "body");
        account().sign(&mut sent);
        assert!(is_signed(&sent, "12345678"));
        assert!(!is_signed(&sent, "12345679"));
        for (name, value) in
            [("b", "other"), ("c", "more"), (ACCESS_KEY, "rocketmq3"), (SIGNATURE, ""), (SIGNATURE, "!")]
        {
            let mut changed = sent.clone();
            changed.fields.set(name, value);
            assert!(!is_signed(&changed, "12345678"), "{name}");
        }
        assert!(!is_signed(&Frame { body: Bytes::from_static(b"bode"), ..sent.clone() }, "12345678"));
        assert!(!is_signed(&frame(&[], ""), "12345678"));
    }

    #[test]
    fn the_order_of_fields_and_what_clients_add_later_do_not_matter() {
        let mut one = frame(&[("b", "2"), ("a", "0"), ("a", "1")], "x");
        let mut other = frame(&[("a", "1"), ("_UNIQUE_KEY_QUERY", "true"), ("b", "2")], "x");
        account().sign(&mut one);
        account().sign(&mut other);
        assert_eq!(one.fields.get(SIGNATURE), other.fields.get(SIGNATURE));
    }

    #[test]
    fn secrets_are_not_shown() {
        assert!(!format!("{:?}", account()).contains("12345678"));
    }

    proptest! {
        #[test]
        fn every_signed_request_is_accepted(pairs in prop::collection::vec(("[a-zA-Z]{1,9}", "\\PC{0,20}"), 0..12), secret in "\\PC{0,80}") {
            let fields = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let mut frame = Frame::request(RequestCode(10), fields, Bytes::from_static(b"body"));
            let account = Credentials { access_key: "someone".to_owned(), secret_key: secret.clone() };
            account.sign(&mut frame);
            prop_assert!(is_signed(&frame, &secret));
            let other = format!("{secret}x");
            prop_assert!(!is_signed(&frame, &other));
        }
    }
}
