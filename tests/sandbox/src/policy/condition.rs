//! Conditions of policy statements, and the facts that they are held against.

use super::document::{malformed, texts};
use super::wildcard;
use crate::reply::Refusal;
use serde_json::Value;
use std::collections::BTreeMap;

/// The facts of a request, by condition key. Keys know no case.
#[derive(Debug, Clone, Default)]
pub(crate) struct Context(BTreeMap<String, Vec<String>>);

impl Context {
    pub(crate) fn set(&mut self, key: &str, value: impl Into<String>) {
        self.0.insert(key.to_ascii_lowercase(), vec![value.into()]);
    }

    pub(crate) fn set_all(&mut self, key: &str, values: Vec<String>) {
        self.0.insert(key.to_ascii_lowercase(), values);
    }

    fn values(&self, key: &str) -> Option<&[String]> {
        self.0.get(key).map(Vec::as_slice)
    }

    /// A text with its policy variables (`${aws:username}`) filled in; None where one has no single value.
    pub(crate) fn substitute(&self, text: &str) -> Option<String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}')?;
            let [value] = self.values(&name.to_ascii_lowercase())? else { return None };
            out.push_str(before);
            out.push_str(value);
            rest = after;
        }
        out.push_str(rest);
        Some(out)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Bool,
    NumericEquals,
    NumericGreaterThan,
    NumericGreaterThanEquals,
    NumericLessThan,
    NumericLessThanEquals,
    StringEquals,
    StringEqualsIgnoreCase,
    StringLike,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Values {
    One,
    All,
    Any,
}

/// One key of one operator.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    operator: Test,
    values: Values,
    if_exists: bool,
    key: String,
    wanted: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    Is(Operator),
    IsNot(Operator),
    Null,
}

impl Condition {
    /// The whole `Condition` element.
    pub(super) fn parse_all(value: &Value) -> Result<Vec<Self>, Refusal> {
        let syntax = || malformed("Syntax errors in policy.");
        let mut conditions = Vec::new();
        for (operator, keys) in value.as_object().ok_or_else(syntax)? {
            let (values, name) = match operator.split_once(':') {
                Some(("ForAllValues", name)) => (Values::All, name),
                Some(("ForAnyValue", name)) => (Values::Any, name),
                Some(_) => return Err(malformed(&format!("Invalid Condition type : {operator}."))),
                None => (Values::One, operator.as_str()),
            };
            let (name, if_exists) = name.strip_suffix("IfExists").map_or((name, false), |name| (name, true));
            let test = test_named(name).ok_or_else(|| malformed(&format!("Invalid Condition type : {operator}.")))?;
            for (key, wanted) in keys.as_object().ok_or_else(syntax)? {
                if !key.contains(':') {
                    return Err(malformed(
                        "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
                    ));
                }
                conditions.push(Self {
                    operator: test,
                    values,
                    if_exists,
                    key: key.to_ascii_lowercase(),
                    wanted: texts(wanted)?,
                });
            }
        }
        Ok(conditions)
    }

    pub(super) fn holds(&self, context: &Context) -> bool {
        let present = context.values(&self.key);
        let (operator, negated) = match self.operator {
            Test::Null => {
                return self.wanted.iter().any(|wanted| wanted == if present.is_none() { "true" } else { "false" });
            }
            Test::Is(operator) => (operator, false),
            Test::IsNot(operator) => (operator, true),
        };
        let Some(values) = present else {
            // A key that is absent satisfies what asks for "not", ForAllValues and …IfExists.
            return negated || self.if_exists || self.values == Values::All;
        };
        let matches = |value: &String| {
            let any = self
                .wanted
                .iter()
                .filter_map(|wanted| context.substitute(wanted))
                .any(|wanted| compare(operator, value, &wanted));
            any != negated
        };
        match self.values {
            Values::All => values.iter().all(matches),
            Values::Any => values.iter().any(matches),
            Values::One => values.len() == 1 && values.iter().all(matches),
        }
    }
}

