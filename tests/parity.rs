//! Our resolver beside apt: the same packages, the same versions, from the same indices, into an empty system.
//!
//! apt is asked with `apt-get -s --no-install-recommends install`, the classic solver, from a directory of its own. Where
//! the answers differ, our exact `name=version` list is given to apt: if apt accepts it and adds nothing, both answers are
//! right, and ours is a *valid alternative* (an or-group decided otherwise). Everything else is a failure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use goldsmith::debian::index::Index;
use goldsmith::debian::relation::Relation;
use goldsmith::lock::{check, resolve, wish::Wish};

/// Runs `apt-get` (wherever it lives) with these arguments; its standard output, or its standard error if it failed.
pub type AptGet<'a> = dyn Fn(&[String]) -> Result<String, String> + Sync + 'a;

/// How many sets had which outcome.
#[derive(Debug, Default)]
pub struct Counts {
    /// The same names and versions.
    pub identical: usize,
    /// Both say that there is no solution.
    pub both_unsatisfiable: usize,
    /// Another choice, which apt accepts as it is.
    pub valid_alternatives: Vec<String>,
    /// Anything else: a sentence each.
    pub failures: Vec<String>,
}

/// Writes what apt needs to see exactly the archives in `archives` (name and directory with a `Packages` file) and nothing
/// of the machine, below `root`; the options that every call then takes.
pub fn prepare(root: &Path, archives: &[(&str, &Path)], apt_get: &AptGet<'_>) -> Vec<String> {
    for directory in [
        "etc/apt/apt.conf.d",
        "etc/apt/preferences.d",
        "etc/apt/trusted.gpg.d",
        "lists/partial",
        "cache/archives/partial",
    ] {
        std::fs::create_dir_all(root.join(directory)).unwrap();
    }
    let mut sources = String::new();
    for (_, directory) in archives {
        writeln!(sources, "deb [trusted=yes arch=amd64] file:{} ./", directory.display()).unwrap();
    }
    std::fs::write(root.join("etc/apt/sources.list"), sources).unwrap();
    std::fs::write(root.join("status"), "").unwrap();
    let options: Vec<String> = [
        ("Dir::Etc", root.join("etc/apt").display().to_string()),
        ("Dir::Etc::sourceparts", "/dev/null".into()),
        ("Dir::State::lists", root.join("lists").display().to_string()),
        ("Dir::State::status", root.join("status").display().to_string()),
        ("Dir::State::extended_states", root.join("extended_states").display().to_string()),
        ("Dir::Cache", root.join("cache").display().to_string()),
        ("Dir::Cache::pkgcache", "pkgcache.bin".into()),
        ("Dir::Cache::srcpkgcache", "srcpkgcache.bin".into()),
        ("APT::Architecture", "amd64".into()),
        ("APT::Architectures", "amd64".into()),
        ("APT::Sandbox::User", "root".into()),
        ("APT::Solver", "internal".into()),
        ("Acquire::Languages", "none".into()),
        ("Acquire::GzipIndexes", "false".into()),
    ]
    .into_iter()
    .flat_map(|(key, value)| ["-o".to_owned(), format!("{key}={value}")])
    .collect();
    let update: Vec<String> = options.iter().cloned().chain(["update".to_owned()]).collect();
    apt_get(&update).expect("apt-get update");
    options
}

/// Name to version of what apt would install for `arguments`.
fn apt_answer(
    options: &[String],
    arguments: &[String],
    apt_get: &AptGet<'_>,
) -> Result<BTreeMap<String, String>, String> {
    let call: Vec<String> = options
        .iter()
        .cloned()
        .chain(["-s", "-q", "--no-install-recommends", "install"].map(str::to_owned))
        .chain(arguments.iter().cloned())
        .collect();
    let output = apt_get(&call)?;
    let installs = output.lines().filter_map(|line| line.strip_prefix("Inst "));
    Ok(installs
        .map(|line| {
            let (name, rest) = line.split_once(' ').unwrap();
            let version = rest.trim_start_matches('(').split(' ').next().unwrap();
            (name.split(':').next().unwrap().to_owned(), version.to_owned())
        })
        .collect())
}

