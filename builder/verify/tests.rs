//! For every check a mutant: a small image that passes all of them, changed in one place, and the check that must see it.

mod fixture;
mod mutants;

use std::collections::BTreeSet;

use super::check::Finding;
use super::claims::Exception;
use super::report::{Report, Verdict};
use super::{audit, checks};
use fixture::{Change, claims, healthy};
use mutants::mutants;

/// What the audit says of the healthy image after these changes.
fn audited(changes: &[Change]) -> Report {
    audit(&healthy(changes), &claims()).unwrap()
}

/// What `check` finds in it.
fn findings<'a>(report: &'a Report, check: &str) -> &'a [Finding] {
    &report.outcomes.iter().find(|outcome| outcome.check.id == check).unwrap().findings
}

#[test]
fn the_healthy_image_passes_every_check_and_all_apply() {
    let report = audited(&[]);
    for outcome in &report.outcomes {
        assert_eq!(outcome.verdict, Verdict::Passed, "{}: {:#?}", outcome.check.id, outcome.findings);
    }
}

#[test]
fn every_check_has_a_mutant_and_every_mutant_a_check() {
    let ids: BTreeSet<&str> = checks::all().map(|check| check.id).collect();
    let mutants: BTreeSet<&str> = mutants().map(|(id, _)| *id).collect();
    assert_eq!(ids.difference(&mutants).collect::<Vec<_>>(), Vec::<&&str>::new(), "checks without a mutant");
    assert_eq!(mutants.difference(&ids).collect::<Vec<_>>(), Vec::<&&str>::new(), "mutants without a check");
}

#[test]
fn every_mutant_is_caught_by_its_check() {
    let missed: Vec<String> = mutants()
        .filter(|(id, changes)| findings(&audited(changes), id).is_empty())
        .map(|(id, changes)| format!("{id}: {changes:?}"))
        .collect();
    assert!(missed.is_empty(), "{} mutants pass:\n{}", missed.len(), missed.join("\n"));
}

#[test]
fn every_kernel_parameter_is_missed_if_it_is_not_set() {
    for (id, wanted) in checks::PARAMETERS {
        for (key, _) in wanted {
            let text = fixture::text("etc/sysctl.d/99-goldsmith.conf");
            let without: String =
                text.lines().filter(|line| !line.starts_with(key)).map(|line| format!("{line}\n")).collect();
            let change = Change::Write("etc/sysctl.d/99-goldsmith.conf", Box::leak(without.into_boxed_str()));
            let report = audited(&[change]);
            assert!(findings(&report, id).iter().any(|finding| finding.subject == *key), "{id}: {key}");
        }
    }
}

#[test]
fn ids_are_kebab_case_and_unique_and_every_row_says_why_and_who_says_so() {
    let mut seen = BTreeSet::new();
    for check in checks::all() {
        assert!(seen.insert(check.id), "{} is there twice", check.id);
        assert!(
            check.id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'),
            "{}",
            check.id
        );
        assert!(!check.title.is_empty() && !check.why.is_empty() && !check.source.is_empty(), "{}", check.id);
    }
}

#[test]
fn an_exception_excuses_its_finding_and_one_that_excuses_nothing_is_a_finding() {
    let broken = healthy(&[Change::Mode("usr/bin/passwd", 0o4755)]);
    let exception = |subject: Option<&str>| Exception {
        check: "files-setuid".to_owned(),
        reason: "people change passwords here".to_owned(),
        subject: subject.map(str::to_owned),
    };
    let with = |exception| audit(&broken, &super::claims::Claims { exceptions: vec![exception], ..claims() }).unwrap();
    let excused = with(exception(Some("usr/bin/passwd")));
    let outcome = excused.outcomes.iter().find(|outcome| outcome.check.id == "files-setuid").unwrap();
    assert_eq!((outcome.verdict, outcome.excused.len()), (Verdict::Excused, 1));
    assert!(excused.is_clean());
    let stale = with(exception(Some("usr/bin/su")));
    assert_eq!(findings(&stale, "files-setuid").len(), 2, "the finding itself, and the exception that excuses nothing");
}

#[test]
fn an_exception_from_a_check_that_does_not_exist_is_an_error_with_the_name_that_was_meant() {
    let exception = Exception { check: "file-setuid".to_owned(), reason: "x".to_owned(), subject: None };
    let wrong = audit(&healthy(&[]), &super::claims::Claims { exceptions: vec![exception], ..claims() }).unwrap_err();
    assert_eq!(wrong.help, "did you mean `files-setuid`?");
}

#[test]
fn junit_and_json_say_what_the_table_says_and_hold_what_xml_forbids_in_check() {
    let report = audited(&[Change::Write("root/.bash_history", "<secret> & \u{1b}")]);
    let mut xml = Vec::new();
    super::junit::write(std::slice::from_ref(&report), &mut xml).unwrap();
    let xml = String::from_utf8(xml).unwrap();
    assert!(xml.contains("failures=\"1\""), "{xml}");
    assert!(
        xml.contains("<testcase classname=\"api\" name=\"residue-history\">\n      <failure type=\"high\""),
        "{xml}"
    );
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["failed"], 1);
}
