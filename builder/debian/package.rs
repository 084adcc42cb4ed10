//! One binary package as an archive's `Packages` index describes it (Debian Policy §5.3, deb-control(5), the
//! repository format's `Packages`).
//!
//! Only the fields that choose, fetch or install a package are read; all others are passed over. What an index says is
//! believed as far as its signature goes, and no further: a `Filename` that leads out of the archive, an entry without
//! SHA-256, a version that is none are errors that name the package and the field, not something to guess about. The
//! weaker hashes (`MD5sum`, `SHA1`) are never looked at.

use std::str::FromStr;

use super::deb822::{self, Deb822Error, Paragraph, Problem};
use super::relation::{NotARelation, Operator, Relation, is_package_name, parse_depends, parse_list};
use super::version::{NotAVersion, Version};
use crate::digest::{Digest, NotADigest};

/// deb-control(5) `Multi-Arch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum MultiArch {
    /// absent, or `no`
    #[default]
    No,
    /// `same`
    Same,
    /// `foreign`
    Foreign,
    /// `allowed`
    Allowed,
}

/// A binary package that an archive offers.
#[derive(Clone, Debug)]
pub struct Package {
    /// `Package`.
    pub name: String,
    /// `Version`.
    pub version: Version,
    /// `Architecture`: `amd64`, or `all`.
    pub architecture: String,
    /// `Multi-Arch`.
    pub multi_arch: MultiArch,
    /// `Essential: yes`.
    pub essential: bool,
    /// `Priority`, as written (`required`, `important`, `standard`, `optional`, `extra`); `optional` where it is absent.
    pub priority: String,
    /// Name of the source package: `Source` without its version, else `Package`.
    pub source: String,
    /// Version of the source package: the one in `Source`, else `Version`.
    pub source_version: Version,
    /// `Pre-Depends`: all of (any of).
    pub pre_depends: Vec<Vec<Relation>>,
    /// `Depends`: all of (any of).
    pub depends: Vec<Vec<Relation>>,
    /// `Recommends`: all of (any of).
    pub recommends: Vec<Vec<Relation>>,
    /// `Conflicts`.
    pub conflicts: Vec<Relation>,
    /// `Breaks`.
    pub breaks: Vec<Relation>,
    /// `Provides`: names, each with its version if it has one (`= v`).
    pub provides: Vec<(String, Option<Version>)>,
    /// `Filename`, below the archive's root. Relative, without `.` and `..`.
    pub filename: String,
    /// `Size`, in bytes.
    pub size: u64,
    /// `SHA256`.
    pub sha256: Digest,
    /// `Installed-Size`, in KiB; zero where it is absent.
    pub installed_size: u64,
}

/// Why a `Packages` index can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PackagesError {
    /// The text itself is not deb822.
    #[error("the index of packages is malformed: {0}")]
    Malformed(#[from] Deb822Error),
    /// A package's field is missing or says what it can't say.
    #[error("the index of packages is malformed: package {package} (line {line}): {field}: {problem}")]
    Field {
        /// `Package`, or `?` where it has no name.
        package: String,
        /// The first line of its paragraph, from 1.
        line: usize,
        /// The field's name.
        field: &'static str,
        /// What is wrong with it.
        problem: FieldProblem,
    },
}

