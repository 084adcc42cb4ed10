//! Whom the image bans: attempts that fail, made until each jail has banned whoever made them, and what is left of that later.
//!
//! ```text
//! a jail, an attacker ─▶ tries - 1 attempts ─▶ still answered? ─▶ one more ─▶ silent? where the ban says, by that jail?
//! who is ignored      ─▶ as many attempts, and one more ─▶ still answered?
//! all attackers       ─▶ fail2ban is restarted ─▶ still silent? ─▶ the machine is ─▶ still silent? ─▶ later than all bans: answered?
//! ```
//!
//! Each attacker has an address of its own, so that the second is banned while the first is, and those who come later are not.
//! While one is let be at his limit, the next comes to his.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use ipnet::IpNet;

use super::attempt;
use super::call::Doorway;
use super::frame::{Ends, Said, Segment};
use super::hosts::{GUEST, Hosts};
use super::link::{Event, Link, Told};
use super::report::{Ban, Finding};
use super::scan::{Gone, beat};
use crate::machine::{self, MachineError, Running};
use crate::progress::Progress;
use crate::recipe::fail2ban::{Attempt, Fail2ban, Jail, Reads, Scope};

/// How many addresses of IPv6 a peer has for attackers.
pub const V6: u8 = 1;

/// How long an answer may take beyond that to who has the guest's address, which it is asked after it; and how often it is
/// asked for, since limits may take one away.
const ANSWER: Duration = Duration::from_millis(400);
const ASKED: u8 = 3;

/// How long fail2ban may take to see a failure, ban, and stop banning: "within seconds", on a translated processor.
const SOON: Duration = Duration::from_secs(20);
/// How long it is waited for a ban that must not come.
const NOT_YET: Duration = Duration::from_secs(4);
/// How long a service may take to be there again, in seconds.
const RESTART: u32 = 180;
/// How long a machine may, in seconds.
const REBOOT: u32 = 900;

/// What sshd says to whom it does not know, if it takes nothing but keys.
const ONLY_KEYS: &str = "Permission denied (publickey).";

/// The port of SSH.
const SSH: u16 = 22;

/// Who never does anything, and who administers: no attacker.
const NOBODY: u8 = 200;
const ADMINISTRATOR: u8 = 201;

/// The source port of the next question.
static NEXT: AtomicU16 = AtomicU16::new(46_000);

/// Why nothing can be said of bans.
#[derive(Debug, thiserror::Error)]
pub enum SiegeError {
    /// The machine has gone.
    #[error(transparent)]
    Gone(#[from] Gone),
    /// It does not do what it is asked; a client of the toolbox cannot be started.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// There is no way to it.
    #[error("no way from this machine's loopback to the guest: {0}")]
    Doorway(#[from] io::Error),
}

/// A machine under attack.
#[derive(Debug)]
pub struct Siege<'a> {
    /// By way of this.
    pub link: &'a Arc<Link>,
    /// Among these.
    pub hosts: &'a Hosts,
    /// Whom it is to ban.
    pub fail2ban: &'a Fail2ban,
    /// Whose scratch directory has a key that opens nothing.
    pub host: machine::Host<'a>,
    /// Who is told how far it has come.
    pub progress: &'a Progress,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Besieged {
    /// In the order in which they were made.
    pub bans: Vec<Ban>,
    /// Jails at which nothing was tried: nobody says what, or their ports are open to nobody.
    pub untried: Vec<String>,
    /// What was not as the recipe says.
    pub findings: Vec<Finding>,
}

/// Somebody who tries something.
#[derive(Clone, Debug)]
struct Attacker<'a> {
    name: &'a str,
    jail: &'a Jail,
    /// What he does, and at which port.
    attempt: &'a Attempt,
    port: u16,
    ends: Ends,
}

/// Somebody who has made as many attempts as must not lead to a ban.
#[derive(Debug)]
struct AtLimit<'a> {
    attacker: Attacker<'a>,
    /// What answered him before.
    open: Vec<u16>,
    /// When he began, and until when he is let be.
    since: Duration,
    until: Duration,
}

