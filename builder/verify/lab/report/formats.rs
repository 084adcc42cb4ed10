//! A verification as machines read it: JUnit XML, SARIF, in-toto.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::Report;
use crate::verify::junit::escaped;

/// JUnit XML: a suite an image, a case a step. The dialect of Jenkins, GitLab and GitHub's actions.
///
/// # Errors
/// Whatever writing gives.
pub fn junit(reports: &[Report], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"goldsmith verify\">")?;
    for report in reports {
        let (image, steps) = (escaped(&report.image), report.steps.len());
        let failed = report.steps.iter().filter(|step| !step.findings.is_empty()).count();
        writeln!(
            out,
            "  <testsuite name=\"{image}\" tests=\"{steps}\" failures=\"{failed}\" errors=\"0\" skipped=\"0\">"
        )?;
        for step in &report.steps {
            let (id, time) = (escaped(&step.id), super::rounded(step.took));
            write!(out, "    <testcase classname=\"{image}\" name=\"{id}\" time=\"{time:.1}\"")?;
            if step.findings.is_empty() {
                writeln!(out, "/>")?;
                continue;
            }
            writeln!(out, ">\n      <failure message=\"not so: {}\">", escaped(&step.title))?;
            for finding in &step.findings {
                let line = format!("{}: found {}; wanted {}", finding.subject, finding.found, finding.wanted);
                writeln!(out, "{}", escaped(&line))?;
            }
            writeln!(out, "</failure>\n    </testcase>")?;
        }
        writeln!(out, "  </testsuite>")?;
    }
    writeln!(out, "</testsuites>")
}

/// SARIF 2.1.0: a run, in which each step is a rule and each finding a result, at the recipe of its image.
pub fn sarif(reports: &[Report]) -> Value {
    let mut rules: Vec<Value> = Vec::new();
    let mut results = Vec::new();
    for report in reports {
        for step in &report.steps {
            let rule = json!({ "id": step.id, "shortDescription": { "text": step.title } });
            if !rules.iter().any(|known| known["id"] == rule["id"]) {
                rules.push(rule);
            }
            for finding in &step.findings {
                let text = format!(
                    "{}, {}: found {}; wanted {}",
                    report.image, finding.subject, finding.found, finding.wanted
                );
                let uri = format!("recipes/{}.toml", report.image);
                results.push(json!({
                    "ruleId": step.id,
                    "level": "error",
                    "message": { "text": text },
                    // Code hosts show no result without a line: the recipe as such.
                    "locations": [{ "physicalLocation": {
                        "artifactLocation": { "uri": uri }, "region": { "startLine": 1 },
                    } }],
                }));
            }
        }
    }
    let version = env!("CARGO_PKG_VERSION");
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "goldsmith", "version": version, "rules": rules } },
            "results": results,
        }],
    })
}

/// An in-toto statement (v1) with the predicate `test-result` (v0.1): the files that were started, and what held. To be signed
/// by whoever vouches for it, and attached to the image.
pub fn statement(report: &Report) -> Value {
    let subjects = report.files.iter().map(
        |(name, digest)| json!({ "name": format!("{}/{name}", report.image), "digest": { "sha256": digest.hex() } }),
    );
    let of = |clean: bool| -> Vec<&str> {
        report.steps.iter().filter(|step| step.findings.is_empty() == clean).map(|step| step.id.as_str()).collect()
    };
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects.collect::<Vec<_>>(),
        "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
        "predicate": {
            "result": if report.is_clean() { "PASSED" } else { "FAILED" },
            "configuration": [{ "name": format!("plan of {}", report.image), "digest": { "sha256": report.plan.hex() } }],
            "passedTests": of(true),
            "warnedTests": [],
            "failedTests": of(false),
        },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::super::{Finding, Step};
    use super::*;
    use crate::digest::Digest;

    fn report() -> Report {
        let finding = Finding {
            subject: "world at 10.0.0.20".to_owned(),
            found: "tcp 3306 is open".to_owned(),
            wanted: "silence <&>".to_owned(),
            at: Some(Duration::from_millis(21_340)),
        };
        let step = |id: &str, findings| {
            let (title, looked) = ("It is so".to_owned(), "all".to_owned());
            Step { id: id.to_owned(), title, looked, took: Duration::from_millis(1234), findings }
        };
        Report {
            image: "db".to_owned(),
            plan: Digest::of(b"plan"),
            files: BTreeMap::from([("disk.raw".to_owned(), Digest::of(b"disk"))]),
            steps: vec![step("bytes", Vec::new()), step("exposure", vec![finding])],
            exposure: Vec::new(),
            bans: Vec::new(),
            starts: Vec::new(),
        }
    }

    #[test]
    fn a_finding_is_in_every_format() {
        let mut xml = Vec::new();
        junit(&[report()], &mut xml).unwrap();
        let xml = String::from_utf8(xml).unwrap();
        assert!(xml.contains("tests=\"2\" failures=\"1\"") && xml.contains("time=\"1.2\""), "{xml}");
        assert!(xml.contains("world at 10.0.0.20: found tcp 3306 is open; wanted silence &lt;&amp;&gt;"), "{xml}");
        let sarif = sarif(&[report()]);
        assert_eq!(sarif["runs"][0]["results"][0]["ruleId"], "exposure");
        assert_eq!(sarif["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap().len(), 2);
        let statement = statement(&report());
        assert_eq!(statement["predicate"]["result"], "FAILED");
        assert_eq!(statement["predicate"]["passedTests"], json!(["bytes"]));
        assert_eq!(statement["predicate"]["failedTests"], json!(["exposure"]));
        assert_eq!(statement["subject"][0]["digest"]["sha256"], Digest::of(b"disk").hex().as_str());
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["steps"][1]["findings"][0]["at"], json!(21.3));
        let mut text = Vec::new();
        report().write(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("FAILED exposure") && text.contains("found  tcp 3306 is open at 21.3 s"), "{text}");
        assert!(text.ends_with("db: 1 steps passed, 1 failed\n"), "{text}");
    }
}
