//! `import`: every Bundle file of a folder posted once.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::drive::{Ticket, Work};
use crate::tally::{Outcome, Tally};
use crate::target::Target;

/// The Bundles of a folder. Those of hospitals and practitioners, which others refer to, come
/// first. Cloning it copies no bytes.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    bundles: Vec<(Bytes, u64)>,
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
        let bundles: Vec<(Bytes, u64)> =
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

fn bundle(path: &Path) -> Result<(Bytes, u64), String> {
    let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let json: Value =
        serde_json::from_slice(&text).map_err(|_| format!("{} is not JSON", path.display()))?;
    let entries = json["entry"].as_array().map_or(0, Vec::len) as u64;
    if json["resourceType"] == "Bundle" && entries > 0 {
        Ok((Bytes::from(text), entries))
    } else {
        Err(format!("{} is not a Bundle with entries", path.display()))
    }
}

/// Posts of a folder's Bundles to one server.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) target: Target,
    pub(crate) folder: Folder,
}

impl Work for Import {
    fn operations(&self) -> Vec<&str> {
        vec!["bundle"]
    }

    async fn perform(&self, ticket: Ticket, tally: &mut Tally) {
        let (body, resources) = &self.folder.bundles[ticket.number as usize];
        let answer = self.target.send(Method::POST, "", Some(body.clone())).await;
        let outcome = answer
            .and_then(|answer| answer.expect(&[StatusCode::OK]))
            .map(|answer| Outcome { bytes: answer.body.len() as u64, items: *resources });
        tally.count(0, ticket.due, outcome);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::stub;

    #[tokio::test]
    async fn every_bundle_is_posted_once_and_its_resources_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let bundle = r#"{"resourceType":"Bundle","type":"transaction","entry":[{},{}]}"#;
        for name in ["b.json", "hospitalInformation1.json", "c.json"] {
            std::fs::write(folder.path().join(name), bundle).unwrap();
        }
        std::fs::write(folder.path().join("notes.txt"), "not a Bundle").unwrap();
        let target = stub::serve(200, "{}").await;
        let folder = Folder::read(folder.path()).unwrap();
        let units = folder.len();
        let tally = stub::run(Import { target, folder }, units).await;
        let operation = &tally.operations[0];
        assert_eq!((operation.succeeded(), operation.items, operation.failed()), (3, 6, 0));
    }

    #[test]
    fn a_folder_without_bundles_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Folder::read(folder.path()).unwrap_err().contains("no .json files"));
        std::fs::write(folder.path().join("a.json"), "{}").unwrap();
        assert!(Folder::read(folder.path()).unwrap_err().contains("not a Bundle"));
    }
}
