//! Label selectors of manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use kube::KubeSchema;
use lvs_core::selector::{Expression, Selector};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::field::Findings;

/// Requirements on the labels of Nodes; all of them must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels that a Node must have, each with exactly this value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "match_labels_schema")]
    #[x_kube(validation = Rule::new(format!("self.all(key, key.matches('{KEY_PATTERN}'))")).message(KEY_MESSAGE))]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements beyond equality.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// One requirement on a label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "self.operator in ['In', 'NotIn'] ? has(self.values) && self.values.size() > 0 : \
     !has(self.values) || self.values.size() == 0",
).message(VALUES_MESSAGE))]
pub struct LabelSelectorRequirement {
    /// The label's key, such as `topology.kubernetes.io/zone`.
    #[schemars(length(min = 1, max = 317), regex(pattern = KEY_PATTERN))]
    pub key: String,
    /// `In`: the label has one of the values. `NotIn`: it has none of them, or is absent. `Exists`: it is there.
    /// `DoesNotExist`: it is absent.
    pub operator: Operator,
    /// The values, for `In` and `NotIn` only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 63), regex(pattern = VALUE_PATTERN)))]
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Operator {
    /// The label has one of the values.
    In,
    /// The label has none of the values, or is absent.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

const KEY_PATTERN: &str =
    "^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$";
const VALUE_PATTERN: &str = "^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$";
const KEY_MESSAGE: &str = "not the key of a label: write one such as lvs or topology.kubernetes.io/zone";
const VALUE_MESSAGE: &str =
    "not the value of a label: at most 63 letters, digits, '-', '_' and '.', a letter or digit at both ends";
const VALUES_MESSAGE: &str = "In and NotIn need values; write none with Exists and DoesNotExist";

/// CEL: at least one requirement.
pub(crate) const NOT_EMPTY: &str = "(has(self.matchLabels) && self.matchLabels.size() > 0) || (has(self.matchExpressions) && \
     self.matchExpressions.size() > 0)";

fn match_labels_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": {"type": "string", "maxLength": 63, "pattern": VALUE_PATTERN},
    })
}

impl LabelSelector {
    /// Whether there is no requirement, so that every Node matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }

    /// The selector in the brain's terms; what is wrong with it goes to `findings`.
    pub(crate) fn read(&self, path: &impl fmt::Display, findings: &mut Findings) -> Selector {
        for (key, value) in &self.match_labels {
            let path = format!("{path}.matchLabels[{key}]");
            findings.require(is_key(key), &path, KEY_MESSAGE);
            findings.require(is_value(value), &path, VALUE_MESSAGE);
        }
        let expressions = self.match_expressions.iter().enumerate();
        let expressions = expressions
            .map(|(index, one)| one.read(&format!("{path}.matchExpressions[{index}]"), findings))
            .collect();
        Selector { labels: self.match_labels.clone(), expressions }
    }
}

impl LabelSelectorRequirement {
    fn read(&self, path: &str, findings: &mut Findings) -> Expression {
        findings.require(is_key(&self.key), format!("{path}.key"), KEY_MESSAGE);
        let needs_values = matches!(self.operator, Operator::In | Operator::NotIn);
        findings.require(self.values.is_empty() != needs_values, path, VALUES_MESSAGE);
        findings.require(
            self.values.iter().all(|value| is_value(value)),
            format!("{path}.values"),
            VALUE_MESSAGE,
        );
        let values: BTreeSet<String> = self.values.iter().cloned().collect();
        match self.operator {
            Operator::In => Expression::In(self.key.clone(), values),
            Operator::NotIn => Expression::NotIn(self.key.clone(), values),
            Operator::Exists => Expression::Exists(self.key.clone()),
            Operator::DoesNotExist => Expression::DoesNotExist(self.key.clone()),
        }
    }
}

fn is_key(key: &str) -> bool {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let prefix_holds = prefix.is_none_or(|prefix| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        (1..=253).contains(&prefix.len())
            && prefix.bytes().all(|byte| inner(byte) || matches!(byte, b'-' | b'.'))
            && prefix.bytes().next().is_some_and(inner)
            && prefix.bytes().last().is_some_and(inner)
    });
    prefix_holds && !name.is_empty() && is_value(name)
}

fn is_value(value: &str) -> bool {
    let ends = |byte: Option<u8>| byte.is_none_or(|byte| byte.is_ascii_alphanumeric());
    value.len() <= 63
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        && ends(value.bytes().next())
        && ends(value.bytes().last())
}