/// What can be wrong with a field of a package.
#[derive(Debug, thiserror::Error)]
pub enum FieldProblem {
    /// It must be there.
    #[error("the field is missing")]
    Missing,
    /// `Package`, or a name in `Source` or `Provides`.
    #[error("`{0}` can't be the name of a package")]
    Name(String),
    /// `Filename`, which is joined to the archive's address.
    #[error("`{0}` is not a path below the archive's root")]
    Path(String),
    /// `Size`, `Installed-Size`.
    #[error("`{0}` is not a number")]
    Number(String),
    /// `Essential`, `Multi-Arch`, `Architecture`.
    #[error("`{0}` is none of the words that can stand there")]
    Word(String),
    /// `Provides` admits only `(= version)`.
    #[error("`{0}` provides a range of versions; only (= version) can be provided")]
    Range(String),
    /// `Version`, or the one in `Source`.
    #[error(transparent)]
    Version(#[from] NotAVersion),
    /// A field of relations.
    #[error(transparent)]
    Relation(#[from] NotARelation),
    /// `SHA256`.
    #[error(transparent)]
    Digest(#[from] NotADigest),
}

/// Reads a `Packages` index (uncompressed).
///
/// # Errors
/// The first paragraph that is malformed or describes what can't be a package.
pub fn parse_packages(index: &[u8]) -> Result<Vec<Package>, PackagesError> {
    let text = deb822::text(index)?;
    let mut packages = Vec::with_capacity(text.len() / PARAGRAPH_SIZE);
    for paragraph in deb822::paragraphs(text) {
        packages.push(Package::parse(&paragraph)?);
    }
    Ok(packages)
}

/// About the number of bytes that describe one package; in Debian 13, 822.
const PARAGRAPH_SIZE: usize = 800;

/// A field that is read; all others are passed over.
#[derive(Clone, Copy)]
enum Wanted {
    Package,
    Version,
    Architecture,
    MultiArch,
    Essential,
    Priority,
    Source,
    PreDepends,
    Depends,
    Recommends,
    Conflicts,
    Breaks,
    Provides,
    Filename,
    Size,
    Sha256,
    InstalledSize,
}

/// Their names, in the order of [`Wanted`].
const WANTED: [&str; 17] = [
    "Package",
    "Version",
    "Architecture",
    "Multi-Arch",
    "Essential",
    "Priority",
    "Source",
    "Pre-Depends",
    "Depends",
    "Recommends",
    "Conflicts",
    "Breaks",
    "Provides",
    "Filename",
    "Size",
    "SHA256",
    "Installed-Size",
];

impl Package {
    /// Reads one paragraph of a `Packages` index.
    ///
    /// # Errors
    /// A line that is no field, a field that stands twice, a missing field, or one that says what it can't say.
    pub fn parse(paragraph: &Paragraph<'_>) -> Result<Self, PackagesError> {
        let written = Written::scan(paragraph)?;
        let name = written.require(Wanted::Package, package_name)?;
        let version: Version = written.require(Wanted::Version, str::parse)?;
        let source = written.read(Wanted::Source, source)?;
        let (source, source_version) = source.unwrap_or_else(|| (name.clone(), None));
        Ok(Self {
            source_version: source_version.unwrap_or_else(|| version.clone()),
            source,
            name,
            version,
            architecture: written.require(Wanted::Architecture, architecture)?,
            multi_arch: written.read(Wanted::MultiArch, str::parse)?.unwrap_or_default(),
            essential: written.read(Wanted::Essential, yes_or_no)?.unwrap_or(false),
            priority: written.get(Wanted::Priority).unwrap_or("optional").to_owned(),
            pre_depends: written.read(Wanted::PreDepends, parse_depends)?.unwrap_or_default(),
            depends: written.read(Wanted::Depends, parse_depends)?.unwrap_or_default(),
            recommends: written.read(Wanted::Recommends, parse_depends)?.unwrap_or_default(),
            conflicts: written.read(Wanted::Conflicts, parse_list)?.unwrap_or_default(),
            breaks: written.read(Wanted::Breaks, parse_list)?.unwrap_or_default(),
            provides: written.read(Wanted::Provides, provides)?.unwrap_or_default(),
            filename: written.require(Wanted::Filename, path_below_root)?,
            size: written.require(Wanted::Size, number)?,
            sha256: written.require(Wanted::Sha256, str::parse)?,
            installed_size: written.read(Wanted::InstalledSize, number)?.unwrap_or(0),
        })
    }
}

/// The wanted fields of one paragraph, as written.
struct Written<'a> {
    paragraph: &'a Paragraph<'a>,
    values: [Option<&'a str>; WANTED.len()],
}

impl<'a> Written<'a> {
    fn scan(paragraph: &'a Paragraph<'a>) -> Result<Self, Deb822Error> {
        let mut values = [None; WANTED.len()];
        for field in paragraph.fields() {
            let field = field?;
            // Looking at the length first settles nearly every comparison.
            let is_this = |name: &&str| name.len() == field.name.len() && field.is(name);
            let Some(slot) = WANTED.iter().position(is_this) else { continue };
            if values[slot].replace(field.value).is_some() {
                return Err(paragraph.error_at(&field, Problem::Twice(field.name.to_owned())));
            }
        }
        Ok(Self { paragraph, values })
    }

    /// The field's value, if it is there and not empty.
    fn get(&self, field: Wanted) -> Option<&'a str> {
        self.values[field as usize].filter(|value| !value.is_empty())
    }

    /// What `parse` makes of the field, if it is there.
    fn read<T, E>(&self, field: Wanted, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<Option<T>, PackagesError>
    where
        E: Into<FieldProblem>,
    {
        self.get(field).map(|value| parse(value).map_err(|problem| self.error(field, problem.into()))).transpose()
    }

    /// What `parse` makes of the field, which must be there.
    fn require<T, E>(&self, field: Wanted, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<T, PackagesError>
    where
        E: Into<FieldProblem>,
    {
        self.read(field, parse)?.ok_or_else(|| self.error(field, FieldProblem::Missing))
    }

    fn error(&self, field: Wanted, problem: FieldProblem) -> PackagesError {
        PackagesError::Field {
            package: self.get(Wanted::Package).unwrap_or("?").to_owned(),
            line: self.paragraph.line(),
            field: WANTED[field as usize],
            problem,
        }
    }
}

fn package_name(value: &str) -> Result<String, FieldProblem> {
    if is_package_name(value) { Ok(value.to_owned()) } else { Err(FieldProblem::Name(value.to_owned())) }
}

/// `name`, or `name (version)`.
fn source(value: &str) -> Result<(String, Option<Version>), FieldProblem> {
    let Some((name, version)) = value.split_once('(') else { return Ok((package_name(value)?, None)) };
    let version = version.trim_end().strip_suffix(')').unwrap_or(version).trim();
    Ok((package_name(name.trim_end())?, Some(version.parse()?)))
}

fn architecture(value: &str) -> Result<String, FieldProblem> {
    let is_word = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if is_word { Ok(value.to_owned()) } else { Err(FieldProblem::Word(value.to_owned())) }
}

impl FromStr for MultiArch {
    type Err = FieldProblem;

    fn from_str(value: &str) -> Result<Self, FieldProblem> {
        match value {
            "no" => Ok(Self::No),
            "same" => Ok(Self::Same),
            "foreign" => Ok(Self::Foreign),
            "allowed" => Ok(Self::Allowed),
            other => Err(FieldProblem::Word(other.to_owned())),
        }
    }
}

fn yes_or_no(value: &str) -> Result<bool, FieldProblem> {
    match value {
        "yes" => Ok(true),
        "no" => Ok(false),
        other => Err(FieldProblem::Word(other.to_owned())),
    }
}

fn provides(value: &str) -> Result<Vec<(String, Option<Version>)>, FieldProblem> {
    let provided = |relation: Relation| match relation {
        Relation { qualifier: Some(_), .. } => Err(FieldProblem::Name(relation.to_string())),
        Relation { name, version: None, .. } => Ok((name, None)),
        Relation { name, version: Some((Operator::Equal, version)), .. } => Ok((name, Some(version))),
        range => Err(FieldProblem::Range(range.to_string())),
    };
    parse_list(value)?.into_iter().map(provided).collect::<Result<_, _>>()
}

/// `value`, if joining it to an archive's address can't lead out of the archive. The `./` of flat archives is dropped.
fn path_below_root(value: &str) -> Result<String, FieldProblem> {
    let path = value.strip_prefix("./").unwrap_or(value);
    let is_foreign = |c: char| c.is_whitespace() || c.is_control() || ['?', '#', '\\'].contains(&c);
    if path.contains(is_foreign) || path.split('/').any(|name| ["", ".", ".."].contains(&name)) {
        return Err(FieldProblem::Path(value.to_owned()));
    }
    Ok(path.to_owned())
}

fn number(value: &str) -> Result<u64, FieldProblem> {
    let digits_only = value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| digits_only).ok_or_else(|| FieldProblem::Number(value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NGINX: &str = "\
Package: nginx
Source: nginx-src (1.26.3-2)
Version: 1.26.3-2+b1
Installed-Size: 1234
Maintainer: Somebody <somebody@example.org>
Architecture: amd64
Provides: httpd, httpd-cgi, nginx-abi (= 1.26.3-1)
Pre-Depends: init-system-helpers (>= 1.54~)
Depends: libc6 (>= 2.38), iproute2 | net-tools,
 perl:any
Conflicts: nginx-old
Breaks: nginx-common (<< 1.26)
Priority: optional
Multi-Arch: foreign
Essential: yes
Filename: pool/main/n/nginx/nginx_1.26.3-2+b1_amd64.deb
Size: 606860
MD5sum: nonsense, never looked at
SHA256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
";

    fn error(index: &str) -> String {
        parse_packages(index.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_paragraph_becomes_a_package() {
        let packages = parse_packages(NGINX.as_bytes()).unwrap();
        let [nginx] = packages.as_slice() else { panic!("one package") };
        assert_eq!((nginx.name.as_str(), nginx.version.as_str()), ("nginx", "1.26.3-2+b1"));
        assert_eq!((nginx.source.as_str(), nginx.source_version.as_str()), ("nginx-src", "1.26.3-2"));
        assert_eq!((nginx.architecture.as_str(), nginx.multi_arch), ("amd64", MultiArch::Foreign));
        assert!(nginx.essential);
        assert_eq!(nginx.pre_depends[0][0].to_string(), "init-system-helpers (>= 1.54~)");
        assert_eq!(nginx.depends.iter().map(Vec::len).collect::<Vec<_>>(), [1, 2, 1]);
        assert_eq!(nginx.conflicts[0].to_string(), "nginx-old");
        assert_eq!(nginx.breaks[0].to_string(), "nginx-common (<< 1.26)");
        assert_eq!(nginx.provides[1], ("httpd-cgi".to_owned(), None));
        assert_eq!(nginx.provides[2], ("nginx-abi".to_owned(), Some("1.26.3-1".parse().unwrap())));
        assert_eq!((nginx.size, nginx.installed_size), (606_860, 1234));
        assert_eq!(nginx.sha256, Digest::of(b""));
    }

    #[test]
    fn what_is_absent_has_its_documented_value() {
        let index = "Package: a\nVersion: 1\nArchitecture: all\nFilename: ./a.deb\nSize: 1\nSHA256: \
                     e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n";
        let package = parse_packages(index.as_bytes()).unwrap().remove(0);
        assert_eq!((package.source.as_str(), package.source_version.as_str()), ("a", "1"));
        assert_eq!((package.priority.as_str(), package.multi_arch), ("optional", MultiArch::No));
        assert_eq!((package.essential, package.installed_size), (false, 0));
        assert_eq!(package.filename, "a.deb");
        assert!(package.depends.is_empty() && package.provides.is_empty());
    }

    #[test]
    fn an_error_names_package_line_and_field() {
        let second = NGINX.replace("Size: 606860", "Size: +606860");
        assert_eq!(
            error(&format!("{NGINX}\n{second}")),
            "the index of packages is malformed: package nginx (line 21): Size: `+606860` is not a number"
        );
    }

    #[test]
    fn what_can_not_be_a_package_is_refused() {
        for (field, other, message) in [
            ("Package: nginx", "Package: ../nginx", "`../nginx` can't be the name of a package"),
            ("Package: nginx", "Pack: nginx", "package ? (line 1): Package: the field is missing"),
            ("Version: 1.26.3-2+b1", "Version: 1 2", "`1 2` is not a Debian version"),
            ("Multi-Arch: foreign", "Multi-Arch: maybe", "`maybe` is none of the words that can stand there"),
            ("Essential: yes", "Essential: true", "`true` is none of the words that can stand there"),
            ("Architecture: amd64", "Architecture: a/b", "`a/b` is none of the words that can stand there"),
            ("libc6 (>= 2.38)", "libc6 (2.38)", "Depends: `libc6 (2.38)` is not a relation between packages"),
            ("nginx-abi (=", "nginx-abi (>=", "only (= version) can be provided"),
            ("SHA256: e3", "SHA256: 3", "is not a SHA-256 digest"),
            ("SHA256: ", "SHA1: ", "SHA256: the field is missing"),
            ("Size: 606860", "size: 606860\nSIZE: 1", "the field `SIZE` stands twice"),
        ] {
            assert!(NGINX.contains(field));
            let found = error(&NGINX.replacen(field, other, 1));
            assert!(found.contains(message), "{other}: {found}");
        }
    }

    #[test]
    fn a_file_name_can_not_lead_out_of_the_archive() {
        for path in
            ["/etc/passwd", "../a", "pool/../../a", "pool//a", "pool/./a", "pool/", "a?b", "a b", "a#b", "a\\b", "./"]
        {
            let found = error(&NGINX.replace("pool/main/n/nginx/nginx_1.26.3-2+b1_amd64.deb", path));
            assert!(found.contains("Filename: "), "{path}: {found}");
        }
    }
}
