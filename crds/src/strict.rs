//! Reading that refuses fields which no type knows, as `kubectl apply` does.

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// A `T` of which every field is known. In a folder there is no API server that would say that `realServer` should
/// have been `realServers`, and a field that is passed over in silence is a wish that does not come true.
#[derive(Clone, Debug, PartialEq)]
pub struct Strict<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Strict<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut unknown = Vec::new();
        let value = serde_ignored::deserialize(deserializer, |path| unknown.push(path.to_string()))?;
        if unknown.is_empty() {
            return Ok(Self(value));
        }
        Err(D::Error::custom(format_args!("unknown field: {}", unknown.join(", "))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VirtualServiceSpec;

    fn read(text: &str) -> Result<Strict<VirtualServiceSpec>, String> {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn an_unknown_field_is_named() {
        assert!(read("vips: [{address: 192.168.10.40}]\nports: [{port: 80}]\n").is_ok());
        let error =
            read("vips: [{adress: 192.168.10.40, address: 192.168.10.40}]\nports: []\nrealServer: []\n");
        let error = error.unwrap_err();
        assert!(error.contains("unknown field: vips.0.adress, realServer"), "{error}");
    }
}
