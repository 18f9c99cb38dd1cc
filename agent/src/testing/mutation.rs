//! Damaged inputs: from a seed, entries of a corpus and the words of a language to bytes. The same seed gives the same
//! bytes, on any machine.

/// A text that nothing else holds: planted in inputs, it must not come back in an error.
pub const CANARY: &str = "QZCANARY7";

/// What parsers trip over: ends of texts, bytes that are no UTF-8, marks that show nothing.
const HOSTILE: &[&[u8]] = &[
    b"\0",
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xe2\x82",
    b"\xef\xbb\xbf",
    "\u{202e}".as_bytes(),
    "\u{2028}".as_bytes(),
    "\u{a0}".as_bytes(),
    "\u{130}".as_bytes(),
    b"\r",
    b"\r\n",
    b"\n",
    b"\t",
    b"\x1b[31m",
    b"\x7f",
    b"%00",
    b"%s%n",
    b"\\u0000",
    b"\\ud800",
    b"../",
    b"''",
    b"\"",
    b"\\",
];

/// Numbers at the edges of types.
const NUMBERS: &[&str] = &[
    "0",
    "-1",
    "1",
    "00",
    "-0",
    "9",
    "60",
    "255",
    "256",
    "32767",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e400",
    "1.5",
    "-1e-400",
    "0x10",
    "99999999999999999999999999999999999999999999999999",
];

/// What opens something, in one language or another.
const OPENERS: &[&[u8]] =
    &[b"[", b"{\"a\":", b"<a>", b"(", b"[[", b"{", b"\"", b"'", b"<![CDATA[", b"&", b"a=b\n ", b"\\"];

/// Letters and digits, as most nouns have them.
const PLAIN: &[u8] = b"abcxyzABCXYZ0189-_.:/=+, ";

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 where that is 0.
    fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % end).unwrap_or(0)
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }

    /// A range within so many bytes, at most `most` long.
    fn range(&mut self, length: usize, most: usize) -> std::ops::Range<usize> {
        let start = self.below(length.saturating_add(1));
        start..start.saturating_add(self.below(most.saturating_add(1))).min(length)
    }
}

/// Inputs that open something a hundred thousand bytes long and never close it, and the empty one.
pub fn extremes() -> impl Iterator<Item = Vec<u8>> {
    let deep = OPENERS.iter().map(|opener| opener.repeat(100_000 / opener.len().max(1)));
    deep.chain([Vec::new()])
}

/// The input of a seed, and whether it is an entry as it stands. One in sixteen is.
pub fn input(seed: u64, corpus: &[Vec<u8>], tokens: &[&[u8]]) -> (Vec<u8>, bool) {
    let mut random = Random(seed);
    // Seeds that follow each other begin far apart.
    random.0 = random.next();
    let mut bytes = random.pick(corpus).cloned().unwrap_or_default();
    if random.one_in(16) {
        return (bytes, true);
    }
    // One edit as often as not, two half as often, six at the most.
    for _ in 0..6 {
        edit(&mut random, &mut bytes, corpus, tokens);
        if random.one_in(2) {
            break;
        }
    }
    if random.one_in(4) {
        plant(&mut random, &mut bytes);
    }
    (bytes, false)
}

fn edit(random: &mut Random, bytes: &mut Vec<u8>, corpus: &[Vec<u8>], tokens: &[&[u8]]) {
    let at = random.below(bytes.len().saturating_add(1));
    match random.below(22) {
        0 | 1 => {
            let bit = random.below(8);
            change(bytes, at, |byte| byte ^ (1 << bit));
        }
        2 => {
            let new = random.next().to_le_bytes();
            insert(bytes, at, new.get(..random.below(8)).unwrap_or_default());
        }
        3 => drop(bytes.drain(random.range(bytes.len(), 12))),
        4 => {
            let copy = bytes.get(random.range(bytes.len(), 80)).unwrap_or_default().to_vec();
            insert(bytes, at, &copy);
        }
        5 => {
            let other = random.pick(corpus).cloned().unwrap_or_default();
            bytes.truncate(at);
            bytes.extend_from_slice(other.get(random.below(other.len())..).unwrap_or_default());
        }
        6 | 7 => insert(bytes, at, random.pick(tokens).copied().unwrap_or_default()),
        8 => {
            let most = if random.one_in(100) { 4000 } else { 40 };
            let token = random.pick(tokens).copied().unwrap_or(b"x").repeat(random.below(most));
            insert(bytes, at, &token);
        }
        9 | 10 => number(random, bytes),
        11 => bytes.truncate(at),
        12 => {
            let depth = if random.one_in(200) { 40_000 } else { 200 };
            let opener = random.pick(OPENERS).copied().unwrap_or_default().repeat(random.below(depth));
            insert(bytes, at, &opener);
        }
        13 => {
            let most = if random.one_in(100) { 300_000 } else { 1000 };
            let filler = random.pick(PLAIN).copied().unwrap_or(b'x');
            insert(bytes, at, &vec![filler; random.below(most)]);
        }
        14 => insert(bytes, at, random.pick(HOSTILE).copied().unwrap_or_default()),
        15 => change(bytes, at, |byte| if byte.is_ascii_alphabetic() { byte ^ 0x20 } else { byte }),
        16 => lines(random, bytes),
        17 => {
            let from = bytes.get(random.range(bytes.len(), 40)).unwrap_or_default().to_vec();
            bytes.iter_mut().skip(at).zip(from).for_each(|(to, from)| *to = from);
        }
        18 | 19 => {
            let new = random.pick(PLAIN).copied().unwrap_or(b'x');
            change(bytes, at, |byte| if byte.is_ascii_alphanumeric() { new } else { byte });
        }
        _ => {
            let word = word(bytes, at);
            let token = random.pick(tokens).copied().unwrap_or_default();
            drop(bytes.splice(word, token.iter().copied()));
        }
    }
}

