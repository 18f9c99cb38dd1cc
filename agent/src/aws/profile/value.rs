//! A profile's values, each with the place it comes from.

use std::collections::BTreeMap;

use claviger::secret::Secret;

use super::document::Entry;
use super::problem::Origin;

/// What `Value::text` gives for a secret.
const MASK: &str = "(secret)";

/// One value. It has no `Debug`, since it may be a secret.
pub struct Value {
    text: Secret<String>,
    secret: bool,
    /// The line of its key.
    pub origin: Origin,
}

impl Value {
    pub(super) fn new(key: &str, text: Secret<String>, origin: Origin) -> Self {
        Self { text, secret: is_secret_key(key), origin }
    }

    /// The value as written, without comments; lines joined by LF. A secret (see [`is_secret_key`]) reads `(secret)`.
    pub fn text(&self) -> &str {
        if self.secret { MASK } else { self.text.expose() }
    }

    /// Whether both say the same, wherever they come from.
    pub fn same_text(&self, other: &Self) -> bool {
        self.text.expose() == other.text.expose()
    }

    /// The value itself, secret or not. Every call is a place to review.
    pub fn expose(&self) -> &str {
        self.text.expose()
    }
}

/// Tells whether the value of a key (lower case) is a secret.
pub fn is_secret_key(key: &str) -> bool {
    matches!(key, "aws_secret_access_key" | "aws_session_token" | "aws_security_token")
}

/// One profile, merged from all files; also one `sso-session` or `services` section.
pub struct Profile {
    name: String,
    origin: Origin,
    settings: BTreeMap<String, Setting>,
}

struct Setting {
    value: Value,
    sub_values: BTreeMap<String, Value>,
}

impl Profile {
    pub(super) fn new(name: &str, origin: Origin) -> Self {
        Self { name: name.to_owned(), origin, settings: BTreeMap::new() }
    }

    /// The name, without `profile` and without quotes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The section line that names it first.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The value of a key, given in lower case.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.settings.get(key).map(|setting| &setting.value)
    }

    /// The sub-properties below a key (lower case), sorted; none if it has a plain value. Their own keys stand as
    /// written, as botocore has it.
    pub fn sub_values(&self, key: &str) -> impl Iterator<Item = (&str, &Value)> {
        let sub_values = self.settings.get(key).map(|setting| &setting.sub_values);
        sub_values.into_iter().flatten().map(|(key, value)| (key.as_str(), value))
    }

    /// All keys in lower case, sorted, with their values.
    pub fn keys(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.settings.iter().map(|(key, setting)| (key.as_str(), &setting.value))
    }

    /// Whether two profiles have the same settings, sub-properties too, apart from some keys (lower case).
    pub fn same_settings(&self, other: &Self, apart_from: impl Fn(&str) -> bool) -> bool {
        let kept = |profile: &Self| profile.settings.keys().filter(|key| !apart_from(key)).count();
        kept(self) == kept(other)
            && self.settings.iter().filter(|(key, _)| !apart_from(key)).all(|(key, setting)| {
                other.settings.get(key).is_some_and(|other| {
                    let sub_values = setting.sub_values.iter().zip(&other.sub_values);
                    setting.value.same_text(&other.value)
                        && setting.sub_values.len() == other.sub_values.len()
                        && sub_values.into_iter().all(|(one, two)| one.0 == two.0 && one.1.same_text(two.1))
                })
            })
    }

    /// Sets a key, replacing what an earlier line or file gave it, sub-properties too.
    pub(super) fn set(&mut self, entry: &Entry<'_>, origin: Origin) {
        let sub_value = |(key, text, line): (&str, &str, usize)| {
            let origin = Origin { file: origin.file.clone(), line };
            (key.to_owned(), Value::new(key, Secret::new(text.to_owned()), origin))
        };
        let sub_values = entry.sub_entries().map(sub_value).collect();
        let value = Value::new(&entry.key, entry.text(), origin);
        self.settings.insert(entry.key.to_string(), Setting { value, sub_values });
    }
}
