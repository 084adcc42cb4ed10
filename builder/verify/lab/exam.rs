//! One machine, started as its case says, knocked at from power-on, and asked at every port once it serves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::case::Case;
use super::hosts::{Host, Hosts};
use super::link::{Event, Link};
use super::report::Finding;
use super::scan::{Answers, Gone, Scan, beat};
use super::siege::{Besieged, Siege, SiegeError};
use super::watch::Watch;
use crate::epoch::Epoch;
use crate::image::cloud_init::{ImageId, SeedError};
use crate::image::ssh_key::{BadSshKey, SshKey};
use crate::machine::errand::LISTEN;
use crate::machine::{self, Accelerator, Cable, Firmware, Machine, MachineError, Milestones, Network, Running, Switch};
use crate::progress::{Progress, Total};
use crate::verify::claims::Claims;

/// An image that is examined.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its name and plan.
    pub image: ImageId,
    /// The raw disk that ships.
    pub disk: PathBuf,
    /// What its recipe says of it.
    pub claims: Claims,
    /// What runs it.
    pub accelerator: Accelerator,
}

/// One start of a machine. All times are from its own power-on.
#[derive(Debug)]
pub struct Start {
    /// In which case.
    pub case: Case,
    /// When it came where.
    pub milestones: Milestones,
    /// All that it said, until it started again.
    pub events: Vec<Event>,
    /// How long it ran.
    pub took: Duration,
}

/// What was seen of one machine.
#[derive(Debug)]
pub struct Seen {
    /// The case of that start in which it was asked who it is.
    pub case: Case,
    /// Its starts, in their order; at least one.
    pub starts: Vec<Start>,
    /// What answered, to each host at each address; of a machine that was told who it is.
    pub answers: Vec<(Host, IpAddr, Answers)>,
    /// What is a machine's own, by name, and its fingerprint.
    pub identity: BTreeMap<String, String>,
    /// Whom it banned, if it was attacked, and how long that took.
    pub besieged: Option<(Besieged, Duration)>,
    /// Who gets in, if it was asked.
    pub entered: Option<Vec<Finding>>,
    /// How long it took to ask at every port.
    pub asked: Duration,
}

