//! Label selectors, with the meaning that Kubernetes gives them.

use std::collections::{BTreeMap, BTreeSet};

/// Requirements on labels; all must hold. An empty selector matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selector {
    /// `matchLabels`: the label has exactly this value.
    pub labels: BTreeMap<String, String>,
    /// `matchExpressions`.
    pub expressions: BTreeSet<Expression>,
}

/// One requirement of `matchExpressions`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expression {
    /// The label is there with one of the values.
    In(String, BTreeSet<String>),
    /// The label is absent, or has none of the values.
    NotIn(String, BTreeSet<String>),
    /// The label is there, whatever its value.
    Exists(String),
    /// The label is absent.
    DoesNotExist(String),
}

impl Selector {
    /// Whether labels meet every requirement.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.expressions.iter().all(|expression| expression.matches(labels))
    }
}

impl Expression {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Self::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
            Self::Exists(key) => labels.contains_key(key),
            Self::DoesNotExist(key) => !labels.contains_key(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operator_means_what_kubernetes_says() {
        let labels = BTreeMap::from([("role".to_owned(), "web".to_owned())]);
        let values = |text: &str| BTreeSet::from([text.to_owned()]);
        let role = || "role".to_owned();
        let other = || "other".to_owned();
        for (expression, holds) in [
            (Expression::In(role(), values("web")), true),
            (Expression::In(role(), values("db")), false),
            (Expression::In(other(), values("web")), false),
            (Expression::NotIn(role(), values("web")), false),
            (Expression::NotIn(other(), values("web")), true),
            (Expression::Exists(role()), true),
            (Expression::Exists(other()), false),
            (Expression::DoesNotExist(role()), false),
            (Expression::DoesNotExist(other()), true),
        ] {
            assert_eq!(expression.matches(&labels), holds, "{expression:?}");
        }
    }

    #[test]
    fn an_empty_selector_matches_everything() {
        assert!(Selector::default().matches(&BTreeMap::new()));
    }
}
