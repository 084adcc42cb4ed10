//! What becomes of a machine before it is asked: told who it is, told nothing, told lies, or broken.

use std::collections::BTreeMap;

use crate::image::cloud_init::{ImageId, Instance, Seed, SeedError};
use crate::image::network::{Cidr, Network};
use crate::image::ssh_key::SshKey;
use crate::machine::errand;

use super::hosts::{GUEST, Hosts, ROUTER};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Case {
    /// Told by a bundle, as it is meant to be.
    Told,
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
    /// All, in the order of reports; the longest first.
    pub const ALL: [Self; 8] = [
        Self::Told,
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
            Self::Untold => "told nothing: no bundle",
            Self::TooWide => "told that all the world is its peer",
            Self::Nonsense => "told facts that cannot be read",
            Self::OtherImage => "told by the bundle of another image",
            Self::NoRules => "started without the file of the firewall's rules",
            Self::BrokenRules => "started with a file of rules that is none",
            Self::NoFirewall => "started with a firewall unit that fails",
        }
    }

    /// Whether it makes sense for an image beside which are these hosts: who has no peers cannot be told lies about them.
    pub fn applies(self, hosts: &Hosts) -> bool {
        !matches!(self, Self::TooWide | Self::OtherImage) || !hosts.peers().is_empty()
    }

    /// What it opens.
    pub fn opens(self) -> Opens {
        match self {
            Self::Told => Opens::All,
            Self::Untold | Self::TooWide | Self::Nonsense | Self::OtherImage => Opens::NoPeers,
            Self::NoRules | Self::BrokenRules | Self::NoFirewall => Opens::Nothing,
        }
    }

    /// The unit that has to fail in it, and to say so on the console.
    pub fn fails(self) -> Option<&'static str> {
        match self {
            Self::Told | Self::Untold => None,
            Self::TooWide | Self::Nonsense | Self::OtherImage => Some("goldsmith-instance.service"),
            Self::NoRules | Self::BrokenRules | Self::NoFirewall => Some("goldsmith-firewall.service"),
        }
    }

    /// What it is told.
    ///
    /// # Errors
    /// As [`Seed::of`].
    pub fn seed(self, image: &ImageId, key: &SshKey, hosts: &Hosts) -> Result<Option<Seed>, SeedError> {
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
            Self::Told | Self::NoRules | Self::BrokenRules | Self::NoFirewall => Seed::of(&instance).map(Some),
        }
    }

    /// What the hypervisor asks of its init, so that it is broken and not a byte of its image is another one.
    pub fn credentials(self) -> Option<String> {
        let drop_in = match self {
            Self::NoRules => "InaccessiblePaths=/etc/iptables",
            Self::BrokenRules => "BindReadOnlyPaths=/usr/lib/os-release:/etc/iptables/rules.v4",
            Self::NoFirewall => "ExecStart=\nExecStart=/bin/false",
            _ => return None,
        };
        let name = "systemd.unit-dropin.goldsmith-firewall.service~broken";
        Some(errand::credential(name, &format!("[Service]\n{drop_in}\n")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::verify::claims::{Claims, Opening, Whom};

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ops";

    #[test]
    fn each_is_told_something_else() {
        let peer = Opening { udp: false, ports: (3306, 3306), to: Whom::Peer("api".to_owned()) };
        let hosts = Hosts::of(&Claims { open: vec![peer], ..Claims::default() }, [0; 6]);
        let image = ImageId { name: "db".to_owned(), plan: Digest::of(b"plan") };
        let facts = |case: Case| {
            let seed = case.seed(&image, &KEY.parse().unwrap(), &hosts).unwrap();
            seed.map(|seed| String::from_utf8(seed.files["user-data"].clone()).unwrap())
        };
        let told = facts(Case::Told).unwrap();
        assert!(told.contains("10.0.0.10"), "{told}");
        assert_eq!(facts(Case::Untold), None);
        assert!(facts(Case::TooWide).unwrap().contains("0.0.0.0/0"));
        assert!(facts(Case::OtherImage).unwrap().contains("another"));
        assert!(told.starts_with(&facts(Case::Nonsense).unwrap()) && facts(Case::Nonsense) != facts(Case::Told));
        for case in Case::ALL {
            assert_eq!(case.credentials().is_some(), case.opens() == Opens::Nothing, "{}", case.name());
            assert!(case.applies(&hosts), "{}", case.name());
        }
        let nobody = Hosts::of(&Claims::default(), [0; 6]);
        assert!(Case::Nonsense.applies(&nobody) && !Case::TooWide.applies(&nobody));
    }
}
