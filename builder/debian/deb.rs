//! deb(5): the binary package format.
//!
//! ```text
//! !<arch>\n                      ar(5), each member behind 60 bytes of header, padded to an even length
//!   debian-binary               "2.0\n"
//!   control.tar[.xz|.zst|.gz]   ./control ./md5sums ./conffiles ./triggers ./preinst ./postinst …
//!   data.tar[.xz|.zst|.gz]      the files, as they are to be laid below /
//! ```
//!
//! Reading gives the control member as values and the data member as a stream that cannot give more than the package says
//! it installs. Whose digest the file has is the caller's business: nothing here is asked of bytes that were not verified.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use super::package::MultiArch;
use super::version::Version;
use super::{deb822, relation};

/// A `.deb`, its control member read, its data member still packed.
#[derive(Debug)]
pub struct Deb {
    file: File,
    data: Member,
    control: BTreeMap<String, Vec<u8>>,
    fields: Fields,
}

/// The fields of the `control` file that unpacking needs (deb-control(5)), and its text.
#[derive(Clone, Debug)]
pub struct Fields {
    /// `Package`.
    pub name: String,
    /// `Version`.
    pub version: Version,
    /// `Architecture`.
    pub architecture: String,
    /// `Multi-Arch`.
    pub multi_arch: MultiArch,
    /// `Installed-Size`, in KiB; 0 where absent.
    pub installed_size: u64,
    /// `Essential: yes`.
    pub essential: bool,
    /// `Priority`; empty where absent.
    pub priority: String,
    /// Names in `Pre-Depends`: all of (any of).
    pub pre_depends: Vec<Vec<String>>,
    /// Names in `Depends`: all of (any of).
    pub depends: Vec<Vec<String>>,
    /// Names in `Provides`.
    pub provides: Vec<String>,
    /// `Source`, without its version; `Package` where absent.
    pub source: String,
    /// All of it, without an empty line at its end.
    pub text: String,
}

/// Why a file is not a package that can be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// Reading failed.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// The container is not what deb(5) says.
    #[error("it is not a Debian package: {0}")]
    Format(String),
    /// A field is missing or wrong.
    #[error("its control file is wrong: {0}")]
    Control(String),
}

#[derive(Clone, Copy, Debug)]
struct Member {
    offset: u64,
    size: u64,
    compression: Compression,
}

#[derive(Clone, Copy, Debug)]
enum Compression {
    None,
    Gzip,
    Xz,
    Zstd,
}

/// Control members are scripts and lists; the largest of Debian 13 (a kernel's md5sums) has a few MB.
const CONTROL_LIMIT: u64 = 64 << 20;

impl Deb {
    /// Reads the container and the control member of `file`.
    ///
    /// # Errors
    /// It cannot be read, is not a package, or its control file lacks what deb-control(5) demands.
    pub fn read(mut file: File) -> Result<Self, DebError> {
        let members = members(&mut file)?;
        let wrong = |what: &str| DebError::Format(what.to_owned());
        match members.first() {
            Some((name, member)) if name == "debian-binary" => {
                let mut text = String::new();
                open(&file, *member)?.take(64).read_to_string(&mut text)?;
                if !text.starts_with("2.") {
                    return Err(DebError::Format(format!("its format version is {:?}, not 2.x", text.trim())));
                }
            }
            _ => return Err(wrong("its first member is not `debian-binary`")),
        }
        let find = |stem: &str| {
            let mut found = members.iter().filter(|(name, _)| name == stem || name.starts_with(&format!("{stem}.")));
            match (found.next(), found.next()) {
                (Some((name, member)), None) => Ok(Member { compression: compression(name)?, ..*member }),
                (None, _) => Err(DebError::Format(format!("it has no `{stem}` member"))),
                (Some(_), Some(_)) => Err(DebError::Format(format!("it has two `{stem}` members"))),
            }
        };
        let (control, data) = (find("control.tar")?, find("data.tar")?);
        let control = read_control(open(&file, control)?.take(CONTROL_LIMIT))?;
        let text = control.get("control").ok_or_else(|| wrong("its control member has no `control` file"))?;
        let fields = Fields::parse(&String::from_utf8_lossy(text)).map_err(DebError::Control)?;
        Ok(Self { file, data, control, fields })
    }

    /// What the `control` file says.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The files of the control member by name, `control` among them.
    pub fn control(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.control
    }

    /// The data member, unpacked as it is read: a tar archive.
    ///
    /// It ends with an error where it gives more than twice `Installed-Size` (which the package says of itself) or two hundred
    /// times its own size (real ones have less than twenty), and 64 MiB: a decompression bomb.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn data(&self) -> io::Result<impl Read + Send + use<>> {
        let honest = self.fields.installed_size.saturating_mul(2 * 1024);
        let plausible = self.data.size.saturating_mul(200);
        let limit = honest.min(plausible).saturating_add(64 << 20);
        Ok(Limited { inner: open(&self.file, self.data)?, left: limit, installed_size: self.fields.installed_size })
    }
}

