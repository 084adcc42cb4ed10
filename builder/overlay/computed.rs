//! The files of an image that are computed from its recipe: an overlay like the others, laid after them.
//!
//! ```text
//! [firewall] ──firewall::rules──▶ etc/iptables/rules.v4, rules.v6
//! [fail2ban] ──jails::jails───▶ etc/fail2ban/…
//! name, peers, destinations ────▶ usr/lib/goldsmith/image.json       what the image declares of itself, for its units
//! ```
//!
//! Each comes from a named pure function, and its digest is part of the plan's.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::firewall::{self, Family};
use super::jails::jails;
use super::{Laid, LaidKind, Overlay, load};
use crate::digest::Digest;
use crate::recipe::Recipe;
use crate::recipe::firewall::{Firewall, Ports, Protocol};

/// A file: its path, mode, text, and why it is there.
type File = (String, u32, String, &'static str);

/// What `recipe` says about files, as files. An overlay without entries: it says nothing. `plan` is what the image is to know
/// itself by: the digest of everything else that decides its root file system.
pub fn of(recipe: &Recipe, plan: Option<&Digest>) -> Overlay {
    let mut files: Vec<File> = Vec::new();
    if let Some(wall) = &recipe.firewall {
        let why = "from [firewall]; which ports are open to whom helps an intruder, so only root reads it";
        files.push(("etc/iptables/rules.v4".to_owned(), 0o600, firewall::rules(wall, Family::V4), why));
        files.push(("etc/iptables/rules.v6".to_owned(), 0o600, firewall::rules(wall, Family::V6), why));
        let why = "what the image declares of itself: its units open no hole that is not declared here";
        files.push(("usr/lib/goldsmith/image.json".to_owned(), 0o644, declaration(&recipe.name, plan, wall), why));
    }
    let why = "from [fail2ban]; opens with the reasons itself";
    files.extend(jails(&recipe.fail2ban).into_iter().map(|(path, text)| (path, 0o644, text, why)));
    let entries: BTreeMap<String, Laid> = files.into_iter().map(laid).collect();
    Overlay {
        name: "recipe".to_owned(),
        description: format!("what recipes/{}.toml says about files", recipe.name),
        requires: BTreeMap::new(),
        digest: load::digest(&entries, &BTreeMap::new(), &BTreeMap::new()),
        entries,
        remove: BTreeMap::new(),
        change: BTreeMap::new(),
        warnings: Vec::new(),
    }
}

fn laid((path, mode, text, why): File) -> (String, Laid) {
    let kind = LaidKind::File { digest: Digest::of(text.as_bytes()), bytes: text.into_bytes().into() };
    let root = || "root".to_owned();
    (path, Laid { kind, mode, owner: root(), group: root(), why: why.to_owned() })
}

/// `image.json`: `{"name":"db","plan":"sha256:…","peers":{"api":{"ports":[22,3306]}},"egress":{}}`; a range of ports is a string.
fn declaration(name: &str, plan: Option<&Digest>, firewall: &Firewall) -> String {
    #[derive(Serialize)]
    struct Declaration<'a> {
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        plan: Option<&'a Digest>,
        peers: BTreeMap<&'a str, Open>,
        egress: BTreeMap<&'a str, Open>,
    }
    let declaration = Declaration { name, plan, peers: open(firewall.peers()), egress: open(firewall.destinations()) };
    // Plain maps of strings and numbers: writing them cannot fail.
    serde_json::to_string(&declaration).unwrap_or_default() + "\n"
}

/// The ports of one name.
#[derive(Serialize)]
struct Open {
    ports: Vec<serde_json::Value>,
}

fn open(names: BTreeMap<&str, Vec<(Protocol, Ports)>>) -> BTreeMap<&str, Open> {
    let value = |ports: Ports| match ports.first == ports.last {
        true => ports.first.into(),
        false => ports.to_string().into(),
    };
    let sorted = |list: Vec<(Protocol, Ports)>| list.into_iter().map(|(_, ports)| ports).collect::<BTreeSet<_>>();
    names
        .into_iter()
        .map(|(name, list)| (name, Open { ports: sorted(list).into_iter().map(value).collect() }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::project::Project;
    use std::fs;
    use std::path::Path;

    /// The text of a file that is computed for this project's recipe `name`.
    fn computed(name: &str, path: &str) -> String {
        let project = Project::find(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        let overlay = of(&project.load(name).unwrap().recipe, None);
        let LaidKind::File { bytes, .. } = &overlay.entries[path].kind else { panic!("{path} is no file") };
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn the_rules_of_both_roles_are_those_that_were_read_and_loaded() {
        for name in ["api", "db"] {
            for file in ["rules.v4", "rules.v6"] {
                let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/firewall/{name}.{file}"));
                let rules = computed(name, &format!("etc/iptables/{file}"));
                if std::env::var_os("GOLDSMITH_BLESS").is_some() {
                    fs::create_dir_all(golden.parent().unwrap()).unwrap();
                    fs::write(&golden, &rules).unwrap();
                }
                assert_eq!(rules, fs::read_to_string(&golden).unwrap(), "{name} {file}: GOLDSMITH_BLESS=1 rewrites it");
            }
        }
    }

    #[test]
    fn the_image_declares_the_peers_that_its_instance_may_be_told_of() {
        let declared = computed("db", "usr/lib/goldsmith/image.json");
        assert_eq!(declared, "{\"name\":\"db\",\"peers\":{\"api\":{\"ports\":[22,3306]}},\"egress\":{}}\n");
        assert_eq!(computed("api", "usr/lib/goldsmith/image.json"), "{\"name\":\"api\",\"peers\":{},\"egress\":{}}\n");
    }

    #[test]
    fn the_image_knows_the_plan_that_it_was_made_by() {
        let project = Project::find(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        let overlay = of(&project.load("api").unwrap().recipe, Some(&Digest::of(b"x")));
        let LaidKind::File { bytes, .. } = &overlay.entries["usr/lib/goldsmith/image.json"].kind else { panic!() };
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(text.contains(&format!("\"name\":\"api\",\"plan\":\"{}\"", Digest::of(b"x"))), "{text}");
    }

    #[test]
    fn a_recipe_without_a_firewall_computes_nothing() {
        let project = Project::find(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert!(of(&project.load("toolbox").unwrap().recipe, None).entries.is_empty());
    }
}
