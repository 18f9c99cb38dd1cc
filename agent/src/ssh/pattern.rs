//! Patterns of user and host names: `*` for any run of characters, `?` for one.

/// Whether the whole name matches (OpenSSH: `match_pattern`). No other character has a meaning, `!` and `,` neither:
/// OpenSSH gives them one in lists of patterns, and the patterns of constraints and certificates are no lists. Takes
/// time by the product of both lengths at the worst.
pub(super) fn matches(name: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut place) = (0, 0);
    // Where the last `*` stands, and up to where it reaches.
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = name.get(at) {
        match pattern.get(place) {
            Some(b'*') => {
                star = Some((place, at));
                place += 1;
            }
            Some(wanted) if *wanted == b'?' || wanted == byte => {
                place += 1;
                at += 1;
            }
            _ => {
                let Some((stands, reaches)) = star else { return false };
                star = Some((stands, reaches + 1));
                (place, at) = (stands + 1, reaches + 1);
            }
        }
    }
    pattern.get(place..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use super::matches;
    use proptest::prelude::proptest;

    #[test]
    fn patterns_match_as_in_openssh() {
        for (name, pattern, wanted) in [
            ("root", "root", true),
            ("root", "Root", false),
            ("root", "roo", false),
            ("root", "roots", false),
            ("", "", true),
            ("root", "", false),
            ("", "*", true),
            ("", "?", false),
            ("root", "*", true),
            ("root", "r*t", true),
            ("root", "r?ot", true),
            ("root", "???", false),
            ("root", "????*", true),
            ("root", "?????", false),
            ("root", "*t*", true),
            ("root", "*x*", false),
            ("aab", "*ab", true),
            ("ababac", "*abac", true),
            ("web1.example", "*.example", true),
            (".example", "*.example", true),
            ("web1.example.org", "*.example", false),
            ("root", "!root", false),
            ("ada", "!root", false),
            ("!root", "!root", true),
            ("root", "ada,root", false),
            ("ada,root", "ada,root", true),
            ("*", "?", true),
        ] {
            assert_eq!(matches(name.as_bytes(), pattern.as_bytes()), wanted, "{name:?} {pattern:?}");
        }
    }

    /// The definition, word for word.
    fn defined(name: &[u8], pattern: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|skipped| defined(&name[skipped..], rest)),
            Some((wanted, rest)) => name
                .split_first()
                .is_some_and(|(byte, name)| (*wanted == b'?' || wanted == byte) && defined(name, rest)),
        }
    }

    proptest! {
        #[test]
        fn patterns_match_as_defined(name in "[ab]{0,9}", pattern in "[ab*?]{0,7}") {
            assert_eq!(matches(name.as_bytes(), pattern.as_bytes()), defined(name.as_bytes(), pattern.as_bytes()));
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_power_of_time() {
        assert!(!matches(&[b'a'; 20_000], &[&b"*a".repeat(128)[..], b"b"].concat()));
    }
}
