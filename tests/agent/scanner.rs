//! Searches the memory of a process for secrets, in each form in which a program may come to hold them. As root.

use crate::needles::{Form, Needles};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

/// A piece of a secret this long is a find: less is no use to a thief, and found by chance.
const PIECE: usize = 12;
/// Bits of the hash that sorts out most of memory.
const HASH_BITS: u32 = 16;

const PAGE: usize = 4096;
/// What tokio gives each of its threads.
const THREAD_STACK: usize = 2 * 1024 * 1024;
const ZEROS: [u8; PAGE] = [0; PAGE];

/// What was found: the secret's name and its form, and how often.
pub(crate) type Finds = BTreeMap<String, usize>;

/// What is searched for.
#[derive(Default)]
pub(crate) struct Canaries {
    needles: Vec<Needle>,
    /// The needles, one of whose first four places these four bytes stand at.
    by_word: BTreeMap<u32, Vec<(usize, usize)>>,
    /// Which hashes of four bytes occur.
    hashes: Vec<bool>,
}

struct Needle {
    secret: String,
    form: Form,
    bytes: Vec<u8>,
}

impl Canaries {
    /// Adds a secret, cut into pieces, in every form.
    pub(crate) fn add(&mut self, secret: &str, bytes: &[u8]) {
        let count = (bytes.len() / PIECE).clamp(1, 2);
        let size = bytes.len().div_ceil(count);
        assert!(size >= PIECE, "{secret} is too short to be told from chance");
        for piece in bytes.chunks(size) {
            for (form, bytes) in Needles::of(piece).0 {
                self.needle(secret, form, bytes);
            }
        }
    }

    /// Adds something short, which only counts in these surroundings.
    pub(crate) fn add_in(&mut self, secret: &str, surroundings: [(&str, &str); 2], text: &str) {
        for (before, after) in surroundings {
            self.needle(secret, "in its place", format!("{before}{text}{after}").into_bytes());
        }
    }

    fn needle(&mut self, secret: &str, form: Form, bytes: Vec<u8>) {
        if self.needles.iter().any(|needle| needle.secret == secret && needle.bytes == bytes) {
            return;
        }
        self.hashes.resize(1 << HASH_BITS, false);
        for offset in 0..4 {
            let word = word(&bytes[offset..offset + 4]);
            assert!(word != 0, "{secret} has zeros, which are everywhere");
            self.hashes[hash(word)] = true;
            self.by_word.entry(word).or_default().push((self.needles.len(), offset));
        }
        self.needles.push(Needle { secret: secret.to_owned(), form, bytes });
    }

    /// What this process and its children hold.
    pub(crate) fn in_process(&self, pid: i32) -> Finds {
        let mut found = Finds::new();
        let mut waiting = vec![pid];
        while let Some(pid) = waiting.pop() {
            self.in_mappings(pid, &mut found);
            waiting.extend(children(pid));
        }
        found
    }

    fn in_mappings(&self, pid: i32, found: &mut Finds) {
        let memory = File::open(format!("/proc/{pid}/mem")).expect("root reads every process");
        let mut buffer = Vec::new();
        for (start, size) in written_mappings(pid) {
            buffer.resize(size, 0);
            // One that went meanwhile holds nothing any more.
            if memory.read_exact_at(&mut buffer, start).is_ok() {
                self.search(&buffer, found);
            }
        }
    }

    /// Every needle at every place: in steps of four bytes, since one of four places of each needle is at a step.
    pub(crate) fn search(&self, memory: &[u8], found: &mut Finds) {
        let mut seen = BTreeSet::new();
        for (page, bytes) in memory.chunks(PAGE).enumerate() {
            // Most of memory, and nothing that a needle is looked up by.
            if *bytes == ZEROS[..bytes.len()] {
                continue;
            }
            for (step, four) in bytes.chunks_exact(4).enumerate() {
                let word = word(four);
                if self.hashes[hash(word)] {
                    self.compare(memory, page * PAGE + step * 4, word, &mut seen, found);
                }
            }
        }
    }

    /// The needles that have this word, which stands at this place.
    fn compare(&self, memory: &[u8], place: usize, word: u32, seen: &mut BTreeSet<(usize, usize)>, found: &mut Finds) {
        for (needle, offset) in self.by_word.get(&word).into_iter().flatten() {
            let Some(at) = place.checked_sub(*offset) else { continue };
            let Needle { secret, form, bytes } = &self.needles[*needle];
            if memory[at..].starts_with(bytes) && seen.insert((at, *needle)) {
                *found.entry(format!("{secret}, {form}")).or_default() += 1;
            }
        }
    }
}

fn word(four: &[u8]) -> u32 {
    u32::from_le_bytes(four.try_into().expect("four bytes"))
}