impl Attacker<'_> {
    fn ban(&self, after: Duration) -> Ban {
        let (jail, who) = (self.name.to_owned(), self.ends.source.to_string());
        let closes = match self.jail.scope {
            Scope::All => "everything".to_owned(),
            Scope::Ports => self.jail.ports.iter().map(u16::to_string).collect::<Vec<_>>().join(" "),
        };
        Ban { jail, who, tries: self.jail.tries, closes, after }
    }

    fn finding(&self, found: impl Into<String>, wanted: impl Into<String>) -> Finding {
        let subject = format!("{} against {}", self.name, self.ends.source);
        Finding { subject, found: found.into(), wanted: wanted.into(), at: None }
    }
}

/// An address of each of those who are never banned.
pub fn ignored(fail2ban: &Fail2ban) -> Vec<IpAddr> {
    let first = |entry: &String| {
        entry.parse().or_else(|_| entry.parse().map(|network: IpNet| network.hosts().next().unwrap_or(network.addr())))
    };
    fail2ban.ignore.iter().filter_map(|entry| first(entry).ok()).collect()
}

impl<'a> Siege<'a> {
    /// Who has the key gets in as `administrator`, and only so; `own` has it in its scratch directory. None: nobody reaches SSH.
    ///
    /// # Errors
    /// ssh of the toolbox cannot be started; no port of loopback is free.
    pub fn entered(&self, administrator: &str, own: &machine::Host<'_>) -> Result<Option<Vec<Finding>>, SiegeError> {
        let finding = |user: &str, found: String, wanted: &str| {
            let subject = format!("ssh as {user}");
            Finding { subject, found, wanted: wanted.to_owned(), at: None }
        };
        let Some(ends) = self.hosts.attacker(ADMINISTRATOR, SSH, GUEST.into()) else { return Ok(None) };
        let mut findings = Vec::new();
        let tries = [
            (administrator, own, true, "to be let in with the key that the instance was told"),
            (administrator, &self.host, false, "to be refused with another key"),
            ("root", own, false, "to be refused: nobody logs in as root"),
        ];
        for (user, host, is_let_in, wanted) in tries {
            let doorway = Doorway::open(self.link, ends, SSH)?;
            let (said, is_in) = attempt::ssh(host, (user, &doorway), "id -un")?;
            // Nor is anybody asked for anything else.
            let is_right = if is_let_in { is_in && said == user } else { !is_in && said.ends_with(ONLY_KEYS) };
            if !is_right {
                let found = if is_in { format!("let in, as {said}") } else { format!("refused: {said}") };
                findings.push(finding(user, found, wanted));
            }
        }
        Ok(Some(findings))
    }

    /// All of it. The machine is started again once, and its clock is wrong afterwards.
    ///
    /// # Errors
    /// The machine has gone, or does not do what it is asked.
    pub fn laid(&self, running: &mut Running) -> Result<Besieged, SiegeError> {
        let attackers = self.attackers()?;
        let untried = self.fail2ban.jails.keys().filter(|name| !attackers.iter().any(|one| one.name == name.as_str()));
        let mut besieged = Besieged { untried: untried.cloned().collect(), ..Besieged::default() };
        let mut banned = Vec::new();
        // While one is let be, the next comes to his limit.
        let mut before: Option<AtLimit<'_>> = None;
        for attacker in attackers {
            if let Some(Attempt::Bans(other)) = &attacker.jail.attempt {
                let is_banned = self.comes_back((&attacker, other), running, &mut besieged)?;
                self.tell((attacker, is_banned), running, &mut banned)?;
                continue;
            }
            let next = self.up_to_the_limit(&attacker, &mut besieged)?;
            if next.is_none() {
                self.tell((attacker, false), running, &mut banned)?;
            }
            if let Some(one) = std::mem::replace(&mut before, next) {
                let is_banned = self.one_more(&one, running, &mut besieged)?;
                self.tell((one.attacker, is_banned), running, &mut banned)?;
            }
        }
        if let Some(one) = before {
            let is_banned = self.one_more(&one, running, &mut besieged)?;
            self.tell((one.attacker, is_banned), running, &mut banned)?;
        }
        if let Some(attacker) = banned.iter().find(|attacker| !matches!(attacker.jail.attempt, Some(Attempt::Bans(_))))
        {
            self.ignored(attacker, &mut besieged.findings)?;
        }
        self.outlast(&banned, "after all of them", &mut besieged.findings)?;
        running.done("systemctl restart fail2ban && until fail2ban-client ping; do sleep 1; done", RESTART)?;
        self.outlast(&banned, "after fail2ban was restarted", &mut besieged.findings)?;
        running.reboot()?;
        running.done("systemctl is-system-running --wait; until fail2ban-client ping; do sleep 1; done", REBOOT)?;
        let (failed, _) = running.ask("systemctl --failed --plain --no-legend | cut -d' ' -f1", RESTART)?;
        let finding = |unit: &str| Finding {
            subject: "systemd".to_owned(),
            found: format!("{unit} failed when the machine was restarted"),
            wanted: "no failed unit".to_owned(),
            at: None,
        };
        besieged.findings.extend(failed.lines().map(finding));
        self.outlast(&banned, "after the machine was restarted", &mut besieged.findings)?;
        self.end(&banned, running, &mut besieged.findings)?;
        Ok(besieged)
    }

