//! Console passwords: the account's policy, and a user changing their own.

use crate::call::{Call, Outcome};
use crate::policy::Decision;
use crate::query::Shape;
use crate::reply::{Refusal, Xml};
use crate::world::{PasswordPolicy, Principal};
use subtle::ConstantTimeEq as _;

/// What counts as a symbol (IAM user guide, password policy).
const SYMBOLS: &str = "!@#$%^&*()_+-=[]{}|'";

pub(super) fn show_policy(call: &mut Call<'_>) -> Outcome {
    call.authorize("iam:GetAccountPasswordPolicy", "*")?;
    let policy = call.world.password_policy.as_ref().ok_or_else(|| {
        Refusal::no_such_entity(format!("The Password Policy with domain name {} cannot be found.", call.world.account))
    })?;
    let mut xml = Xml::default();
    xml.nest("PasswordPolicy", |xml| {
        xml.text("MinimumPasswordLength", policy.minimum_length.to_string())
            .text("RequireSymbols", policy.require_symbols.to_string())
            .text("RequireNumbers", policy.require_numbers.to_string())
            .text("RequireUppercaseCharacters", policy.require_uppercase.to_string())
            .text("RequireLowercaseCharacters", policy.require_lowercase.to_string())
            .text("AllowUsersToChangePassword", policy.allow_users_to_change.to_string())
            .text("ExpirePasswords", (policy.max_age_days > 0).to_string());
        if policy.max_age_days > 0 {
            xml.text("MaxPasswordAge", policy.max_age_days.to_string());
        }
        if let Some(count) = policy.reuse_prevention {
            xml.text("PasswordReusePrevention", count.to_string());
        }
        xml.text("HardExpiry", policy.hard_expiry.to_string());
    });
    Ok(Some(xml))
}

/// UpdateAccountPasswordPolicy: what is not given returns to its default.
pub(super) fn update_policy(call: &mut Call<'_>) -> Outcome {
    let parameters = call.parameters;
    let (length, age) = (parameters.number("MinimumPasswordLength")?, parameters.number("MaxPasswordAge")?);
    let reuse = parameters.number("PasswordReusePrevention")?;
    let mut shape = Shape::default();
    shape.range("MinimumPasswordLength", length, 6, 128);
    shape.range("MaxPasswordAge", age, 1, 1095);
    shape.range("PasswordReusePrevention", reuse, 1, 24);
    shape.verdict()?;
    call.authorize("iam:UpdateAccountPasswordPolicy", "*")?;
    let flag = |name: &str| Ok::<bool, Refusal>(parameters.flag(name)?.unwrap_or(false));
    call.world.password_policy = Some(PasswordPolicy {
        minimum_length: length.unwrap_or(6),
        require_symbols: flag("RequireSymbols")?,
        require_numbers: flag("RequireNumbers")?,
        require_uppercase: flag("RequireUppercaseCharacters")?,
        require_lowercase: flag("RequireLowercaseCharacters")?,
        allow_users_to_change: flag("AllowUsersToChangePassword")?,
        max_age_days: age.unwrap_or(0),
        reuse_prevention: reuse,
        hard_expiry: flag("HardExpiry")?,
    });
    Ok(None)
}

/// ChangePassword: the caller's own, by the user only.
pub(super) fn change(call: &mut Call<'_>) -> Outcome {
    let old = call.parameters.required("OldPassword")?;
    let new = call.parameters.required("NewPassword")?;
    check_shape(call)?;
    let Principal::User(name) = call.caller.principal.clone() else {
        return Err(Refusal::new(400, "InvalidUserType", "Only IAM Users can change their own password."));
    };
    let resource = super::user::resource(call.world, &name);
    let everyone_may = call.world.password_policy.as_ref().is_some_and(|policy| policy.allow_users_to_change);
    if !everyone_may || call.decide("iam:ChangePassword", &resource, &call.context()) == Decision::ExplicitDeny {
        call.authorize("iam:ChangePassword", &resource)?;
    }
    let conforms = conforms(new, call.world.password_policy.as_ref());
    let kept = call.world.password_policy.as_ref().and_then(|policy| policy.reuse_prevention).unwrap_or(0);
    let kept = usize::try_from(kept).unwrap_or(0);
    let user = call.world.user_mut(&name)?;
    let current = user
        .password
        .as_ref()
        .ok_or_else(|| Refusal::no_such_entity(format!("Login Profile for User {name} cannot be found.")))?;
    if !bool::from(current.as_bytes().ct_eq(old.as_bytes())) {
        return Err(Refusal::access_denied("The old password was incorrect."));
    }
    let known = user.password.iter().chain(user.earlier_passwords.iter().rev());
    let comes_again = known.take(kept).any(|known| known == new);
    if !conforms || comes_again {
        let message = "Password does not conform to the account password policy.";
        return Err(Refusal::new(400, "PasswordPolicyViolation", message));
    }
    user.earlier_passwords.extend(user.password.replace(new.to_owned()));
    Ok(None)
}

/// One to 128 characters of Latin-1, tabs and line ends. AWS's words for what is none repeat no password.
fn check_shape(call: &Call<'_>) -> Result<(), Refusal> {
    let mut shape = Shape::default();
    for name in ["OldPassword", "NewPassword"] {
        let password = call.parameters.text(name).unwrap_or_default();
        if !(1..=128).contains(&password.chars().count()) {
            shape.fails(name, "***", "Member must have length between 1 and 128");
        }
        if !password.chars().all(|c| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{ff}')) {
            shape.fails(
                name,
                "***",
                "Member must satisfy regular expression pattern: [\\u0009\\u000A\\u000D\\u0020-\\u00FF]+",
            );
        }
    }
    shape.verdict()
}

fn conforms(password: &str, policy: Option<&PasswordPolicy>) -> bool {
    let length = i64::try_from(password.chars().count()).unwrap_or(i64::MAX);
    let symbol = password.chars().any(|c| SYMBOLS.contains(c));
    let number = password.chars().any(|c| c.is_ascii_digit());
    let upper = password.chars().any(|c| c.is_ascii_uppercase());
    let lower = password.chars().any(|c| c.is_ascii_lowercase());
    match policy {
        // AWS's default: eight characters, three of the four kinds.
        None => (8..=128).contains(&length) && [symbol, number, upper, lower].iter().filter(|has| **has).count() >= 3,
        Some(policy) => {
            (policy.minimum_length..=128).contains(&length)
                && (symbol || !policy.require_symbols)
                && (number || !policy.require_numbers)
                && (upper || !policy.require_uppercase)
                && (lower || !policy.require_lowercase)
        }
    }
}
