//! A cloud as a machine sees it, played on this one: what the firmware says it is, and the metadata service.
//!
//! ```text
//! bundles/db-1/{meta-data,cloud-user-data} ──▶ scratch/metadata/…  ◀──serve (a shell script of ours, one process a request)
//! the guest: http://100.100.100.200 ──▶ QEMU's network (`guestfwd`) ──────┘
//! ```
//!
//! The image is identified and provisioned as it would be there, by nothing but what the cloud itself offers: no volume is
//! attached. Sources: `ds-identify` of cloud-init (DMI product name); ECS user guide, "Instance metadata"; qemu(1), `guestfwd`.

use std::fs;
use std::io;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use crate::image::cloud_init::LINE;

/// What a machine is given to be on a cloud.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stage {
    /// Properties of QEMU's `-netdev user`.
    pub network: Vec<String>,
    /// More of QEMU's arguments.
    pub more: Vec<String>,
}

/// What serves a request.
const SERVE: &str = include_str!("mock/alibaba.sh");

/// Below the machine's scratch directory, which QEMU has at `/mnt`.
const FOLDER: &str = "metadata";

/// What the service was asked, one line a request: its answer, method and path. Below the machine's scratch directory.
pub const REQUESTS: &str = "metadata/requests";

/// Puts what `bundle` says into a metadata service of Alibaba Cloud below `scratch`. With its `tokens` (the hardened mode), or
/// as a service that gives none: cloud-init must not take that for its cloud.
///
/// # Errors
/// The folder is no bundle, or a file cannot be written.
pub fn alibaba(bundle: &Path, scratch: &Path, tokens: bool) -> io::Result<Stage> {
    let folder = scratch.join(FOLDER);
    let api = folder.join("2016-01-01");
    fs::create_dir_all(api.join("meta-data"))?;
    fs::write(folder.join("serve"), SERVE)?;
    fs::write(folder.join("token"), if tokens { "Z29sZHNtaXRo" } else { "" })?;
    // A person gives it to the cloud on one line; the cloud serves what that was.
    let line = fs::read_to_string(bundle.join(LINE))?;
    let user_data = BASE64_STANDARD.decode(line.trim()).map_err(|error| wrong(LINE, &error.to_string()))?;
    fs::write(api.join("user-data"), user_data)?;
    let told = fs::read_to_string(bundle.join("meta-data"))?;
    fs::write(api.join("meta-data/all"), metadata(&told)?.to_string())?;
    let words = |text: [&str; 2]| text.map(str::to_owned).to_vec();
    Ok(Stage {
        network: words(["net=100.100.100.0/24", "guestfwd=tcp:100.100.100.200:80-cmd:/bin/sh /mnt/metadata/serve"]),
        more: words(["-smbios", "type=1,manufacturer=Alibaba Cloud,product=Alibaba Cloud ECS"]),
    })
}

/// `/meta-data/all` of the service, from the `meta-data` of a bundle: keys and list, each value as in JSON.
fn metadata(told: &str) -> io::Result<Value> {
    let wrong = |line: &str| wrong("meta-data", line);
    let (mut all, mut keys) = (Map::new(), Map::new());
    for line in told.lines() {
        let value = |text: &str| serde_json::from_str::<String>(text.trim()).map_err(|_| wrong(line));
        match line.split_once(':').filter(|_| !line.starts_with(' ')) {
            Some(("instance-id", text)) => drop(all.insert("instance-id".to_owned(), value(text)?.into())),
            Some(("local-hostname", text)) => drop(all.insert("hostname".to_owned(), value(text)?.into())),
            Some(("public-keys", "")) => {}
            Some(_) => return Err(wrong(line)),
            None => {
                let key = line.trim().strip_prefix("- ").ok_or_else(|| wrong(line))?;
                keys.insert(keys.len().to_string(), json!({ "openssh-key": value(key)? }));
            }
        }
    }
    all.insert("public-keys".to_owned(), keys.into());
    all.insert("network-type".to_owned(), "vpc".into());
    // QEMU's first card; the address comes by DHCP, as there.
    let card = json!({ "52:54:00:12:34:56": { "netmask": "255.255.255.0", "vpc-cidr-block": "100.100.100.0/24" } });
    all.insert("network".to_owned(), json!({ "interfaces": { "macs": card } }));
    Ok(all.into())
}

fn wrong(file: &str, said: &str) -> io::Error {
    let message = format!("{file} of the bundle is not as `goldsmith bundle` writes it: {said}");
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    const TOLD: &str = "instance-id: \"i-1\"\nlocal-hostname: \"db-1\"\npublic-keys:\n  - \"ssh-ed25519 AAAA ops\"\n";

    /// A staged bundle, and a question to its service: the whole answer.
    fn asked(tokens: bool, question: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("meta-data"), TOLD).unwrap();
        fs::write(folder.path().join(LINE), BASE64_STANDARD.encode("#goldsmith-instance\n{}\n")).unwrap();
        alibaba(folder.path(), folder.path(), tokens).unwrap();
        let mut command = Command::new("sh");
        let command = command.arg(folder.path().join("metadata/serve")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut serving = command.spawn().unwrap();
        serving.stdin.take().unwrap().write_all(question.as_bytes()).unwrap();
        String::from_utf8(serving.wait_with_output().unwrap().stdout).unwrap()
    }

    #[test]
    fn who_has_a_token_is_told_and_nobody_else() {
        let token =
            asked(true, "PUT /latest/api/token HTTP/1.1\r\nX-aliyun-ecs-metadata-token-ttl-seconds: 60\r\n\r\n");
        let (head, token) = token.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("Content-Length: 12\r\n"), "{head}");
        let get = |path: &str, token: &str| {
            asked(true, &format!("GET {path} HTTP/1.1\r\nX-Aliyun-ECS-Metadata-Token: {token}\r\n\r\n"))
        };
        assert!(get("/2016-01-01/user-data", token).ends_with("\r\n\r\n#goldsmith-instance\n{}\n"));
        assert!(get("/2016-01-01/user-data", "guessed").starts_with("HTTP/1.1 403 "));
        assert!(get("/2016-01-01/user-data", "").starts_with("HTTP/1.1 403 "));
        assert!(get("/2016-01-01/vendor-data", token).starts_with("HTTP/1.1 404 "));
        assert!(get("/2016-01-01/../token", token).starts_with("HTTP/1.1 400 "));
        let all = get("/2016-01-01/meta-data/all", token);
        let all: Value = serde_json::from_str(all.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!((&all["instance-id"], &all["hostname"]), (&json!("i-1"), &json!("db-1")));
        assert_eq!(all["public-keys"]["0"]["openssh-key"], "ssh-ed25519 AAAA ops");
    }

    #[test]
    fn a_service_without_tokens_gives_none() {
        let put = "PUT /latest/api/token HTTP/1.1\r\nX-aliyun-ecs-metadata-token-ttl-seconds: 60\r\n\r\n";
        assert!(asked(false, put).starts_with("HTTP/1.1 403 "));
        let empty = "GET /2016-01-01/user-data HTTP/1.1\r\nX-aliyun-ecs-metadata-token: \r\n\r\n";
        assert!(asked(false, empty).starts_with("HTTP/1.1 403 "));
    }

    #[test]
    fn what_no_bundle_says_is_refused() {
        for line in ["x: 1", "instance-id: i-1", "  key"] {
            assert!(metadata(line).unwrap_err().to_string().contains(line), "{line}");
        }
    }
}
