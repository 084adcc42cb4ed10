//! The first pass over a TOML file: its shape, against its JSON schema.
//!
//! serde stops at the first thing that it does not like; a person wants all of them at once. So the parsed tree is walked
//! beside the schema that serde's own types give: whatever does not fit is a [`Problem`] with its place, and is cut out of
//! the tree, and what is left over is what serde can read, for the checks of meaning to go on with.
//!
//! Of JSON Schema this knows what schemars writes for the types of this program: `type`, `properties`, `required`,
//! `additionalProperties`, `items`, `$ref`, `enum`, `const`, `oneOf`, `anyOf` of types,
//! `minimum`, `maximum`.

use std::ops::Range;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

use super::problem::{Problem, Text, did_you_mean};

/// What of `text` fits `schema`, as a `T`, and what does not. No `T`: the text is not TOML, or nothing is left of it.
pub fn read<T: DeserializeOwned>(text: &Text, schema: &Value) -> (Option<T>, Vec<Problem>) {
    let (table, mistakes) = DeTable::parse_recoverable(&text.content);
    if !mistakes.is_empty() {
        return (None, mistakes.iter().map(|mistake| from_toml(text, mistake)).collect());
    }
    let mut shape = Shape { text, schema, problems: Vec::new() };
    let span = table.span();
    let root = Spanned::new(span.clone(), DeValue::Table(table.into_inner()));
    let fitting = match shape.fit(root, schema, "the file").map(Spanned::into_inner) {
        Some(DeValue::Table(table)) => Deserializer::from(Spanned::new(span, table)),
        _ => return (None, shape.problems),
    };
    match T::deserialize(fitting) {
        Ok(value) => (Some(value), shape.problems),
        Err(mistake) => {
            shape.problems.push(from_toml(text, &mistake));
            (None, shape.problems)
        }
    }
}

/// What the TOML parser says, as a problem: its first line is the message.
fn from_toml(text: &Text, mistake: &toml::de::Error) -> Problem {
    let message = mistake.message().lines().collect::<Vec<_>>().join("; ");
    let problem = Problem::error(message);
    match mistake.span() {
        Some(span) => problem.at(text.at(span), ""),
        None => problem,
    }
}

/// The walk: which text, by which schema, and what was found.
struct Shape<'a> {
    text: &'a Text,
    schema: &'a Value,
    problems: Vec<Problem>,
}

impl Shape<'_> {
    /// What of `value` (called `what` in messages) fits `schema`, if anything.
    fn fit<'i>(&mut self, value: Spanned<DeValue<'i>>, schema: &Value, what: &str) -> Option<Spanned<DeValue<'i>>> {
        let span = value.span();
        let schema = self.behind(schema).clone();
        if let Some(alternatives) = schema.get("anyOf").and_then(Value::as_array) {
            return self.fit_one_of(value, alternatives, what);
        }
        let wanted = match schema.get("type").and_then(Value::as_str) {
            None if !choices(&schema).is_empty() => "string",
            None => return Some(value),
            Some(wanted) => wanted,
        };
        match (value.into_inner(), wanted) {
            (DeValue::Table(table), "object") => self.fit_table(span, table, &schema),
            (DeValue::Array(array), "array") => {
                let array = self.fit_elements(array, &schema, what);
                Some(Spanned::new(span, DeValue::Array(array)))
            }
            (DeValue::String(string), "string") => {
                let wrong = not_a_choice(&string, &schema, what);
                self.unless(wrong, Spanned::new(span, DeValue::String(string)))
            }
            (DeValue::Integer(number), "integer") => {
                let value = i64::from_str_radix(number.as_str(), number.radix()).ok();
                let wrong = out_of_range(value, &schema, what);
                self.unless(wrong, Spanned::new(span, DeValue::Integer(number)))
            }
            (DeValue::Boolean(value), "boolean") => Some(Spanned::new(span, DeValue::Boolean(value))),
            (value, _) => {
                let wanted = article(wanted);
                let problem = Problem::error(format!("{what} must be {wanted}, and this is {}", name(&value)));
                self.problems.push(problem.at(self.text.at(span), format!("expected {wanted}")));
                None
            }
        }
    }

    /// What of `value` fits the one of `alternatives` that is of its type. (`null` is none of them: TOML leaves out what is
    /// not said.)
    fn fit_one_of<'i>(
        &mut self,
        value: Spanned<DeValue<'i>>,
        alternatives: &[Value],
        what: &str,
    ) -> Option<Spanned<DeValue<'i>>> {
        let named: Vec<(&str, Value)> = alternatives
            .iter()
            .map(|one| self.behind(one).clone())
            .filter_map(|one| Some((wanted(&one)?, one)))
            .collect();
        let own = name(value.get_ref());
        if let Some((_, schema)) = named.iter().find(|(wanted, _)| *wanted == own) {
            return self.fit(value, schema, what);
        }
        let wanted = named.iter().map(|(wanted, _)| *wanted).collect::<Vec<_>>().join(" or ");
        let problem = Problem::error(format!("{what} must be {wanted}, and this is {own}"));
        self.problems.push(problem.at(self.text.at(value.span()), format!("expected {wanted}")));
        None
    }

    /// The table with what fits of each key; nothing, if a key that it needs is missing.
    fn fit_table<'i>(
        &mut self,
        span: Range<usize>,
        table: DeTable<'i>,
        schema: &Value,
    ) -> Option<Spanned<DeValue<'i>>> {
        let none = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
        let others = schema.get("additionalProperties").filter(|others| others.is_object());
        let mut fitted = DeTable::new();
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let missing: Vec<&str> = required.filter(|key| !table.keys().any(|there| there.get_ref() == key)).collect();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            match properties.get(name).or(others) {
                Some(schema) => {
                    let what = format!("`{name}`");
                    if let Some(value) = self.fit(value, schema, &what) {
                        fitted.insert(key, value);
                    }
                }
                None => {
                    let known = properties.keys().map(String::as_str);
                    let all = format!("it may be one of {}", list(known.clone()));
                    let problem = Problem::error(format!("there is no key `{name}` here"));
                    let problem = problem.at(self.text.at(key.span()), "unknown key");
                    self.problems.push(problem.help(all).maybe_help(did_you_mean(name, known)));
                }
            }
        }
        for key in &missing {
            let problem = Problem::error(format!("the key `{key}` is missing here"));
            let problem = problem.at(self.text.at(span.clone()), format!("needs `{key}`"));
            let meaning = properties.get(*key).and_then(|schema| schema.get("description")).and_then(Value::as_str);
            self.problems.push(problem.maybe_help(meaning.map(|meaning| format!("`{key}`: {meaning}"))));
        }
        missing.is_empty().then(|| Spanned::new(span, DeValue::Table(fitted)))
    }

    /// The elements that fit.
    fn fit_elements<'i>(&mut self, array: DeArray<'i>, schema: &Value, what: &str) -> DeArray<'i> {
        let mut fitted = DeArray::new();
        let what = format!("each of {what}");
        for element in array {
            let kept = match schema.get("items") {
                Some(items) => self.fit(element, items, &what),
                None => Some(element),
            };
            kept.into_iter().for_each(|element| fitted.push(element));
        }
        fitted
    }

    /// `value`, unless there is something wrong with it.
    fn unless<'i>(&mut self, wrong: Option<Wrong>, value: Spanned<DeValue<'i>>) -> Option<Spanned<DeValue<'i>>> {
        let Some(Wrong { problem, label }) = wrong else { return Some(value) };
        self.problems.push(problem.at(self.text.at(value.span()), label));
        None
    }

    /// The schema that a `$ref` stands for.
    fn behind<'s>(&'s self, schema: &'s Value) -> &'s Value {
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix('#'));
        target.and_then(|pointer| self.schema.pointer(pointer)).unwrap_or(schema)
    }
}

