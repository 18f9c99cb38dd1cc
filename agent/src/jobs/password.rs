//! A user's password for the console: changed as the account wants it.

use super::Error;
use super::iam_user::IamUser;
use crate::aws::{self, PasswordPolicy};
use crate::session::Office;
use crate::world::Entropy;
use claviger::secret::{ConsolePassword, SecretText};
use zeroize::Zeroizing;

/// The characters of a password that is made here: those that people do not mix up.
const LOWERCASE: &[u8] = b"abcdefghijkmnopqrstuvwxyz";
const UPPERCASE: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZ";
const NUMBERS: &[u8] = b"23456789";
/// IAM takes these (IAM API, PasswordPolicy, RequireSymbols), and no shell does anything with them.
const SYMBOLS: &[u8] = b"@%^_+-=.,:";
/// The least length of a password that is made here: 20 characters of these are about 120 bits.
const LENGTH: usize = 20;
/// The longest that IAM takes.
const LENGTH_LIMIT: usize = 128;

/// What the account wants. Those who may not ask get what every account takes by default.
///
/// # Errors
/// Those of AWS.
pub async fn policy(office: &Office, user: &IamUser) -> Result<PasswordPolicy, Error> {
    match office.aws().account_password_policy(user.access()).await {
        Ok(policy) => Ok(policy.unwrap_or(PasswordPolicy::DEFAULT)),
        Err(aws::Error::AccessDenied { .. }) => Ok(PasswordPolicy::DEFAULT),
        Err(error) => Err(error.into()),
    }
}

/// A password as the account wants it, with a character of each kind, evenly drawn. None where the kernel gives no
/// randomness.
pub fn suggest(policy: &PasswordPolicy, entropy: &dyn Entropy) -> Option<ConsolePassword> {
    let all = [LOWERCASE, UPPERCASE, NUMBERS, SYMBOLS].concat();
    let length = policy.least.clamp(LENGTH, LENGTH_LIMIT);
    // Until there is one of each kind, which is soon: drawing them apart would favour some passwords.
    loop {
        let mut text = Zeroizing::new(String::with_capacity(length));
        while text.len() < length {
            text.push(char::from(drawn(&all, entropy)?));
        }
        let has = |kind: &[u8]| text.bytes().any(|byte| kind.contains(&byte));
        if has(LOWERCASE) && has(UPPERCASE) && has(NUMBERS) && has(SYMBOLS) {
            return Some(ConsolePassword::from_text(std::mem::take(&mut *text)));
        }
    }
}

/// One of them, each as likely as another.
fn drawn(from: &[u8], entropy: &dyn Entropy) -> Option<u8> {
    let even = 256 / from.len() * from.len();
    loop {
        let mut byte = Zeroizing::new([0]);
        entropy.fill(&mut *byte).ok()?;
        let [number] = *byte;
        let number = usize::from(number);
        if number < even {
            return from.get(number % from.len()).copied();
        }
    }
}

/// Changes the password of the user.
///
/// # Errors
/// Those of AWS: `PasswordPolicyViolation` says which rule is broken.
pub async fn change(
    office: &Office,
    user: &IamUser,
    old: &ConsolePassword,
    new: &ConsolePassword,
) -> Result<(), Error> {
    Ok(office.aws().change_password(user.access(), old, new).await?)
}

#[cfg(test)]
mod tests {
    use super::{LENGTH, LENGTH_LIMIT, LOWERCASE, NUMBERS, SYMBOLS, UPPERCASE, suggest};
    use crate::aws::PasswordPolicy;
    use crate::testing::{self, FakeClock};
    use crate::world::WallTime;
    use claviger::secret::SecretText;
    use std::collections::BTreeMap;

    #[test]
    fn a_password_has_each_kind_and_the_length_and_every_character_comes() {
        let world = testing::world(FakeClock::at(WallTime(0)), 7);
        let mut seen: BTreeMap<char, u32> = BTreeMap::new();
        for least in [6, 20, 64, 128, 1000].into_iter().cycle().take(500) {
            let policy = PasswordPolicy { least, ..PasswordPolicy::DEFAULT };
            let password = suggest(&policy, &*world.entropy).expect("randomness");
            let text = password.expose();
            assert_eq!(text.len(), least.clamp(LENGTH, LENGTH_LIMIT));
            for kind in [LOWERCASE, UPPERCASE, NUMBERS, SYMBOLS] {
                assert!(text.bytes().any(|byte| kind.contains(&byte)));
            }
            text.chars().for_each(|character| *seen.entry(character).or_default() += 1);
        }
        let all = LOWERCASE.len() + UPPERCASE.len() + NUMBERS.len() + SYMBOLS.len();
        assert_eq!(seen.len(), all);
        let (least, most) = (seen.values().min().unwrap(), seen.values().max().unwrap());
        assert!(most < &(least * 2), "{seen:?}");
    }
}
