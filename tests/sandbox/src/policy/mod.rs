//! IAM policies: reading and deciding, as far as credentials need it (IAM user guide, policy evaluation logic).

mod condition;
mod document;

pub(crate) use condition::Context;
pub(crate) use document::{Document, Kind};

use document::Statement;

/// What identity policies say about one action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Allowed,
    ExplicitDeny,
    ImplicitDeny,
}

/// How a trust policy names the caller, from the strongest claim to none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trust {
    /// No statement allows it.
    None,
    /// The account is named: the caller's own policies must allow it as well.
    Account,
    /// The caller's role is named: enough, within the session policy.
    Role,
    /// The user or this very session is named, or everyone: enough by itself.
    Caller,
    /// A statement denies it.
    Denied,
}

/// The names under which a trust policy may know the caller.
pub(crate) struct CallerNames {
    pub(crate) account: String,
    pub(crate) account_root: String,
    /// The user's ARN, or that of the role session.
    pub(crate) own: String,
    /// The role behind a role session.
    pub(crate) role: Option<String>,
}

/// Decides one action on one resource by the caller's policies.
pub(crate) fn decide(documents: &[&Document], action: &str, resource: &str, context: &Context) -> Decision {
    let mut decision = Decision::ImplicitDeny;
    for statement in documents.iter().flat_map(|document| &document.statements) {
        if !covers(statement, action, Some(resource), context) {
            continue;
        }
        if !statement.allows {
            return Decision::ExplicitDeny;
        }
        decision = Decision::Allowed;
    }
    decision
}

/// Decides one action by a role's trust policy.
pub(crate) fn decide_trust(document: &Document, action: &str, caller: &CallerNames, context: &Context) -> Trust {
    let mut trust = Trust::None;
    for statement in &document.statements {
        let named =
            statement.principals.iter().map(|principal| named_by(principal, caller)).max().unwrap_or(Trust::None);
        if named == Trust::None || !covers(statement, action, None, context) {
            continue;
        }
        if !statement.allows {
            return Trust::Denied;
        }
        trust = trust.max(named);
    }
    trust
}

fn named_by(principal: &str, caller: &CallerNames) -> Trust {
    if principal == "*" || principal == caller.own {
        Trust::Caller
    } else if caller.role.as_deref() == Some(principal) {
        Trust::Role
    } else if principal == caller.account || principal == caller.account_root {
        Trust::Account
    } else {
        Trust::None
    }
}

fn covers(statement: &Statement, action: &str, resource: Option<&str>, context: &Context) -> bool {
    let action_named =
        statement.actions.iter().any(|pattern| wildcard(&pattern.to_ascii_lowercase(), &action.to_ascii_lowercase()));
    let resource_named = resource.is_none_or(|resource| {
        let named = |pattern: &String| context.substitute(pattern).is_some_and(|pattern| wildcard(&pattern, resource));
        statement.resources.iter().any(named) != statement.not_resource
    });
    action_named != statement.not_action
        && resource_named
        && statement.conditions.iter().all(|condition| condition.holds(context))
}

/// `*` and `?` as in policies; everything else stands for itself.
pub(crate) fn wildcard(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut read) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while let Some(character) = text.get(read) {
        match pattern.get(at) {
            Some('*') => {
                at += 1;
                retry = Some((at, read));
            }
            Some(wanted) if *wanted == '?' || wanted == character => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((star, from)) = retry else { return false };
                at = star;
                read = from + 1;
                retry = Some((star, read));
            }
        }
    }
    pattern.iter().skip(at).all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::{CallerNames, Context, Decision, Document, Kind, Trust, decide, decide_trust, wildcard};
    use serde_json::json;

    #[test]
    fn wildcards() {
        for (pattern, text) in
            [("*", ""), ("a*c", "abc"), ("a?c", "abc"), ("*b*b", "abab"), ("iam:*mfa*", "iam:listmfadevices"), ("", "")]
        {
            assert!(wildcard(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a?c", "ac"), ("a*c", "ab"), ("", "a"), ("abc", "abcd"), ("?", "")] {
            assert!(!wildcard(pattern, text), "{pattern} {text}");
        }
    }

    fn document(kind: Kind, statement: serde_json::Value) -> Document {
        Document::parse(&json!({"Version": "2012-10-17", "Statement": statement}).to_string(), kind).expect("a policy")
    }

    #[test]
    fn deny_wins_and_conditions_narrow() {
        let allow = document(
            Kind::Identity,
            json!({"Effect": "Allow", "Action": "iam:List*", "Resource": "arn:aws:iam::1:user/${aws:username}"}),
        );
        let deny = document(
            Kind::Identity,
            json!([{"Effect": "Deny", "NotAction": "iam:ListMFADevices", "Resource": "*", "Condition": {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}}]),
        );
        let mut context = Context::default();
        context.set("aws:username", "ada");
        let ask = |documents: &[&Document], action: &str, resource: &str, context: &Context| {
            decide(documents, action, resource, context)
        };
        assert_eq!(ask(&[&allow], "iam:listusers", "arn:aws:iam::1:user/ada", &context), Decision::Allowed);
        assert_eq!(ask(&[&allow], "iam:ListUsers", "arn:aws:iam::1:user/bob", &context), Decision::ImplicitDeny);
        assert_eq!(ask(&[&allow], "iam:GetUser", "arn:aws:iam::1:user/ada", &context), Decision::ImplicitDeny);
        assert_eq!(ask(&[&allow, &deny], "iam:ListUsers", "arn:aws:iam::1:user/ada", &context), Decision::ExplicitDeny);
        assert_eq!(ask(&[&allow, &deny], "iam:ListMFADevices", "arn:aws:iam::1:user/ada", &context), Decision::Allowed);
        context.set("aws:MultiFactorAuthPresent", "true");
        assert_eq!(ask(&[&allow, &deny], "iam:ListUsers", "arn:aws:iam::1:user/ada", &context), Decision::Allowed);
    }

    #[test]
    fn principals_are_told_apart() {
        let names = CallerNames {
            account: "1".to_owned(),
            account_root: "arn:aws:iam::1:root".to_owned(),
            own: "arn:aws:sts::1:assumed-role/r/s".to_owned(),
            role: Some("arn:aws:iam::1:role/r".to_owned()),
        };
        for (principal, trust) in [
            (json!("*"), Trust::Caller),
            (json!({"AWS": "*"}), Trust::Caller),
            (json!({"AWS": "1"}), Trust::Account),
            (json!({"AWS": ["arn:aws:iam::1:root", "arn:aws:iam::1:role/r"]}), Trust::Role),
            (json!({"AWS": "arn:aws:sts::1:assumed-role/r/s"}), Trust::Caller),
            (json!({"AWS": "arn:aws:sts::1:assumed-role/r/other"}), Trust::None),
            (json!({"AWS": "arn:aws:iam::2:root"}), Trust::None),
            (json!({"Service": "ec2.amazonaws.com"}), Trust::None),
        ] {
            let policy =
                document(Kind::Trust, json!({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}));
            assert_eq!(decide_trust(&policy, "sts:AssumeRole", &names, &Context::default()), trust);
            assert_eq!(decide_trust(&policy, "sts:TagSession", &names, &Context::default()), Trust::None);
        }
        let denied = document(
            Kind::Trust,
            json!([{"Effect": "Allow", "Principal": "*", "Action": "sts:*"}, {"Effect": "Deny", "Principal": {"AWS": "1"}, "Action": "sts:AssumeRole"}]),
        );
        assert_eq!(decide_trust(&denied, "sts:AssumeRole", &names, &Context::default()), Trust::Denied);
    }
}