    /// Says whether he was banned, and if so, counts him among those.
    fn tell(
        &self,
        (attacker, is_banned): (Attacker<'a>, bool),
        running: &mut Running,
        banned: &mut Vec<Attacker<'a>>,
    ) -> Result<(), SiegeError> {
        let (said, at) = (if is_banned { "banned" } else { "not as it should be" }, self.link.now().as_secs_f64());
        self.progress.verbose(&format!("lab: {} against {}: {said} ({at:.1} s)", attacker.name, attacker.ends.source));
        match is_banned {
            true => banned.push(attacker),
            false => self.explain(&attacker, running)?,
        }
        Ok(())
    }

    /// Prints what the machine itself has to say of an attacker who was not banned, or not as he should have been.
    fn explain(&self, attacker: &Attacker<'_>, running: &mut Running) -> Result<(), SiegeError> {
        let log = match &attacker.jail.reads {
            Reads::Logs(logs) => format!("tail -n 6 {}", logs.join(" ")),
            Reads::Journal(matches) => format!("journalctl --no-pager -o short -n 12 {matches}"),
        };
        let asked = ["journalctl --no-pager -o cat -n 8 -u fail2ban", log.as_str(), "nft list table inet f2b-table"];
        for line in asked {
            let (said, _) = running.ask(line, RESTART)?;
            self.progress.verbose(&format!("lab: {line}\n{}", said.trim_end()));
        }
        Ok(())
    }

    /// One for each jail at which something can be tried, and in IPv6 for the first that is reached there.
    fn attackers(&self) -> Result<Vec<Attacker<'a>>, SiegeError> {
        let mut all = Vec::new();
        for (nth, (name, jail)) in (0..NOBODY).zip(&self.fail2ban.jails) {
            all.extend(self.attacker((name, jail), (nth, GUEST.into())));
        }
        let [_, _, v6] = self.hosts.guests();
        for (name, jail) in &self.fail2ban.jails {
            let is_direct = !matches!(jail.attempt, Some(Attempt::Bans(_)));
            if let Some(attacker) = self.attacker((name, jail), (0, v6)).filter(|_| is_direct)
                && self.is_open(&attacker)?
            {
                all.push(attacker);
                break;
            }
        }
        Ok(all)
    }

