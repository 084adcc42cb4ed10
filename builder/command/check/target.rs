//! `goldsmith check --target TARGET [IMAGE…]`: the rules of an import.

use std::io::Write;
use std::path::Path;

use anyhow::Context;

use crate::cloud::{Judgement, Subject, Written, judge};
use crate::command::{images, print_json};
use crate::image::read;
use crate::plan::target;
use crate::recipe::Target;
use crate::recipe::project::Project;
use crate::verify::audited::Audited;
use crate::verify::claims::Claims;

/// What the rules of `target` say of the images below `root`, as far as they are built.
pub(super) fn judgements(
    project: &Project,
    root: &Path,
    (target, named): (Target, &[String]),
) -> anyhow::Result<Vec<Judgement>> {
    images(project, named)?.iter().map(|image| judgement(project, target, (image, &root.join(image)))).collect()
}

/// Prints them.
pub(super) fn tell(judgements: &[Judgement], json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    match json {
        true => print_json(out, &judgements)?,
        false => judgements.iter().try_for_each(|judgement| judgement.write(out))?,
    }
    let broken: Vec<_> = judgements.iter().filter(|one| !one.is_clean()).map(|one| one.image.as_str()).collect();
    anyhow::ensure!(broken.is_empty(), "the target would not take {} as it is", broken.join(", "));
    Ok(())
}

fn judgement(project: &Project, target: Target, (image, folder): (&str, &Path)) -> anyhow::Result<Judgement> {
    let recipe = project.load(image)?.recipe;
    let layout = folder.join("oci");
    let built = layout.join("index.json").exists();
    let rootfs = built.then(|| read::rootfs(&layout).with_context(|| format!("cannot read {}", layout.display())));
    let rootfs = rootfs.transpose()?;
    let claims = Claims::of(&recipe);
    let written = Written::read(folder).with_context(|| format!("cannot read the disk in {}", folder.display()))?;
    let subject = Subject {
        target,
        recipe: &recipe,
        disk: target::disk(&recipe.image),
        rootfs: rootfs.as_ref().map(|rootfs| Audited::new(rootfs, &claims)),
        written,
    };
    Ok(judge(&subject))
}
