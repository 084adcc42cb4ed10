use std::fs;
use std::path::Path;
use std::process::Command;

use super::*;
use crate::recipe::project::Project;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The script for this project's recipe `image`, of a disk whose digest is that of its file's name.
fn written(image: &str, target: Target) -> String {
    let recipe = Project::find(root()).unwrap().load(image).unwrap().recipe;
    let files = ["disk.raw", "disk.qcow2", "disk.vhd", "disk.raw.tar.gz"];
    let digests = files.map(|name| (name.to_owned(), Digest::of(name.as_bytes()))).into();
    let folder = format!("images/{image}");
    script(&Handoff { recipe: &recipe, target, digests: &digests, folder: &folder, gibibytes: 2 }).unwrap()
}

#[test]
fn the_scripts_of_both_roles_are_those_that_were_read() {
    for image in ["api", "db"] {
        for target in Target::ALL {
            let golden = root().join(format!("tests/golden/import/{image}.{}.sh", target.name()));
            let script = written(image, target);
            if std::env::var_os("GOLDSMITH_BLESS").is_some() {
                fs::create_dir_all(golden.parent().unwrap()).unwrap();
                fs::write(&golden, &script).unwrap();
            }
            let kept = fs::read_to_string(&golden).unwrap_or_default();
            assert_eq!(script, kept, "{}: GOLDSMITH_BLESS=1 rewrites it", golden.display());
        }
    }
}

#[test]
fn every_script_is_one_that_a_shell_reads_and_names_what_it_needs_before_it_does_anything() {
    for target in Target::ALL {
        let script = written("db", target);
        let mut shell = Command::new("sh").arg("-n").stdin(std::process::Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut shell.stdin.take().unwrap(), script.as_bytes()).unwrap();
        assert!(shell.wait().unwrap().success(), "{}", target.name());
        // Without anything that is the account's, it ends before the first command.
        let ran = Command::new("sh").args(["-c", &script]).env_clear().output().unwrap();
        assert!(!ran.status.success() && ran.stdout.is_empty(), "{}", target.name());
    }
}

#[test]
fn a_disk_of_another_digest_is_refused_before_anything_is_uploaded() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    for (bytes, reached) in [("disk.qcow2", true), ("another disk", false)] {
        fs::write(&disk, bytes).unwrap();
        // A client that says what it was asked, and fails.
        let client = "aliyun() { echo \"aliyun $*\"; exit 9; }\n";
        let text = format!("{client}{}", written("api", Target::Alibaba).replace("--region \"$REGION\" >&2", ""));
        let mut command = Command::new("sh");
        let ran =
            command.args(["-c", &text]).env("DISK", &disk).envs(["REGION", "BUCKET", "VPC"].map(|name| (name, "x")));
        let ran = ran.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&ran.stdout).contains("aliyun oss cp"), reached, "{ran:?}");
        assert_eq!(ran.status.code() == Some(9), reached);
    }
}

#[test]
fn without_the_disk_of_the_target_there_is_nothing_to_hand_over() {
    let recipe = Project::find(root()).unwrap().load("db").unwrap().recipe;
    let handoff = Handoff {
        recipe: &recipe,
        target: Target::Azure,
        digests: &BTreeMap::new(),
        folder: "images/db",
        gibibytes: 2,
    };
    let error = script(&handoff).unwrap_err().to_string();
    assert!(error.starts_with("db was not built for azure: there is no disk.vhd\nhelp: add \"azure\""), "{error}");
}

#[test]
fn a_database_is_open_to_the_group_of_its_api_and_to_nobody_else() {
    let alibaba = written("db", Target::Alibaba);
    assert!(alibaba.contains(": \"${API_GROUP:?the security group, as sg-…, of api}\"\n"));
    assert!(alibaba.contains(
        "--Permissions.1.IpProtocol TCP --Permissions.1.PortRange 3306/3306 --Permissions.1.SourceGroupId \"$API_GROUP\""
    ));
    assert!(!alibaba.contains("SourceCidrIp"), "nothing is open to addresses");
    assert!(
        alibaba.contains("--Permissions.1.IpProtocol ALL --Permissions.1.PortRange -1/-1 --Permissions.1.DestCidrIp")
    );
    assert!(!written("api", Target::Alibaba).contains("Policy drop"), "the API may call whom it wants");
}

#[test]
fn the_metadata_service_asks_for_tokens_where_an_image_can_say_so() {
    assert!(written("api", Target::Alibaba).contains("--Features.ImdsSupport v2 "));
    assert!(written("api", Target::Aws).contains("--imds-support v2.0 "));
}
