//! YAML files of accounts as a tree that keeps the text of every scalar.
//!
//! A secret `00123456` is eight characters, whatever numbers YAML knows, and comes back as it was when the file is
//! rewritten. Comments are lost by that, as in RocketMQ.

use std::collections::HashMap;

use yaml_rust2::parser::{Event, Parser};
use yaml_rust2::scanner::TScalarStyle;
use yaml_rust2::yaml::Hash;
use yaml_rust2::{Yaml, YamlEmitter};

/// Most nodes of a file, aliases counted with all they stand for.
const NODES_MAX: usize = 1_000_000;
/// Deepest nesting.
const DEPTH_MAX: usize = 64;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    /// A scalar without quotes.
    Plain(String),
    /// A scalar with quotes.
    Text(String),
    /// `- a`, or `[a]`.
    List(Vec<Self>),
    /// `a: b`, in the order of the file.
    Map(Vec<(Self, Self)>),
}

impl Node {
    /// Reads a file's text; an empty one is an empty map.
    ///
    /// # Errors
    /// A sentence with the place.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut tree = Tree::default();
        let mut parser = Parser::new_from_str(text);
        // Event by event, and not with the library's `load`, which calls itself for every level of nesting.
        loop {
            let (event, _) = parser.next_token().map_err(|error| format!("it is not YAML: {error}"))?;
            let end = event == Event::StreamEnd;
            tree.on_event(event);
            if let Some(why) = tree.wrong {
                return Err(why.to_owned());
            }
            if end {
                return Ok(tree.root.filter(|root| !root.is_null()).unwrap_or(Self::Map(Vec::new())));
            }
        }
    }

    /// The file's text.
    ///
    /// # Errors
    /// When the library cannot write it.
    pub(crate) fn write(&self) -> Result<String, String> {
        let mut text = String::new();
        YamlEmitter::new(&mut text).dump(&self.yaml()).map_err(|error| error.to_string())?;
        text.push('\n');
        Ok(text)
    }

    /// A scalar with quotes.
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// Whether there is nothing.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Plain(text) if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The characters of a scalar that is not null.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Plain(text) | Self::Text(text) => Some(text.as_str()).filter(|_| !self.is_null()),
            _ => None,
        }
    }

    /// What a map has under `name`, unless that is null.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Map(pairs) = self else { return None };
        pairs.iter().find(|(key, _)| key.as_str() == Some(name)).map(|(_, value)| value).filter(|v| !v.is_null())
    }

    /// Replaces or adds what a map has under `name`.
    pub(crate) fn set(&mut self, name: &str, value: Self) {
        let Self::Map(pairs) = self else { return };
        match pairs.iter_mut().find(|(key, _)| key.as_str() == Some(name)) {
            Some((_, old)) => *old = value,
            None => pairs.push((Self::Plain(name.to_owned()), value)),
        }
    }

    /// The list that a map has under `name`, made where there is none.
    pub(crate) fn list_mut(&mut self, name: &str) -> Option<&mut Vec<Self>> {
        if self.get(name).is_none() {
            self.set(name, Self::List(Vec::new()));
        }
        let Self::Map(pairs) = self else { return None };
        match pairs.iter_mut().find(|(key, _)| key.as_str() == Some(name)) {
            Some((_, Self::List(list))) => Some(list),
            _ => None,
        }
    }

    fn yaml(&self) -> Yaml {
        match self {
            Self::Plain(text) if text.is_empty() => Yaml::Null,
            // The library writes such a scalar as it is.
            Self::Plain(text) if is_plain_anywhere(text) => Yaml::Real(text.clone()),
            // A text of JSON is one of YAML, and no reader takes it for a number or a date.
            Self::Plain(text) | Self::Text(text) => Yaml::Real(serde_json::Value::from(text.as_str()).to_string()),
            Self::List(list) => Yaml::Array(list.iter().map(Self::yaml).collect()),
            Self::Map(pairs) => {
                Yaml::Hash(pairs.iter().map(|(key, value)| (key.yaml(), value.yaml())).collect::<Hash>())
            }
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Plain(_) | Self::Text(_) => 1,
            Self::List(list) => 1 + list.iter().map(Self::size).sum::<usize>(),
            Self::Map(pairs) => 1 + pairs.iter().map(|(key, value)| key.size() + value.size()).sum::<usize>(),
        }
    }
}

/// Whether a scalar without quotes is the same one in a list, as a name and as a value. In brackets other characters have a
/// meaning than outside of them.
fn is_plain_anywhere(text: &str) -> bool {
    let plain = Node::Plain(text.to_owned());
    let expected = Node::List(vec![plain.clone(), Node::Map(vec![(plain.clone(), plain)])]);
    !text.contains('\n') && Node::parse(&format!("- {text}\n- {text}: {text}\n")) == Ok(expected)
}

/// Builds the tree from the parser's events.
#[derive(Default)]
struct Tree {
    /// Open lists and maps with their anchors; of a map, keys and values in turn.
    open: Vec<(Vec<Node>, usize)>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    nodes: usize,
    wrong: Option<&'static str>,
}

