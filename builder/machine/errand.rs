//! A command that the guest runs for us, without a byte of its image being another one for it.
//!
//! ```text
//! SMBIOS strings ─▶ systemd: a unit, and a drop-in that wants it ─▶ sh, when the machine has booted
//!                                                                   ├─▶ a serial port of its own: what it says, its exit code
//!                                      commands, one a line ─▶ LISTEN ─▶ the same port: what each says, and `@@DONE`
//! ```
//!
//! Any host may give its guests such strings (systemd.system-credentials(7), smbios-type-11(7)); a cloud's host does not, and
//! what can write them has the machine anyway. systemd knows `systemd.extra-unit.*` since version 256: Debian 13.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// Around what the command says.
const BEGIN: &str = "@@BEGIN\n";
const EXIT: &str = "@@EXIT ";

/// Behind what a line that it was asked says: its number, and the exit code.
const DONE: &str = "@@DONE";

/// Said when it can be asked.
const READY: &str = "@@READY";

/// The end of a command that does, from then on, what it is asked through the port: a number and a line of shell each.
pub const LISTEN: &str = "
    echo @@READY
    while read -r number line; do
        sh -c \"$line\" </dev/null
        echo \"@@DONE $number $?\"
    done </dev/ttyS1
";

/// The SMBIOS strings that make a machine run `command` as root when it has booted, and shut down after it. Its output is on
/// the second serial port.
pub(super) fn strings(command: &str) -> [String; 2] {
    let script = format!(
        "exec >/dev/ttyS1 2>&1\nstty -F /dev/ttyS1 raw -echo\nprintf '{}'\nsystemctl is-system-running --wait >/dev/null\n\
         cd /\n(\n{command}\n)\necho \"{EXIT}$?\"\nsystemctl poweroff\n",
        BEGIN.replace('\n', "\\n")
    );
    let script = BASE64_STANDARD.encode(script);
    let unit = format!(
        "[Unit]\nDefaultDependencies=no\nAfter=sysinit.target\n[Service]\nEnvironment=PATH=/usr/sbin:/usr/bin:/sbin:/bin\n\
         ExecStart=/bin/sh -c \"echo {script} | base64 -d | sh\"\n"
    );
    [
        credential("systemd.extra-unit.goldsmith-errand.service", &unit),
        credential("systemd.unit-dropin.multi-user.target~goldsmith", "[Unit]\nWants=goldsmith-errand.service\n"),
    ]
}

/// One credential as an SMBIOS string.
pub fn credential(name: &str, value: &str) -> String {
    format!("io.systemd.credential.binary:{name}={}", BASE64_STANDARD.encode(value))
}

/// What the command has said so far.
pub(super) fn said(output: &str) -> String {
    let output = output.replace('\r', "");
    output.split_once(BEGIN).map_or_else(String::new, |(_, said)| said.to_owned())
}

/// Whether it has come to listening.
pub(super) fn is_listening(said: &str) -> bool {
    said.lines().any(|line| line == READY)
}

/// What the line `number` said after `before` bytes of all that was `said`, and its exit code; none, if it is under way.
pub(super) fn answered(said: &str, before: usize, number: u32) -> Option<(String, u8)> {
    let (answer, code) = said.get(before..)?.split_once(&format!("{DONE} {number} "))?;
    let code = code.split_once('\n')?.0.parse().ok()?;
    Some((answer.to_owned(), code))
}

/// What the command said and its exit code, of what came over the second serial port; none, if it did not come to its end.
pub(super) fn ended(said: &str) -> Option<(String, u8)> {
    let said = said.replace('\r', "");
    let (said, code) = said.rsplit_once(EXIT)?;
    let said = said.split_once(BEGIN).map_or(said, |(_, said)| said);
    // Behind it may stand what switching off the machine was answered.
    Some((said.to_owned(), code.lines().next()?.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_any_letters_is_words_of_base64() {
        let strings = strings("echo \"a, b\"; exit 3");
        assert!(!strings.iter().any(|string| string.contains("exit 3") || string.contains([' ', ','])), "{strings:?}");
    }

    #[test]
    fn what_it_says_stands_between_two_marks() {
        assert_eq!(ended("noise\r\n@@BEGIN\none\r\ntwo\n@@EXIT 7\n"), Some(("one\ntwo\n".to_owned(), 7)));
        assert_eq!(ended("@@BEGIN\none\n@@EXIT 0\nno bus\n"), Some(("one\n".to_owned(), 0)));
        assert_eq!(ended("@@BEGIN\none\n"), None);
        let said_so_far = "end\na\n@@DONE 1 0\nb\n@@DONE 2 5\n";
        assert_eq!(answered(said_so_far, 4, 1), Some(("a\n".to_owned(), 0)));
        assert_eq!(answered(said_so_far, 17, 2), Some(("b\n".to_owned(), 5)));
        assert!(is_listening("a\n@@READY\n") && !is_listening(LISTEN));
        assert_eq!((answered(said_so_far, 17, 3), answered("@@DONE 1 0", 0, 1)), (None, None));
        assert_eq!((said("noise\r\n@@BEGIN\none\r\n"), said("noise")), ("one\n".to_owned(), String::new()));
    }
}
