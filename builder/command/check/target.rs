//! `goldsmith check --target TARGET [IMAGE…]`: the rules of an import.

use std::io::Write;

use anyhow::Context;

use crate::cloud::{Judgement, Subject, Written, judge};
use crate::command::{images, print_json};
use crate::image::read;
use crate::plan::target;
use crate::recipe::Target;
use crate::recipe::project::Project;
use crate::verify::audited::Audited;
use crate::verify::claims::Claims;

/// Holds images against the rules of `target`, as far as they are built.
pub(super) fn run(
    project: &Project,
    target: Target,
    named: &[String],
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let images = images(project, named)?;
    let judgements =
        images.iter().map(|image| judgement(project, target, image)).collect::<anyhow::Result<Vec<_>>>()?;
    match json {
        true => print_json(out, &judgements)?,
        false => judgements.iter().try_for_each(|judgement| judgement.write(out))?,
    }
    let broken: Vec<_> = judgements.iter().filter(|one| !one.is_clean()).map(|one| one.image.as_str()).collect();
    anyhow::ensure!(broken.is_empty(), "{} would not take {} as it is", target.name(), broken.join(", "));
    Ok(())
}

fn judgement(project: &Project, target: Target, image: &str) -> anyhow::Result<Judgement> {
    let recipe = project.load(image)?.recipe;
    let folder = project.image(image);
    let layout = folder.join("oci");
    let built = layout.join("index.json").exists();
    let rootfs = built.then(|| read::rootfs(&layout).with_context(|| format!("cannot read {}", layout.display())));
    let rootfs = rootfs.transpose()?;
    let claims = Claims::of(&recipe);
    let written = Written::read(&folder).with_context(|| format!("cannot read the disk in {}", folder.display()))?;
    let subject = Subject {
        target,
        recipe: &recipe,
        disk: target::disk(&recipe.image),
        rootfs: rootfs.as_ref().map(|rootfs| Audited::new(rootfs, &claims)),
        written,
    };
    Ok(judge(&subject))
}
