//! Binary packages, well formed or wicked: deb(5), deb-control(5).
//!
//! A `.deb` is an `ar` archive of `debian-binary`, `control.tar.xz` and `data.tar.xz`. This writer trusts its caller on
//! purpose: it puts any name, type and size into the tar headers, so that a test can ship what no honest tool would.
//! The same calls give the same bytes.

use std::collections::BTreeMap;

use tar::EntryType;

use super::xz;

/// All times inside the packages: 2026-01-01 00:00:00 UTC.
const MTIME: u64 = 1_767_225_600;

/// How a member of a tar is written.
#[derive(Clone, Debug)]
struct Member {
    path: String,
    kind: EntryType,
    mode: u32,
    owner: u64,
    target: String,
    bytes: Vec<u8>,
}

/// What a member of `data.tar` is.
#[derive(Clone, Copy, Debug)]
pub enum Raw<'a> {
    /// A regular file: permission bits and bytes.
    File(u32, &'a [u8]),
    /// A directory.
    Directory,
    /// A symbolic link to this target.
    Symlink(&'a str),
    /// A hard link to the member of this name.
    Hardlink(&'a str),
    /// The character device 1:3, `/dev/null`.
    Character,
    /// The block device 1:3.
    Block,
}

/// A binary package under construction.
#[derive(Clone, Debug)]
pub struct Deb {
    fields: BTreeMap<String, String>,
    control: Vec<Member>,
    data: Vec<Member>,
    damage: Option<Damage>,
    listed: Option<(String, String)>,
}

/// What is wrong with the file as a whole.
#[derive(Clone, Copy, Debug)]
enum Damage {
    /// The last half of `data.tar.xz` is not there, although `ar` promises it.
    Truncated,
    /// `data.tar` is a valid zstd stream that expands to this many MiB of zeros.
    Bomb(u64),
    /// `data.tar.xz` stands twice.
    DataTwice,
    /// There is no `data.tar` at all.
    NoData,
    /// `data.tar.xz` is not xz.
    NotXz,
}

impl Deb {
    /// An `amd64` package with nothing in it but its documentation directory.
    pub fn new(name: &str, version: &str) -> Self {
        let deb = Self { fields: BTreeMap::new(), control: Vec::new(), data: Vec::new(), damage: None, listed: None };
        deb.field("Package", name)
            .field("Version", version)
            .field("Architecture", "amd64")
            .field("Maintainer", "Nobody <nobody@example.org>")
            .field("Description", &format!("{name}, for a test"))
            .directory("usr/share/doc")
            .directory(&format!("usr/share/doc/{name}"))
    }

    /// A field of the control file, and so of the archive's index.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.insert(name.to_owned(), value.to_owned());
        self
    }

    /// `Depends`.
    pub fn depends(self, relations: &str) -> Self {
        self.field("Depends", relations)
    }

    /// `Essential: yes`, and priority `required` as Policy has it.
    pub fn essential(self) -> Self {
        self.field("Essential", "yes").field("Priority", "required")
    }

    /// A regular file, and the directories above it.
    pub fn file(self, path: &str, mode: u32, bytes: &[u8]) -> Self {
        self.parents(path).raw(&format!("./{path}"), Raw::File(mode, bytes))
    }

    /// A symbolic link, and the directories above it.
    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.parents(path).raw(&format!("./{path}"), Raw::Symlink(target))
    }

    /// A directory, and those above it.
    pub fn directory(self, path: &str) -> Self {
        let deb = self.parents(path);
        if deb.has(path) { deb } else { deb.raw(&format!("./{path}/"), Raw::Directory) }
    }

    /// A maintainer script: `preinst`, `postinst`, `prerm`, `postrm`.
    pub fn script(mut self, name: &str, text: &str) -> Self {
        let (path, bytes) = (format!("./{name}"), text.as_bytes().to_vec());
        self.control.push(Member {
            path,
            kind: EntryType::Regular,
            mode: 0o755,
            owner: 0,
            target: String::new(),
            bytes,
        });
        self
    }

    /// A member of `data.tar` exactly as said: at `../etc/passwd`, a device node, a hard link to `/etc/shadow`.
    pub fn raw(mut self, path: &str, what: Raw<'_>) -> Self {
        let (kind, mode, target, bytes) = match what {
            Raw::File(mode, bytes) => (EntryType::Regular, mode, "", bytes),
            Raw::Directory => (EntryType::Directory, 0o755, "", &b""[..]),
            Raw::Symlink(target) => (EntryType::Symlink, 0o777, target, &b""[..]),
            Raw::Hardlink(target) => (EntryType::Link, 0o644, target, &b""[..]),
            Raw::Character => (EntryType::Char, 0o666, "", &b""[..]),
            Raw::Block => (EntryType::Block, 0o666, "", &b""[..]),
        };
        self.data.push(Member { path: path.into(), kind, mode, owner: 0, target: target.into(), bytes: bytes.into() });
        self
    }

    /// The last member of `data.tar` belongs to this user and group, and has these permission bits.
    pub fn owned_by(mut self, owner: u64, mode: u32) -> Self {
        let last = self.data.last_mut().expect("a package has its documentation directory");
        (last.owner, last.mode) = (owner, mode);
        self
    }

    /// Cuts the file in the middle of `data.tar.xz`.
    pub fn truncated(mut self) -> Self {
        self.damage = Some(Damage::Truncated);
        self
    }

    /// A few kilobytes whose `data.tar` grows to `mebibytes` when it is unpacked.
    pub fn bomb(mut self, mebibytes: u64) -> Self {
        self.damage = Some(Damage::Bomb(mebibytes));
        self
    }

    /// `data.tar.xz` stands twice: which one a tool believes would be its own choice.
    pub fn data_twice(mut self) -> Self {
        self.damage = Some(Damage::DataTwice);
        self
    }

    /// No `data.tar`.
    pub fn without_data(mut self) -> Self {
        self.damage = Some(Damage::NoData);
        self
    }

    /// `data.tar.xz` holds noise.
    pub fn not_xz(mut self) -> Self {
        self.damage = Some(Damage::NotXz);
        self
    }

    /// The archive's index lists it under another name and version than its own control file says.
    pub fn listed_as(mut self, name: &str, version: &str) -> Self {
        self.listed = Some((name.to_owned(), version.to_owned()));
        self
    }

    /// `pool/main/h/hello/hello_1.0_amd64.deb`. An epoch is not part of the file's name.
    pub fn pool_path(&self) -> String {
        let (name, version) =
            self.listed.as_ref().map_or((&self.fields["Package"], &self.fields["Version"]), |(n, v)| (n, v));
        let version = version.split_once(':').map_or(version.as_str(), |(_, rest)| rest);
        let letters = if name.starts_with("lib") { &name[..4.min(name.len())] } else { &name[..1] };
        format!("pool/main/{letters}/{name}/{name}_{version}_{}.deb", self.fields["Architecture"])
    }

    /// What the archive's index says of it, but for its path, size and hash; without an empty line at its end.
    pub fn listing(&self) -> String {
        let mut fields = self.fields.clone();
        if let Some((name, version)) = self.listed.clone() {
            fields.extend([("Package".to_owned(), name), ("Version".to_owned(), version)]);
        }
        paragraph(&fields)
    }

    /// The `.deb`.
    pub fn bytes(&self) -> Vec<u8> {
        let mut control = self.control.clone();
        let paragraph = paragraph(&self.fields).into_bytes();
        let (kind, target) = (EntryType::Regular, String::new());
        control.insert(0, Member { path: "./control".into(), kind, mode: 0o644, owner: 0, target, bytes: paragraph });
        let mut ar = b"!<arch>\n".to_vec();
        append(&mut ar, "debian-binary", b"2.0\n");
        append(&mut ar, "control.tar.xz", &xz(&tar(&control)));
        let data = xz(&tar(&self.data));
        match self.damage {
            None => append(&mut ar, "data.tar.xz", &data),
            Some(Damage::Truncated) => {
                append(&mut ar, "data.tar.xz", &data);
                ar.truncate(ar.len() - data.len() / 2);
            }
            Some(Damage::Bomb(mebibytes)) => append(&mut ar, "data.tar.zst", &bomb(&self.data, mebibytes)),
            Some(Damage::DataTwice) => {
                append(&mut ar, "data.tar.xz", &data);
                append(&mut ar, "data.tar.xz", &data);
            }
            Some(Damage::NoData) => {}
            Some(Damage::NotXz) => append(&mut ar, "data.tar.xz", &b"this is not xz. ".repeat(64)),
        }
        ar
    }

    fn has(&self, path: &str) -> bool {
        self.data.iter().any(|member| member.path.trim_start_matches("./").trim_end_matches('/') == path)
    }

    fn parents(self, path: &str) -> Self {
        match path.rsplit_once('/') {
            Some((parent, _)) => self.directory(parent),
            None if self.data.is_empty() => self.raw("./", Raw::Directory),
            None => self,
        }
    }
}

