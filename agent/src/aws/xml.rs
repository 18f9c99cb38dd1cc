//! A small XML document as a tree. Pure. No DTD, no entity beyond XML's five, bounded depth and size.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use zeroize::Zeroizing;

/// AWS's answers are six levels deep.
const DEPTH_LIMIT: usize = 16;
/// The most elements of an answer, where a call does not have its own: a page of 1,000 devices has fewer.
pub(super) const ELEMENT_LIMIT: usize = 10_000;

/// An element: its local name, its own text and its children. Attributes are passed over: no answer needs one.
pub(super) struct Element {
    name: String,
    text: Zeroizing<String>,
    children: Vec<Element>,
}

impl Element {
    /// The one root of a document of so many elements at most. The error is the rule that the document breaks.
    pub(super) fn parse(bytes: &[u8], most: usize) -> Result<Element, &'static str> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
        let mut reader = Reader::from_str(text);
        let mut growing = Growing { root: None, open: Vec::new(), elements: 0, most };
        loop {
            match reader.read_event().map_err(|_| "it is not well-formed XML")? {
                Event::Start(start) => growing.open(&start)?,
                Event::Empty(start) => {
                    growing.open(&start)?;
                    growing.close()?;
                }
                Event::End(_) => growing.close()?,
                Event::Text(text) => growing.write(&text.xml10_content())?,
                Event::CData(text) => growing.write(&text.xml10_content())?,
                Event::GeneralRef(reference) => growing.refer(&reference)?,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                Event::DocType(_) => return Err("it has a DOCTYPE"),
                Event::Eof => return growing.finish(),
            }
        }
    }

    /// A root of members that are texts alone, from another notation than XML.
    pub(super) fn flat(members: impl Iterator<Item = (String, String)>) -> Self {
        let leaf = |(name, text)| Self { name, text: Zeroizing::new(text), children: Vec::new() };
        Self { name: String::new(), text: Zeroizing::new(String::new()), children: members.map(leaf).collect() }
    }

    /// The local name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The children, in their order.
    pub(super) fn children(&self) -> &[Element] {
        &self.children
    }

    /// The only child of this name. None where there is none, or more than one.
    pub(super) fn child(&self, name: &str) -> Option<&Element> {
        let mut named = self.children.iter().filter(|child| child.name == name);
        let only = named.next()?;
        named.next().is_none().then_some(only)
    }

    /// The text of the only child of this name. None where that is missing, doubled, empty, or has children.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let child = self.child(name)?;
        let text = child.text.trim_matches(|c: char| c.is_ascii_whitespace());
        (child.children.is_empty() && !text.is_empty()).then_some(text)
    }
}

struct Growing {
    root: Option<Element>,
    open: Vec<Element>,
    elements: usize,
    most: usize,
}

impl Growing {
    fn open(&mut self, start: &BytesStart<'_>) -> Result<(), &'static str> {
        self.elements += 1;
        if self.open.len() == DEPTH_LIMIT || self.elements > self.most {
            return Err("it is nested too deep or has too many elements");
        }
        if self.root.is_some() {
            return Err("it has two roots");
        }
        let name = start.local_name().as_ref().to_owned();
        self.open.push(Element { name, text: Zeroizing::new(String::new()), children: Vec::new() });
        Ok(())
    }

    fn close(&mut self) -> Result<(), &'static str> {
        let closed = self.open.pop().ok_or("it closes what it never opened")?;
        match self.open.last_mut() {
            Some(parent) => parent.children.push(closed),
            None => self.root = Some(closed),
        }
        Ok(())
    }

    fn write(&mut self, text: &str) -> Result<(), &'static str> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.trim_start_matches('\u{feff}').trim().is_empty() => {}
            None => return Err("it has text outside its root"),
        }
        Ok(())
    }

    fn refer(&mut self, reference: &BytesRef<'_>) -> Result<(), &'static str> {
        let unknown = "it refers to an entity that XML does not define";
        if let Some(character) = reference.resolve_char_ref().map_err(|_| unknown)? {
            return self.write(character.encode_utf8(&mut [0; 4]));
        }
        self.write(resolve_predefined_entity(&reference.xml10_content()).ok_or(unknown)?)
    }

    fn finish(self) -> Result<Element, &'static str> {
        match self.root {
            Some(root) if self.open.is_empty() => Ok(root),
            _ => Err("it is cut off"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ELEMENT_LIMIT, Element};
    use proptest::prelude::*;

    #[test]
    fn elements_texts_and_the_five_entities_are_read() {
        let xml = b"\xef\xbb\xbf<?xml version=\"1.0\"?><!-- c --><a:Root xmlns:a=\"urn:x\">\n <One>a&lt;b&gt;&amp;&quot;&apos;&#65;&#x42;</One> \
                    <Two><![CDATA[<x>]]></Two><Deep><In> y </In></Deep><None/></a:Root>\n";
        let root = Element::parse(xml, ELEMENT_LIMIT).expect("a document");
        assert_eq!((root.name(), root.children().len()), ("Root", 4));
        assert_eq!(root.text("One"), Some("a<b>&\"'AB"));
        assert_eq!(root.text("Two"), Some("<x>"));
        assert_eq!(root.child("Deep").and_then(|deep| deep.text("In")), Some("y"));
        assert_eq!((root.text("None"), root.text("Deep"), root.text("Missing")), (None, None, None));
    }

    #[test]
    fn a_doubled_child_is_no_child() {
        let root = Element::parse(b"<r><a>1</a><a>2</a></r>", ELEMENT_LIMIT).expect("a document");
        assert!(root.text("a").is_none() && root.child("a").is_none());
    }

    #[test]
    fn hostile_documents_are_refused() {
        let depth = |levels: usize| format!("{}x{}", "<a>".repeat(levels), "</a>".repeat(levels));
        assert!(Element::parse(depth(16).as_bytes(), ELEMENT_LIMIT).is_ok());
        let many = format!("<r>{}</r>", "<a/>".repeat(10_000));
        let hostile = [
            depth(17).into_bytes(),
            depth(100_000).into_bytes(),
            "<a>".repeat(100_000).into_bytes(),
            many.into_bytes(),
            b"<!DOCTYPE r [<!ENTITY e \"x\">]><r>&e;</r>".to_vec(),
            b"<r>&e;</r>".to_vec(),
            b"<r>&#0;</r>".to_vec(),
            b"<r>&#xD800;</r>".to_vec(),
            b"<r>&amp</r>".to_vec(),
            b"<r></s>".to_vec(),
            b"<r></r><s></s>".to_vec(),
            b"<r></r>x".to_vec(),
            b"x<r></r>".to_vec(),
            b"<r>".to_vec(),
            b"<r><a></r>".to_vec(),
            b"</r>".to_vec(),
            b"<r>\xff</r>".to_vec(),
            b"{\"Error\":{}}".to_vec(),
            b"".to_vec(),
        ];
        for document in hostile {
            assert!(
                Element::parse(&document, ELEMENT_LIMIT).is_err(),
                "{}",
                String::from_utf8_lossy(&document[..document.len().min(60)])
            );
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            drop(Element::parse(&bytes, ELEMENT_LIMIT));
        }

        #[test]
        fn no_markup_panics(text in "[<>/&;#x!?\\[\\]a-c \"='-]{0,120}") {
            drop(Element::parse(text.as_bytes(), ELEMENT_LIMIT));
        }
    }
}
