//! Where a field stands in its object.

use std::fmt;

/// One step towards a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// To a field or an entry of a map, by its name.
    Field(String),
    /// To an item of a list, from 0.
    Item(usize),
}

/// The steps to a field, written `spec.realServers[1].nodeSelector`; empty for the object as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(pub Vec<Step>);

impl Path {
    /// The path to a field of what is at this one.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        self.join(&Self(vec![Step::Field(name.to_owned())]))
    }

    /// The path to an item of the list at this one.
    #[must_use]
    pub fn item(&self, number: usize) -> Self {
        self.join(&Self(vec![Step::Item(number)]))
    }

    /// A path that begins at the end of this one.
    #[must_use]
    pub fn join(&self, further: &Self) -> Self {
        Self(self.0.iter().chain(&further.0).cloned().collect())
    }
}

impl From<&str> for Path {
    fn from(field: &str) -> Self {
        Self(vec![Step::Field(field.to_owned())])
    }
}

impl From<&serde_path_to_error::Path> for Path {
    fn from(path: &serde_path_to_error::Path) -> Self {
        use serde_path_to_error::Segment;
        let step = |segment: &Segment| match segment {
            Segment::Seq { index } => Some(Step::Item(*index)),
            Segment::Map { key } => Some(Step::Field(key.clone())),
            Segment::Enum { .. } | Segment::Unknown => None,
        };
        Self(path.iter().filter_map(step).collect())
    }
}

impl From<&serde_ignored::Path<'_>> for Path {
    fn from(path: &serde_ignored::Path<'_>) -> Self {
        use serde_ignored::Path as Ignored;
        match path {
            Ignored::Root => Self::default(),
            Ignored::Seq { parent, index } => Self::from(*parent).item(*index),
            Ignored::Map { parent, key } => Self::from(*parent).field(key),
            Ignored::Some { parent }
            | Ignored::NewtypeStruct { parent }
            | Ignored::NewtypeVariant { parent } => Self::from(*parent),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if number == 0 => formatter.write_str(name)?,
                Step::Field(name) => write!(formatter, ".{name}")?,
                Step::Item(number) => write!(formatter, "[{number}]")?,
            }
        }
        Ok(())
    }
}