impl Fields {
    /// Reads a `control` file.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim_end_matches('\n');
        let table = deb822::only_paragraph(text).map_err(|error| error.to_string())?;
        let field = |name: &str| table.get(name).map(str::trim);
        let needed = |name: &str| field(name).ok_or_else(|| format!("it has no `{name}` field"));
        let name = needed("Package")?;
        if !relation::is_package_name(name) {
            return Err(format!("`{name}` cannot be a package's name"));
        }
        let relations = |name: &str| -> Result<Vec<Vec<String>>, String> {
            let all = relation::parse_depends(field(name).unwrap_or_default())
                .map_err(|error| format!("`{name}`: {error}"))?;
            Ok(all.into_iter().map(|any| any.into_iter().map(|relation| relation.name).collect()).collect())
        };
        let source = field("Source").and_then(|source| source.split_whitespace().next()).unwrap_or(name);
        Ok(Self {
            name: name.to_owned(),
            source: source.to_owned(),
            priority: field("Priority").unwrap_or_default().to_owned(),
            essential: field("Essential") == Some("yes"),
            pre_depends: relations("Pre-Depends")?,
            depends: relations("Depends")?,
            provides: relations("Provides")?.into_iter().flatten().collect(),
            version: needed("Version")?.parse().map_err(|error| format!("`Version`: {error}"))?,
            architecture: needed("Architecture")?.to_owned(),
            multi_arch: match field("Multi-Arch") {
                None | Some("no") => MultiArch::No,
                Some("same") => MultiArch::Same,
                Some("foreign") => MultiArch::Foreign,
                Some("allowed") => MultiArch::Allowed,
                Some(other) => return Err(format!("`Multi-Arch: {other}` is not one of no, same, foreign, allowed")),
            },
            installed_size: field("Installed-Size").and_then(|size| size.parse().ok()).unwrap_or(0),
            text: text.to_owned(),
        })
    }
}

/// The members of an ar(5) archive: name, where, how long.
fn members(file: &mut File) -> Result<Vec<(String, Member)>, DebError> {
    let wrong = |what: &str| DebError::Format(what.to_owned());
    let end = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    let mut magic = [0; 8];
    if end < 8 || file.read_exact(&mut magic).is_err() || &magic != b"!<arch>\n" {
        return Err(wrong("it does not begin as an ar archive"));
    }
    let (mut members, mut offset) = (Vec::new(), 8);
    while offset + 60 <= end {
        let mut header = [0; 60];
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(&mut header)?;
        let text = |range: std::ops::Range<usize>| String::from_utf8_lossy(&header[range]).trim_end().to_owned();
        let size: u64 = text(48..58).parse().map_err(|_| wrong("the header of a member has no size"))?;
        if &header[58..] != b"`\n" {
            return Err(wrong("the header of a member has no end"));
        }
        let name = text(0..16).trim_end_matches('/').to_owned();
        if offset + 60 + size > end {
            return Err(DebError::Format(format!("its member `{name}` is cut short")));
        }
        members.push((name, Member { offset: offset + 60, size, compression: Compression::None }));
        offset += 60 + size + size % 2;
    }
    Ok(members)
}

fn compression(name: &str) -> Result<Compression, DebError> {
    match name.rsplit_once(".tar").map(|(_, rest)| rest) {
        Some("") => Ok(Compression::None),
        Some(".gz") => Ok(Compression::Gzip),
        Some(".xz") => Ok(Compression::Xz),
        Some(".zst") => Ok(Compression::Zstd),
        _ => Err(DebError::Format(format!(
            "`{name}` is compressed in a way that is not known here (xz, zst and gz are)"
        ))),
    }
}

fn open(file: &File, member: Member) -> io::Result<Box<dyn Read + Send>> {
    let packed =
        BufReader::with_capacity(128 << 10, Part { file: file.try_clone()?, at: member.offset, left: member.size });
    Ok(match member.compression {
        Compression::None => Box::new(packed),
        Compression::Gzip => Box::new(flate2::bufread::GzDecoder::new(packed)),
        Compression::Xz => Box::new(liblzma::bufread::XzDecoder::new(packed)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(packed)?),
    })
}

/// A part of a file, read by position: the file's own offset is shared with nobody.
struct Part {
    file: File,
    at: u64,
    left: u64,
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use std::os::unix::fs::FileExt;
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.file.read_at(&mut buffer[..most], self.at)?;
        if read == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

struct Limited<R> {
    inner: R,
    left: u64,
    installed_size: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            io::Error::other(format!(
                "it unpacks to far more than the {} KiB that its `Installed-Size` says: a decompression bomb",
                self.installed_size
            ))
        })?;
        Ok(read)
    }
}

/// The files of a control member. Only plain files directly below it count; nothing else has a meaning there.
fn read_control(member: impl Read) -> Result<BTreeMap<String, Vec<u8>>, DebError> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(member).entries()? {
        let mut entry = entry?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
        if !entry.header().entry_type().is_file() || path.is_empty() {
            continue;
        }
        if path.contains('/') || path.starts_with('.') {
            return Err(DebError::Format(format!("its control member holds `{path}`, which has no place there")));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        files.insert(path, bytes);
    }
    Ok(files)
}
