//! A mistake in a file that a person wrote: where it stands, what is wrong, what to do.
//!
//! ```text
//! error: there is no key `package` here
//!   --> recipes/api.toml:4:1
//!    |
//!  4 | package = ["apache2"]
//!    | ^^^^^^^ unknown
//!    |
//!    = help: did you mean `packages`?
//! ```

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

/// A text that was read, and the name it is shown under. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// As the reader knows it: relative to the project.
    pub file: Arc<str>,
    /// All of it.
    pub content: Arc<str>,
}

impl Text {
    /// `content`, shown as `file`.
    pub fn new(file: &str, content: &str) -> Self {
        Self { file: file.into(), content: content.into() }
    }

    /// The place of the bytes `span` in this text.
    pub fn at(&self, span: Range<usize>) -> Place {
        Place { text: self.clone(), span }
    }

    /// The place of `part` (a byte range of the *value*) of a quoted string whose quotes and all stand at `span`: exact
    /// where the string holds no escapes, the whole string otherwise.
    pub fn inside(&self, span: Range<usize>, value: &str, part: Range<usize>) -> Place {
        let quoted = self.content.get(span.start + 1..span.end.saturating_sub(1));
        match quoted == Some(value) {
            true => self.at(span.start + 1 + part.start..span.start + 1 + part.end),
            false => self.at(span),
        }
    }
}

/// Some bytes of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    text: Text,
    span: Range<usize>,
}

impl Place {
    /// The file's name.
    pub fn file(&self) -> &str {
        &self.text.file
    }

    /// Line and column of the first byte, both counted from 1; columns count characters.
    pub fn line_and_column(&self) -> (usize, usize) {
        let before = self.text.content.get(..self.span.start).unwrap_or(&self.text.content);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line_and_column();
        write!(f, "{}:{line}:{column}", self.file())
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file means nothing that could be built.
    Error,
    /// It can be built, and somebody should look at it.
    Warning,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether anything can go on.
    pub severity: Severity,
    /// What is wrong: a sentence without a full stop.
    pub message: String,
    /// Where. None: the file as a whole, or no file.
    pub place: Option<Place>,
    /// A word or two under the caret; may be empty.
    pub label: String,
    /// Another place that explains this one, with what to say there.
    pub beside: Option<(Place, String)>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Problem {
    /// An error that says `message`.
    pub fn error(message: impl Into<String>) -> Self {
        let message = message.into();
        Self { severity: Severity::Error, message, place: None, label: String::new(), beside: None, help: None }
    }

    /// A warning that says `message`.
    pub fn warning(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message) }
    }

    /// It stands there, with `label` under the caret.
    #[must_use]
    pub fn at(self, place: Place, label: impl Into<String>) -> Self {
        Self { place: Some(place), label: label.into(), ..self }
    }

    /// That place explains it.
    #[must_use]
    pub fn beside(self, place: Place, label: impl Into<String>) -> Self {
        Self { beside: Some((place, label.into())), ..self }
    }

    /// This is what to do.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// As [`help`](Self::help), if there is something to say.
    #[must_use]
    pub fn maybe_help(self, help: Option<String>) -> Self {
        Self { help: help.or(self.help), ..self }
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Where it stands, for sorting those of one file; those without a place come first.
    pub fn line_and_column(&self) -> Option<(usize, usize)> {
        self.place.as_ref().map(Place::line_and_column)
    }

    /// As rustc would show it, over several lines; `styled` with a terminal's colours.
    pub fn render(&self, styled: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(self.message.as_str()));
        if let Some(place) = &self.place {
            let primary = AnnotationKind::Primary.span(place.span.clone()).label(self.label.as_str());
            let mut snippet = snippet(place).annotation(primary);
            let (near, far) = match &self.beside {
                Some(beside) if beside.0.text == place.text => (Some(beside), None),
                beside => (None, beside.as_ref()),
            };
            if let Some((beside, label)) = near {
                snippet = snippet.annotation(AnnotationKind::Context.span(beside.span.clone()).label(label.as_str()));
            }
            group = group.element(snippet);
            if let Some((beside, label)) = far {
                let context = AnnotationKind::Context.span(beside.span.clone()).label(label.as_str());
                group = group.element(self::snippet(beside).annotation(context));
            }
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = if styled { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }
}

/// The text around a place, for the renderer.
fn snippet(place: &Place) -> Snippet<'_, annotate_snippets::Annotation<'_>> {
    Snippet::source(&*place.text.content).path(place.file())
}

/// One line: `recipes/api.toml:4:1: error: there is no key `package` here`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        let severity = if self.is_error() { "error" } else { "warning" };
        write!(f, "{severity}: {}", self.message)
    }
}

/// For `--json`: severity, message, file, line, column, help.
impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (line, column) = self.place.as_ref().map(Place::line_and_column).unzip();
        let mut object = serializer.serialize_struct("Problem", 6)?;
        object.serialize_field("severity", &self.severity)?;
        object.serialize_field("message", &self.message)?;
        object.serialize_field("file", &self.place.as_ref().map(Place::file))?;
        object.serialize_field("line", &line)?;
        object.serialize_field("column", &column)?;
        object.serialize_field("help", &self.help)?;
        object.end()
    }
}

/// The one of `known` that a person who wrote `wrong` probably meant.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(wrong, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().min(wrong.len()) / 4)
        .min()
        .map(|(_, candidate)| candidate)
}

/// ``did you mean `packages`?``, if one of `known` is near to `wrong`.
pub fn did_you_mean<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(wrong, known).map(|meant| format!("did you mean `{meant}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_shows_the_line_a_caret_and_what_to_do() {
        let text = Text::new("recipes/api.toml", "suite = \"trixie\"\npackage = []\n");
        let problem = Problem::error("there is no key `package` here")
            .at(text.at(17..24), "unknown")
            .help("did you mean `packages`?");
        assert_eq!(problem.to_string(), "recipes/api.toml:2:1: error: there is no key `package` here");
        assert_eq!(
            problem.render(false),
            "error: there is no key `package` here\n \
              --> recipes/api.toml:2:1\n  \
               |\n\
             2 | package = []\n  \
               | ^^^^^^^ unknown\n  \
               |\n  \
               = help: did you mean `packages`?"
        );
    }

    #[test]
    fn a_place_inside_a_plain_string_is_exact_and_of_an_escaped_one_is_the_whole() {
        let text = Text::new("f", r#"a = "xyz" b = "x\u0079z""#);
        assert_eq!(text.inside(4..9, "xyz", 1..2), text.at(6..7));
        assert_eq!(text.inside(14..24, "xyz", 1..2), text.at(14..24));
    }

    #[test]
    fn columns_count_characters_not_bytes() {
        let text = Text::new("f", "é = 1");
        assert_eq!(text.at(3..4).line_and_column(), (1, 3));
    }

    #[test]
    fn only_what_is_near_is_suggested() {
        assert_eq!(nearest("pakages", ["packages", "overlays"]), Some("packages"));
        assert_eq!(nearest("firewall", ["packages", "overlays"]), None);
    }
}
