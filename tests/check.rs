//! `goldsmith check`: every mistake in a recipe is shown where it stands, with what to do.
//!
//! Each test writes one wrong recipe; the golden is what the person sees.

use crate::harness::Project;

/// Runs `check` on one recipe `web`, expects it to be refused, and compares the message.
#[track_caller]
fn refused(golden: &str, recipe: &str) {
    let project = Project::new().recipe("web", recipe);
    project.run(&["check"]).fails_with(&["recipes/web.toml:"]).stderr_is(&format!("check/{golden}.stderr"));
}

#[test]
fn a_right_recipe_is_accepted_in_silence_on_standard_error() {
    let project =
        Project::new().recipe("web", "description = \"A web server.\"\nsuite = \"trixie\"\npackages = [\"apache2\"]\n");
    let run = project.run(&["check"]);
    run.succeeds();
    assert_eq!(run.stderr, "", "{run}");
}

#[test]
fn text_that_is_not_toml_is_shown_with_a_caret() {
    refused("not-toml", "description = \"A web server\npackages = []\n");
}

#[test]
fn an_unknown_key_is_refused_and_the_nearest_known_one_is_named() {
    refused("unknown-key", "description = \"A web server.\"\nsuite = \"trixie\"\npackges = [\"apache2\"]\n");
}

#[test]
fn a_key_of_another_type_is_refused() {
    refused("wrong-type", "description = \"A web server.\"\nsuite = \"trixie\"\npackages = \"apache2\"\n");
}

#[test]
fn a_key_that_stands_twice_is_refused() {
    refused("twice", "description = \"A web server.\"\nsuite = \"trixie\"\nsuite = \"bookworm\"\n");
}

#[test]
fn a_relation_that_debian_policy_does_not_know_is_refused() {
    refused("relation", "description = \"A web server.\"\nsuite = \"trixie\"\npackages = [\"apache2 >= 2.4\"]\n");
}

/// dpkg reads `>` as `>=`: who writes it means something else.
#[test]
fn an_operator_that_dpkg_reads_otherwise_than_its_author_is_refused() {
    refused(
        "operator",
        "description = \"A web server.\"\nsuite = \"trixie\"\npackages = [\"nginx | apache2 (> 2.4)\"]\n",
    );
}

#[test]
fn a_suite_that_moves_is_refused_because_the_image_would_change_its_release() {
    refused("moving-suite", "description = \"A web server.\"\nsuite = \"stable\"\n");
}

#[test]
fn a_parent_that_does_not_exist_is_refused() {
    refused("no-parent", "description = \"A web server.\"\nfrom = \"bse\"\n");
}

#[test]
fn two_recipes_cannot_be_each_others_parents() {
    let project = Project::new()
        .recipe("a", "description = \"A.\"\nfrom = \"b\"\n")
        .recipe("b", "description = \"B.\"\nfrom = \"a\"\n");
    project.run(&["check"]).fails_with(&["recipes/"]).stderr_is("check/circle.stderr");
}

#[test]
fn an_overlay_that_does_not_exist_is_refused() {
    refused("no-overlay", "description = \"A web server.\"\nsuite = \"trixie\"\noverlays = [\"wbe\"]\n");
}

#[test]
fn an_archive_that_is_not_debians_needs_a_keyring() {
    let archive = "[[archive]]\nname = \"ours\"\nuri = \"https://packages.example.org/ours\"\nsuite = \"trixie\"\n";
    refused("no-keyring", &format!("description = \"A web server.\"\nsuite = \"trixie\"\n\n{archive}"));
}

#[test]
fn a_keyring_outside_the_project_is_refused() {
    let archive = "[[archive]]\nname = \"ours\"\nuri = \"debian\"\nsuite = \"trixie\"\nkeyring = \"../ours.pgp\"\n";
    refused("keyring-outside", &format!("description = \"A web server.\"\n\n{archive}"));
}

#[test]
fn two_users_cannot_share_an_id() {
    refused("ids", "description = \"A web server.\"\nsuite = \"trixie\"\n\n[users]\nmysql = 110\nbackend = 110\n");
}

#[test]
fn every_mistake_is_shown_at_once_and_not_only_the_first() {
    let recipe = "description = \"A web server.\"\nsuite = \"stable\"\npackges = []\n\n[users]\nRoot = 5\n";
    let run = Project::new().recipe("web", recipe).run(&["check"]);
    run.fails_with(&["stable", "packges", "Root"]);
}

#[test]
fn a_project_without_recipes_is_told_so() {
    Project::new().run(&["check"]).fails_with(&["recipes"]).stderr_is("check/no-recipes.stderr");
}

#[test]
fn an_unknown_verb_or_flag_is_a_wrong_use_and_not_a_failure() {
    let project = Project::new();
    project.run(&["chek"]).code(2).stderr_is("check/unknown-verb.stderr");
    project.run(&["check", "--quickly"]).code(2);
}
