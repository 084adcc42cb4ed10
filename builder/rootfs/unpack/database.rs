//! dpkg's database of packages that are unpacked and not configured: what `dpkg --unpack` would leave in `/var/lib/dpkg`, for
//! the dpkg that configures them to read (dpkg(1), dpkg-query(1), deb-triggers(5)).

use std::collections::BTreeMap;
use std::io;

use super::super::inside::Inside;
use super::{Cause, Laid, io_cause};
use crate::debian::deb::Deb;
use crate::debian::status::{self, Conffiles, Triggers};

/// Writes it below `root`.
///
/// # Errors
/// Which package's part of it could not be written, and why.
pub(super) fn write(debs: &[Deb], laid: &BTreeMap<usize, Laid>, root: &Inside) -> Result<(), (usize, Cause)> {
    let place = |path: &str| format!("var/lib/dpkg/{path}");
    let failed = |path: &str, cause: io::Error| match cause.raw_os_error() {
        Some(libc::ELOOP | libc::ENOTDIR) => Cause::ThroughLink(place(path)),
        _ => io_cause(&place(path), cause),
    };
    let put = |index: usize, path: &str, bytes: &[u8], mode: u32| {
        root.write(&place(path), bytes, mode).map_err(|cause| (index, failed(path, cause)))
    };
    for directory in ["alternatives", "info", "parts", "triggers", "updates"] {
        root.make_directories(&place(directory)).map_err(|cause| (0, failed(directory, cause)))?;
    }
    let (mut status, mut triggers) = (String::new(), Triggers::default());
    let mut order: Vec<usize> = (0..debs.len()).collect();
    order.sort_by(|&a, &b| debs[a].fields().name.cmp(&debs[b].fields().name));
    for index in order {
        let (deb, fields) = (&debs[index], debs[index].fields());
        let name = status::info_name(fields);
        status.push_str(&status::paragraph(fields, &Conffiles::parse(&text(deb, "conffiles"))));
        triggers.add(&name, &text(deb, "triggers"));
        let list: String = laid[&index].list.iter().map(|path| format!("{path}\n")).collect();
        put(index, &format!("info/{name}.list"), list.as_bytes(), 0o644)?;
        for (file, bytes) in deb.control().iter().filter(|(file, _)| *file != "control") {
            put(
                index,
                &format!("info/{name}.{file}"),
                bytes,
                if SCRIPTS.contains(&file.as_str()) { 0o755 } else { 0o644 },
            )?;
        }
    }
    put(0, "info/format", b"1\n", 0o644)?;
    put(0, "status", status.as_bytes(), 0o644)?;
    for empty in ["available", "diversions", "statoverride", "triggers/Unincorp"] {
        put(0, empty, b"", 0o644)?;
    }
    for (name, lines) in triggers.files() {
        put(0, &format!("triggers/{name}"), lines.as_bytes(), 0o644)?;
    }
    Ok(())
}

/// Members of the control archive that are run.
const SCRIPTS: [&str; 5] = ["config", "postinst", "postrm", "preinst", "prerm"];

/// A member of the package's control archive as text; empty, if it has none.
pub(super) fn text(deb: &Deb, name: &str) -> String {
    deb.control().get(name).map_or_else(String::new, |bytes| String::from_utf8_lossy(bytes).into_owned())
}