/// Why a machine could not be examined.
#[derive(Debug, thiserror::Error)]
pub enum ExamError {
    /// It did not start.
    #[error("{image}, {case}: {cause}")]
    Machine {
        /// Of which image.
        image: String,
        /// In which case.
        case: &'static str,
        /// Why.
        cause: Box<MachineError>,
    },
    /// It went away while it was asked.
    #[error("{0}, {1}: {2}")]
    Gone(String, &'static str, Gone),
    /// It cannot be attacked.
    #[error("{0}, {1}: {2}")]
    Siege(String, &'static str, Box<SiegeError>),
    /// What it is to be told cannot be written.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// The key that is to open it is none.
    #[error(transparent)]
    Key(#[from] BadSshKey),
    /// Its cable cannot be plugged in.
    #[error("no cable between the lab and its machine: {0}")]
    Cable(#[from] io::Error),
}

/// How long a machine may take to come up, in seconds: many times of what it takes.
const LIMIT: u32 = 900;

/// How long a machine is watched after it has come up.
const LINGER: Duration = Duration::from_secs(2);

/// Prints what is a machine's own, from within, for a comparison of two.
const IDENTITY: &str = "
    echo \"machine-id $(cat /etc/machine-id)\"
    sshd -T 2>/dev/null | sed -n 's/^hostkey //p' | while read -r key; do
        echo \"host-key:$key $(ssh-keygen -lf $key | cut -d' ' -f2)\"
    done
    find /var/lib/goldsmith /run/goldsmith -type f -name '*cert*' | sort | while read file; do
        echo \"$file $(sha256sum <$file | cut -c1-64)\"
    done
    echo \"random-seed $(sha256sum </var/lib/systemd/random-seed | cut -c1-64)\"
    echo \"room $(df --output=avail -k /var | tail -n 1 | xargs)\"
    echo \"administrator $(ls /home/*/.ssh/authorized_keys | cut -d/ -f3)\"
    echo \"failed $(systemctl --failed --plain --no-legend | cut -d' ' -f1 | sort | xargs)\"
    echo end
";

/// The starts of a machine, which began then and came there, with what it said meanwhile: one for each of `cases`, and those
/// that are left for the last.
fn starts(cases: &[Case], began: Vec<(Duration, Milestones)>, (events, until): (&[Event], Duration)) -> Vec<Start> {
    let last = cases.last().copied().unwrap_or(Case::Told);
    let ends: Vec<Duration> = began.iter().skip(1).map(|(began, _)| *began).chain([until]).collect();
    let cases = cases.iter().copied().chain(std::iter::repeat(last));
    let each = began.into_iter().zip(ends).zip(cases);
    let start = |(((began, milestones), end), case): (((Duration, Milestones), Duration), Case)| {
        let of = events.iter().filter(|event| (began..end).contains(&event.at));
        let events = of.map(|event| Event { at: event.at - began, ..event.clone() }).collect();
        Start { case, milestones, events, took: end.saturating_sub(began) }
    };
    each.map(start).collect()
}

impl Subject {
    /// A machine of it at `cable`, told what is in the volume `seed`.
    pub fn machine(&self, cable: Cable, seed: Option<PathBuf>) -> Machine {
        Machine {
            firmware: Firmware::Bios,
            accelerator: self.accelerator,
            // One for each machine: translated, and side by side, two take a third longer.
            processors: 1,
            memory: 1536,
            disk: self.disk.clone(),
            size: None,
            seed,
            network: Network { cable: Some(cable), ..Network::default() },
            strings: Vec::new(),
            more: Vec::new(),
        }
    }

    /// Starts it in the first of `cases`, and goes on with the others; what was seen.
    ///
    /// # Errors
    /// It does not come up; nothing can be started here.
    pub fn examine(&self, cases: &[Case], host: &machine::Host<'_>, progress: &Progress) -> Result<Seen, ExamError> {
        let case = cases.first().copied().unwrap_or(Case::Told);
        let failed = |cause| {
            let (image, cause) = (self.image.name.clone(), Box::new(cause));
            ExamError::Machine { image, case: case.name(), cause }
        };
        let gone = |why| ExamError::Gone(self.image.name.clone(), case.name(), why);
        let switch = Switch::new(&host.scratch.join("net"), "lab");
        let cable = Cable::new(switch.clone(), &self.image.name);
        let hosts = Arc::new(Hosts::of(&self.claims, cable.hardware()));
        let key: SshKey = host.key().map_err(failed)?.parse()?;
        let seed = case.seed(&self.image, &key, (&self.claims, &hosts))?.map(|seed| {
            let folder = host.scratch.join("bundle");
            seed.write(&folder, Epoch(0)).map(|()| folder.join("seed.iso"))
        });
        let machine = Machine { strings: case.credentials(), ..self.machine(cable, seed.transpose()?) };
        // QEMU needs longer to its first frame than this to the next line: nothing is missed.
        let mut running = machine.with_errand(&[IDENTITY, LISTEN].concat()).start(host, 0, progress).map_err(failed)?;
        let since = Arc::new(progress.step("lab", Total::Unknown));
        let link = Arc::new(Link::new(switch.plug()?, hosts.neighbours(), Arc::clone(&since))?);
        let watch = Watch::begin(Arc::clone(&link), Arc::clone(&hosts));

        if case == Case::PowerCut {
            running.until("locked", LIMIT).map_err(failed)?;
            running.cut().map_err(failed)?;
        }
        // The start in which it comes up is of the case after that of the power cut.
        let up_in = if case == Case::PowerCut { cases.get(1).copied().unwrap_or(case) } else { case };
        let identity = identity(&mut running).map_err(failed)?;
        let (name, up) = (up_in.name(), since.elapsed().as_secs_f64());
        progress.verbose(&format!("lab: {}, {name}: up after {up:.1} s; {}", self.image.name, running.milestones()));
        let before = since.elapsed();
        let answers = match cases.contains(&Case::Told) {
            true => scanned(&link, &hosts).map_err(gone)?,
            false => Vec::new(),
        };
        let asked = since.elapsed().saturating_sub(before);
        let (mut besieged, mut entered) = (None, None);
        if cases.contains(&Case::Attacked) {
            let stranger = host.scratch.join("stranger");
            fs::create_dir(&stranger)?;
            let (own, host) = (*host, machine::Host { scratch: &stranger, ..*host });
            host.key().map_err(failed)?;
            let failed = |why| ExamError::Siege(self.image.name.clone(), case.name(), Box::new(why));
            let siege = Siege { link: &link, hosts: &hosts, fail2ban: &self.claims.fail2ban, host, progress };
            let administrator = identity.get("administrator").map_or("", String::as_str);
            entered = siege.entered(administrator, &own).map_err(failed)?;
            let before = since.elapsed();
            let seen = siege.laid(&mut running).map_err(failed)?;
            besieged = Some((seen, since.elapsed().saturating_sub(before)));
        }
        link.wait(LINGER, |_| false);
        drop(watch);
        // What a machine that ended, or a cable that was pulled, did not say is no proof of anything.
        running.still("the end of its examination").map_err(failed)?;
        if link.told().ended {
            return Err(gone(Gone::Cable));
        }
        let began = running.starts();
        drop(running);
        let (events, took) = (std::mem::take(&mut link.told().events), since.elapsed());
        let (image, names) = (&self.image.name, cases.iter().map(|case| case.name()).collect::<Vec<_>>().join(", "));
        progress.message(&format!("lab: {image}, {names}: {} frames ({:.1} s)", events.len(), took.as_secs_f64()));
        let starts = starts(cases, began, (&events, took));
        Ok(Seen { case: up_in, starts, answers, identity, besieged, entered, asked })
    }
}

/// What the machine's own errand says of it; it comes a moment after the machine has come up.
fn identity(running: &mut Running) -> Result<BTreeMap<String, String>, MachineError> {
    let awaited = "the end of what it says of itself";
    running.until_said("end", (awaited, LIMIT))?;
    let said = running.said();
    let pairs = said.lines().filter_map(|line| line.split_once(' '));
    Ok(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}

/// Asks from every host at every address of the guest.
fn scanned(link: &Link, hosts: &Hosts) -> Result<Vec<(Host, IpAddr, Answers)>, Gone> {
    beat(link, hosts)?;
    let addresses: BTreeSet<IpAddr> =
        link.told().addresses.iter().copied().filter(|address| !hosts.is_ours(*address)).collect();
    let mut all = Vec::new();
    for guest in addresses {
        for host in &hosts.all {
            if let Some(answers) = (Scan { link, hosts, host, guest }).all()? {
                all.push((host.clone(), guest, answers));
            }
        }
    }
    Ok(all)
}
