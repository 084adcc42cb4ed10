//! deb822(5): the paragraphs of fields that nearly every file of Debian's is made of.
//!
//! ```text
//! Package: nginx                       ┐          field: name `Package`, value `nginx`
//! Description: small, powerful,        │ one
//!  scalable web/proxy server           │ paragraph  ← a line that opens with a blank continues the field above
//!  .                                   │            ← a lone full stop is an empty line of the value
//!  Nginx ("engine X") is …             ┘
//!                                                   ← an empty line ends the paragraph
//! Package: nginx-common
//! ```
//!
//! `Packages`, `Release`, a .deb's `control`, dpkg's `status` and apt's `.sources` are all read by this scanner. It
//! copies nothing: names and values are slices of the text, and a line is looked at once, so that the 57 MB that
//! describe all of Debian take about 20 ms. Nothing is read leniently: a line that is no field is an error that names
//! the line, because two readers that guess differently about the same signed bytes are how archives get subverted.

use std::fmt;

use memchr::{memchr, memchr_iter, memmem};

/// A field's name is at most this many bytes long; the longest in Debian has 25.
const NAME_LIMIT: usize = 128;
/// A field's value is at most this many bytes long; the longest in Debian (a Release's `SHA256`) has 4 MB.
const VALUE_LIMIT: usize = 64 << 20;

/// What is wrong in a deb822 text, and in which line of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct Deb822Error {
    /// Counted from 1, in the text that [`paragraphs`] was given.
    pub line: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// The ways in which a line can fail to be deb822.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Bytes that are no text.
    #[error("this is not UTF-8, as every file of Debian's is")]
    NotUtf8,
    /// Neither `Name: value` nor a continuation.
    #[error("`{0}` is no field; `Name: value` is expected, or an empty line")]
    NotAField(String),
    /// deb822(5): printable ASCII without colon, not opening with `#` or `-`.
    #[error("`{0}` can't be the name of a field")]
    BadName(String),
    /// A continuation line where no field is open.
    #[error("this line opens with a blank, but there is no field above that it could continue")]
    NothingToContinue,
    /// A line of blanks only, which some readers take for the end of the paragraph and others don't.
    #[error("this line holds only blanks; a paragraph ends with an empty line, an empty line of a value is ` .`")]
    OnlyBlanks,
    /// The same name twice in a paragraph.
    #[error("the field `{0}` stands twice in this paragraph")]
    Twice(String),
    /// A field that a file of this kind must have.
    #[error("the paragraph that opens here has no field `{0}`")]
    Missing(&'static str),
    /// More than the limits of this file.
    #[error("the field `{0}` is longer than any that Debian has")]
    TooLong(String),
}

/// The bytes as text.
///
/// # Errors
/// The line of the first byte that is not UTF-8.
pub fn text(bytes: &[u8]) -> Result<&str, Deb822Error> {
    std::str::from_utf8(bytes)
        .map_err(|error| Deb822Error { line: line_of(bytes, error.valid_up_to()), problem: Problem::NotUtf8 })
}

/// The paragraphs of `text`, in order. Empty lines before, between and after them count for nothing.
pub fn paragraphs(text: &str) -> Paragraphs<'_> {
    Paragraphs { whole: text, at: 0, separator: memmem::Finder::new("\n\n") }
}

/// The only paragraph of `text`: a .deb's `control`, a `Release`.
///
/// # Errors
/// A line that is no field, a field twice, or a second paragraph (its first line, as what is no field of the first).
pub fn only_paragraph(text: &str) -> Result<Table<'_>, Deb822Error> {
    let mut all = paragraphs(text);
    let table = match all.next() {
        Some(paragraph) => paragraph.table()?,
        None => Paragraph { whole: text, start: 0, end: 0 }.table()?,
    };
    match all.next() {
        None => Ok(table),
        Some(second) => {
            let first_line = second.text().lines().next().unwrap_or_default();
            Err(second.error(second.start, Problem::NotAField(excerpt(first_line))))
        }
    }
}

/// Iterates over the paragraphs of a text; made by [`paragraphs`].
pub struct Paragraphs<'a> {
    whole: &'a str,
    at: usize,
    separator: memmem::Finder<'static>,
}

impl<'a> Iterator for Paragraphs<'a> {
    type Item = Paragraph<'a>;

    fn next(&mut self) -> Option<Paragraph<'a>> {
        let bytes = self.whole.as_bytes();
        while bytes.get(self.at) == Some(&b'\n') {
            self.at += 1;
        }
        let start = self.at;
        if start >= bytes.len() {
            return None;
        }
        let end = self.separator.find(&bytes[start..]).map_or(bytes.len(), |length| start + length + 1);
        self.at = end;
        Some(Paragraph { whole: self.whole, start, end })
    }
}

/// The lines from one empty line to the next; nothing in it is read until its fields are asked for.
#[derive(Clone, Copy)]
pub struct Paragraph<'a> {
    whole: &'a str,
    start: usize,
    end: usize,
}

