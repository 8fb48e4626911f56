//! `import`: every Bundle file of a folder posted once, and copies of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::copies::Template;
use crate::drive::{Ticket, Work};
use crate::tally::{Outcome, Tally};
use crate::target::{Answer, Target};

/// The Bundles of a folder. Those of hospitals and practitioners, which others refer to, come
/// first. Cloning it copies no bytes.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    bundles: Arc<[Template]>,
}

impl Folder {
    /// Reads every `.json` file of `folder`.
    pub(crate) fn read(folder: &Path) -> Result<Self, String> {
        let problem = |error: std::io::Error| format!("{}: {error}", folder.display());
        let files = std::fs::read_dir(folder).map_err(problem)?;
        let mut paths: Vec<PathBuf> = files
            .map(|file| file.map(|file| file.path()))
            .collect::<Result<_, _>>()
            .map_err(problem)?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort_by_key(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let first = name.starts_with("hospitalInformation")
                || name.starts_with("practitionerInformation");
            (!first, name)
        });
        let bundles: Arc<[Template]> =
            paths.iter().map(|path| bundle(path)).collect::<Result<_, _>>()?;
        if bundles.is_empty() {
            return Err(format!("{} holds no .json files", folder.display()));
        }
        Ok(Self { bundles })
    }

    /// How many Bundles there are.
    pub(crate) fn len(&self) -> u64 {
        self.bundles.len() as u64
    }
}

fn bundle(path: &Path) -> Result<Template, String> {
    let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Template::read(text).map_err(|problem| format!("{} {problem}", path.display()))
}

/// Posts of a folder's Bundles to one server. A copy is made when its turn comes: however many
/// there are, only those on their way take memory.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) target: Target,
    pub(crate) folder: Folder,
    /// The number of the first copy; 0 is the folder itself.
    pub(crate) first_copy: u64,
}

impl Work for Import {
    fn operations(&self) -> Vec<&str> {
        vec!["bundle"]
    }

    async fn perform(&self, ticket: Ticket, tally: &mut Tally) {
        let number = self.first_copy + ticket.number / self.folder.len();
        let template = &self.folder.bundles[(ticket.number % self.folder.len()) as usize];
        let answer = self.target.send(Method::POST, "", Some(template.copy(number))).await;
        let outcome = answer
            .and_then(|answer| answer.expect(&[StatusCode::OK]))
            .and_then(|answer| check(&answer, template.entries));
        tally.count(0, ticket.due, outcome);
    }
}

/// Every entry was created.
fn check(answer: &Answer, entries: u64) -> Result<Outcome, String> {
    let bundle: Value =
        serde_json::from_slice(&answer.body).map_err(|_| "the answer is not JSON")?;
    let answers = bundle["entry"].as_array().into_iter().flatten();
    let statuses = answers.filter_map(|entry| entry["response"]["status"].as_str());
    let created = statuses.filter(|status| status.starts_with("201")).count() as u64;
    if created == entries {
        Ok(Outcome { bytes: answer.body.len() as u64, items: entries })
    } else {
        Err("wrong: not every entry was created".to_owned())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::stub;

    async fn import(answer: &'static str) -> Tally {
        let folder = tempfile::tempdir().unwrap();
        let bundle = r#"{"resourceType":"Bundle","type":"transaction","entry":[{},{}]}"#;
        for name in ["b.json", "hospitalInformation1.json", "c.json"] {
            std::fs::write(folder.path().join(name), bundle).unwrap();
        }
        std::fs::write(folder.path().join("notes.txt"), "not a Bundle").unwrap();
        let target = stub::serve(200, answer).await;
        let folder = Folder::read(folder.path()).unwrap();
        let units = folder.len() * 2;
        stub::run(Import { target, folder, first_copy: 0 }, units).await
    }

    #[tokio::test]
    async fn every_bundle_of_every_copy_is_posted_and_its_resources_are_counted() {
        let created = r#"{"response":{"status":"201 Created"}}"#;
        let both: &'static str = format!(r#"{{"entry":[{created},{created}]}}"#).leak();
        let tally = import(both).await;
        let operation = &tally.operations[0];
        assert_eq!((operation.succeeded(), operation.items, operation.failed()), (6, 12, 0));
    }

    #[tokio::test]
    async fn a_bundle_of_which_not_all_was_created_is_an_error() {
        let one = r#"{"entry":[{"response":{"status":"201"}},{"response":{"status":"400"}}]}"#;
        assert_eq!(import(one).await.failed(), 6);
    }

    #[test]
    fn a_folder_without_bundles_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Folder::read(folder.path()).unwrap_err().contains("no .json files"));
        std::fs::write(folder.path().join("a.json"), "{}").unwrap();
        assert!(Folder::read(folder.path()).unwrap_err().contains("not a Bundle"));
    }
}
