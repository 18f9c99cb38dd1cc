//! A user's password for the console.

use super::{Act, IamAccess};
use crate::aws::Error;
use crate::aws::call::{Again, AwsEdge};
use crate::aws::query::Reply;
use crate::aws::xml::Element;
use claviger::secret::{ConsolePassword, SecretText};

/// What an account wants of a password (IAM API, PasswordPolicy).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// The least length.
    pub least: usize,
    /// Whether one of each of these has to be in it.
    pub symbols: bool,
    /// Digits.
    pub numbers: bool,
    /// Capital letters.
    pub uppercase: bool,
    /// Small letters.
    pub lowercase: bool,
    /// Whether users may change their own, as far as the policy says: another policy may allow it.
    pub users_may_change: bool,
}

impl PasswordPolicy {
    /// Where the account has none (IAM User Guide, "Default password policy"): 8 characters of three kinds at least, so
    /// all four are taken.
    pub const DEFAULT: Self =
        Self { least: 8, symbols: true, numbers: true, uppercase: true, lowercase: true, users_may_change: false };
}

impl AwsEdge {
    /// GetAccountPasswordPolicy; None where the account has none of its own.
    pub async fn account_password_policy(&self, access: IamAccess<'_>) -> Result<Option<PasswordPolicy>, Error> {
        let reply = match self.iam(access, Act::of("iam:GetAccountPasswordPolicy")).await {
            Err(error) if error.is_refusal("NoSuchEntity") => return Ok(None),
            reply => reply?,
        };
        let policy = reply.result()?.child("PasswordPolicy").ok_or_else(|| reply.bad("it has no policy"))?;
        let is = |name| said(&reply, policy, name);
        Ok(Some(PasswordPolicy {
            least: match policy.text("MinimumPasswordLength") {
                // IAM's own bounds are 6 and 128.
                Some(text) => text.parse().map_err(|_| reply.bad("a length is no number"))?,
                None => PasswordPolicy::DEFAULT.least,
            },
            symbols: is("RequireSymbols")?,
            numbers: is("RequireNumbers")?,
            uppercase: is("RequireUppercaseCharacters")?,
            lowercase: is("RequireLowercaseCharacters")?,
            users_may_change: is("AllowUsersToChangePassword")?,
        }))
    }

    /// ChangePassword of the user who signs.
    pub async fn change_password(
        &self,
        access: IamAccess<'_>,
        old: &ConsolePassword,
        new: &ConsolePassword,
    ) -> Result<(), Error> {
        let (old, new) = (old.expose(), new.expose());
        let act = Act::of("iam:ChangePassword").with("OldPassword", old).with("NewPassword", new);
        let act = Act { again: Again::IfNotDone, secrets: &[old, new], ..act };
        self.iam(access, act).await.map(drop)
    }
}

/// A truth value; false where it is left out.
fn said(reply: &Reply, policy: &Element, name: &str) -> Result<bool, Error> {
    match policy.text(name) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(reply.bad("a truth value is none")),
    }
}