impl<'a> Paragraph<'a> {
    /// Its lines, as written.
    pub fn text(&self) -> &'a str {
        &self.whole[self.start..self.end]
    }

    /// The number of its first line, from 1. (Counted anew on each call: meant for messages.)
    pub fn line(&self) -> usize {
        line_of(self.whole.as_bytes(), self.start)
    }

    /// Its fields, in order, each read when it is reached. Names that stand twice are the caller's to refuse;
    /// [`Paragraph::table`] does.
    pub fn fields(&self) -> Fields<'a> {
        Fields { paragraph: *self, at: self.start }
    }

    /// Its fields, to be asked for by name.
    ///
    /// # Errors
    /// A line that is no field, or a field that stands twice.
    pub fn table(&self) -> Result<Table<'a>, Deb822Error> {
        let mut fields: Vec<Field<'a>> = Vec::new();
        for field in self.fields() {
            let field = field?;
            if fields.iter().any(|earlier| earlier.is(field.name)) {
                return Err(self.error(field.offset, Problem::Twice(field.name.to_owned())));
            }
            fields.push(field);
        }
        Ok(Table { paragraph: *self, fields })
    }

    /// `problem`, where `field` stands.
    pub fn error_at(&self, field: &Field<'_>, problem: Problem) -> Deb822Error {
        self.error(field.offset, problem)
    }

    fn error(&self, offset: usize, problem: Problem) -> Deb822Error {
        Deb822Error { line: line_of(self.whole.as_bytes(), offset), problem }
    }
}

/// One field of a paragraph.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// As written; compare it with [`Field::is`], since case counts for nothing.
    pub name: &'a str,
    /// As written, without the blanks around it; continuation lines still have their line breaks and leading blanks.
    pub value: &'a str,
    /// Where in the whole text the field begins, in bytes.
    offset: usize,
}

impl<'a> Field<'a> {
    /// Whether this is the field `name`.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The lines of the value, each without the blanks around it; a lone full stop is an empty line.
    pub fn lines(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        lines(self.value)
    }
}

impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.value)
    }
}

/// The lines of a field's value, each without the blanks around it; a lone full stop is an empty line.
pub fn lines(value: &str) -> impl Iterator<Item = &str> {
    value.split('\n').map(str::trim).map(|line| if line == "." { "" } else { line })
}

/// Iterates over the fields of a paragraph; made by [`Paragraph::fields`]. Ends after its first error.
pub struct Fields<'a> {
    paragraph: Paragraph<'a>,
    at: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Deb822Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.paragraph.end {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.at = self.paragraph.end;
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    /// The field that begins at `self.at`, which is the start of a line.
    fn read(&mut self) -> Result<Field<'a>, Deb822Error> {
        let Paragraph { whole, end, .. } = self.paragraph;
        let (bytes, start) = (&whole.as_bytes()[..end], self.at);
        let line_end = |from: usize| memchr(b'\n', &bytes[from..]).map_or(end, |length| from + length);

        let mut value_end = line_end(start);
        let first_line = &bytes[start..value_end];
        let Some(colon) = first_line.iter().position(|&byte| !is_name_byte(byte)).filter(|&at| first_line[at] == b':')
        else {
            return Err(self.paragraph.error(start, no_field(&whole[start..value_end])));
        };
        let name = &whole[start..start + colon];
        if name.is_empty() || name.starts_with(['#', '-']) {
            return Err(self.paragraph.error(start, no_field(&whole[start..value_end])));
        }
        while value_end + 1 < end && is_blank(bytes[value_end + 1]) {
            let continuation = value_end + 1;
            value_end = line_end(continuation);
            if bytes[continuation..value_end].iter().copied().all(is_blank) {
                return Err(self.paragraph.error(continuation, Problem::OnlyBlanks));
            }
        }
        let (mut from, mut to) = (start + colon + 1, value_end);
        if name.len() > NAME_LIMIT || to - from > VALUE_LIMIT {
            return Err(self.paragraph.error(start, Problem::TooLong(excerpt(name))));
        }
        while from < to && (is_blank(bytes[from]) || bytes[from] == b'\n') {
            from += 1;
        }
        while from < to && (is_blank(bytes[to - 1]) || bytes[to - 1] == b'\n') {
            to -= 1;
        }
        self.at = value_end + 1;
        Ok(Field { name, value: &whole[from..to], offset: start })
    }
}

/// A paragraph whose fields were all read, none of them twice.
pub struct Table<'a> {
    paragraph: Paragraph<'a>,
    fields: Vec<Field<'a>>,
}

impl<'a> Table<'a> {
    /// The field `name`, whatever the case of its letters.
    pub fn field(&self, name: &str) -> Option<&Field<'a>> {
        self.fields.iter().find(|field| field.is(name))
    }

    /// The value of the field `name`, if it is there and not empty.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.field(name).map(|field| field.value).filter(|value| !value.is_empty())
    }

    /// The value of the field `name`.
    ///
    /// # Errors
    /// It isn't there, or is empty.
    pub fn require(&self, name: &'static str) -> Result<&'a str, Deb822Error> {
        self.get(name).ok_or_else(|| self.paragraph.error(self.paragraph.start, Problem::Missing(name)))
    }

    /// All fields, in order.
    pub fn fields(&self) -> &[Field<'a>] {
        &self.fields
    }

    /// The number of the line that `field` begins at, or else the paragraph.
    pub fn line(&self, field: &str) -> usize {
        let offset = self.field(field).map_or(self.paragraph.start, |field| field.offset);
        line_of(self.paragraph.whole.as_bytes(), offset)
    }
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// deb822(5): printable ASCII but for the colon.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b':'
}

