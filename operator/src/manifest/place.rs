//! A document with the place of everything in it. It is made only where something is wrong.

use std::fmt;

use lvs_crds::strict::Step;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::{Location, Spanned};

/// A node of the document with its place.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Tree(Spanned<Node>);

#[derive(Debug)]
enum Node {
    Scalar,
    List(Vec<Tree>),
    Fields(Vec<(Spanned<String>, Tree)>),
}

impl Tree {
    /// Line and column of what stands at the end of some steps, or of the nearest above it; of its name where that is
    /// asked for.
    pub(super) fn place(&self, steps: &[Step], of_name: bool) -> Option<(usize, usize)> {
        let here = known(self.0.referenced);
        let Some((step, further)) = steps.split_first() else { return here };
        let found = match (&self.0.value, step) {
            (Node::List(items), Step::Item(number)) => items.get(*number).map(|item| (None, item)),
            (Node::Fields(fields), Step::Field(name)) => {
                let named = fields.iter().find(|(key, _)| key.value == *name);
                named.map(|(key, value)| (known(key.referenced), value))
            }
            _ => None,
        };
        let Some((name, below)) = found else { return here };
        let place = if further.is_empty() && of_name { name } else { None };
        place.or_else(|| below.place(further, of_name)).or(here)
    }
}

/// Line and column of a location, from 1.
pub(super) fn at_line(location: Location) -> (usize, usize) {
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    (number(location.line()), number(location.column()))
}

fn known(location: Location) -> Option<(usize, usize)> {
    Some(at_line(location)).filter(|(line, _)| *line > 0)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

macro_rules! scalars {
    ($($visit:ident($kind:ty),)*) => {
        $(fn $visit<E>(self, _: $kind) -> Result<Node, E> { Ok(Node::Scalar) })*
    };
}

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("anything")
    }

    scalars! { visit_bool(bool), visit_i64(i64), visit_i128(i128), visit_u64(u64), visit_u128(u128), visit_f64(f64), visit_str(&str), visit_bytes(&[u8]), }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut fields = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            fields.push(entry);
        }
        Ok(Node::Fields(fields))
    }
}
