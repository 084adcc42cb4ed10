//! The folder that a project is, and where in it everything lies.
//!
//! ```text
//! PROJECT/
//! ├── recipes/NAME.toml                 what people want        (committed); with `purpose = "fleet"`, of their machines
//! ├── overlays/NAME/{overlay.toml,root} files laid over         (committed)
//! ├── images/NAME.lock, images/NAME/    the answer; the bytes   (committed; not committed)
//! └── secrets/NAME.json                 what only a fleet knows (not committed)
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use super::file::Purpose;
use super::fold::{Folded, fold_what_is_right};
use super::problem::{Problem, did_you_mean};
use super::source::is_name;

/// A folder with `recipes/` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    root: PathBuf,
}

/// Why a project or a recipe of it cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// No folder from here up has recipes.
    #[error("there is no project in {0} or any folder above it: no `recipes/` with a `.toml` file in it")]
    NotFound(PathBuf),
    /// A folder or file of the project cannot be read.
    #[error("cannot read {path}: {why}", path = path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        why: io::Error,
    },
    /// People's mistakes.
    #[error(transparent)]
    Mistakes(#[from] Mistakes),
}

/// What is wrong with files that people wrote: errors, and the warnings that came with them.
#[derive(Debug)]
pub struct Mistakes(pub Vec<Problem>);

impl std::error::Error for Mistakes {}

/// One line a mistake.
impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Problem::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl Project {
    /// The project that `start` is in: `start` itself, or the nearest folder above it with recipes.
    ///
    /// # Errors
    /// There is none.
    pub fn find(start: &Path) -> Result<Self, ProjectError> {
        let absolute = std::path::absolute(start).unwrap_or_else(|_| start.to_owned());
        let has_recipes = |folder: &&Path| stems(&folder.join("recipes"), "toml").is_ok_and(|names| !names.is_empty());
        match absolute.ancestors().find(has_recipes) {
            Some(root) => Ok(Self { root: root.to_owned() }),
            None => Err(ProjectError::NotFound(absolute)),
        }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `recipes/NAME.toml`.
    pub fn recipe(&self, name: &str) -> PathBuf {
        self.root.join("recipes").join(format!("{name}.toml"))
    }

    /// `overlays/NAME`.
    pub fn overlay(&self, name: &str) -> PathBuf {
        self.root.join("overlays").join(name)
    }

    /// `images/NAME.lock`.
    pub fn lock(&self, name: &str) -> PathBuf {
        self.root.join("images").join(format!("{name}.lock"))
    }

    /// `images/NAME`.
    pub fn image(&self, name: &str) -> PathBuf {
        self.root.join("images").join(name)
    }

    /// `secrets/NAME.json`, of a fleet.
    pub fn secrets(&self, fleet: &str) -> PathBuf {
        self.root.join("secrets").join(format!("{fleet}.json"))
    }

    /// The text of every recipe, by name.
    ///
    /// # Errors
    /// A file cannot be read, or is not UTF-8.
    pub fn recipe_texts(&self) -> Result<BTreeMap<String, String>, ProjectError> {
        let mut texts = self.texts()?;
        texts.retain(|_, text| !is_fleet(text));
        Ok(texts)
    }

    /// The text of every fleet, by name.
    ///
    /// # Errors
    /// A file cannot be read, or is not UTF-8.
    pub fn fleet_texts(&self) -> Result<BTreeMap<String, String>, ProjectError> {
        let mut texts = self.texts()?;
        texts.retain(|_, text| is_fleet(text));
        Ok(texts)
    }

    /// The text of every file of `recipes/`, by its stem.
    fn texts(&self) -> Result<BTreeMap<String, String>, ProjectError> {
        let folder = self.root.join("recipes");
        let names = stems(&folder, "toml").map_err(|why| ProjectError::Unreadable { path: folder, why })?;
        let read = |name: String| {
            let path = self.recipe(&name);
            match fs::read_to_string(&path) {
                Ok(text) => Ok((name, text)),
                Err(why) => Err(ProjectError::Unreadable { path, why }),
            }
        };
        names.into_iter().map(read).collect()
    }

    /// The names of the overlays.
    ///
    /// # Errors
    /// The folder is there and cannot be read.
    pub fn overlays(&self) -> Result<BTreeSet<String>, ProjectError> {
        let path = self.root.join("overlays");
        let list = || -> io::Result<BTreeSet<String>> {
            let mut names = BTreeSet::new();
            for entry in fs::read_dir(&path)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    names.extend(entry.file_name().into_string());
                }
            }
            Ok(names)
        };
        match list() {
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
            result => result.map_err(|why| ProjectError::Unreadable { path: path.clone(), why }),
        }
    }

    /// The recipe `name`, folded, its overlays and keyrings known to be there.
    ///
    /// # Errors
    /// Everything that is wrong with it and its parents.
    pub fn load(&self, name: &str) -> Result<Folded, ProjectError> {
        let (folded, mut problems) = fold_what_is_right(name, &self.recipe_texts()?);
        let Some(folded) = folded else { return Err(Mistakes(problems).into()) };
        let overlays = self.overlays()?;
        for (overlay, place) in folded.recipe.overlays.iter().zip(&folded.overlay_places) {
            if is_name(overlay) && !overlays.contains(overlay) {
                let problem = Problem::error(format!("there is no overlay `{overlay}`"));
                let problem =
                    problem.at(place.clone(), "unknown overlay").help(format!("make the folder overlays/{overlay}/"));
                problems.push(problem.maybe_help(did_you_mean(overlay, overlays.iter().map(String::as_str))));
            }
        }
        for (keyring, place) in &folded.keyring_places {
            // One that leads out has been told so by its file.
            if super::archive::is_inside(keyring) && !self.root.join(keyring).is_file() {
                let problem = Problem::error(format!("there is no file `{keyring}` in the project"));
                problems.push(problem.at(place.clone(), "no such keyring").help("export it there: `gpg --export KEY`"));
            }
        }
        match problems.iter().any(Problem::is_error) {
            true => Err(Mistakes(problems).into()),
            false => Ok(Folded { warnings: problems, ..folded }),
        }
    }

    /// The names of the recipes for `purpose`, sorted.
    ///
    /// # Errors
    /// A recipe is wrong or cannot be read: what it is for is not known then.
    pub fn names(&self, purpose: Purpose) -> Result<Vec<String>, ProjectError> {
        let mut names = Vec::new();
        for (name, text) in self.recipe_texts()? {
            let source = super::source::parse(&text, &super::fold::file_of(&name)).map_err(Mistakes)?;
            if source.file.purpose.unwrap_or_default() == purpose {
                names.push(name);
            }
        }
        Ok(names)
    }
}