fn our_answer(names: &[String], index: &Index) -> Result<BTreeMap<String, String>, String> {
    let (base, names): (Vec<_>, Vec<_>) = names.iter().partition(|name| name.starts_with('?'));
    let packages = names.iter().map(|name| (vec![relation(name)], format!("recipe {name}"))).collect();
    let wish = Wish { packages, base: !base.is_empty(), ..Wish::default() };
    let solution = resolve::resolve(&wish, index).map_err(|reasons| reasons.to_string())?;
    check::prove(&solution, &wish, index).map_err(|wrong| format!("not proved: {wrong:?}"))?;
    Ok(solution
        .packages
        .into_iter()
        .map(|(name, chosen)| (name, index.package(chosen.id).version.as_str().to_owned()))
        .collect())
}

fn relation(name: &str) -> Relation {
    name.parse().unwrap()
}

/// Asks both for every set, two sets at a time.
pub fn compare(sets: &[Vec<String>], index: &Index, options: &[String], apt_get: &AptGet<'_>) -> Counts {
    // Alone, so that apt writes its caches once.
    apt_answer(options, &["base-files".to_owned()], apt_get).expect("apt can install base-files");
    let half =
        |from: usize| sets.iter().skip(from).step_by(2).map(|set| compare_one(set, index, options, apt_get)).collect();
    let (even, odd): (Vec<_>, Vec<_>) = std::thread::scope(|scope| {
        let odd = scope.spawn(|| half(1));
        (half(0), odd.join().unwrap())
    });
    let mut counts = Counts::default();
    for outcome in even.into_iter().chain(odd) {
        match outcome {
            Outcome::Identical => counts.identical += 1,
            Outcome::BothUnsatisfiable => counts.both_unsatisfiable += 1,
            Outcome::ValidAlternative(text) => counts.valid_alternatives.push(text),
            Outcome::Failure(text) => counts.failures.push(text),
        }
    }
    counts
}

enum Outcome {
    Identical,
    BothUnsatisfiable,
    ValidAlternative(String),
    Failure(String),
}

fn compare_one(set: &[String], index: &Index, options: &[String], apt_get: &AptGet<'_>) -> Outcome {
    let label = set.join(" ");
    match (our_answer(set, index), apt_answer(options, set, apt_get)) {
        (Ok(ours), Ok(theirs)) if ours == theirs => Outcome::Identical,
        (Err(_), Err(_)) => Outcome::BothUnsatisfiable,
        (Err(ours), Ok(_)) => Outcome::Failure(format!("{label}: apt finds a solution, we say: {ours}")),
        (Ok(ours), theirs) => {
            let exact: Vec<_> = ours.iter().map(|(name, version)| format!("{name}={version}")).collect();
            let differs = theirs.map_or_else(|error| error, |theirs| difference(&ours, &theirs));
            match apt_answer(options, &exact, apt_get) {
                Ok(accepted) if accepted == ours => Outcome::ValidAlternative(format!("{label}: {differs}")),
                Ok(accepted) => {
                    Outcome::Failure(format!("{label}: apt adds to our answer: {}", difference(&ours, &accepted)))
                }
                Err(error) => Outcome::Failure(format!("{label}: {differs}; apt refuses our answer: {error}")),
            }
        }
    }
}

fn difference(ours: &BTreeMap<String, String>, theirs: &BTreeMap<String, String>) -> String {
    let list = |a: &BTreeMap<String, String>, b: &BTreeMap<String, String>| {
        let only: Vec<_> = a.iter().filter(|(n, v)| b.get(*n) != Some(v)).map(|(n, v)| format!("{n}={v}")).collect();
        only.join(" ")
    };
    format!("{} against {}; ours +[{}] apt's +[{}]", ours.len(), theirs.len(), list(ours, theirs), list(theirs, ours))
}

