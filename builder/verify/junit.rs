//! Reports as JUnit XML, which CI systems show: a suite an image, a case a check.
//!
//! The dialect that Jenkins, GitLab and GitHub's actions read: `testsuites/testsuite/testcase`, with `failure` or `skipped`
//! within. No times, so that one image gives one file.

use std::io::{self, Write};

use super::report::{Report, Verdict};

/// Writes `reports`.
///
/// # Errors
/// Whatever writing gives.
pub fn write(reports: &[Report], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(out, "<testsuites name=\"goldsmith audit\">")?;
    for report in reports {
        let (failed, skipped) = (report.count(Verdict::Failed), report.count(Verdict::NotApplicable));
        let tests = report.outcomes.len();
        let image = escaped(&report.image);
        writeln!(
            out,
            "  <testsuite name=\"{image}\" tests=\"{tests}\" failures=\"{failed}\" errors=\"0\" skipped=\"{skipped}\">"
        )?;
        for outcome in &report.outcomes {
            let (id, title) = (outcome.check.id, escaped(outcome.check.title));
            write!(out, "    <testcase classname=\"{image}\" name=\"{id}\"")?;
            match outcome.verdict {
                Verdict::Passed => writeln!(out, "/>")?,
                Verdict::NotApplicable => writeln!(out, "><skipped message=\"not applicable\"/></testcase>")?,
                Verdict::Excused => {
                    writeln!(out, ">\n      <system-out>")?;
                    for excused in &outcome.excused {
                        let (finding, reason) = (&excused.finding, &excused.reason);
                        let line = format!("{}: {}; meant: {reason}", finding.subject, finding.found);
                        writeln!(out, "{}", escaped(&line))?;
                    }
                    writeln!(out, "</system-out>\n    </testcase>")?;
                }
                Verdict::Failed => {
                    let severity = outcome.check.severity.name();
                    writeln!(out, ">\n      <failure type=\"{severity}\" message=\"not so: {title}\">")?;
                    for finding in &outcome.findings {
                        let line = format!(
                            "{}: found {}; wanted {}; {}",
                            finding.subject, finding.found, finding.wanted, finding.mend
                        );
                        writeln!(out, "{}", escaped(&line))?;
                    }
                    writeln!(out, "</failure>\n    </testcase>")?;
                }
            }
        }
        writeln!(out, "  </testsuite>")?;
    }
    writeln!(out, "</testsuites>")
}

/// Text within an element or a quoted attribute. What XML 1.0 can't hold at all becomes U+FFFD.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(letter),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ => escaped.push(letter),
        }
    }
    escaped
}