/// What is wrong with a value, without its place.
struct Wrong {
    problem: Problem,
    label: &'static str,
}

/// `what` is none of the strings that `schema` lists, if it lists any.
fn not_a_choice(string: &str, schema: &Value, what: &str) -> Option<Wrong> {
    let choices = choices(schema);
    if choices.is_empty() || choices.contains(&string) {
        return None;
    }
    let all = format!("it may be {}", list(choices.iter().copied()));
    let problem = Problem::error(format!("{what} cannot be `{string}`"));
    Some(Wrong { problem: problem.help(all).maybe_help(did_you_mean(string, choices)), label: "" })
}

/// `what` does not lie where `schema` says; a `number` that no 64 bits can hold is `None`.
fn out_of_range(number: Option<i64>, schema: &Value, what: &str) -> Option<Wrong> {
    let (low, high) = match schema.get("format").and_then(Value::as_str) {
        Some("uint32") => (0, i64::from(u32::MAX)),
        Some("int32") => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => (i64::MIN, i64::MAX),
    };
    let low = schema.get("minimum").and_then(Value::as_i64).unwrap_or(low).max(low);
    let high = schema.get("maximum").and_then(Value::as_i64).unwrap_or(high).min(high);
    if number.is_some_and(|number| (low..=high).contains(&number)) {
        return None;
    }
    Some(Wrong { problem: Problem::error(format!("{what} must be from {low} to {high}")), label: "out of range" })
}

/// What a person calls the type that a schema admits, if it admits one.
fn wanted(schema: &Value) -> Option<&'static str> {
    match schema.get("type").and_then(Value::as_str) {
        Some(wanted) => ARTICLES.iter().find(|(type_, _)| *type_ == wanted).map(|(_, article)| *article),
        None => (!choices(schema).is_empty()).then_some("a string"),
    }
}

/// The strings that a schema admits, if it lists them: `enum`, or `oneOf` of `const`.
fn choices(schema: &Value) -> Vec<&str> {
    let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    let alternatives = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    let described = alternatives.filter_map(|one| one.get("const").or_else(|| one.get("enum")?.get(0)));
    listed.chain(described).filter_map(Value::as_str).collect()
}

/// What a person calls a TOML value.
fn name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// What a person calls the types of JSON Schema.
const ARTICLES: [(&str, &str); 5] = [
    ("string", "a string"),
    ("integer", "a whole number"),
    ("boolean", "true or false"),
    ("array", "a list"),
    ("object", "a table"),
];

/// What a person calls a JSON Schema type.
fn article(wanted: &str) -> &str {
    ARTICLES.iter().find(|(type_, _)| *type_ == wanted).map_or(wanted, |(_, article)| article)
}

/// `` `a`, `b`, `c` ``.
fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
