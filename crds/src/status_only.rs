//! An object with its status and without its spec: what the writer of a status sends.

use kube::core::object::HasStatus;
use kube::core::{ObjectMeta, Resource};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

/// The status of an object of kind `K`, with what it takes to find the object. By server-side apply to the status
/// subresource it changes nothing else.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(bound(deserialize = "K::Status: serde::de::DeserializeOwned"))]
pub struct StatusOnly<K: HasStatus> {
    /// Name and namespace, and nothing more that is written.
    pub metadata: ObjectMeta,
    /// The status.
    pub status: K::Status,
}

impl<K: HasStatus> StatusOnly<K> {
    /// The status of an object of the cluster.
    #[must_use]
    pub fn new(name: &str, status: K::Status) -> Self {
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        Self { metadata, status }
    }

    /// The status of an object in a namespace.
    #[must_use]
    pub fn namespaced(namespace: &str, name: &str, status: K::Status) -> Self {
        let mut object = Self::new(name, status);
        object.metadata.namespace = Some(namespace.to_owned());
        object
    }

    /// The object's name; empty where it has none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }
}

impl<K> Serialize for StatusOnly<K>
where
    K: HasStatus + Resource<DynamicType = ()>,
    K::Status: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("StatusOnly", 4)?;
        object.serialize_field("apiVersion", &K::api_version(&()))?;
        object.serialize_field("kind", &K::kind(&()))?;
        object.serialize_field("metadata", &self.metadata)?;
        object.serialize_field("status", &self.status)?;
        object.end()
    }
}
