//! What becomes of a machine before it is asked: told who it is, told nothing, told lies, or broken.

use std::collections::BTreeMap;

use ipnet::IpNet;

use crate::image::cloud_init::{Database, ImageId, Instance, Seed, SeedError};
use crate::image::network::{Cidr, Network};
use crate::image::ssh_key::SshKey;
use crate::machine::errand;
use crate::recipe::fail2ban::Attempt;
use crate::verify::claims::Claims;

use super::hosts::{GUEST, Hosts, ROUTER};
use super::siege;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Case {
    /// Told by a bundle, as it is meant to be, and its power is cut when its first start has come as far as the firewall.
    PowerCut,
    /// Told so, and left alone.
    Told,
    /// The same, and attacked until everything that bans has banned.
    Attacked,
    /// The same, and there is no room on its disk.
    FullDisk,
    /// Without a bundle.
    Untold,
    /// Told that its peers are everybody.
    TooWide,
    /// Told facts that are none.
    Nonsense,
    /// Told by the bundle of another image.
    OtherImage,
    /// The firewall's rules are not there.
    NoRules,
    /// They are no rules.
    BrokenRules,
    /// What loads them fails.
    NoFirewall,
}

/// What a machine of a case opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opens {
    /// All that the recipe says.
    All,
    /// What it opens to those whom nobody has to tell it of.
    NoPeers,
    /// Nothing: it has no network.
    Nothing,
}

impl Case {
    /// All, in the order of reports; those that share a machine first.
    pub const ALL: [Self; 11] = [
        Self::PowerCut,
        Self::Told,
        Self::Attacked,
        Self::FullDisk,
        Self::Untold,
        Self::TooWide,
        Self::Nonsense,
        Self::OtherImage,
        Self::NoRules,
        Self::BrokenRules,
        Self::NoFirewall,
    ];

    /// What reports call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Told => "told",
            Self::Attacked => "attacked",
            Self::PowerCut => "power-cut",
            Self::FullDisk => "full-disk",
            Self::Untold => "untold",
            Self::TooWide => "too-wide",
            Self::Nonsense => "nonsense",
            Self::OtherImage => "other-image",
            Self::NoRules => "no-rules",
            Self::BrokenRules => "broken-rules",
            Self::NoFirewall => "no-firewall",
        }
    }

    /// What it is, in a sentence.
    pub fn title(self) -> &'static str {
        match self {
            Self::Told => "told by its bundle who it is and who its peers are",
            Self::Attacked => "attacked from many addresses, and started again",
            Self::PowerCut => "its power cut in the middle of its first start",
            Self::FullDisk => "started without room on its disk",
            Self::Untold => "told nothing: no bundle",
            Self::TooWide => "told that all the world is its peer",
            Self::Nonsense => "told facts that cannot be read",
            Self::OtherImage => "told by the bundle of another image",
            Self::NoRules => "started without the file of the firewall's rules",
            Self::BrokenRules => "started with a file of rules that is none",
            Self::NoFirewall => "started with a firewall unit that fails",
        }
    }

    /// Whether it makes sense for an image that claims this: who has no peers cannot be told lies about them, and who bans
    /// nobody for anything that can be tried need not be attacked.
    pub fn applies(self, claims: &Claims) -> bool {
        match self {
            Self::TooWide | Self::OtherImage => !Hosts::of(claims, [0; 6]).peers().is_empty(),
            Self::Attacked => claims.fail2ban.jails.values().any(|jail| jail.attempt.is_some()),
            _ => true,
        }
    }

    /// Whether the machine of the case before can go on as that of this one, instead of another that is started for it.
    pub fn goes_on(self, before: Self) -> bool {
        let machine = [Self::PowerCut, Self::Told, Self::Attacked];
        let at = |case: Self| machine.iter().position(|one| *one == case);
        at(before).is_some() && at(before) < at(self)
    }

    /// What it opens.
    pub fn opens(self) -> Opens {
        match self {
            Self::Told | Self::Attacked | Self::PowerCut | Self::FullDisk => Opens::All,
            Self::Untold | Self::TooWide | Self::Nonsense | Self::OtherImage => Opens::NoPeers,
            Self::NoRules | Self::BrokenRules | Self::NoFirewall => Opens::Nothing,
        }
    }

    /// Whether it comes up as it should, in the end: with no unit that failed, and serving.
    pub fn is_healthy(self) -> bool {
        self.fails().is_none() && self != Self::FullDisk
    }

    /// The unit that has to fail in it, and to say so on the console.
    pub fn fails(self) -> Option<&'static str> {
        match self {
            Self::Told | Self::Attacked | Self::PowerCut | Self::FullDisk | Self::Untold => None,
            Self::TooWide | Self::Nonsense | Self::OtherImage => Some("goldsmith-instance.service"),
            Self::NoRules | Self::BrokenRules | Self::NoFirewall => Some("goldsmith-firewall.service"),
        }
    }

    /// What it is told.
    ///
    /// # Errors
    /// As [`Seed::of`].
    pub fn seed(
        self,
        image: &ImageId,
        key: &SshKey,
        (claims, hosts): (&Claims, &Hosts),
    ) -> Result<Option<Seed>, SeedError> {
        let instance = Instance {
            name: format!("{}-verified", image.name),
            keys: vec![key.clone()],
            network: Network::Static {
                address: Cidr { address: GUEST.into(), prefix: 24 },
                gateway: ROUTER.into(),
                dns: vec![ROUTER.into()],
            },
            image: Some(image.clone()),
            peers: hosts.peers(),
            ..Instance::default()
        };
        match self {
            Self::Untold => Ok(None),
            Self::OtherImage => {
                let image = Some(ImageId { name: "another".to_owned(), ..image.clone() });
                Seed::of(&Instance { image, ..instance }).map(Some)
            }
            Self::TooWide => {
                let everybody = ["0.0.0.0/0", "::/0"].iter().filter_map(|all| all.parse().ok()).collect::<Vec<_>>();
                let peers: BTreeMap<_, _> = hosts.peers().into_keys().map(|peer| (peer, everybody.clone())).collect();
                Seed::of(&Instance { peers, ..instance }).map(Some)
            }
            Self::Nonsense => {
                let mut seed = Seed::of(&instance)?;
                if let Some(facts) = seed.files.get_mut("user-data") {
                    facts.truncate(facts.len() - 3);
                }
                Ok(Some(seed))
            }
            Self::PowerCut | Self::Told | Self::Attacked => {
                let ignored: Vec<IpNet> = siege::ignored(&claims.fail2ban).into_iter().map(IpNet::from).collect();
                let peers = hosts.peers_and_attackers(siege::V6, &ignored);
                Seed::of(&with_database(Instance { peers, ..instance }, claims)).map(Some)
            }
            _ => Seed::of(&instance).map(Some),
        }
    }

    /// What the hypervisor asks of its init, so that it is broken and not a byte of its image is another one.
    pub fn credentials(self) -> Vec<String> {
        if self == Self::FullDisk {
            // Reserved first, which takes no time, and then what that leaves.
            let unit = "[Unit]\nDefaultDependencies=no\nAfter=local-fs.target systemd-growfs-root.service\nBefore=sysinit.target\n\
                        [Service]\nType=oneshot\n\
                        ExecStart=-/bin/sh -c 'fallocate -l $$(df --output=avail -B1 /var | tail -n 1) /var/full'\n\
                        ExecStart=-/bin/dd if=/dev/zero of=/var/fuller bs=64k\n";
            // Who has no room for what it is told has no network to wait for, and does so for two minutes.
            let wait = "[Service]\nExecStart=\nExecStart=/usr/lib/systemd/systemd-networkd-wait-online --timeout=20\n";
            // (A drop-in of the same name as the errand's would be in its place.)
            let wanted = "[Unit]\nWants=full.service\n";
            return vec![
                errand::credential("systemd.extra-unit.full.service", unit),
                errand::credential("systemd.unit-dropin.sysinit.target~full", wanted),
                errand::credential("systemd.unit-dropin.systemd-networkd-wait-online.service~full", wait),
            ];
        }
        let drop_in = match self {
            Self::NoRules => "InaccessiblePaths=/etc/iptables",
            Self::BrokenRules => "BindReadOnlyPaths=/usr/lib/os-release:/etc/iptables/rules.v4",
            Self::NoFirewall => "ExecStart=\nExecStart=/bin/false",
            _ => return Vec::new(),
        };
        let name = "systemd.unit-dropin.goldsmith-firewall.service~broken";
        vec![errand::credential(name, &format!("[Service]\n{drop_in}\n"))]
    }
}