/// A control paragraph, `Package` first.
fn paragraph(fields: &BTreeMap<String, String>) -> String {
    let rest = fields.iter().filter(|(name, _)| *name != "Package");
    rest.fold(format!("Package: {}\n", fields["Package"]), |text, (name, value)| format!("{text}{name}: {value}\n"))
}

/// One member of an `ar` archive: a header of 60 characters, the bytes, a newline if they are odd in number.
fn append(ar: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    ar.extend(format!("{name:<16}{MTIME:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, "100644", bytes.len()).bytes());
    ar.extend(bytes);
    if bytes.len() % 2 == 1 {
        ar.push(b'\n');
    }
}

fn header(member: &Member, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    {
        // `set_path` and `set_link_name` refuse what these tests are about.
        let fields = header.as_gnu_mut().expect("made as GNU");
        fields.name[..member.path.len()].copy_from_slice(member.path.as_bytes());
        fields.linkname[..member.target.len()].copy_from_slice(member.target.as_bytes());
    }
    header.set_entry_type(member.kind);
    header.set_mode(member.mode);
    header.set_uid(member.owner);
    header.set_gid(member.owner);
    header.set_mtime(MTIME);
    header.set_size(size);
    if matches!(member.kind, EntryType::Block | EntryType::Char) {
        header.set_device_major(1).and_then(|()| header.set_device_minor(3)).expect("GNU headers have devices");
    }
    header.set_cksum();
    header
}

fn tar(members: &[Member]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for member in members {
        let header = header(member, member.bytes.len() as u64);
        tar.append(&header, member.bytes.as_slice()).expect("writing to memory");
    }
    tar.into_inner().expect("writing to memory")
}

/// A tar of `members` and then one file of `mebibytes` zeros, as a sequence of zstd frames: 1 kB for 16 MiB.
fn bomb(members: &[Member], mebibytes: u64) -> Vec<u8> {
    const FRAME: u64 = 16;
    let compress = |bytes: &[u8]| zstd::bulk::compress(bytes, 19).expect("compressing in memory");
    let mut start = tar(members);
    start.truncate(start.len() - 1024); // the two empty blocks that end a tar
    let (path, kind) = ("./usr/share/bomb".to_owned(), EntryType::Regular);
    let file = Member { path, kind, mode: 0o644, owner: 0, target: String::new(), bytes: Vec::new() };
    start.extend(header(&file, mebibytes << 20).as_bytes());
    let zeros = compress(&vec![0; (FRAME << 20) as usize]);
    let mut stream = compress(&start);
    for _ in 0..mebibytes / FRAME {
        stream.extend(&zeros);
    }
    stream.extend(compress(&[0; 1024]));
    stream
}
