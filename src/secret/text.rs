//! How a secret is written down, by `wire` for the socket and by the vault for its files: the field that carries one
//! says so with `#[serde(with = "text")]`.

use super::SecretText;
use serde::{Deserialize, Deserializer, Serializer};

/// Writes the secret as a JSON string.
pub fn serialize<S: Serializer, T: SecretText>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(value.expose())
}

/// Reads a JSON string into the secret.
pub fn deserialize<'de, D: Deserializer<'de>, T: SecretText>(deserializer: D) -> Result<T, D::Error> {
    String::deserialize(deserializer).map(T::from_text)
}

/// The same for a secret that may be absent.
pub mod option {
    use super::{Deserialize, Deserializer, SecretText, Serializer};

    /// Writes the secret as a JSON string, or null.
    pub fn serialize<S: Serializer, T: SecretText>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.serialize_some(value.expose()),
            None => serializer.serialize_none(),
        }
    }

    /// Reads a JSON string or null.
    pub fn deserialize<'de, D: Deserializer<'de>, T: SecretText>(deserializer: D) -> Result<Option<T>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(T::from_text))
    }
}
