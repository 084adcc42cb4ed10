//! Our resolver beside apt: the same packages, the same versions, from the same indices, into an empty system.
//!
//! apt comes out of the locked toolbox and is asked what `apt-get --no-install-recommends install` would install, from a
//! directory of its own. (With `--print-uris`: what `-s` does beyond that is to try the order, and it takes twice the time.)
//! Where the answers differ, our exact `name=version` list is given to apt: if apt accepts it and adds nothing, both
//! answers are right, and ours is a *valid alternative* (an or-group decided otherwise). Everything else is a failure.
//!
//! The indices are those that the toolbox's lock names, out of the store; where it does not hold them, those of today.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::time::Instant;

use goldsmith::debian::index::{Index, Source};
use goldsmith::debian::package::parse_packages;
use goldsmith::debian::relation::Relation;
use goldsmith::lock::{check, resolve, wish::Wish};

use crate::harness::Project;
use crate::real::tools::toolbox;
use crate::real::{lock, repository, store};

/// How many sets are compared.
const SETS: usize = 240;

/// Name to version.
type Answer = Result<BTreeMap<String, String>, String>;

/// How many sets had which outcome.
#[derive(Debug, Default)]
struct Counts {
    /// The same names and versions.
    identical: usize,
    /// Both say that there is no solution.
    both_unsatisfiable: usize,
    /// Another choice, which apt accepts as it is.
    valid_alternatives: Vec<String>,
    /// Anything else: a sentence each.
    failures: Vec<String>,
}

/// apt in a directory that exists under the same path inside and outside, and knows of nothing else.
struct Apt<'r> {
    root: &'r Path,
}

/// Asks for every line of `calls`, in two lanes: the even ones and the odd ones.
const ASK: &str = r#"
    export APT_CONFIG=$PWD/apt.conf
    lane() {
        n=0
        while read -r line; do
            n=$((n + 1))
            [ $((n % 2)) = $1 ] || continue
            apt-get --print-uris -y -q --no-install-recommends install $line >answers/$n.said 2>answers/$n.wrong || echo $? >answers/$n.code
        done <calls
    }
    set -f; rm -rf answers && mkdir answers
    lane 0 & lane 1; wait"#;

