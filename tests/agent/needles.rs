//! A secret in each form in which it could be written down, and a search for many of them at once. Pure.

use data_encoding::{BASE32_NOPAD, BASE64_NOPAD, BASE64URL_NOPAD, Encoding, HEXLOWER, HEXUPPER};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How a secret was written down.
pub(crate) type Form = &'static str;

/// What every needle begins with, as far as the index goes. Shorter secrets would be found by chance.
const HEAD: usize = 6;

/// The forms of one secret.
pub(crate) struct Needles(pub(crate) Vec<(Form, Vec<u8>)>);

impl Needles {
    /// Of a secret of at least six bytes. Forms that are the same as an earlier one are left out.
    pub(crate) fn of(secret: &[u8]) -> Self {
        assert!(secret.len() >= HEAD, "a secret of {} bytes is found by chance", secret.len());
        let mut forms = vec![
            ("raw", secret.to_vec()),
            ("hex", HEXLOWER.encode(secret).into_bytes()),
            ("hex, upper case", HEXUPPER.encode(secret).into_bytes()),
            ("bytes as numbers", numbers(secret, ", ")),
            ("bytes as JSON numbers", numbers(secret, ",")),
            ("URL", percent(secret, b"-_.~", |code| format!("%{code:02X}"))),
            ("URL, lower case", percent(secret, b"-_.~", |code| format!("%{code:02x}"))),
            (
                "form",
                percent(secret, b"*-._", |code| if code == b' ' { "+".to_owned() } else { format!("%{code:02X}") }),
            ),
        ];
        for offset in 0..3 {
            forms.push(("base64", encoded(&BASE64_NOPAD, 6, secret, offset)));
            forms.push(("base64url", encoded(&BASE64URL_NOPAD, 6, secret, offset)));
        }
        for offset in 0..5 {
            let text = encoded(&BASE32_NOPAD, 5, secret, offset);
            forms.push(("base32, lower case", text.to_ascii_lowercase()));
            forms.push(("base32", text));
        }
        if let Ok(text) = std::str::from_utf8(secret) {
            let json = serde_json::to_string(text).expect("JSON");
            forms.push(("JSON", json.as_bytes()[1..json.len() - 1].to_vec()));
            forms.push(("Rust's Debug", text.escape_debug().to_string().into_bytes()));
            forms.push(("UTF-16, little end first", text.encode_utf16().flat_map(u16::to_le_bytes).collect()));
            forms.push(("UTF-16, big end first", text.encode_utf16().flat_map(u16::to_be_bytes).collect()));
        }
        let mut seen = std::collections::HashSet::new();
        forms.retain(|(_, needle)| needle.len() >= HEAD && seen.insert(needle.clone()));
        Self(forms)
    }

    /// A form in which it is in there.
    pub(crate) fn find(&self, haystack: &[u8]) -> Option<Form> {
        Search::new([((), self)]).all(haystack).remove(&())?.pop_first()
    }
}

/// Whose it is, its form, and its bytes.
type Needle<'a, N> = (N, Form, &'a [u8]);

/// A search for the needles of many secrets, each with a name of the caller's.
pub(crate) struct Search<'a, N> {
    /// Needles by their first bytes.
    heads: HashMap<[u8; HEAD], Vec<Needle<'a, N>>>,
    /// Whether any needle begins with these two bytes: most places are left after a look at them.
    pairs: Vec<bool>,
}

