//! `[[exception]]`: what an audit finds and the recipe stands by, with the reason. There is no other way to excuse a finding.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::file::File;
use super::problem::{Place, Problem, Text};
use super::source::Source;

/// A finding of `goldsmith audit` that is excused, with the reason: it is shown in the report.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExceptionTable {
    /// The check whose finding is excused, by its id.
    #[schemars(with = "String")]
    pub check: Spanned<String>,
    /// Why the image is right as it is: a sentence that the report repeats.
    #[schemars(with = "String", length(min = 1))]
    pub reason: Spanned<String>,
    /// Only findings about this path of the image: `/usr/bin/su`. Default: all of the check.
    #[serde(default)]
    #[schemars(with = "String")]
    pub path: Option<Spanned<String>>,
    /// Only findings about this: a user, a key, a unit, as the report names it. Default: all of the check.
    #[serde(default)]
    #[schemars(with = "String")]
    pub subject: Option<Spanned<String>>,
}

/// An excuse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exception {
    /// Id of the check.
    pub check: String,
    /// Why the image is right as it is.
    pub reason: String,
    /// Only what is found about this path (absolute), if it is said.
    pub path: Option<String>,
    /// Only what is found about this, if it is said.
    pub subject: Option<String>,
    /// Name of the recipe that says so.
    pub by: String,
}

/// What is wrong with the exceptions of one file.
pub fn check(file: &File, text: &Text, problems: &mut Vec<Problem>) {
    for table in &file.exception {
        let check = table.check.get_ref();
        if check.is_empty() || check.contains(char::is_whitespace) {
            let problem = Problem::error(format!("`{check}` cannot be the id of a check"));
            problems.push(problem.at(text.at(table.check.span()), "").help("`goldsmith audit` shows the ids"));
        }
        if table.reason.get_ref().trim().is_empty() {
            let problem = Problem::error(format!("the exception from `{check}` has no reason"));
            let help = "say in one sentence why the image is right as it is: the report repeats it";
            problems.push(problem.at(text.at(table.reason.span()), "empty").help(help));
        }
        if let Some(path) = table.path.as_ref().filter(|path| !is_absolute(path.get_ref())) {
            let problem = Problem::error(format!("`{}` is not a path of an image", path.get_ref()));
            let help = "write it from the root, as the report does: `/usr/bin/su`";
            problems.push(problem.at(text.at(path.span()), "").help(help));
        }
        if let (Some(_), Some(subject)) = (&table.path, &table.subject) {
            let problem = Problem::error(format!("the exception from `{check}` has both `path` and `subject`"));
            problems
                .push(problem.at(text.at(subject.span()), "").help("remove one of them: a finding is about one thing"));
        }
    }
}

/// A path from the root, as it is written in reports.
fn is_absolute(path: &str) -> bool {
    let parts = || path.split('/').skip(1);
    path.starts_with('/') && parts().all(|part| !part.is_empty() && part != "." && part != "..")
}

/// Adds the exceptions of a child to those of its parents; each must excuse something that is not excused yet.
pub fn add(sum: &mut Vec<(Exception, Place)>, source: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    for table in &source.file.exception {
        let own = |text: &Option<Spanned<String>>| text.as_ref().map(|text| text.get_ref().clone());
        let exception = Exception {
            check: table.check.get_ref().clone(),
            reason: table.reason.get_ref().trim().to_owned(),
            path: own(&table.path),
            subject: own(&table.subject),
            by: source.name.clone(),
        };
        let place = source.text.at(table.check.span());
        let excused = |first: &Exception| {
            let whole = first.path.is_none() && first.subject.is_none();
            let same = first.path == exception.path && first.subject == exception.subject;
            first.check == exception.check && (whole || same)
        };
        match sum.iter().find(|(first, _)| excused(first)) {
            Some((first, beside)) => problems.push(
                Problem::error(format!("the finding of `{}` is excused twice", first.check))
                    .at(place, "again")
                    .beside(beside.clone(), "first here")
                    .help("remove one of them"),
            ),
            None => sum.push((exception, place)),
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::recipe::fold::fold;

    /// The exceptions of a recipe that says this, or what is wrong (the text begins in line 2).
    fn exceptions(text: &str) -> Result<Vec<Exception>, Vec<String>> {
        let texts = BTreeMap::from([("web".to_owned(), format!("suite = \"trixie\"\n{text}"))]);
        let folded = fold("web", &texts);
        folded
            .map(|folded| folded.recipe.exceptions)
            .map_err(|problems| problems.iter().map(Problem::to_string).collect())
    }

    #[test]
    fn an_exception_names_a_check_and_a_reason_and_what_it_is_about() {
        let all = "[[exception]]\ncheck = \"a\"\nreason = \"why\"\n";
        let one = "[[exception]]\ncheck = \"b\"\nreason = \"why\"\npath = \"/usr/bin/su\"\n";
        let found = exceptions(&format!("{all}{one}")).unwrap();
        assert_eq!((found[0].check.as_str(), found[0].path.as_deref(), found[0].by.as_str()), ("a", None, "web"));
        assert_eq!(found[1].path.as_deref(), Some("/usr/bin/su"));
    }

    #[test]
    fn an_exception_without_a_reason_or_of_nothing_is_refused() {
        let with = |lines: &str| exceptions(&format!("[[exception]]\n{lines}\n")).unwrap_err();
        assert_eq!(
            with("check = \"a\"\nreason = \" \""),
            ["recipes/web.toml:4:10: error: the exception from `a` has no reason"]
        );
        assert_eq!(with("check = \"a\""), ["recipes/web.toml:2:1: error: the key `reason` is missing here"]);
        assert_eq!(
            with("check = \"a b\"\nreason = \"x\""),
            ["recipes/web.toml:3:9: error: `a b` cannot be the id of a check"]
        );
        assert_eq!(
            with("check = \"a\"\nreason = \"x\"\npath = \"../su\""),
            ["recipes/web.toml:5:8: error: `../su` is not a path of an image"]
        );
        assert_eq!(
            with("check = \"a\"\nreason = \"x\"\npath = \"/su\"\nsubject = \"su\""),
            ["recipes/web.toml:6:11: error: the exception from `a` has both `path` and `subject`"]
        );
    }

    #[test]
    fn what_is_excused_already_cannot_be_excused_again() {
        let all = "[[exception]]\ncheck = \"a\"\nreason = \"x\"\n";
        let one = format!("{all}path = \"/su\"\n");
        let again = exceptions(&format!("{all}{one}")).unwrap_err();
        assert_eq!(again, ["recipes/web.toml:6:9: error: the finding of `a` is excused twice"]);
        assert!(exceptions(&format!("{one}{all}")).is_ok());
    }
}
