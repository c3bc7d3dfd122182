//! Objects that users write, read so that one that cannot be read spoils nothing but itself.

use std::borrow::Cow;
use std::fmt::Debug;

use kube::core::object::{HasSpec, HasStatus};
use kube::core::{ObjectMeta, Resource};
use lvs_crds::strict::{self, Path};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// An object of kind `K` whose specification may be one that this version cannot read: it was stored under another
/// schema. Were it read strictly, the whole listing would fail with it.
#[derive(Debug, Deserialize)]
#[serde(bound = "K: HasSpec + HasStatus, K::Spec: DeserializeOwned, K::Status: DeserializeOwned")]
pub(crate) struct Lenient<K: HasSpec + HasStatus> {
    /// The metadata.
    pub(crate) metadata: ObjectMeta,
    /// The specification, or what is wrong with it.
    #[serde(deserialize_with = "spec::<_, K::Spec>", default = "absent")]
    pub(crate) spec: Result<K::Spec, String>,
    /// The status.
    #[serde(default = "Option::default")]
    pub(crate) status: Option<K::Status>,
}

fn spec<'de, D: Deserializer<'de>, S: DeserializeOwned>(
    deserializer: D,
) -> Result<Result<S, String>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(strict::read(&value, &Path::from("spec")).map_err(|wrong| wrong.to_string()))
}

fn absent<S>() -> Result<S, String> {
    Err("there is no spec".to_owned())
}

impl<K> Clone for Lenient<K>
where
    K: HasSpec<Spec: Clone> + HasStatus<Status: Clone>,
{
    fn clone(&self) -> Self {
        Self { metadata: self.metadata.clone(), spec: self.spec.clone(), status: self.status.clone() }
    }
}

impl<K> PartialEq for Lenient<K>
where
    K: HasSpec<Spec: PartialEq> + HasStatus<Status: PartialEq>,
{
    fn eq(&self, other: &Self) -> bool {
        self.metadata == other.metadata && self.spec == other.spec && self.status == other.status
    }
}

impl<K> Resource for Lenient<K>
where
    K: HasSpec + HasStatus + Resource<DynamicType = ()>,
{
    type DynamicType = ();
    type Scope = K::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        K::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        K::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        K::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use lvs_crds::VirtualService;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_spec_of_another_schema_keeps_its_name() {
        let object = json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"vips": "all"}});
        let service: Lenient<VirtualService> = serde_json::from_value(object).unwrap();
        assert_eq!(service.metadata.name.as_deref(), Some("web"));
        let wrong = service.spec.unwrap_err();
        assert!(wrong.starts_with("spec.vips: \"all\" is a text"), "{wrong}");
        let object =
            json!({"metadata": {"name": "web"}, "spec": {"vips": [], "ports": [], "realServers": []}});
        let service: Lenient<VirtualService> = serde_json::from_value(object).unwrap();
        assert!(service.spec.is_ok(), "{service:?}");
    }
}
