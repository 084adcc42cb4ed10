//! RFC 9580 §7: text that is signed and can still be read, the form of an `InRelease`.
//!
//! ```text
//! -----BEGIN PGP SIGNED MESSAGE-----   ← nothing may stand above
//! Hash: SHA256                         ← nothing but `Hash:` lines
//!
//! Origin: Debian                       ┐
//! - -dashed                            ├ the signed text: dashes unescaped, blanks at the ends of lines dropped,
//! …                                    ┘ without its last line break
//! -----BEGIN PGP SIGNATURE-----        ┐
//! …                                    ├ the signatures, in base64
//! -----END PGP SIGNATURE-----          ┘ ← nothing may stand below
//! ```
//!
//! This file only takes the frame apart, and takes no frame but this one. The text that comes out is the text that is
//! hashed and, if a signature holds, the text that is read: nobody can put a line beside the signed ones, because there
//! is no beside.

const MESSAGE: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END: &str = "-----END PGP SIGNATURE-----";

/// A cleartext-signed message, taken apart. Whether the signatures hold is not known yet.
#[derive(Debug)]
pub struct Clearsigned<'a> {
    /// What is signed.
    pub text: String,
    /// The signatures, armored, with their frame.
    pub signatures: &'a str,
}

/// Why bytes are not a cleartext-signed message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClearsignError {
    /// No frame at all.
    #[error(
        "it is not signed: `-----BEGIN PGP SIGNED MESSAGE-----` is expected in its first line, which is `{0}`; \
         perhaps this is not the file that was asked for, but a proxy's or a mirror's page about an error"
    )]
    NotSigned(String),
    /// The frame ends before its end.
    #[error("it is cut off: its last line is not `-----END PGP SIGNATURE-----`; fetch it again")]
    Truncated,
    /// Something above or below the frame.
    #[error("line {0} stands outside what is signed; nothing may")]
    Outside(usize),
    /// Something in the frame that it can't hold.
    #[error("line {0} can't stand in a signed message")]
    Malformed(usize),
}

impl<'a> Clearsigned<'a> {
    /// Takes the frame apart.
    ///
    /// # Errors
    /// There is no such frame, or not exactly one, or something beside it.
    pub fn parse(message: &'a [u8]) -> Result<Self, ClearsignError> {
        let message = std::str::from_utf8(message)
            .map_err(|error| ClearsignError::Malformed(line_of(&message[..error.valid_up_to()])))?;
        if let Some(at) = message.bytes().position(|byte| byte == b'\r' || byte == 0) {
            return Err(ClearsignError::Malformed(line_of(&message.as_bytes()[..at])));
        }
        // Where each line begins: the signatures are handed on as one slice.
        let mut begins = 0;
        let mut lines = message.split('\n').enumerate().map(|(index, line)| {
            let begin = begins;
            begins += line.len() + 1;
            (index + 1, begin, line)
        });

        let first = lines.next().map_or("", |(_, _, line)| line);
        if first != MESSAGE {
            return Err(match message.lines().any(|line| line == MESSAGE) {
                true => ClearsignError::Outside(1),
                false => ClearsignError::NotSigned(first.chars().take(60).collect()),
            });
        }
        for (number, _, line) in lines.by_ref() {
            match line {
                "" => break,
                line if line.starts_with("Hash: ") => {}
                _ => return Err(ClearsignError::Malformed(number)),
            }
        }
        let mut text = String::with_capacity(message.len());
        let start = loop {
            match lines.next().ok_or(ClearsignError::Truncated)? {
                (_, begin, SIGNATURE) => break begin,
                (number, _, line) => {
                    let line = match line.strip_prefix("- ") {
                        Some(unescaped) => unescaped,
                        None if line.starts_with('-') => return Err(ClearsignError::Malformed(number)),
                        None => line,
                    };
                    text.push_str(line.trim_end_matches([' ', '\t']));
                    text.push('\n');
                }
            }
        };
        text.pop();
        let end = loop {
            match lines.next().ok_or(ClearsignError::Truncated)? {
                (_, begin, END) => break begin + END.len(),
                (number, _, line) if line.starts_with('-') => return Err(ClearsignError::Malformed(number)),
                _ => {}
            }
        };
        match lines.find(|(_, _, line)| !line.is_empty()) {
            Some((number, ..)) => Err(ClearsignError::Outside(number)),
            None => Ok(Self { text, signatures: &message[start..end] }),
        }
    }
}

fn line_of(before: &[u8]) -> usize {
    before.iter().filter(|&&byte| byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNED: &str = "\
-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

Origin: Debian  \t
- -dashed

last
-----BEGIN PGP SIGNATURE-----

iHUEARYK
=abcd
-----END PGP SIGNATURE-----
";

    #[test]
    fn the_frame_comes_apart_into_text_and_signatures() {
        let parts = Clearsigned::parse(SIGNED.as_bytes()).unwrap();
        assert_eq!(parts.text, "Origin: Debian\n-dashed\n\nlast");
        assert!(parts.signatures.starts_with(SIGNATURE) && parts.signatures.ends_with(END));
        assert!(Clearsigned::parse(SIGNED.trim_end().as_bytes()).is_ok());
    }

    #[test]
    fn nothing_may_stand_outside_the_frame() {
        let parse = |text: String| Clearsigned::parse(text.as_bytes()).unwrap_err();
        assert_eq!(parse(format!("Origin: Mallory\n{SIGNED}")), ClearsignError::Outside(1));
        assert_eq!(parse(format!("\n{SIGNED}")), ClearsignError::Outside(1));
        assert_eq!(parse(format!("{SIGNED}\nOrigin: Mallory\n")), ClearsignError::Outside(14));
        assert_eq!(parse(format!("{SIGNED}{SIGNED}")), ClearsignError::Outside(13));
    }

    #[test]
    fn what_is_not_signed_or_cut_off_says_so() {
        let parse = |text: &str| Clearsigned::parse(text.as_bytes()).unwrap_err();
        assert_eq!(parse("<html>\n"), ClearsignError::NotSigned("<html>".to_owned()));
        assert_eq!(parse(""), ClearsignError::NotSigned(String::new()));
        for (at, _) in SIGNED.match_indices('\n').filter(|(at, _)| (40..SIGNED.len() - 1).contains(at)) {
            assert_eq!(parse(&SIGNED[..at]), ClearsignError::Truncated, "{at}");
        }
    }

    #[test]
    fn lines_that_a_frame_can_not_hold_are_refused() {
        let parse = |from: &str, to: &str| Clearsigned::parse(SIGNED.replacen(from, to, 1).as_bytes()).unwrap_err();
        assert_eq!(parse("Hash: SHA256", "Origin: Mallory"), ClearsignError::Malformed(2));
        assert_eq!(parse("- -dashed", "-dashed"), ClearsignError::Malformed(5));
        assert_eq!(parse("- -dashed", MESSAGE), ClearsignError::Malformed(5));
        assert_eq!(parse("last", "la\rst"), ClearsignError::Malformed(7));
        assert_eq!(parse("=abcd", SIGNATURE), ClearsignError::Malformed(11));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn no_bytes_make_it_panic(lines in proptest::collection::vec("(-----BEGIN PGP SIGNED MESSAGE-----|-----BEGIN PGP SIGNATURE-----|-----END PGP SIGNATURE-----|- a|Hash: x||é)", 0..9)) {
            let _ = Clearsigned::parse(lines.join("\n").as_bytes());
        }
    }
}
