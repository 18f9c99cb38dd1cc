//! The parameters of a call, and the checks that AWS makes of their shape.

use crate::reply::Refusal;
use bytes::Bytes;
use http::Request;

/// What stands before the action in X-Amz-Target.
const INSTANCE_CONNECT_TARGET: &str = "AWSEC2InstanceConnectService.";

/// The parameters of a call, from the query and a form body, or from a JSON one.
#[derive(Default)]
pub(crate) struct Parameters {
    pairs: Vec<(String, String)>,
    /// The body promises JSON and is none, or is more than one flat object.
    unreadable: bool,
}

impl Parameters {
    /// Reads them; a body counts only where its type says what it is. The action of JSON stands in X-Amz-Target.
    pub(crate) fn of(request: &Request<Bytes>) -> Self {
        let mut pairs = Vec::new();
        if let Some(query) = request.uri().query() {
            pairs.extend(form_urlencoded::parse(query.as_bytes()).into_owned());
        }
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        match header("content-type").and_then(|kind| kind.split(';').next()).map(str::trim) {
            Some("application/x-www-form-urlencoded") => {
                pairs.extend(form_urlencoded::parse(request.body()).into_owned());
                Self { pairs, unreadable: false }
            }
            Some("application/x-amz-json-1.1") => {
                let target = header("x-amz-target").unwrap_or_default();
                let action = target.strip_prefix(INSTANCE_CONNECT_TARGET).unwrap_or(target).to_owned();
                let inside = flat(request.body());
                let unreadable = inside.is_none();
                pairs.push(("Action".to_owned(), action));
                pairs.extend(inside.unwrap_or_default());
                Self { pairs, unreadable }
            }
            _ => Self { pairs, unreadable: false },
        }
    }

    /// Whether the body was not what its type says.
    pub(crate) fn is_unreadable(&self) -> bool {
        self.unreadable
    }

    /// The names of all.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.pairs.iter().map(|(name, _)| name.as_str())
    }

    /// EC2's lists: `Name.1`, `Name.2`, … up to the first gap.
    pub(crate) fn numbered(&self, name: &str, field: &str) -> Vec<&str> {
        (1..).map_while(|index: usize| self.text(&format!("{name}.{index}{field}"))).collect()
    }

    /// The value of a parameter, where it is there.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<&str, Refusal> {
        let mut shape = Shape::default();
        shape.required(name, self.text(name));
        shape.verdict()?;
        Ok(self.text(name).unwrap_or_default())
    }

    /// A number; ValidationError for anything else.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, Refusal> {
        self.text(name).map(|text| text.parse().map_err(|_| malformed(name, "a number"))).transpose()
    }

    /// `true` or `false`; ValidationError for anything else.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        self.text(name).map(|text| text.parse().map_err(|_| malformed(name, "a boolean"))).transpose()
    }

    /// `Name.member.1`, `Name.member.2`, … up to the first gap.
    pub(crate) fn members(&self, name: &str, field: &str) -> Vec<String> {
        let key = |index: usize| format!("{name}.member.{index}{field}");
        (1..).map_while(|index| self.text(&key(index)).map(str::to_owned)).collect()
    }

    /// The name of a parameter that was given twice.
    pub(crate) fn repeated(&self) -> Option<&str> {
        let mut names: Vec<&str> = self.names().collect();
        names.sort_unstable();
        names.iter().zip(names.iter().skip(1)).find(|(one, next)| one == next).map(|(name, _)| *name)
    }
}

/// The members of a JSON object whose values are no objects or lists; null ones are left out.
fn flat(body: &[u8]) -> Option<Vec<(String, String)>> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body).ok()?;
    let mut pairs = Vec::new();
    for (name, value) in object {
        match value {
            serde_json::Value::Null => {}
            serde_json::Value::String(text) => pairs.push((name, text)),
            serde_json::Value::Bool(_) | serde_json::Value::Number(_) => pairs.push((name, value.to_string())),
            serde_json::Value::Array(_) | serde_json::Value::Object(_) => return None,
        }
    }
    Some(pairs)
}

fn malformed(name: &str, kind: &str) -> Refusal {
    Refusal::new(400, "MalformedInput", format!("{name} is not {kind}"))
}

/// Checks of parameters, gathered: AWS names every violation in one reply.
#[derive(Default)]
pub(crate) struct Shape(Vec<String>);

impl Shape {
    pub(crate) fn required(&mut self, name: &str, value: Option<&str>) {
        if value.is_none() {
            self.0.push(format!(
                "Value null at '{}' failed to satisfy constraint: Member must not be null",
                lower_first(name)
            ));
        }
    }

    /// A number between two bounds, both included.
    pub(crate) fn range(&mut self, name: &str, value: Option<i64>, least: i64, most: i64) {
        let Some(value) = value else { return };
        if value < least {
            self.fails(name, &value.to_string(), &format!("Member must have value greater than or equal to {least}"));
        }
        if value > most {
            self.fails(name, &value.to_string(), &format!("Member must have value less than or equal to {most}"));
        }
    }

    /// A text whose length lies between two bounds, both included.
    pub(crate) fn length(&mut self, name: &str, value: Option<&str>, least: usize, most: usize) {
        let Some(value) = value else { return };
        let count = value.chars().count();
        if count < least {
            self.fails(name, value, &format!("Member must have length greater than or equal to {least}"));
        }
        if count > most {
            self.fails(name, value, &format!("Member must have length less than or equal to {most}"));
        }
    }

    /// A text of word characters and these others.
    pub(crate) fn characters(&mut self, name: &str, value: Option<&str>, others: &str) {
        let Some(value) = value else { return };
        if !value.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || others.contains(c)) {
            let rule = format!("Member must satisfy regular expression pattern: [\\w{others}]*");
            self.fails(name, value, &rule);
        }
    }

    /// A text of digits.
    pub(crate) fn digits(&mut self, name: &str, value: Option<&str>) {
        let Some(value) = value else { return };
        if !value.bytes().all(|byte| byte.is_ascii_digit()) {
            self.fails(name, value, "Member must satisfy regular expression pattern: [\\d]*");
        }
    }

    pub(crate) fn fails(&mut self, name: &str, value: &str, rule: &str) {
        self.0.push(format!("Value '{value}' at '{}' failed to satisfy constraint: {rule}", lower_first(name)));
    }

    /// Ok where nothing was found.
    pub(crate) fn verdict(self) -> Result<(), Refusal> {
        let plural = if self.0.len() == 1 { "" } else { "s" };
        match self.0.len() {
            0 => Ok(()),
            count => {
                Err(Refusal::validation(format!("{count} validation error{plural} detected: {}", self.0.join("; "))))
            }
        }
    }
}

fn lower_first(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map(|first| first.to_ascii_lowercase().to_string() + characters.as_str()).unwrap_or_default()
}
