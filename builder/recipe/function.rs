//! `[[function]]`: what an image is for, as a request from afar and its answer. `goldsmith verify` asks, with the fleet around it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::file::File;
use super::problem::{Problem, Text};
use super::source::Source;

/// What the image does for those who may ask: a request by HTTPS, and the answer to it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FunctionTable {
    /// As it goes over the wire: the first line, more lines of its head, and after an empty one its body. Where it goes to and how
    /// long it is need not be said.
    #[schemars(with = "String")]
    pub request: Spanned<String>,
    /// The answer's status: 200.
    #[schemars(with = "u16")]
    pub status: Spanned<u16>,
    /// What the answer's body holds. Default: anything.
    #[serde(default)]
    pub contains: String,
}

/// A request, and the answer to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Function {
    /// Head and body, with an empty line between.
    pub request: String,
    /// Of the answer.
    pub status: u16,
    /// What its body holds.
    pub contains: String,
    /// Name of the recipe that says so.
    pub by: String,
}

/// Whether `text` begins as a request of HTTP/1 does (RFC 9112 §3), and has no byte in it that ends a line or a text elsewhere.
pub(super) fn is_request(text: &str) -> bool {
    let line = text.lines().next().unwrap_or_default();
    let words: Vec<&str> = line.split(' ').collect();
    let is_whole = matches!(words.as_slice(), [method, target, version]
        if !method.is_empty() && !target.is_empty() && version.starts_with("HTTP/1."));
    is_whole && text.chars().all(|letter| letter == '\n' || !letter.is_control())
}

/// What is wrong with the functions of one file.
pub fn check(file: &File, text: &Text, problems: &mut Vec<Problem>) {
    for table in &file.function {
        if !is_request(table.request.get_ref()) {
            let problem = Problem::error("nobody can ask this".to_owned());
            let help = "write a request as it goes over the wire: `GET /health HTTP/1.1`";
            problems.push(problem.at(text.at(table.request.span()), "no request").help(help));
        }
        if !(200..600).contains(table.status.get_ref()) {
            let problem = Problem::error(format!("`{}` is the status of no answer", table.status.get_ref()));
            problems.push(problem.at(text.at(table.status.span()), "").help("write one of 200 to 599"));
        }
    }
}

/// Those of a child, after those of its parents.
pub fn of(source: &Source) -> impl Iterator<Item = Function> {
    source.file.function.iter().map(|table| Function {
        request: table.request.get_ref().clone(),
        status: *table.status.get_ref(),
        contains: table.contains.clone(),
        by: source.name.clone(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::recipe::fold::fold;

    #[test]
    fn a_function_is_a_request_and_its_answer() {
        let of = |request: &str, status: u16| {
            let text = format!("suite = \"trixie\"\n[[function]]\nrequest = \"{request}\"\nstatus = {status}\n");
            let folded = fold("web", &BTreeMap::from([("web".to_owned(), text)]));
            folded
                .map(|folded| folded.recipe.functions)
                .map_err(|problems| problems.iter().map(Problem::to_string).collect::<Vec<_>>())
        };
        let found = of("POST /notes HTTP/1.1\\nAccept: x\\n\\n{}", 201).unwrap();
        assert_eq!((found[0].request.lines().count(), found[0].status, found[0].by.as_str()), (4, 201, "web"));
        for request in ["", "GET /", "GET  HTTP/1.1", "GET / a HTTP/1.1", "GET / HTTP/1.1\\r\\n"] {
            assert_eq!(
                of(request, 200).unwrap_err(),
                ["recipes/web.toml:3:11: error: nobody can ask this"],
                "{request}"
            );
        }
        let wrong = of("GET / HTTP/1.1", 99).unwrap_err();
        assert_eq!(wrong, ["recipes/web.toml:4:10: error: `99` is the status of no answer"]);
    }
}
