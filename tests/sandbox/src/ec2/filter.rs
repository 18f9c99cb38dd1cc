//! Filters of the Describe actions: several names all hold, of several values any one does.

use crate::policy::wildcard;
use crate::query::Parameters;
use crate::reply::Refusal;
use crate::world::region::Tags;

/// The filters of a call.
pub(super) struct Filters<'a>(Vec<(&'a str, Vec<&'a str>)>);

impl<'a> Filters<'a> {
    /// Reads them; refuses names that the action does not have. `tag:KEY` and `tag-key` all have that have tags.
    pub(super) fn read(parameters: &'a Parameters, known: &[&str]) -> Result<Self, Refusal> {
        let mut filters = Vec::new();
        for (index, name) in parameters.numbered("Filter", ".Name").into_iter().enumerate() {
            let of_tags = name.starts_with("tag:") && known.contains(&"tag-key");
            if !of_tags && !known.contains(&name) {
                let message = format!("The filter '{name}' is invalid");
                return Err(Refusal::new(400, "InvalidParameterValue", message));
            }
            filters.push((name, parameters.numbered(&format!("Filter.{}.Value", index + 1), "")));
        }
        Ok(Self(filters))
    }

    /// Whether something passes whose properties `of` tells; tags are looked at here.
    pub(super) fn pass<'b>(&self, tags: &'b Tags, of: impl Fn(&str) -> Option<&'b str>) -> bool {
        self.0.iter().all(|(name, wanted)| {
            let matches = |value: &str| wanted.iter().any(|pattern| wildcard(pattern, value));
            match (*name, name.strip_prefix("tag:")) {
                (_, Some(key)) => tags.get(key).is_some_and(|value| matches(value)),
                ("tag-key", _) => tags.keys().any(|key| matches(key)),
                (name, None) => of(name).is_some_and(matches),
            }
        })
    }
}