impl<'a, N: Copy + Ord> Search<'a, N> {
    pub(crate) fn new(secrets: impl IntoIterator<Item = (N, &'a Needles)>) -> Self {
        let mut search = Self { heads: HashMap::new(), pairs: vec![false; 1 << 16] };
        for (name, needles) in secrets {
            for (form, needle) in &needles.0 {
                search.pairs[pair(needle)] = true;
                let head = needle[..HEAD].try_into().expect("six bytes");
                search.heads.entry(head).or_default().push((name, form, needle));
            }
        }
        search
    }

    /// Who is found in there, and in which forms.
    pub(crate) fn all(&self, haystack: &[u8]) -> BTreeMap<N, BTreeSet<Form>> {
        let mut found: BTreeMap<N, BTreeSet<Form>> = BTreeMap::new();
        for (at, window) in haystack.windows(HEAD).enumerate() {
            if !self.pairs[pair(window)] {
                continue;
            }
            for (name, form, needle) in self.heads.get(window).into_iter().flatten() {
                if haystack[at..].starts_with(needle) {
                    found.entry(*name).or_default().insert(*form);
                }
            }
        }
        found
    }
}

fn pair(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

fn numbers(secret: &[u8], between: &str) -> Vec<u8> {
    secret.iter().map(u8::to_string).collect::<Vec<_>>().join(between).into_bytes()
}

fn percent(secret: &[u8], kept: &[u8], escape: impl Fn(u8) -> String) -> Vec<u8> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || kept.contains(&byte);
    secret
        .iter()
        .map(|byte| if plain(*byte) { char::from(*byte).to_string() } else { escape(*byte) })
        .collect::<String>()
        .into()
}

/// The secret as it stands in the encoding of something longer, `offset` bytes after a boundary: without the digits
/// that its neighbours have a part in.
fn encoded(encoding: &Encoding, bits: usize, secret: &[u8], offset: usize) -> Vec<u8> {
    let text = encoding.encode(&[vec![0; offset].as_slice(), secret].concat());
    let (first, end) = ((8 * offset).div_ceil(bits), 8 * (offset + secret.len()) / bits);
    text.as_bytes()[first..end].to_vec()
}

#[cfg(test)]
mod tests {
    use super::{Needles, Search};
    use data_encoding::{BASE32, BASE64, BASE64URL};

    const SECRET: &[u8] = b"k/9+Zq\"w~\\7P a\xc3\xa9x";

    #[test]
    fn a_secret_is_found_in_each_form_wherever_it_stands() {
        let needles = Needles::of(SECRET);
        let text = std::str::from_utf8(SECRET).expect("text");
        for before in 0..7 {
            for after in 0..7 {
                let around = [vec![b'<'; before], SECRET.to_vec(), vec![b'>'; after]].concat();
                let whole = std::str::from_utf8(&around).expect("text");
                for (form, written) in [
                    ("raw", around.clone()),
                    ("base64", BASE64.encode(&around).into_bytes()),
                    ("base64url", BASE64URL.encode(&around).into_bytes()),
                    ("base32", BASE32.encode(&around).into_bytes()),
                    ("hex", around.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()),
                    ("hex, upper case", around.iter().map(|byte| format!("{byte:02X}")).collect::<String>().into()),
                    ("bytes as numbers", format!("{around:?}").into_bytes()),
                    ("bytes as JSON numbers", serde_json::to_vec(&around).expect("JSON")),
                    ("JSON", serde_json::to_vec(whole).expect("JSON")),
                    ("Rust's Debug", format!("{:?}", format!("{whole}\u{1b}'{text}")).into_bytes()),
                    ("UTF-16, little end first", whole.encode_utf16().flat_map(u16::to_le_bytes).collect()),
                    ("UTF-16, big end first", whole.encode_utf16().flat_map(u16::to_be_bytes).collect()),
                    ("form", url::form_urlencoded::byte_serialize(&around).collect::<String>().into()),
                    (
                        "URL",
                        around
                            .iter()
                            .map(|byte| match byte {
                                b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'~' => char::from(*byte).to_string(),
                                _ => format!("%{byte:02X}"),
                            })
                            .collect::<String>()
                            .into(),
                    ),
                ] {
                    let found = needles.find(&written);
                    // Where two forms write this secret alike, the first has it.
                    let alike = [("UTF-16", "UTF-16"), ("Rust's Debug", "JSON")];
                    let alike = |found: &str| alike.iter().any(|(a, b)| form.starts_with(a) && found.starts_with(b));
                    let same = |found: &str| form.starts_with(found) || alike(found);
                    assert!(found.is_some_and(same), "{form} {before} {after}: {found:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_nearly_the_secret_is_not_found() {
        let needles = Needles::of(SECRET);
        let mut other = SECRET.to_vec();
        *other.last_mut().expect("a byte") ^= 1;
        assert_eq!(needles.find(&other), None);
        assert_eq!(needles.find(&SECRET[..SECRET.len() - 1]), None);
        assert_eq!(needles.find(b""), None);
    }

    #[test]
    fn many_are_found_in_one_pass_each_by_its_name() {
        let secrets = [&b"first secret"[..], b"second secret", b"third secret"].map(Needles::of);
        let search = Search::new(secrets.iter().enumerate());
        let found = search.all(b"a first secret and 74686972642073656372657400");
        assert_eq!(found, [(0, ["raw"].into()), (2, ["hex"].into())].into());
    }
}
