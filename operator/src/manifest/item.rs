//! One object of a document: the document as a whole, or an item of a List.

use kube::CustomResourceExt;
use kube::core::ObjectMeta;
use kube::core::object::HasSpec;
use lvs_crds::names::{is_dns_label, is_object_name};
use lvs_crds::strict::{self, Path, Wrong};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::document::{Document, Problem};

/// An object with where it stands.
#[derive(Clone, Debug)]
pub(super) struct Item<'a> {
    /// The document that it is of.
    pub(super) document: &'a Document<'a>,
    /// The object.
    pub(super) value: &'a Value,
    /// Where it stands in the document.
    pub(super) at: Path,
}

/// What tells what an object is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Head {
    /// The version of the kind, with its group.
    pub(super) api_version: String,
    /// The kind.
    pub(super) kind: String,
    /// Whether it has a specification.
    pub(super) spec: Option<IgnoredAny>,
    /// Whether it has a status.
    pub(super) status: Option<IgnoredAny>,
}

impl<'a> Item<'a> {
    /// The object that a document is.
    pub(super) fn of(document: &'a Document<'a>, value: &'a Value) -> Self {
        Self { document, value, at: Path::default() }
    }

    /// What tells what the object is.
    pub(super) fn head(&self) -> Result<Head, Problem> {
        if self.value.is_array() {
            return Err(self.refuse("this is a list: write an object, which begins with apiVersion and kind"));
        }
        self.read()
    }

    /// Reads the object as a type.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        strict::read(self.value, &Path::default()).map_err(|wrong| self.problem(&wrong))
    }

    /// Reads the specification, in which every field must be known.
    pub(super) fn specification<K>(&self) -> Result<K::Spec, Vec<Problem>>
    where
        K: HasSpec<Spec: DeserializeOwned + Serialize> + CustomResourceExt,
    {
        strict::specification::<K>(self.value)
            .map_err(|found| found.iter().map(|wrong| self.problem(wrong)).collect())
    }

    /// The metadata. Without a name that can be one it is not known which object it is, and files are named after it.
    pub(super) fn named(&self, namespaced: bool) -> Result<ObjectMeta, Problem> {
        let at = Path::from("metadata");
        let wrong = |path: Path, message: String| self.problem(&Wrong { path, is_name: false, message });
        let metadata = self.value.get("metadata").filter(|metadata| !metadata.is_null());
        let metadata: ObjectMeta = metadata.map_or_else(
            || Ok(ObjectMeta::default()),
            |metadata| strict::read(metadata, &at).map_err(|wrong| self.problem(&wrong)),
        )?;
        let Some(name) = metadata.name.as_deref() else {
            return Err(wrong(at.field("name"), "is missing: write the name of the object".to_owned()));
        };
        let namespace = metadata.namespace.as_deref().unwrap_or("default");
        if !is_object_name(name) {
            let message = format!("{name:?}: write lower-case letters, digits, '-' and '.'");
            return Err(wrong(at.field("name"), message));
        }
        if namespaced && !is_dns_label(namespace) {
            let message = format!("{namespace:?}: write lower-case letters, digits and '-'");
            return Err(wrong(at.field("namespace"), message));
        }
        Ok(metadata)
    }

    /// The object's name, whatever else it is.
    pub(super) fn name(&self) -> Option<&'a str> {
        self.value.get("metadata")?.get("name")?.as_str()
    }

    /// The items of a List.
    pub(super) fn items(&self) -> Result<impl Iterator<Item = Self>, Problem> {
        let at = self.at.field("items");
        let items: &[Value] = match self.value.get("items") {
            None | Some(Value::Null) => &[],
            Some(Value::Array(items)) => items,
            Some(_) => return Err(self.refuse("items: this is no list: write one")),
        };
        let item = |(number, value)| Self { document: self.document, value, at: at.item(number) };
        Ok(items.iter().enumerate().map(item).collect::<Vec<_>>().into_iter())
    }

    /// A problem with the object as a whole.
    pub(super) fn refuse(&self, message: impl Into<String>) -> Problem {
        self.problem_at(&Path::default(), false, message.into())
    }

    fn problem(&self, wrong: &Wrong) -> Problem {
        let message = if wrong.path.0.is_empty() { wrong.message.clone() } else { wrong.to_string() };
        self.problem_at(&wrong.path, wrong.is_name, message)
    }

    fn problem_at(&self, path: &Path, of_name: bool, message: String) -> Problem {
        let place = self.document.place(&self.at.join(path), of_name);
        let message = if self.at.0.is_empty() { message } else { format!("{}: {message}", self.at) };
        Problem { file: self.document.file.to_owned(), place, message }
    }
}
