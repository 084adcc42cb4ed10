//! What images are for: the machines of a fleet, each told what the fleet says of it, asked from afar for what their recipes
//! promise.
//!
//! ```text
//! afar ─▶ HTTPS ─▶ api-1 ═══ switch ═══ db-1        by their own firewalls, certificates and accounts
//!                        └──▶ router: the lab, which is nobody else here
//! ```

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::attempt;
use super::call::Doorway;
use super::exam::Subject;
use super::frame::Ends;
use super::hosts::ROUTER_MAC;
use super::link::Link;
use super::report::{Finding, Step};
use crate::epoch::Epoch;
use crate::image::cloud_init::{Instance, Seed, SeedError};
use crate::machine::{Cable, Host, MachineError, Running, Switch};
use crate::progress::{Progress, Total};
use crate::recipe::function::Function;

/// How long all machines may take to serve, in seconds: many times of what they take.
const LIMIT: u32 = 900;

/// Where functions are asked for.
const HTTPS: u16 = 443;

/// Somebody behind the router (RFC 5737, RFC 3849).
const AFAR: (Ipv4Addr, Ipv6Addr) = (Ipv4Addr::new(203, 0, 113, 7), Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, 7));

/// A machine of the fleet.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    /// Its image.
    pub subject: &'a Subject,
    /// What it is told.
    pub told: Instance,
    /// For what it writes.
    pub scratch: PathBuf,
}

/// Why they could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum TogetherError {
    /// One did not start, or ended.
    #[error("{name}: {cause}")]
    Machine {
        /// Its name in the fleet.
        name: String,
        /// Why.
        cause: Box<MachineError>,
    },
    /// What one is to be told cannot be written.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// There is no way to them.
    #[error("no way from this machine's loopback to the fleet: {0}")]
    Way(#[from] io::Error),
}

/// Starts all of `members` on one network, whose ways out are `gateways`, and asks for the functions of each: a step for each
/// that has any, by image. `host` has a scratch directory for the switch between them.
///
/// # Errors
/// A machine does not come to serve.
pub fn asked(
    members: &[Member<'_>],
    gateways: &[IpAddr],
    host: &Host<'_>,
    progress: &Progress,
) -> Result<BTreeMap<String, Vec<Step>>, TogetherError> {
    let switch = Switch::new(&host.scratch.join("net"), "fleet");
    let since = Arc::new(progress.step("fleet", Total::Unknown));
    let mut running: Vec<Running> = Vec::new();
    for member in members {
        let failed = |cause| failed(member, cause);
        let folder = member.scratch.join("bundle");
        Seed::of(&member.told)?.write(&folder, Epoch(0))?;
        let machine = member.subject.machine(cable(&switch, member), Some(folder.join("seed.iso")));
        let host = Host { scratch: &member.scratch, ..*host };
        running.push(machine.start(&host, 0, progress).map_err(failed)?);
    }
    let neighbours = gateways.iter().map(|gateway| (*gateway, ROUTER_MAC)).collect();
    let link = Arc::new(Link::new(switch.plug()?, neighbours, Arc::clone(&since))?);
    for (member, running) in members.iter().zip(&mut running) {
        running.until("serving", LIMIT).map_err(|cause| failed(member, cause))?;
    }
    progress.verbose(&format!("fleet: {} machines serve after {:.1} s", members.len(), since.elapsed().as_secs_f64()));
    let mut steps: BTreeMap<String, Vec<Step>> = BTreeMap::new();
    for member in members.iter().filter(|member| !member.subject.claims.functions.is_empty()) {
        let before = since.elapsed();
        let step = functions(member, &link, &switch)?;
        let took = since.elapsed().saturating_sub(before);
        steps.entry(member.subject.image.name.clone()).or_default().push(Step { took, ..step });
    }
    for (member, running) in members.iter().zip(&mut running) {
        running.still("the end of what the fleet is asked").map_err(|cause| failed(member, cause))?;
    }
    Ok(steps)
}

fn failed(member: &Member<'_>, cause: MachineError) -> TogetherError {
    TogetherError::Machine { name: member.told.name.clone(), cause: Box::new(cause) }
}

fn cable(switch: &Switch, member: &Member<'_>) -> Cable {
    Cable::new(switch.clone(), &member.told.name)
}

/// Asks one machine, from afar.
fn functions(member: &Member<'_>, link: &Arc<Link>, switch: &Switch) -> Result<Step, TogetherError> {
    let (name, claims) = (&member.told.name, &member.subject.claims);
    let mut findings = Vec::new();
    for function in &claims.functions {
        let answer = match member.told.address {
            None => Err(io::Error::other("the fleet does not say its address")),
            Some(destination) => {
                let source = if destination.is_ipv4() { AFAR.0.into() } else { AFAR.1.into() };
                let ends = Ends { from: ROUTER_MAC, to: cable(switch, member).hardware(), source, destination };
                attempt::exchanged(&Doorway::open(link, ends, HTTPS)?, &function.request)
            }
        };
        findings.extend(judged((name, function), answer));
    }
    Ok(Step {
        id: "function".to_owned(),
        title: "does what it is for, with the rest of its fleet, for who asks from afar".to_owned(),
        looked: format!("{} requests to {name}", claims.functions.len()),
        took: Duration::ZERO,
        findings,
    })
}

/// What is not as `function` of the machine `name` has it in this answer.
fn judged((name, function): (&str, &Function), answer: io::Result<(u16, String)>) -> Option<Finding> {
    let found = match answer {
        Ok((status, text)) if status == function.status && text.contains(&function.contains) => return None,
        Ok((status, text)) => format!("{status}: {}", text.chars().take(200).collect::<String>()),
        Err(cause) => format!("no answer: {cause}"),
    };
    let wanted = match function.contains.as_str() {
        "" => function.status.to_string(),
        contains => format!("{}, and in it {contains}", function.status),
    };
    let subject = format!("{name}: {}", function.request.lines().next().unwrap_or_default());
    Some(Finding { subject, found, wanted, at: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_the_one_that_the_recipe_promises_or_a_finding() {
        let (request, contains) = ("GET /notes HTTP/1.1\nAccept: x".to_owned(), "from afar".to_owned());
        let function = Function { request, status: 200, contains, by: "api".to_owned() };
        let found = |answer| judged(("api-1", &function), answer).map(|finding| finding.found);
        assert_eq!(found(Ok((200, "a note from afar".to_owned()))), None);
        assert_eq!(found(Ok((200, "[]".to_owned()))).as_deref(), Some("200: []"));
        assert_eq!(found(Ok((503, "from afar".to_owned()))).as_deref(), Some("503: from afar"));
        let silent = judged(("api-1", &function), Err(io::ErrorKind::TimedOut.into())).unwrap();
        assert_eq!(silent.subject, "api-1: GET /notes HTTP/1.1");
        assert_eq!(
            (silent.found.as_str(), silent.wanted.as_str()),
            ("no answer: timed out", "200, and in it from afar")
        );
    }
}
