//! Policy documents, read strictly: what this double would not evaluate is refused, never ignored.

use super::condition::Condition;
use crate::reply::Refusal;
use serde_json::Value;

/// What a document is for; that decides which elements it must and must not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Identity,
    Trust,
}

/// A policy.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(super) statements: Vec<Statement>,
}

#[derive(Debug, Clone)]
pub(super) struct Statement {
    pub(super) allows: bool,
    pub(super) principals: Vec<String>,
    pub(super) actions: Vec<String>,
    pub(super) not_action: bool,
    pub(super) resources: Vec<String>,
    pub(super) not_resource: bool,
    pub(super) conditions: Vec<Condition>,
}

impl Document {
    /// Reads a policy; MalformedPolicyDocument where AWS would not take it or this double could not evaluate it.
    pub(crate) fn parse(text: &str, kind: Kind) -> Result<Self, Refusal> {
        let value: Value = serde_json::from_str(text).map_err(|_| malformed("This policy contains invalid Json"))?;
        let fields = value.as_object().ok_or_else(|| malformed("Syntax errors in policy."))?;
        if let Some(name) = fields.keys().find(|name| !["Version", "Id", "Statement"].contains(&name.as_str())) {
            return Err(malformed(&format!("Unknown field {name}")));
        }
        match fields.get("Version").map(Value::as_str) {
            None | Some(Some("2012-10-17" | "2008-10-17")) => {}
            Some(_) => return Err(malformed("The policy must contain a valid version string")),
        }
        let statements = match fields.get("Statement") {
            Some(Value::Array(list)) if !list.is_empty() => {
                list.iter().map(|value| statement(value, kind)).collect::<Result<_, _>>()?
            }
            Some(one @ Value::Object(_)) => vec![statement(one, kind)?],
            _ => return Err(malformed("Syntax errors in policy.")),
        };
        Ok(Self { statements })
    }

    /// A policy that allows everything: AdministratorAccess.
    pub(crate) fn administrator() -> Self {
        let statement = Statement {
            allows: true,
            principals: Vec::new(),
            actions: vec!["*".to_owned()],
            not_action: false,
            resources: vec!["*".to_owned()],
            not_resource: false,
            conditions: Vec::new(),
        };
        Self { statements: vec![statement] }
    }

    /// The principals that it names.
    pub(crate) fn principals(&self) -> impl Iterator<Item = &str> {
        self.statements.iter().flat_map(|statement| statement.principals.iter().map(String::as_str))
    }
}

fn statement(value: &Value, kind: Kind) -> Result<Statement, Refusal> {
    const KNOWN: [&str; 8] =
        ["Sid", "Effect", "Principal", "Action", "NotAction", "Resource", "NotResource", "Condition"];
    let fields = value.as_object().ok_or_else(|| malformed("Syntax errors in policy."))?;
    if let Some(name) = fields.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        return Err(malformed(&format!("Unknown field {name}")));
    }
    let prohibited: &[&str] = if kind == Kind::Trust { &["Resource", "NotResource"] } else { &["Principal"] };
    if let Some(name) = prohibited.iter().find(|name| fields.contains_key(**name)) {
        return Err(malformed(&format!("Has prohibited field {name}")));
    }
    let allows = match fields.get("Effect").and_then(Value::as_str) {
        Some("Allow") => true,
        Some("Deny") => false,
        _ => return Err(malformed("Missing required field Effect")),
    };
    let (actions, not_action) = either(fields.get("Action"), fields.get("NotAction"), "Action")?;
    if actions.iter().any(|action| action != "*" && !action.contains(':')) {
        return Err(malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."));
    }
    let (resources, not_resource) = match kind {
        Kind::Identity => either(fields.get("Resource"), fields.get("NotResource"), "Resource")?,
        Kind::Trust => (Vec::new(), false),
    };
    let principals = match kind {
        Kind::Identity => Vec::new(),
        Kind::Trust => {
            principals(fields.get("Principal").ok_or_else(|| malformed("Missing required field Principal"))?)?
        }
    };
    let conditions = fields.get("Condition").map(Condition::parse_all).transpose()?.unwrap_or_default();
    Ok(Statement { allows, principals, actions, not_action, resources, not_resource, conditions })
}

/// The texts of an element or of its negation; exactly one of both must be there.
fn either(plain: Option<&Value>, negated: Option<&Value>, name: &str) -> Result<(Vec<String>, bool), Refusal> {
    match (plain, negated) {
        (Some(value), None) => Ok((texts(value)?, false)),
        (None, Some(value)) => Ok((texts(value)?, true)),
        _ => Err(malformed(&format!("Missing required field {name}"))),
    }
}

/// AWS principals as they are; services and identity providers with their kind before them, so that none matches.
fn principals(value: &Value) -> Result<Vec<String>, Refusal> {
    match value {
        Value::String(text) if text == "*" => Ok(vec![text.clone()]),
        Value::Object(fields) if !fields.is_empty() => {
            let mut all = Vec::new();
            for (kind, value) in fields {
                match kind.as_str() {
                    "AWS" => all.extend(texts(value)?),
                    "Service" | "Federated" => {
                        all.extend(texts(value)?.into_iter().map(|text| format!("{kind} {text}")))
                    }
                    _ => return Err(malformed("Invalid principal in policy")),
                }
            }
            Ok(all)
        }
        _ => Err(malformed("Invalid principal in policy")),
    }
}

/// A text or a list of texts.
pub(super) fn texts(value: &Value) -> Result<Vec<String>, Refusal> {
    let one = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(malformed("Syntax errors in policy.")),
    };
    match value {
        Value::Array(list) if !list.is_empty() => list.iter().map(one).collect(),
        other => Ok(vec![one(other)?]),
    }
}

pub(super) fn malformed(message: &str) -> Refusal {
    Refusal::malformed_policy(message)
}

#[cfg(test)]
mod tests {
    use super::{Document, Kind};

    #[test]
    fn junk_is_refused_and_the_control_is_not() {
        let identity = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
        assert!(Document::parse(identity, Kind::Identity).is_ok());
        assert!(Document::parse(identity, Kind::Trust).is_err());
        for junk in [
            "",
            "[]",
            "{}",
            r#"{"Version":"2020-01-01","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#,
            r#"{"Statement":[]}"#,
            r#"{"Statement":{"Effect":"allow","Action":"s3:*","Resource":"*"}}"#,
            r#"{"Statement":{"Effect":"Allow","Action":"s3","Resource":"*"}}"#,
            r#"{"Statement":{"Effect":"Allow","Action":"s3:*"}}"#,
            r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*","Principal":"*"}}"#,
            r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*","Sneaky":"*"}}"#,
            r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}}"#,
        ] {
            assert_eq!(Document::parse(junk, Kind::Identity).expect_err(junk).code, "MalformedPolicyDocument");
        }
    }
}
