//! Files most of which is zeros, and which take no room for that.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

/// What is looked at at once, and told apart: small enough for the holes between files, large enough to go fast.
pub(super) const BLOCK: usize = 64 << 10;

/// Copies all of `from` to `to`, from byte `at` on; where there are only zeros, `to`, which has none yet, is left alone.
pub(super) fn copy(from: &File, to: &File, at: u64) -> io::Result<u64> {
    let mut copied = 0;
    blocks(from, |offset, block| {
        copied = offset + block.len() as u64;
        if is_zero(block) { Ok(()) } else { to.write_all_at(block, at + offset) }
    })?;
    Ok(copied)
}

/// Where in `file` there is something other than zeros: (first byte, how many), in multiples of [`BLOCK`] or to the end.
/// It depends on the bytes alone, not on how a file system keeps them.
pub(super) fn extents(file: &File) -> io::Result<Vec<(u64, u64)>> {
    let mut extents: Vec<(u64, u64)> = Vec::new();
    blocks(file, |offset, block| {
        match extents.last_mut() {
            _ if is_zero(block) => {}
            Some((first, size)) if *first + *size == offset => *size += block.len() as u64,
            _ => extents.push((offset, block.len() as u64)),
        }
        Ok(())
    })?;
    Ok(extents)
}

fn blocks(mut file: &File, mut each: impl FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut block = vec![0; BLOCK];
    let mut offset = 0;
    loop {
        let mut filled = 0;
        while filled < BLOCK {
            match file.read(&mut block[filled..])? {
                0 => break,
                count => filled += count,
            }
        }
        if filled == 0 {
            return Ok(());
        }
        each(offset, &block[..filled])?;
        offset += filled as u64;
    }
}

fn is_zero(block: &[u8]) -> bool {
    let (words, rest) = block.as_chunks::<16>();
    words.iter().all(|word| u128::from_ne_bytes(*word) == 0) && rest.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Zeros but for two blocks side by side, one alone, and an end that is shorter than a block.
    fn example() -> File {
        let file = tempfile::tempfile().unwrap();
        let block = BLOCK as u64;
        file.set_len(9 * block + 10).unwrap();
        for at in [block, 2 * block + 5, 6 * block, 9 * block + 9] {
            file.write_all_at(b"x", at).unwrap();
        }
        file
    }

    #[test]
    fn extents_are_where_there_is_something() {
        let block = BLOCK as u64;
        assert_eq!(extents(&example()).unwrap(), [(block, 2 * block), (6 * block, block), (9 * block, 10)]);
        assert_eq!(extents(&tempfile::tempfile().unwrap()).unwrap(), []);
    }

    #[test]
    fn a_copy_has_the_same_bytes_and_the_same_holes() {
        let (from, to) = (example(), tempfile::tempfile().unwrap());
        to.set_len(12 * BLOCK as u64).unwrap();
        assert_eq!(copy(&from, &to, BLOCK as u64).unwrap(), 9 * BLOCK as u64 + 10);
        let first: Vec<u64> = extents(&to).unwrap().iter().map(|extent| extent.0 / BLOCK as u64).collect();
        assert_eq!(first, [2, 7, 10]);
        let mut byte = [0];
        to.read_exact_at(&mut byte, 3 * BLOCK as u64 + 5).unwrap();
        assert_eq!(byte, [b'x']);
    }
}