/// The same instance, told of an application's account, if somebody is to try to guess its password: who has no account is
/// turned away without being asked for one.
fn with_database(instance: Instance, claims: &Claims) -> Instance {
    let mut attempts = claims.fail2ban.jails.values().filter_map(|jail| jail.attempt.as_ref());
    let user = attempts.find_map(|attempt| if let Attempt::Mysql(user) = attempt { Some(user.clone()) } else { None });
    let Some(user) = user else { return instance };
    let database = Database { host: instance.name.clone(), port: 3306, name: "app".to_owned(), user };
    // Of no use to anybody: the machine is gone in some minutes, and was reached by nobody.
    let secrets = BTreeMap::from([("database-password".to_owned(), "not the one that is tried".to_owned())]);
    Instance { database: Some(database), secrets, ..instance }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::verify::claims::{Opening, Whom};

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ops";

    #[test]
    fn each_is_told_something_else() {
        let peer = Opening { udp: false, ports: (3306, 3306), to: Whom::Peer("api".to_owned()) };
        let claims = Claims { open: vec![peer], ..Claims::default() };
        let hosts = Hosts::of(&claims, [0; 6]);
        let image = ImageId { name: "db".to_owned(), plan: Digest::of(b"plan") };
        let facts = |case: Case| {
            let seed = case.seed(&image, &KEY.parse().unwrap(), (&claims, &hosts)).unwrap();
            seed.map(|seed| String::from_utf8(seed.files["user-data"].clone()).unwrap())
        };
        let told = facts(Case::Told).unwrap();
        assert!(told.contains("10.0.0.10"), "{told}");
        assert_eq!(facts(Case::Untold), None);
        assert!(facts(Case::TooWide).unwrap().contains("0.0.0.0/0"));
        assert!(facts(Case::OtherImage).unwrap().contains("another"));
        let whole = facts(Case::FullDisk).unwrap();
        assert!(whole.starts_with(&facts(Case::Nonsense).unwrap()) && facts(Case::Nonsense).unwrap() != whole);
        for case in Case::ALL {
            let is_spoilt = case.opens() == Opens::Nothing || case == Case::FullDisk;
            assert_eq!(!case.credentials().is_empty(), is_spoilt, "{}", case.name());
            assert_eq!(case.applies(&claims), case != Case::Attacked, "{}", case.name());
        }
        let nobody = Claims::default();
        assert!(Case::Nonsense.applies(&nobody) && !Case::TooWide.applies(&nobody));
        assert!(facts(Case::Attacked).unwrap().contains("10.1.0.0/24"));
        assert!(Case::Attacked.goes_on(Case::Told) && Case::Attacked.goes_on(Case::PowerCut));
        assert!(!Case::Told.goes_on(Case::Attacked) && !Case::FullDisk.goes_on(Case::Told));
    }
}