    /// The `nth` attacker on a jail, at an address of the guest.
    fn attacker(&self, (name, jail): (&'a str, &'a Jail), (nth, guest): (u8, IpAddr)) -> Option<Attacker<'a>> {
        // Who is to be banned for coming back comes back to another jail.
        let (attempt, ports) = match jail.attempt.as_ref()? {
            Attempt::Bans(other) => {
                let other = self.fail2ban.jails.get(other)?;
                (other.attempt.as_ref()?, &other.ports)
            }
            own => (own, &jail.ports),
        };
        let port = attempt.port(ports)?;
        Some(Attacker { name, jail, attempt, port, ends: self.hosts.attacker(nth, port, guest)? })
    }

    /// Makes as many attempts as must not lead to a ban; none, if he was not answered before.
    fn up_to_the_limit(
        &self,
        attacker: &Attacker<'a>,
        besieged: &mut Besieged,
    ) -> Result<Option<AtLimit<'a>>, SiegeError> {
        let Some(open) = self.open_at_first(attacker, besieged)? else { return Ok(None) };
        let since = self.link.now();
        for _ in 1..attacker.jail.tries {
            self.attempt(attacker)?;
        }
        Ok(Some(AtLimit { attacker: attacker.clone(), open, since, until: self.link.now() + NOT_YET }))
    }

    /// Up to the limit is not banned, one more is; whether it came to that.
    fn one_more(
        &self,
        AtLimit { attacker, open, since, until }: &AtLimit<'_>,
        running: &mut Running,
        besieged: &mut Besieged,
    ) -> Result<bool, SiegeError> {
        if attacker.jail.tries > 1 {
            self.link.wait(until.saturating_sub(self.link.now()), |_| false);
            if !self.answers_soon(&attacker.ends, attacker.port)? {
                let found = format!("banned after {} attempts at most", attacker.jail.tries - 1);
                besieged.findings.push(attacker.finding(found, format!("{} attempts let be", attacker.jail.tries - 1)));
                return Ok(false);
            }
        }
        let said = self.attempt(attacker)?;
        let (last, took) = (self.link.now(), self.link.now().saturating_sub(*since));
        if !self.falls_silent(attacker)? {
            let late = if took.as_secs() > u64::from(attacker.jail.window) {
                format!(
                    "; they took {} s of its {} s: `--jobs 1` leaves it more of this machine",
                    took.as_secs(),
                    attacker.jail.window
                )
            } else {
                String::new()
            };
            let found = format!("not banned after {} attempts ({said}){late}", attacker.jail.tries);
            besieged.findings.push(attacker.finding(found, format!("banned within {} s", SOON.as_secs())));
            return Ok(false);
        }
        let after = self.link.now().saturating_sub(last);
        // A limit may have silenced it before the ban does.
        if let Some(finding) = self.listed_soon(attacker, running)? {
            besieged.findings.push(finding);
            return Ok(false);
        }
        besieged.findings.extend(self.closed(attacker, open)?);
        besieged.bans.push(attacker.ban(after));
        Ok(true)
    }

    /// Banned by the jail `other` as often as this one allows, and then by this one.
    fn comes_back(
        &self,
        (attacker, other): (&Attacker<'_>, &str),
        running: &mut Running,
        besieged: &mut Besieged,
    ) -> Result<bool, SiegeError> {
        let Some(jail) = self.fail2ban.jails.get(other) else { return Ok(false) };
        let lets_go = format!("fail2ban-client set {other} unbanip {}", attacker.ends.source);
        let Some(open) = self.open_at_first(attacker, besieged)? else { return Ok(false) };
        for time in 1..=attacker.jail.tries {
            if time > 1 {
                running.done(&lets_go, RESTART)?;
                if !self.answers_soon(&attacker.ends, attacker.port)? {
                    let found = format!("still silent after ban {} by {other} was lifted", time - 1);
                    besieged.findings.push(attacker.finding(found, "an answer"));
                    return Ok(false);
                }
            }
            for _ in 0..jail.tries {
                self.attempt(attacker)?;
            }
            if !self.falls_silent(attacker)? {
                let found = format!("no ban {time} by {other}");
                besieged.findings.push(attacker.finding(found, "banned by it each time"));
                return Ok(false);
            }
        }
        let last = self.link.now();
        let finding = self.listed_soon(attacker, running)?;
        let after = self.link.now().saturating_sub(last);
        if let Some(finding) = finding {
            besieged.findings.push(finding);
            return Ok(false);
        }
        // From here on only this jail keeps it out.
        running.done(&lets_go, RESTART)?;
        besieged.findings.extend(self.closed(attacker, &open)?);
        besieged.bans.push(attacker.ban(after));
        Ok(true)
    }

    /// Those whom the recipe never bans do what another was banned for, and once more: they are answered.
    fn ignored(&self, like: &Attacker<'_>, findings: &mut Vec<Finding>) -> Result<(), SiegeError> {
        let [v4, _, v6] = self.hosts.guests();
        for source in ignored(self.fail2ban) {
            let guest = if source.is_ipv4() { v4 } else { v6 };
            let Some(ends) = self.hosts.somebody(source, like.port, guest) else { continue };
            let one = Attacker { ends, ..like.clone() };
            for _ in 0..=one.jail.tries {
                self.attempt(&one)?;
            }
            self.link.wait(NOT_YET, |_| false);
            let is_let_be = self.answers_soon(&ends, one.port)?;
            self.progress
                .verbose(&format!("lab: {} against {source}, who is ignored: answered: {is_let_be}", one.name));
            if !is_let_be {
                findings.push(one.finding("banned", "an answer: the recipe says that it is never banned"));
            }
        }
        Ok(())
    }

    /// Those who were banned are out, and others are not.
    fn outlast(&self, banned: &[Attacker<'_>], when: &str, findings: &mut Vec<Finding>) -> Result<(), SiegeError> {
        let all: Vec<(Ends, u16)> = banned.iter().map(|attacker| (attacker.ends, attacker.port)).collect();
        let mut answered = self.answered(&all)?;
        // Asked a few times, and more rarely each time: whoever asks without end is silenced by a limit, which is no ban.
        let mut pause = Duration::from_secs(1);
        while !answered.is_empty() && pause < SOON {
            self.link.wait(pause, |_| false);
            answered = self.answered(&answered)?;
            pause *= 2;
        }
        for attacker in banned.iter().filter(|attacker| answered.contains(&(attacker.ends, attacker.port))) {
            findings.push(attacker.finding(format!("not banned any more {when}"), "a ban that lasts"));
        }
        if let Some(attacker) = banned.first()
            && let Some(ends) = self.hosts.attacker(NOBODY, attacker.port, attacker.ends.destination)
            && !self.answers_soon(&ends, attacker.port)?
        {
            let found = format!("{} is silent to {}, who has done nothing, {when}", attacker.port, ends.source);
            findings.push(attacker.finding(found, "bans of those alone who were banned"));
        }
        Ok(())
    }

    /// A time later than all bans last, everybody is answered.
    fn end(
        &self,
        banned: &[Attacker<'_>],
        running: &mut Running,
        findings: &mut Vec<Finding>,
    ) -> Result<(), SiegeError> {
        let later = self.fail2ban.memory().saturating_add(60);
        running.done(&format!("date -s @$(($(date +%s) + {later}))"), RESTART)?;
        let mut out: Vec<(Ends, u16)> = banned.iter().map(|attacker| (attacker.ends, attacker.port)).collect();
        let until = self.link.now() + SOON * 3;
        while !out.is_empty() && self.link.now() < until {
            let answered = self.answered(&out)?;
            out.retain(|one| !answered.contains(one));
        }
        for attacker in banned.iter().filter(|attacker| out.contains(&(attacker.ends, attacker.port))) {
            let found = format!("still silent after {later} s");
            findings.push(attacker.finding(found, "an answer: the longest ban has ended"));
        }
        Ok(())
    }

    /// Makes its attempt once; what that was answered.
    fn attempt(&self, attacker: &Attacker<'_>) -> Result<String, SiegeError> {
        let doorway = Doorway::open(self.link, attacker.ends, attacker.port)?;
        Ok(attempt::made(attacker.attempt, &doorway, &self.host)?)
    }

    /// The ports that answer an attacker who has done nothing yet; none, and a finding, if that which he attacks does not.
    fn open_at_first(&self, attacker: &Attacker<'_>, besieged: &mut Besieged) -> Result<Option<Vec<u16>>, SiegeError> {
        if self.answers_soon(&attacker.ends, attacker.port)? {
            return Ok(Some(self.open_to(attacker)?));
        }
        let found = format!("tcp {} was silent before any attempt", attacker.port);
        besieged.findings.push(attacker.finding(found, "an answer to somebody who has done nothing yet"));
        Ok(None)
    }

    /// The ports, of those that the recipe opens to anybody, that answer an attacker.
    fn open_to(&self, attacker: &Attacker<'_>) -> Result<Vec<u16>, SiegeError> {
        let reached = |port: &u16| self.hosts.attacker(0, *port, attacker.ends.destination).is_some();
        let ports: Vec<u16> = self.hosts.ports().into_iter().filter(reached).collect();
        let answered = self.answered(&ports.iter().map(|port| (attacker.ends, *port)).collect::<Vec<_>>())?;
        Ok(answered.into_iter().map(|(_, port)| port).collect())
    }

    /// A ban closes what its jail says, of what was open, and nothing else.
    fn closed(&self, attacker: &Attacker<'_>, open: &[u16]) -> Result<Vec<Finding>, SiegeError> {
        let mut findings = Vec::new();
        let answered = self.answered(&open.iter().map(|port| (attacker.ends, *port)).collect::<Vec<_>>())?;
        for port in open {
            let closes = attacker.jail.scope == Scope::All || attacker.jail.ports.contains(port);
            let answers =
                answered.contains(&(attacker.ends, *port)) || !closes && self.answers_soon(&attacker.ends, *port)?;
            match (answers, closes) {
                (true, true) => {
                    findings
                        .push(attacker.finding(format!("tcp {port} still answers"), "silence: it is banned from it"));
                }
                (false, false) => {
                    let found = format!("tcp {port} is silent too");
                    findings.push(attacker.finding(found, "an answer: it is banned from other ports"));
                }
                _ => {}
            }
        }
        Ok(findings)
    }

    /// fail2ban itself says that it was this jail that has banned it.
    fn listed(&self, attacker: &Attacker<'_>, running: &mut Running) -> Result<Option<Finding>, SiegeError> {
        let (said, _) = running.ask(&format!("fail2ban-client get {} banip", attacker.name), RESTART)?;
        let source = attacker.ends.source.to_string();
        let is_listed = said.split_whitespace().any(|word| word == source);
        let found = format!("the jail lists {}", said.split_whitespace().collect::<Vec<_>>().join(" "));
        Ok((!is_listed).then(|| attacker.finding(found, "this jail's ban")))
    }

    /// The same, soon.
    fn listed_soon(&self, attacker: &Attacker<'_>, running: &mut Running) -> Result<Option<Finding>, SiegeError> {
        let until = self.link.now() + SOON;
        let mut finding = self.listed(attacker, running)?;
        while finding.is_some() && self.link.now() < until {
            finding = self.listed(attacker, running)?;
        }
        Ok(finding)
    }

    /// Whether it is not answered any more, soon.
    fn falls_silent(&self, attacker: &Attacker<'_>) -> Result<bool, SiegeError> {
        let until = self.link.now() + SOON;
        while self.is_answered(&attacker.ends, attacker.port)? {
            if self.link.now() > until {
                return Ok(false);
            }
            self.link.wait(ANSWER, |_| false);
        }
        Ok(true)
    }

    /// Whether somebody listens at its port, at the address of the guest that it attacks.
    fn is_open(&self, attacker: &Attacker<'_>) -> Result<bool, SiegeError> {
        let before = self.link.told().events.len();
        let is_answered = self.is_answered(&attacker.ends, attacker.port)?;
        let opens =
            |said: &Said| matches!(said, Said::Tcp { from, kind: Segment::Opens, .. } if *from == attacker.port);
        let told = self.link.told();
        let to = |event: &&Event| event.heard.destination == attacker.ends.source;
        Ok(is_answered && told.events[before..].iter().filter(to).any(|event| opens(&event.heard.said)))
    }

    /// Whether a port answers somebody who is not banned: who is, is silent for much longer than this waits, and a machine that
    /// has much to do loses one or the other question.
    fn answers_soon(&self, ends: &Ends, port: u16) -> Result<bool, SiegeError> {
        let until = self.link.now() + SOON;
        while !self.is_answered(ends, port)? {
            if self.link.now() > until {
                return Ok(false);
            }
            self.link.wait(ANSWER, |_| false);
        }
        Ok(true)
    }

    /// Whether a port answers somebody.
    fn is_answered(&self, ends: &Ends, port: u16) -> Result<bool, SiegeError> {
        Ok(!self.answered(&[(*ends, port)])?.is_empty())
    }

    /// Which of these ports answer whom.
    fn answered(&self, asked: &[(Ends, u16)]) -> Result<Vec<(Ends, u16)>, SiegeError> {
        let mut answered = Vec::new();
        for _ in 0..ASKED {
            let from = NEXT.fetch_add(1, Ordering::Relaxed);
            let silent = asked.iter().filter(|one| !answered.contains(*one)).copied().collect::<Vec<_>>();
            let before = self.link.told().events.len();
            let frames: Vec<Vec<u8>> = silent.iter().map(|(ends, port)| ends.syn((from, *port), 1)).collect();
            self.link.send(&frames).map_err(|_| Gone::Cable)?;
            beat(self.link, self.hosts)?;
            let answers = |told: &Told, (ends, port): &(Ends, u16)| {
                told.events[before..].iter().any(|event| {
                    matches!(event.heard.said, Said::Tcp { from: of, to, .. } if of == *port && to == from)
                        && event.heard.destination == ends.source
                })
            };
            self.link.wait(ANSWER, |told| silent.iter().all(|one| answers(told, one)));
            let told = self.link.told();
            answered.extend(silent.into_iter().filter(|one| answers(&told, one)));
            if answered.len() == asked.len() {
                break;
            }
        }
        Ok(answered)
    }
}
