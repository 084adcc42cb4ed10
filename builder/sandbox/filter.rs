//! seccomp(2): system calls that are answered without being done.

use std::io;

use super::check;

/// A seccomp(2) program.
pub(super) struct Filter(Vec<libc::sock_filter>);

impl Filter {
    /// Answers `fsync`, `fdatasync`, `sync`, `syncfs`, `sync_file_range` and `msync` with success, without doing them.
    pub(super) fn without_sync() -> Self {
        const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
        const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
        const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
        let calls = [
            libc::SYS_fsync,
            libc::SYS_fdatasync,
            libc::SYS_sync,
            libc::SYS_syncfs,
            libc::SYS_sync_file_range,
            libc::SYS_msync,
        ];
        let step = |code, jt, k| libc::sock_filter { code, jt, jf: 0, k };
        let mut program = vec![step(LOAD, 0, 0)]; // offset 0 of seccomp_data: the number of the call
        for (index, call) in calls.iter().enumerate() {
            let to_success = (calls.len() - index) as u8;
            program.push(step(JUMP_IF_EQUAL, to_success, *call as u32));
        }
        program.push(step(RETURN, 0, libc::SECCOMP_RET_ALLOW));
        program.push(step(RETURN, 0, libc::SECCOMP_RET_ERRNO)); // errno 0: success
        Self(program)
    }

    pub(super) fn install(&self) -> io::Result<()> {
        let program = libc::sock_fprog { len: self.0.len() as u16, filter: self.0.as_ptr().cast_mut() };
        // SAFETY: the program lives until the call returns. CAP_SYS_ADMIN in the user namespace stands in for no_new_privs,
        // which would take the setuid bit of the image's own programs away from its maintainer scripts.
        unsafe { check(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program)) }
    }
}