/// Puts the canary somewhere, in the place of a word as often as not.
fn plant(random: &mut Random, bytes: &mut Vec<u8>) {
    let at = random.below(bytes.len().saturating_add(1));
    let place = if random.one_in(2) { word(bytes, at) } else { at..at };
    drop(bytes.splice(place, CANARY.bytes()));
}

fn change(bytes: &mut [u8], at: usize, change: impl FnOnce(u8) -> u8) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte = change(*byte);
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    drop(bytes.splice(at..at, new.iter().copied()));
}

/// The letters and digits around a place.
fn word(bytes: &[u8], at: usize) -> std::ops::Range<usize> {
    let (before, after) = bytes.split_at_checked(at).unwrap_or((bytes, &[]));
    let left = before.iter().rev().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let right = after.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    before.len().saturating_sub(left)..before.len().saturating_add(right)
}

/// Another number in the place of one.
fn number(random: &mut Random, bytes: &mut Vec<u8>) {
    let from = random.below(bytes.len());
    let digits =
        |start: usize| bytes.iter().skip(start).position(u8::is_ascii_digit).map(|at| start.saturating_add(at));
    let Some(start) = digits(from).or_else(|| digits(0)) else { return };
    let length = bytes.iter().skip(start).take_while(|byte| byte.is_ascii_digit()).count();
    let new = random.pick(NUMBERS).copied().unwrap_or_default();
    drop(bytes.splice(start..start.saturating_add(length), new.bytes()));
}

/// A line goes, comes twice, or changes its place with another.
fn lines(random: &mut Random, bytes: &mut Vec<u8>) {
    let mut lines: Vec<Vec<u8>> = bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    if lines.is_empty() {
        return;
    }
    let (one, other) = (random.below(lines.len()), random.below(lines.len()));
    match random.below(3) {
        0 => drop(lines.remove(one)),
        1 => {
            let copy = lines.get(one).cloned().unwrap_or_default();
            lines.insert(other, copy);
        }
        _ => lines.swap(one, other),
    }
    *bytes = lines.concat();
}

#[cfg(test)]
mod tests {
    use super::{CANARY, extremes, input};
    use std::collections::BTreeSet;

    #[test]
    fn a_seed_gives_the_same_input_and_seeds_give_different_ones() {
        let corpus = [b"{\"a\":12}\n[b]\n".to_vec(), b"<c>34</c>".to_vec()];
        let all: Vec<(Vec<u8>, bool)> = (0..2000).map(|seed| input(seed, &corpus, &[b"null", b","])).collect();
        assert_eq!(all, (0..2000).map(|seed| input(seed, &corpus, &[b"null", b","])).collect::<Vec<_>>());
        assert!(all.iter().map(|(bytes, _)| bytes).collect::<BTreeSet<_>>().len() > 1000);
        let whole = all.iter().filter(|(_, whole)| *whole).count();
        assert!((60..200).contains(&whole), "{whole}");
        let has = |bytes: &[u8]| all.iter().filter(|(all, _)| all.windows(bytes.len()).any(|it| it == bytes)).count();
        for part in [CANARY.as_bytes(), b"\0", b"\xff", b"18446744073709551615", b"null", b"{\"a\":{\"a\":"] {
            assert!(has(part) > 0, "{part:?}");
        }
        assert!(all.iter().any(|(bytes, _)| bytes.len() > 2000) && all.iter().any(|(bytes, _)| bytes.is_empty()));
        assert!(extremes().any(|bytes| bytes.len() == 100_000) && extremes().any(|bytes| bytes.is_empty()));
        assert!(input(1, &[], &[]).0.len() < 1_000_000, "no corpus is no panic");
    }
}
