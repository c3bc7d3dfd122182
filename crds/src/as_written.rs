//! Values that another program wrote, kept as they came.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// A `T` as JSON, exactly as it was written, with `T`'s schema.
///
/// A newer peer may write a field or an enum value that this version does not know. Were it read at once, one such
/// value would make the whole object unreadable, and what is not known would be lost from its hash. So it is read
/// when it is used, and fails alone.
pub struct AsWritten<T> {
    value: Value,
    reads_as: PhantomData<fn() -> T>,
}

impl<T: Serialize> AsWritten<T> {
    /// Writes a value. One that JSON cannot hold (a map whose keys are no texts) becomes `null`; no type of
    /// `lvs_core` is such a one.
    #[must_use]
    pub fn of(value: &T) -> Self {
        Self { value: serde_json::to_value(value).unwrap_or_default(), reads_as: PhantomData }
    }
}

impl<T: DeserializeOwned> AsWritten<T> {
    /// Reads the value.
    ///
    /// # Errors
    ///
    /// What does not fit `T`.
    pub fn read(&self) -> Result<T, serde_json::Error> {
        T::deserialize(&self.value)
    }
}

impl<T> AsWritten<T> {
    /// The value as JSON.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.value
    }
}

impl<T> Clone for AsWritten<T> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), reads_as: PhantomData }
    }
}

impl<T> PartialEq for AsWritten<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T> Eq for AsWritten<T> {}

impl<T> Default for AsWritten<T> {
    fn default() -> Self {
        Self { value: Value::Object(serde_json::Map::new()), reads_as: PhantomData }
    }
}

impl<T> fmt::Debug for AsWritten<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.value, formatter)
    }
}

impl<T> Serialize for AsWritten<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for AsWritten<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|value| Self { value, reads_as: PhantomData })
    }
}

impl<T: JsonSchema> JsonSchema for AsWritten<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}