/// Why `line`, the first of a field, doesn't open one.
fn no_field(line: &str) -> Problem {
    match line.split_once(':') {
        _ if line.starts_with([' ', '\t']) && line.trim().is_empty() => Problem::OnlyBlanks,
        _ if line.starts_with([' ', '\t']) => Problem::NothingToContinue,
        Some((name, _)) => Problem::BadName(excerpt(name)),
        None => Problem::NotAField(excerpt(line)),
    }
}

/// The number, from 1, of the line that the byte at `offset` stands in.
fn line_of(bytes: &[u8], offset: usize) -> usize {
    memchr_iter(b'\n', &bytes[..offset]).count() + 1
}

/// The beginning of what was found, short enough for a message.
fn excerpt(found: &str) -> String {
    if found.chars().count() <= 60 {
        return found.to_owned();
    }
    found.chars().take(60).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        paragraphs(text).find_map(|paragraph| paragraph.table().err()).expect("an error").to_string()
    }

    #[test]
    fn paragraphs_are_parted_by_empty_lines_however_many() {
        let text = "\n\nA: 1\nB: 2\n\n\n\nA: 3";
        let read: Vec<Vec<String>> = paragraphs(text)
            .map(|paragraph| paragraph.fields().map(|field| format!("{:?}", field.unwrap())).collect())
            .collect();
        assert_eq!(read, [vec!["A: 1", "B: 2"], vec!["A: 3"]]);
        assert_eq!(paragraphs("").count(), 0);
        assert_eq!(paragraphs("\n\n").count(), 0);
    }

    #[test]
    fn a_value_goes_on_over_lines_that_open_with_a_blank() {
        let text = "Description: short\n long one\n .\n\tlong two\nNext: x\n";
        let table = only_paragraph(text).unwrap();
        assert_eq!(table.get("description"), Some("short\n long one\n .\n\tlong two"));
        let lines: Vec<&str> = table.field("DESCRIPTION").unwrap().lines().collect();
        assert_eq!(lines, ["short", "long one", "", "long two"]);
        assert_eq!(table.get("Next"), Some("x"));
        assert_eq!(table.line("Next"), 5);
    }

    #[test]
    fn a_value_may_begin_on_the_line_below_its_name_or_be_empty() {
        let table = only_paragraph("SHA256:\n a 1\n b 2\nEmpty:\nLast:x").unwrap();
        assert_eq!(table.get("SHA256"), Some("a 1\n b 2"));
        assert_eq!(table.get("Empty"), None);
        assert!(table.field("Empty").is_some());
        assert_eq!(table.get("Last"), Some("x"));
    }

    #[test]
    fn each_error_names_its_line() {
        assert_eq!(
            error("A: 1\n\nB: 2\nnonsense\n"),
            "line 4: `nonsense` is no field; `Name: value` is expected, or an empty line"
        );
        assert_eq!(error("A: 1\na: 2\n"), "line 2: the field `a` stands twice in this paragraph");
        assert_eq!(
            error("\n A: 1\n"),
            "line 2: this line opens with a blank, but there is no field above that it could continue"
        );
        assert!(error("A: 1\n  \nB: 2\n").starts_with("line 2: this line holds only blanks"));
        assert!(error(" \nB: 2\n").starts_with("line 1: this line holds only blanks"));
        assert_eq!(error("-A: 1\n"), "line 1: `-A` can't be the name of a field");
        assert_eq!(error(": 1\n"), "line 1: `` can't be the name of a field");
        assert_eq!(error("Größe: 1\n"), "line 1: `Größe` can't be the name of a field");
        assert!(error(&format!("{}: 1\n", "x".repeat(129))).ends_with("longer than any that Debian has"));
    }

    #[test]
    fn a_second_paragraph_is_refused_where_there_is_to_be_one() {
        let error = only_paragraph("A: 1\n\nB: 2\n").err().unwrap();
        assert_eq!(error.line, 3);
        assert!(only_paragraph("").unwrap().fields().is_empty());
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_with_their_line() {
        assert_eq!(text(b"A: 1\nB: \xff\n").unwrap_err(), Deb822Error { line: 2, problem: Problem::NotUtf8 });
    }

    #[test]
    fn a_required_field_that_is_missing_or_empty_is_an_error() {
        let text = "A: 1\n\nB:\n";
        let second = paragraphs(text).nth(1).unwrap().table().unwrap();
        assert_eq!(
            second.require("B").unwrap_err().to_string(),
            "line 3: the paragraph that opens here has no field `B`"
        );
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn no_text_makes_the_scanner_panic_or_loop(text in "[ \t\n:.#A-Zé-]{0,60}") {
            for paragraph in paragraphs(&text) {
                let _ = paragraph.table();
            }
        }
    }
}
