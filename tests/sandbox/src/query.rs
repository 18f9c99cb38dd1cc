//! The parameters of a call, and the checks that AWS makes of their shape.

use crate::reply::Refusal;
use bytes::Bytes;
use http::Request;

/// The parameters of a call, from the query and a form body.
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads them; a body counts only where its type says that it is a form.
    pub(crate) fn of(request: &Request<Bytes>) -> Self {
        let mut pairs = Vec::new();
        if let Some(query) = request.uri().query() {
            pairs.extend(form_urlencoded::parse(query.as_bytes()).into_owned());
        }
        let kind = request.headers().get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if kind.is_some_and(|kind| {
            kind.split(';').next().is_some_and(|kind| kind.trim() == "application/x-www-form-urlencoded")
        }) {
            pairs.extend(form_urlencoded::parse(request.body()).into_owned());
        }
        Self(pairs)
    }

    /// The value of a parameter, where it is there.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
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
        let mut names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.iter().zip(names.iter().skip(1)).find(|(one, next)| one == next).map(|(name, _)| *name)
    }
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
