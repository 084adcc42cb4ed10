//! `goldsmith schema`: the JSON schema of a recipe says the same as `goldsmith check`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::Project;
use crate::harness::project::files_below;

fn schema() -> Value {
    let run = Project::new().run(&["schema"]);
    run.succeeds();
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("the schema is not JSON: {error}\n{run}"))
}

fn json(toml: &str) -> Value {
    serde_json::to_value(toml::from_str::<toml::Table>(toml).expect("TOML")).expect("TOML is JSON, dates apart")
}

#[test]
fn the_schema_accepts_every_recipe_of_this_repository() {
    let validator = jsonschema::validator_for(&schema()).expect("a valid schema");
    let recipes = files_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes"));
    let recipes: Vec<_> = recipes.iter().filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    assert!(recipes.len() >= 3, "base, api and db at least: {recipes:?}");
    for path in recipes {
        let recipe = json(&fs::read_to_string(path).expect("a recipe"));
        if recipe["purpose"] == "fleet" {
            continue; // Has a schema of its own: fleet.rs.
        }
        let mistakes: Vec<_> = validator.iter_errors(&recipe).map(|error| error.to_string()).collect();
        assert!(mistakes.is_empty(), "{}: {mistakes:#?}", path.display());
    }
}

/// A recipe that differs from a right one in one word is right for both, or wrong for both.
#[test]
fn the_schema_and_check_agree_about_shapes() {
    let validator = jsonschema::validator_for(&schema()).expect("a valid schema");
    let start = "description = \"A web server.\"\nsuite = \"trixie\"\n";
    let lines = [
        ("packages = [\"apache2\"]", true),
        ("packages = \"apache2\"", false),
        ("packages = [1]", false),
        ("packges = [\"apache2\"]", false),
        ("recommends = true", true),
        ("recommends = \"yes\"", false),
        ("arch = \"amd64\"", true),
        ("arch = \"vax\"", false),
        ("[image]\ncompression = \"gzip\"", true),
        ("[image]\ncompression = \"lzma\"", false),
        ("[users]\nmysql = 110", true),
        ("[users]\nmysql = \"110\"", false),
        ("[users]\nmysql = -1", false),
        ("[[archive]]\nname = \"tests\"", false),
    ];
    for (line, right) in lines {
        let recipe = format!("{start}{line}\n");
        assert_eq!(validator.is_valid(&json(&recipe)), right, "the schema about {line:?}");
        let run = Project::new().recipe("web", &recipe).run(&["check"]);
        assert_eq!(run.code, Some(i32::from(!right)), "check about {line:?}\n{run}");
    }
}