impl<'r> Apt<'r> {
    /// Writes what apt needs to see exactly the indices in `archives` (each a directory with a `Packages` file), and lets it
    /// make its caches of them.
    fn prepare(root: &'r Path, archives: &[String]) -> Self {
        for directory in
            ["apt/apt.conf.d", "apt/preferences.d", "apt/trusted.gpg.d", "lists/partial", "cache/archives/partial"]
        {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        let source = |name: &String| format!("deb [trusted=yes arch=amd64] file:{} ./\n", root.join(name).display());
        fs::write(root.join("apt/sources.list"), archives.iter().map(source).collect::<String>()).unwrap();
        fs::write(root.join("status"), "").unwrap();
        let root_text = root.display();
        let conf = format!(
            "Dir::Etc \"{root_text}/apt\";\nDir::Etc::sourceparts \"/dev/null\";\nDir::State::lists \"{root_text}/lists\";\n\
             Dir::State::status \"{root_text}/status\";\nDir::State::extended_states \"{root_text}/extended_states\";\n\
             Dir::Cache \"{root_text}/cache\";\nDir::Log \"{root_text}\";\nAPT::Architecture \"amd64\";\nAPT::Architectures \"amd64\";\n\
             APT::Sandbox::User \"root\";\nAPT::Solver \"internal\";\nAcquire::Languages \"none\";\n\
             Acquire::GzipIndexes \"false\";\n"
        );
        fs::write(root.join("apt.conf"), conf).unwrap();
        let apt = Self { root };
        // Once and alone, so that the caches are written once.
        apt.run("export APT_CONFIG=$PWD/apt.conf; apt-get -q update && apt-get -s -q install base-files");
        apt
    }

    fn run(&self, script: &str) -> String {
        let root = self.root.to_str().unwrap();
        toolbox(&["sh", "-c", &format!("cd {root} && {script}")], &[(self.root, root)])
    }

    /// What apt would install for each of these lists of arguments.
    fn answers(&self, calls: &[String]) -> Vec<Answer> {
        fs::write(self.root.join("calls"), calls.iter().map(|call| format!("{call}\n")).collect::<String>()).unwrap();
        self.run(ASK);
        let read = |name: String| fs::read_to_string(self.root.join("answers").join(name)).unwrap_or_default();
        let answer = |n: usize| {
            let said = read(format!("{n}.said"));
            match self.root.join(format!("answers/{n}.code")).exists() {
                true => Err(read(format!("{n}.wrong")) + &said),
                false => Ok(said.lines().filter(|line| line.starts_with('\'')).map(installed).collect()),
            }
        };
        (1..=calls.len()).map(answer).collect()
    }
}

/// `'URI' NAME_VERSION_ARCHITECTURE.deb SIZE DIGEST`
fn installed(line: &str) -> (String, String) {
    let file = line.split(' ').nth(1).unwrap();
    let mut parts = file.split('_');
    let (name, version) = (parts.next().unwrap(), parts.next().unwrap());
    (name.to_owned(), version.replace("%3a", ":"))
}

fn our_answer(names: &[String], index: &Index) -> Answer {
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

/// Asks both for every set, and apt once more about those of our answers that are not its own.
fn compare(sets: &[Vec<String>], index: &Index, apt: &Apt<'_>) -> Counts {
    let start = Instant::now();
    let ours: Vec<Answer> = sets.iter().map(|set| our_answer(set, index)).collect();
    println!("our answers: {:.1} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    let theirs = apt.answers(&sets.iter().map(|set| set.join(" ")).collect::<Vec<_>>());
    println!("apt's answers: {:.1} s", start.elapsed().as_secs_f64());
    let mut counts = Counts::default();
    let mut doubtful = Vec::new();
    for ((set, ours), theirs) in sets.iter().zip(ours).zip(theirs) {
        let label = set.join(" ");
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) if ours == theirs => counts.identical += 1,
            (Err(_), Err(_)) => counts.both_unsatisfiable += 1,
            (Err(ours), Ok(_)) => counts.failures.push(format!("{label}: apt finds a solution, we say: {ours}")),
            (Ok(ours), theirs) => doubtful.push((label, ours, theirs)),
        }
    }
    let exact = |ours: &BTreeMap<String, String>| {
        ours.iter().map(|(name, version)| format!("{name}={version}")).collect::<Vec<_>>().join(" ")
    };
    let start = Instant::now();
    let second = apt.answers(&doubtful.iter().map(|(_, ours, _)| exact(ours)).collect::<Vec<_>>());
    println!("apt about {} of our answers: {:.1} s", doubtful.len(), start.elapsed().as_secs_f64());
    for ((label, ours, theirs), accepted) in doubtful.into_iter().zip(second) {
        let differs = theirs.map_or_else(|error| error, |theirs| difference(&ours, &theirs));
        match accepted {
            Ok(accepted) if accepted == ours => counts.valid_alternatives.push(format!("{label}: {differs}")),
            Ok(accepted) => {
                counts.failures.push(format!("{label}: apt adds to our answer: {}", difference(&ours, &accepted)));
            }
            Err(error) => counts.failures.push(format!("{label}: {differs}; apt refuses our answer: {error}")),
        }
    }
    counts
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
fn sets(index: &Index, number: usize) -> Vec<Vec<String>> {
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

/// Writes the `Packages` of each archive of the toolbox's lock below `root`; the names of the archives, best last.
fn indices(root: &Path) -> Vec<String> {
    let mut lock = lock("toolbox");
    let blob = |digest: &str| {
        let hex = digest.trim_start_matches("sha256:");
        store().join("blobs/sha256").join(&hex[..2]).join(hex)
    };
    let missing = |lock: &toml::Table| indices_of(lock).iter().any(|(_, digest)| !blob(digest).exists());
    if missing(&lock) {
        // A mirror keeps the indices of a few days: what the archive has today serves as well.
        let mut project = Project::new().environment("GOLDSMITH_CACHE", store());
        project = project.write("recipes/toolbox.toml", &fs::read(repository().join("recipes/toolbox.toml")).unwrap());
        for name in ["GOLDSMITH_MIRROR", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE"] {
            if let Some(value) = std::env::var_os(name) {
                project = project.environment(name, value);
            }
        }
        project.run(&["lock", "toolbox"]).succeeds();
        lock = project.read("images/toolbox.lock").parse().unwrap();
        println!("the indices of the committed lock are not here: compared on those of {}", lock["epoch"]);
    }
    let mut names = Vec::new();
    for (name, digest) in indices_of(&lock) {
        let mut text = Vec::new();
        liblzma::read::XzDecoder::new(fs::File::open(blob(&digest)).unwrap()).read_to_end(&mut text).unwrap();
        fs::create_dir_all(root.join(&name)).unwrap();
        fs::write(root.join(&name).join("Packages"), text).unwrap();
        names.push(name);
    }
    names
}

/// Name and digest of each archive's index in a lock.
fn indices_of(lock: &toml::Table) -> Vec<(String, String)> {
    let archives = lock["archive"].as_array().unwrap().iter();
    let text = |value: &toml::Value| value.as_str().unwrap().to_owned();
    archives.map(|archive| (text(&archive["name"]), text(&archive["index"][0]["sha256"]))).collect()
}

#[test]
fn our_answers_are_those_of_apt() {
    let root = tempfile::tempdir().unwrap();
    let names = indices(root.path());
    let source = |name: &String| Source {
        name: name.clone(),
        priority: 500,
        only: vec![],
        packages: parse_packages(&fs::read(root.path().join(name).join("Packages")).unwrap()).unwrap(),
    };
    let index = Index::new(names.iter().map(source).collect());
    let apt = Apt::prepare(root.path(), &names);
    let sets = sets(&index, SETS);
    let counts = compare(&sets, &index, &apt);
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
    assert!(counts.failures.is_empty(), "{}", counts.failures.join("\n"));
    assert!(counts.identical > SETS / 2, "almost nothing was compared");
}
