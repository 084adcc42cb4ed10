//! Archives of a few packages, for the tests of this folder.
//!
//! One package a line, `name version`, then its fields, each after a semicolon: `a 1; Depends: b | c (>= 2); Essential: yes`.

use super::resolve::resolve;
use super::unsatisfiable::Unsatisfiable;
use super::wish::{Solution, Wish};
use crate::debian::index::{Index, Source};
use crate::debian::package::parse_packages;
use crate::debian::relation::parse_depends;

/// An archive called `name`, at a priority.
pub fn source(name: &str, priority: i32, packages: &str) -> Source {
    let stanzas: Vec<String> = packages
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| {
            let mut fields = line.split(';').map(str::trim);
            let (package, version) = fields.next().unwrap().split_once(' ').unwrap();
            let mut stanza =
                format!("Package: {package}\nVersion: {version}\nFilename: pool/{package}_{version}.deb\nSize: 7\n");
            stanza += &format!("SHA256: {}\n", "a7".repeat(32));
            if !line.contains("Architecture:") {
                stanza += "Architecture: amd64\n";
            }
            fields.for_each(|field| stanza += &format!("{field}\n"));
            stanza
        })
        .collect();
    let packages = parse_packages(stanzas.join("\n").as_bytes()).unwrap();
    Source { name: name.to_owned(), priority, only: Vec::new(), packages }
}

/// An index of one archive, `trixie`.
pub fn index(packages: &str) -> Index {
    Index::new(vec![source("trixie", 500, packages)])
}

/// `recipe api` asks for each of `packages`, `a, b | c (>= 2)`.
pub fn wish(packages: &str) -> Wish {
    let groups = parse_depends(packages).unwrap();
    Wish { packages: groups.into_iter().map(|group| (group, "recipe api".to_owned())).collect(), ..Wish::default() }
}

/// The solution as `a=1 b=2`.
pub fn written(solution: &Solution, index: &Index) -> String {
    let one = |(name, chosen): (&String, &super::wish::Chosen)| format!("{name}={}", index.package(chosen.id).version);
    solution.packages.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// Resolves, proves, and writes the solution.
pub fn solved(wish: &Wish, index: &Index) -> String {
    let solution = resolve(wish, index).unwrap_or_else(|reasons| panic!("{reasons}"));
    super::check::prove(&solution, wish, index).unwrap_or_else(|wrong| panic!("{wrong:#?}"));
    written(&solution, index)
}

/// The reasons why there is no solution.
pub fn refused(wish: &Wish, index: &Index) -> Unsatisfiable {
    resolve(wish, index).map(|solution| written(&solution, index)).expect_err("there is a solution")
}