/// Whether a file of `recipes/` speaks of machines and not of an image: its `purpose` is `fleet`. What is no TOML is a recipe's
/// mistake, wherever it breaks off.
fn is_fleet(text: &str) -> bool {
    let (table, _) = toml::de::DeTable::parse_recoverable(text);
    table.get_ref().get("purpose").and_then(|purpose| purpose.get_ref().as_str()) == Some("fleet")
}

/// The names without `.extension` of the files in `folder` that have it.
fn stems(folder: &Path, extension: &str) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension) && path.is_file() {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A project with these files.
    fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn a_project_is_found_from_any_folder_inside_it_and_not_from_outside() {
        let folder = project(&[("p/recipes/a.toml", "suite = \"trixie\""), ("p/overlays/a/root/x", "")]);
        let inside = folder.path().join("p/overlays/a/root");
        assert_eq!(Project::find(&inside).unwrap().root(), folder.path().join("p"));
        assert!(matches!(Project::find(folder.path()), Err(ProjectError::NotFound(_))));
    }

    #[test]
    fn an_overlay_without_a_folder_is_a_mistake_with_the_nearest_name() {
        let folder =
            project(&[("recipes/a.toml", "suite = \"trixie\"\noverlays = [\"bse\"]"), ("overlays/base/x", "")]);
        let Err(ProjectError::Mistakes(mistakes)) = Project::find(folder.path()).unwrap().load("a") else { panic!() };
        assert_eq!(mistakes.to_string(), "recipes/a.toml:2:13: error: there is no overlay `bse`");
        assert_eq!(mistakes.0[0].help.as_deref(), Some("did you mean `base`?"));
    }

    #[test]
    fn a_keyring_that_is_not_there_is_a_mistake() {
        let text = "[[archive]]\nname = \"x\"\nuri = \"https://x.org/y\"\nsuite = \"s\"\nkeyring = \"recipes/k.pgp\"";
        let folder = project(&[("recipes/a.toml", text)]);
        let Err(ProjectError::Mistakes(mistakes)) = Project::find(folder.path()).unwrap().load("a") else { panic!() };
        assert_eq!(mistakes.to_string(), "recipes/a.toml:5:11: error: there is no file `recipes/k.pgp` in the project");
    }

    #[test]
    fn a_fleet_is_no_recipe_and_a_recipe_no_fleet() {
        let files = [("recipes/a.toml", ""), ("recipes/vpc.toml", "purpose = \"fleet\"\n[instance.a]\nimage = 7")];
        let folder = project(&files);
        let project = Project::find(folder.path()).unwrap();
        assert_eq!(project.recipe_texts().unwrap().into_keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(project.fleet_texts().unwrap().into_keys().collect::<Vec<_>>(), ["vpc"]);
        assert_eq!(project.names(Purpose::Image).unwrap(), ["a"]);
    }

    #[test]
    fn recipes_are_listed_by_what_they_are_for() {
        let files = [("recipes/b.toml", ""), ("recipes/a.toml", ""), ("recipes/t.toml", "purpose = \"toolbox\"")];
        let folder = project(&files);
        let project = Project::find(folder.path()).unwrap();
        assert_eq!(project.names(Purpose::Image).unwrap(), ["a", "b"]);
        assert_eq!(project.names(Purpose::Toolbox).unwrap(), ["t"]);
    }
}