impl Tree {
    fn add(&mut self, node: Node, anchor: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            Some((children, _)) => children.push(node),
            None if self.root.is_none() => self.root = Some(node),
            None => self.wrong = Some("it holds more than one document"),
        }
    }

    fn count(&mut self, nodes: usize) {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > NODES_MAX || self.open.len() > DEPTH_MAX {
            self.wrong = Some("it is too large or nested too deeply");
        }
    }
}

impl Tree {
    fn on_event(&mut self, event: Event) {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1);
                let plain = style == TScalarStyle::Plain && tag.is_none();
                let node = if plain { Node::Plain(text) } else { Node::Text(text) };
                // All spellings of nothing are the same name.
                self.add(if node.is_null() { Node::Plain(String::new()) } else { node }, anchor);
            }
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                self.count(1);
                self.open.push((Vec::new(), anchor));
            }
            Event::SequenceEnd => {
                let (children, anchor) = self.open.pop().unwrap_or_default();
                self.add(Node::List(children), anchor);
            }
            Event::MappingEnd => {
                let (children, anchor) = self.open.pop().unwrap_or_default();
                let mut pairs: Vec<(Node, Node)> = Vec::with_capacity(children.len() / 2);
                let mut children = children.into_iter();
                while let (Some(key), Some(value)) = (children.next(), children.next()) {
                    // Of a key that comes twice the last value counts, as in Java's maps.
                    match pairs.iter_mut().find(|(known, _)| *known == key) {
                        Some((_, old)) => *old = value,
                        None => pairs.push((key, value)),
                    }
                }
                self.add(Node::Map(pairs), anchor);
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(node) => {
                    self.count(node.size());
                    self.add(node, 0);
                }
                None => self.wrong = Some("it uses an alias inside of what the alias stands for"),
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart | Event::DocumentEnd => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scalars_keep_their_text_through_a_rewrite() {
        let text =
            "a: 00123456\nb: '12345678'\nc:\n- x=PUB|SUB\n- 1.2.3.*\nd: 1_000\ne: 2020-01-01\nf: ~\ng:\nh: {k: v}\n";
        let tree = Node::parse(text).unwrap();
        assert_eq!(tree.get("a").unwrap().as_str(), Some("00123456"));
        assert_eq!(tree.get("b"), Some(&Node::text("12345678")));
        assert!(tree.get("f").is_none() && tree.get("g").is_none());
        let written = tree.write().unwrap();
        assert_eq!(Node::parse(&written).unwrap().get("c"), tree.get("c"), "{written}");
        assert!(written.contains("a: 00123456\nb: \"12345678\"\n"), "{written}");
    }

    #[test]
    fn scalars_of_brackets_keep_their_text_outside() {
        for text in ["a: [x, |]", "a: [x, >]", "a: [? b]", "a: [k: v]", "a: ['x', !]", "[~]: null"] {
            let Ok(tree) = Node::parse(text) else { continue };
            let written = tree.write().unwrap();
            let Ok(again) = Node::parse(&written) else { panic!("{text}: {written}") };
            let scalars = |tree: &Node| format!("{tree:?}").replace("Plain", "Text");
            assert_eq!(scalars(&again), scalars(&tree), "{written}");
        }
    }

    #[test]
    fn aliases_are_resolved_and_nonsense_is_named() {
        let tree = Node::parse("a: &x [1, 2]\nb: *x\n").unwrap();
        assert_eq!(tree.get("a"), tree.get("b"));
        assert_eq!(Node::parse("").unwrap(), Node::Map(vec![]));
        assert_eq!(Node::parse("# nothing\n").unwrap(), Node::Map(vec![]));
        assert!(Node::parse("a: b\n---\nc: d\n").unwrap_err().contains("more than one"));
        assert!(Node::parse("a: [1").unwrap_err().contains("not YAML"));
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..9 {
            bomb.push_str(&format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(", ")));
        }
        assert!(Node::parse(&bomb).unwrap_err().contains("too large"));
    }

    #[test]
    fn deep_nesting_is_refused_and_costs_no_stack() {
        let block: String = (0..20_000).map(|n| format!("{}a:\n", " ".repeat(n.min(300)))).collect();
        for text in [
            "- ".repeat(200_000) + "x",
            "[".repeat(100_000),
            "{a: ".repeat(100_000),
            "a: ".to_owned() + &"[".repeat(70),
        ] {
            assert!(Node::parse(&text).is_err(), "{text:.20}");
        }
        assert!(Node::parse(&block).is_err());
        assert!(Node::parse(&format!("a: {}x{}", "[".repeat(30), "]".repeat(30))).is_ok());
    }

    fn tree() -> impl Strategy<Value = Node> {
        let leaf = "[^\\p{C}\\p{Z}]{0,12}|\\PC{0,9}".prop_map(Node::Text);
        leaf.prop_recursive(4, 40, 5, |inner| {
            let key = "[a-z]{1,6}".prop_map(Node::Text);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Node::List),
                prop::collection::hash_map("[a-z]{1,6}", inner, 0..5)
                    .prop_map(|map| Node::Map(map.into_iter().map(|(k, v)| (Node::Text(k), v)).collect())),
                key,
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(tree in tree()) {
            let text = tree.write().unwrap();
            prop_assert_eq!(Node::parse(&text).unwrap(), tree, "{}", text);
        }

        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,80}") {
            let _ = Node::parse(&text);
        }
    }
}