fn test_named(name: &str) -> Option<Test> {
    Some(match name {
        "Bool" => Test::Is(Operator::Bool),
        "Null" => Test::Null,
        "NumericEquals" => Test::Is(Operator::NumericEquals),
        "NumericNotEquals" => Test::IsNot(Operator::NumericEquals),
        "NumericGreaterThan" => Test::Is(Operator::NumericGreaterThan),
        "NumericGreaterThanEquals" => Test::Is(Operator::NumericGreaterThanEquals),
        "NumericLessThan" => Test::Is(Operator::NumericLessThan),
        "NumericLessThanEquals" => Test::Is(Operator::NumericLessThanEquals),
        "StringEquals" => Test::Is(Operator::StringEquals),
        "StringNotEquals" => Test::IsNot(Operator::StringEquals),
        "StringEqualsIgnoreCase" => Test::Is(Operator::StringEqualsIgnoreCase),
        "StringLike" | "ArnLike" | "ArnEquals" => Test::Is(Operator::StringLike),
        "StringNotLike" | "ArnNotLike" | "ArnNotEquals" => Test::IsNot(Operator::StringLike),
        _ => return None,
    })
}

fn compare(operator: Operator, value: &str, wanted: &str) -> bool {
    let numbers = || Some((value.parse::<i64>().ok()?, wanted.parse::<i64>().ok()?));
    let numeric = |holds: fn(i64, i64) -> bool| numbers().is_some_and(|(value, wanted)| holds(value, wanted));
    match operator {
        Operator::Bool | Operator::StringEqualsIgnoreCase => value.eq_ignore_ascii_case(wanted),
        Operator::NumericEquals => numeric(|value, wanted| value == wanted),
        Operator::NumericGreaterThan => numeric(|value, wanted| value > wanted),
        Operator::NumericGreaterThanEquals => numeric(|value, wanted| value >= wanted),
        Operator::NumericLessThan => numeric(|value, wanted| value < wanted),
        Operator::NumericLessThanEquals => numeric(|value, wanted| value <= wanted),
        Operator::StringEquals => value == wanted,
        Operator::StringLike => wildcard(wanted, value),
    }
}

#[cfg(test)]
mod tests {
    use super::{Condition, Context};
    use serde_json::json;

    fn holds(condition: serde_json::Value, facts: &[(&str, &str)]) -> bool {
        let mut context = Context::default();
        for (key, value) in facts {
            context.set(key, *value);
        }
        Condition::parse_all(&condition).expect("a condition").iter().all(|condition| condition.holds(&context))
    }

    #[test]
    fn absent_keys_fail_unless_the_operator_forgives() {
        assert!(holds(
            json!({"Bool": {"AWS:multifactorauthpresent": true}}),
            &[("aws:MultiFactorAuthPresent", "true")]
        ));
        assert!(!holds(
            json!({"Bool": {"aws:MultiFactorAuthPresent": "true"}}),
            &[("aws:MultiFactorAuthPresent", "false")]
        ));
        assert!(!holds(json!({"Bool": {"aws:MultiFactorAuthPresent": "true"}}), &[]));
        assert!(holds(json!({"BoolIfExists": {"aws:MultiFactorAuthPresent": "true"}}), &[]));
        assert!(!holds(
            json!({"BoolIfExists": {"aws:MultiFactorAuthPresent": "true"}}),
            &[("aws:MultiFactorAuthPresent", "false")]
        ));
        assert!(holds(json!({"Null": {"aws:MultiFactorAuthAge": "true"}}), &[]));
        assert!(holds(json!({"StringNotEquals": {"sts:ExternalId": "x"}}), &[]));
    }

    #[test]
    fn numbers_lists_and_variables() {
        let young = json!({"NumericLessThan": {"aws:MultiFactorAuthAge": "3600"}});
        assert!(holds(young.clone(), &[("aws:MultiFactorAuthAge", "3599")]));
        assert!(!holds(young.clone(), &[("aws:MultiFactorAuthAge", "3600")]));
        assert!(!holds(young, &[]));
        assert!(holds(json!({"StringEquals": {"sts:ExternalId": ["a", "b"]}}), &[("sts:ExternalId", "b")]));
        assert!(!holds(json!({"StringEquals": {"sts:ExternalId": ["a", "b"]}}), &[("sts:ExternalId", "c")]));
        let own = json!({"StringLike": {"sts:RoleSessionName": "${aws:username}-*"}});
        assert!(holds(own.clone(), &[("sts:RoleSessionName", "ada-1"), ("aws:username", "ada")]));
        assert!(!holds(own, &[("sts:RoleSessionName", "bob-1"), ("aws:username", "ada")]));
    }
}
