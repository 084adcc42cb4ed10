//! What lies in the images: exactly the packages of the lock, configured; and nothing of the machine that built them.

use std::collections::BTreeMap;

use super::{IMAGES, Layout, Node, images, lock};

type Tree = BTreeMap<String, Node>;

fn text<'a>(tree: &'a Tree, path: &str) -> &'a str {
    let node = tree.get(path).unwrap_or_else(|| panic!("there is no {path}"));
    std::str::from_utf8(&node.bytes).expect("UTF-8")
}

fn tree(image: &str) -> Tree {
    Layout::of(images(), image).tree()
}

#[test]
fn dpkg_knows_exactly_the_packages_of_the_lock_and_all_are_configured() {
    for image in IMAGES {
        let lock = lock(image);
        let locked: BTreeMap<_, _> = lock["package"]
            .as_array()
            .expect("packages")
            .iter()
            .map(|package| (package["name"].as_str().expect("a name"), package["version"].as_str().expect("a version")))
            .collect();
        let tree = tree(image);
        let mut installed = BTreeMap::new();
        for paragraph in
            text(&tree, "var/lib/dpkg/status").split("\n\n").filter(|paragraph| !paragraph.trim().is_empty())
        {
            let field = |name: &str| {
                let value = paragraph.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                value.unwrap_or_else(|| panic!("no {name} in {paragraph}"))
            };
            assert_eq!(field("Status"), "install ok installed", "{image}: {}", field("Package"));
            installed.insert(field("Package"), field("Version"));
        }
        assert_eq!(installed, locked, "{image}");
    }
}

#[test]
fn a_complete_system_is_in_each_image() {
    for image in IMAGES {
        let tree = tree(image);
        for path in ["usr/lib/systemd/systemd", "usr/sbin/sshd", "usr/bin/cloud-init", "usr/bin/dpkg"] {
            assert!(tree.contains_key(path), "{image} has no {path}");
        }
        assert!(tree.keys().any(|path| path.starts_with("boot/vmlinuz-")), "{image} has no kernel");
        assert!(tree.keys().any(|path| path.starts_with("boot/initrd.img-")), "{image} has no initial RAM disk");
    }
    assert!(tree("api").contains_key("usr/sbin/apache2"), "api serves");
    assert!(tree("db").keys().any(|path| path == "usr/sbin/mariadbd" || path == "usr/sbin/mysqld"), "db stores");
}

/// Each line: what would make two machines from one image alike, or two builds differ.
#[test]
fn nothing_of_one_machine_or_one_build_is_left() {
    let gone: [(&str, &str); 12] = [
        ("etc/ssh/ssh_host_", "every machine would have the same host key"),
        ("var/lib/dbus/machine-id", "every machine would be the same one"),
        ("var/lib/systemd/random-seed", "every machine would draw the same numbers"),
        ("var/lib/apt/lists/deb", "lists of the day of the build"),
        ("var/lib/apt/lists/ftp", "lists of the day of the build"),
        ("var/cache/apt/archives/", "packages lie in the store"),
        ("var/cache/ldconfig/aux-cache", "holds inode numbers"),
        ("var/log/dpkg.log", "says when it was built"),
        ("var/log/alternatives.log", "says when it was built"),
        ("var/lib/cloud/instance", "cloud-init would take the machine for one that it knows"),
        ("usr/sbin/policy-rc.d", "services would never start"),
        ("root/.bash_history", "whose?"),
    ];
    for image in IMAGES {
        let tree = tree(image);
        for (start, why) in gone {
            let left: Vec<_> = tree.iter().filter(|(path, node)| path.starts_with(start) && node.kind == '-').collect();
            // apt itself keeps an empty lock file where its archives go.
            let left: Vec<_> =
                left.into_iter().filter(|(_, node)| !node.bytes.is_empty()).map(|(path, _)| path).collect();
            assert!(left.is_empty(), "{image}: {left:?}: {why}");
        }
        assert_eq!(text(&tree, "etc/machine-id"), "", "{image}: systemd makes one at the first boot if this is empty");
    }
}

#[test]
fn python_bytecode_is_absent_or_does_not_say_when_it_was_made() {
    for image in IMAGES {
        for (path, node) in tree(image).iter().filter(|(path, _)| path.ends_with(".pyc")) {
            // PEP 552: bit 0 of the second word says that the file is checked by a hash, not by a time.
            assert_eq!(node.bytes[4] & 1, 1, "{image}: {path} holds a time");
        }
    }
}

#[test]
fn no_password_is_set_and_no_password_day_is_the_day_of_the_build() {
    for image in IMAGES {
        let tree = tree(image);
        let epoch = lock(image)["epoch"].as_integer().expect("an epoch");
        for line in text(&tree, "etc/shadow").lines() {
            let fields: Vec<_> = line.split(':').collect();
            assert!(fields[1].starts_with(['*', '!']), "{image}: {} has a password", fields[0]);
            let day: i64 = fields[2].parse().unwrap_or(0);
            assert!(day <= epoch / 86_400, "{image}: {} changed on day {day}, after the lock", fields[0]);
        }
    }
}

#[test]
fn system_users_have_the_ids_that_the_recipes_say() {
    let mut compared = 0;
    for image in IMAGES {
        let tree = tree(image);
        let mut recipe = Some(image.to_owned());
        while let Some(name) = recipe {
            let path = super::repository().join(format!("recipes/{name}.toml"));
            let table: toml::Table = std::fs::read_to_string(path).expect("a recipe").parse().expect("TOML");
            for (key, file) in [("users", "etc/passwd"), ("users", "etc/group"), ("groups", "etc/group")] {
                for (user, id) in table.get(key).and_then(toml::Value::as_table).into_iter().flatten() {
                    let line = text(&tree, file).lines().find(|line| line.starts_with(&format!("{user}:")));
                    // A parent may fix the id of a user that only some of its children have.
                    let Some(line) = line else { continue };
                    assert_eq!(line.split(':').nth(2), Some(id.to_string().as_str()), "{image}: {user} in {file}");
                    compared += 1;
                }
            }
            recipe = table.get("from").and_then(toml::Value::as_str).map(str::to_owned);
        }
    }
    assert!(compared > 0, "no recipe fixes an id");
}

#[test]
fn hard_links_lead_to_a_file_of_the_image() {
    for image in IMAGES {
        let tree = tree(image);
        for (path, node) in tree.iter().filter(|(_, node)| node.kind == 'h') {
            let target = node.target.trim_start_matches("./");
            assert!(tree.get(target).is_some_and(|target| target.kind == '-'), "{image}: {path} leads to {target}");
        }
    }
}
