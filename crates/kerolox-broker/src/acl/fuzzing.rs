//! What the fuzz targets reach of files of accounts.

use super::rules::{self, Rules};
use super::yaml::Node;

/// Reads a text as [`super::Acl::open`] does and writes it as [`super::Acl::change`] does; both must say the same.
pub(crate) fn read_and_write(text: &[u8]) {
    let Ok(tree) = super::parse(text) else { return };
    // A refusal is an answer too.
    let _ = (Rules::of(&tree), rules::shown(&tree));
    if let Ok(written) = tree.write() {
        let again = Node::parse(&written);
        assert!(again.as_ref().is_ok_and(|again| is_same(again, &tree)), "{tree:?}\n{again:?}\n{written}");
    }
}

/// Equality of what is said: a scalar may get quotes, unless it is nothing.
fn is_same(left: &Node, right: &Node) -> bool {
    match (left, right) {
        (Node::List(left), Node::List(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| is_same(left, right))
        }
        (Node::Map(left), Node::Map(right)) => {
            let pair = |((key, value), (name, other)): (&(Node, Node), &(Node, Node))| {
                is_same(key, name) && is_same(value, other)
            };
            left.len() == right.len() && left.iter().zip(right).all(pair)
        }
        (Node::Plain(_) | Node::Text(_), Node::Plain(_) | Node::Text(_)) => left.as_str() == right.as_str(),
        _ => false,
    }
}