fn hash(word: u32) -> usize {
    usize::try_from(word.wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)).expect("an index")
}

/// How far down a thread of this process has used its stack, the deepest of them, in bytes: below lies what is zero, as the
/// kernel gave it. A stack is known by the guard below it.
pub(crate) fn deepest_stack(pid: i32) -> usize {
    let memory = File::open(format!("/proc/{pid}/mem")).expect("root reads every process");
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("its mappings");
    let mut deepest = 0;
    let mut guard = None;
    for line in maps.lines() {
        let (range, rest) = line.split_once(' ').expect("a mapping");
        let (from, to) = range.split_once('-').expect("a range");
        let address = |text| u64::from_str_radix(text, 16).expect("an address");
        let (from, to) = (address(from), address(to));
        let size = usize::try_from(to - from).expect("a size");
        if rest.starts_with("rw-p") && size == THREAD_STACK && guard == Some(from) {
            let mut stack = vec![0; size];
            memory.read_exact_at(&mut stack, from).expect("a stack");
            let used = stack.iter().position(|byte| *byte != 0).map_or(0, |unused| size - unused);
            deepest = deepest.max(used);
        }
        guard = rest.starts_with("---p").then_some(to);
    }
    assert!(deepest > 0, "threads have stacks:\n{maps}");
    deepest
}

/// Readable mappings with pages of the process's own: what it has only mapped from a file holds nothing of it.
fn written_mappings(pid: i32) -> Vec<(u64, usize)> {
    let mut mappings = Vec::new();
    let mut current = None;
    for line in fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap_or_default().lines() {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        if let Some((from, to)) = first.split_once('-').filter(|_| !first.ends_with(':')) {
            let address = |text| u64::from_str_radix(text, 16).expect("an address");
            let readable = words.next().is_some_and(|mode| mode.starts_with('r'));
            current = readable.then(|| (address(from), address(to)));
        }
        let own = matches!(first, "Anonymous:" | "Private_Dirty:" | "Swap:") && words.next() != Some("0");
        if let Some((from, to)) = current.filter(|_| own) {
            mappings.push((from, usize::try_from(to - from).expect("a size")));
            current = None;
        }
    }
    mappings
}

/// The processes that this one has started and that still are.
pub(crate) fn children(pid: i32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

#[test]
fn a_secret_is_found_in_every_form_and_at_every_place() {
    use data_encoding::{BASE32_NOPAD, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
    let secret = "wJ\"lr XUtnFEMI/K7MDENG+bPx=RfiCYEX";
    let mut canaries = Canaries::default();
    canaries.add("secret", secret.as_bytes());
    let key: Vec<u8> = (0x80..0xa0).collect();
    canaries.add("key", &key);
    let finds = |memory: &[u8]| {
        let mut found = Finds::new();
        canaries.search(memory, &mut found);
        found
    };
    let half = &secret[secret.len().div_ceil(2)..];
    let url: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    for place in 0..9 {
        let before = "x".repeat(place);
        let encoded = [
            ("raw", secret.to_owned()),
            ("raw", half.to_owned()),
            ("hex", HEXLOWER.encode(secret.as_bytes())),
            ("hex, upper case", HEXUPPER.encode(secret.as_bytes())),
            ("base64", BASE64_NOPAD.encode(format!("{before}{secret}y").as_bytes())),
            ("base64url", BASE64URL_NOPAD.encode(format!("{before}{secret}y").as_bytes())),
            ("base32", BASE32_NOPAD.encode(format!("{before}{secret}y").as_bytes())),
            ("form", url.clone()),
            ("URL", url.replace('+', "%20")),
            ("JSON", serde_json::to_string(secret).expect("JSON")),
        ];
        for (form, text) in encoded {
            let found = finds(format!("{before}{text}yy").as_bytes());
            // Where both kinds of base64 are alike, the find has the name of the first.
            let named = |find: &String| find.starts_with(&format!("secret, {}", &form[..form.len().min(6)]));
            assert!(found.keys().any(named), "{form} at {place}: {found:?}");
        }
        for (form, turn) in [
            ("UTF-16, little end first", u16::to_le_bytes as fn(u16) -> [u8; 2]),
            ("UTF-16, big end first", u16::to_be_bytes),
        ] {
            let wide: Vec<u8> = before.bytes().chain(secret.encode_utf16().flat_map(turn)).collect();
            let found = finds(&wide);
            assert!(found.contains_key(&format!("secret, {form}")), "{form} at {place}: {found:?}");
        }
    }
    assert!(finds(&[0; 4096]).is_empty() && finds(secret.to_uppercase().as_bytes()).is_empty());
    assert_eq!(finds(&key[16..]).into_iter().next(), Some(("key, raw".to_owned(), 1)));
}
