//! What must be satisfied, and who says so.

use std::fmt;

use super::wish::Wish;
use crate::debian::package::Package;
use crate::debian::relation::Relation;

/// An or-group of which one must be there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask<'a> {
    /// Any of these will do.
    pub(super) alternatives: &'a [Relation],
    /// Who needs one of them.
    pub(super) by: By<'a>,
}

/// Who asks; written as the lock says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By<'a> {
    /// Somebody outside: `recipe api`, `essential`. A name then means the package of this name, if there is one, and not
    /// another that provides it: who asks for `libapache2-mod-php` gets it, and not only `libapache2-mod-php8.4`.
    Wish(&'a str),
    /// A chosen package, in this field: `apache2 Depends`.
    Package(&'a str, &'static str),
}

impl fmt::Display for By<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wish(by) => f.write_str(by),
            Self::Package(name, field) => write!(f, "{name} {field}"),
        }
    }
}

/// What a wish asks for in so many words.
pub(super) fn wished(wish: &Wish) -> impl Iterator<Item = Ask<'_>> {
    wish.packages.iter().map(|(alternatives, by)| Ask { alternatives, by: By::Wish(by) })
}

/// What a package asks for if it is chosen.
pub(super) fn asked(package: &Package, recommends: bool) -> impl Iterator<Item = Ask<'_>> {
    let fields = [
        ("Pre-Depends", package.pre_depends.as_slice()),
        ("Depends", package.depends.as_slice()),
        ("Recommends", if recommends { package.recommends.as_slice() } else { &[] }),
    ];
    fields.into_iter().flat_map(move |(field, groups)| {
        groups.iter().map(move |alternatives| Ask { alternatives, by: By::Package(&package.name, field) })
    })
}