/// The sets that are compared: those of the two images, some that are known to be hard, and random ones (1 to 4 packages,
/// the same every time) until there are `number`.
pub fn sets(index: &Index, number: usize) -> Vec<Vec<String>> {
    let named = [
        "linux-image-cloud-amd64 systemd-sysv cloud-init openssh-server apache2 php libapache2-mod-php php-mysql fail2ban iptables-persistent",
        "linux-image-cloud-amd64 systemd-sysv cloud-init openssh-server default-mysql-server fail2ban iptables-persistent",
        "?essential ?priority(required) linux-image-cloud-amd64 systemd-sysv cloud-init openssh-server apache2 php libapache2-mod-php php-mysql fail2ban iptables-persistent",
        "?essential ?priority(required) default-mysql-server",
        "?essential ?priority(required)",
        "apache2",
        "nginx php-fpm",
        "libapache2-mod-php",
        "php php-mysql php-xml php-curl php-gd php-intl php-mbstring",
        "default-mysql-server",
        "mariadb-server",
        "postgresql",
        "exim4 mailutils",
        "postfix",
        "default-mta bsd-mailx",
        "fail2ban nftables",
        "iptables-persistent netfilter-persistent",
        "openssh-server openssh-client",
        "systemd-sysv systemd-resolved",
        "sysvinit-core",
        "dbus-user-session",
        "python3 python3-pip",
        "build-essential",
        "gcc g++ make",
        "default-jdk",
        "docker.io",
        "podman",
        "qemu-system-x86",
        "grub-pc",
        "grub-efi-amd64",
        "linux-image-amd64 initramfs-tools",
        "linux-image-amd64 dracut",
        "network-manager",
        "unattended-upgrades",
        "rsyslog logrotate",
        "chrony",
        "ntpsec",
        "exim4-daemon-light postfix",
        "gnome",
        "kde-standard",
        "libreoffice",
    ];
    let mut sets: Vec<Vec<String>> = named.iter().map(|set| set.split(' ').map(str::to_owned).collect()).collect();
    let names: Vec<&str> =
        index.all().map(|id| index.package(id).name.as_str()).collect::<BTreeSet<_>>().into_iter().collect();
    let mut random = Random(0x2026_1122);
    while sets.len() < number {
        let many = 1 + random.below(4);
        sets.push((0..many).map(|_| names[random.below(names.len())].to_owned()).collect());
    }
    sets
}

/// xorshift64*: the same numbers on every machine, every time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % end
    }
}

#[test]
#[ignore = "needs indices: PARITY_INDICES=DIRECTORY with trixie, trixie-updates, trixie-security, each with Packages"]
fn parity_with_this_machines_apt() {
    let directory = std::path::PathBuf::from(std::env::var("PARITY_INDICES").unwrap());
    let archives: Vec<(&str, std::path::PathBuf)> =
        ["trixie", "trixie-updates", "trixie-security"].map(|name| (name, directory.join(name))).into();
    let sources = archives
        .iter()
        .map(|(name, path)| goldsmith::debian::index::Source {
            name: (*name).to_owned(),
            priority: 500,
            only: vec![],
            packages: goldsmith::debian::package::parse_packages(&std::fs::read(path.join("Packages")).unwrap())
                .unwrap(),
        })
        .collect();
    let index = Index::new(sources);
    let root = tempfile::tempdir().unwrap();
    let apt_get = |arguments: &[String]| {
        let output = std::process::Command::new("apt-get").args(arguments).env("LC_ALL", "C").output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr) + &text(output.stdout)) }
    };
    let borrowed: Vec<(&str, &Path)> = archives.iter().map(|(name, path)| (*name, path.as_path())).collect();
    let options = prepare(root.path(), &borrowed, &apt_get);
    let number = std::env::var("PARITY_SETS").ok().and_then(|n| n.parse().ok()).unwrap_or(240);
    let sets = sets(&index, number);
    let counts = compare(&sets, &index, &options, &apt_get);
    println!(
        "{} sets: {} identical, {} unsatisfiable for both, {} valid alternatives, {} failures",
        sets.len(),
        counts.identical,
        counts.both_unsatisfiable,
        counts.valid_alternatives.len(),
        counts.failures.len()
    );
    for line in &counts.valid_alternatives {
        println!("alternative: {line}");
    }
    for line in &counts.failures {
        println!("FAILURE: {line}");
    }
    assert!(counts.failures.is_empty());
}
