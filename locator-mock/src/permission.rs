//! Who may use which pointer types.
//!
//! The NRL keeps one list for producers and one for consumers, by application and organisation. An
//! organisation whose list is empty is refused everything. In open mode there are no lists: every
//! organisation may use every type.
//!
//! | file in `permissions.folder` | for |
//! |---|---|
//! | `{producer or consumer}/{application}.json` | every organisation of the application |
//! | `{producer or consumer}/{application}/{organisation}.json` | one organisation |
//! | `{application}/{organisation}.json` | one organisation in both roles: the older form |
//!
//! The first file that there is counts. The two former hold
//! `{"types": ["system|code"], "access_controls": ["allow_all_types"]}`; the latter is the array of
//! types alone, and its access controls are the application's in the configuration.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use service::config::ConfigError;

use crate::error::LocatorError;
use crate::pointer::codes;

/// What an organisation comes as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// It publishes pointers.
    Producer,
    /// It looks for them.
    Consumer,
}

/// The permissions of all organisations.
#[derive(Debug)]
pub(crate) struct Permissions {
    every_type: Arc<[String]>,
    /// By role, application and organisation; without one, for every organisation.
    lists: HashMap<(Role, String, Option<String>), Rights>,
    /// By application and organisation.
    older: HashMap<(String, String), Arc<[String]>>,
}

/// What one organisation may do.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rights {
    types: Arc<[String]>,
    /// Whether a new pointer keeps the date it was sent with.
    pub(crate) keeps_dates: bool,
    /// Whether it may supersede pointers that are not there, or are of another kind.
    pub(crate) supersedes_unchecked: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default)]
    types: Vec<String>,
    #[serde(default)]
    access_controls: Vec<AccessControl>,
}

/// What the NRL grants beyond types, by its newer and its older names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize)]
pub enum AccessControl {
    /// Every pointer type.
    #[serde(rename = "allow_all_types", alias = "allow-all-pointer-types")]
    AllTypes,
    /// A new pointer keeps the date it was sent with.
    #[serde(rename = "allow_override_creation_datetime", alias = "audit-dates-from-payload")]
    OverrideCreationDatetime,
    /// Superseding does not ask whether the targets are there.
    #[serde(rename = "allow_supersede_with_delete_failure", alias = "supersede-ignore-delete-fail")]
    SupersedeWithDeleteFailure,
}

impl Permissions {
    /// The lists in a folder; without one there are none.
    pub(crate) fn load(folder: Option<&Path>) -> Result<Self, ConfigError> {
        let every_type = codes::pointer_types().collect();
        let mut all = Self { every_type, lists: HashMap::new(), older: HashMap::new() };
        let Some(folder) = folder else { return Ok(all) };
        for (role, name) in [(Role::Producer, "producer"), (Role::Consumer, "consumer")] {
            for (application, file) in entries(&folder.join(name))? {
                if file.is_dir() {
                    for (organisation, file) in entries(&file)? {
                        let rights = all.rights(read(&file)?);
                        all.lists.insert((role, application.clone(), Some(organisation)), rights);
                    }
                } else {
                    let rights = all.rights(read(&file)?);
                    all.lists.insert((role, application, None), rights);
                }
            }
        }
        for (application, subfolder) in entries(folder)? {
            if subfolder.is_dir() && !["producer", "consumer"].contains(&application.as_str()) {
                for (organisation, file) in entries(&subfolder)? {
                    let types: Vec<String> = read(&file)?;
                    all.older.insert((application.clone(), organisation), types.into());
                }
            }
        }
        Ok(all)
    }

    /// What everyone may do in open mode.
    pub(crate) fn open(&self) -> Rights {
        Rights { types: self.every_type.clone(), ..Rights::default() }
    }

    /// The rights of an organisation within an application, or its refusal. `granted` is what the
    /// application has beside the older lists.
    pub(crate) fn of(
        &self,
        role: Role,
        application: &str,
        granted: &[AccessControl],
        organisation: &str,
    ) -> Result<Rights, LocatorError> {
        let list = |organisation| self.lists.get(&(role, application.to_owned(), organisation));
        let newer = list(None).or_else(|| list(Some(organisation.to_owned())));
        let rights = newer.cloned().unwrap_or_else(|| {
            let key = (application.to_owned(), organisation.to_owned());
            self.with(self.older.get(&key).cloned().unwrap_or_default(), granted)
        });
        if rights.types.is_empty() {
            let organisation = organisation.to_owned();
            return Err(LocatorError::NoPermission { organisation });
        }
        Ok(rights)
    }

    fn rights(&self, list: List) -> Rights {
        self.with(list.types.into(), &list.access_controls)
    }

    fn with(&self, types: Arc<[String]>, granted: &[AccessControl]) -> Rights {
        let has = |control| granted.contains(&control);
        Rights {
            types: if has(AccessControl::AllTypes) { self.every_type.clone() } else { types },
            keeps_dates: has(AccessControl::OverrideCreationDatetime),
            supersedes_unchecked: has(AccessControl::SupersedeWithDeleteFailure),
        }
    }
}

impl Rights {
    /// The permitted types, as `system|code`.
    pub(crate) fn types(&self) -> &[String] {
        &self.types
    }

    /// Whether this type is among them.
    pub(crate) fn permit(&self, kind: &str) -> bool {
        self.types.iter().any(|permitted| permitted == kind)
    }
}

/// Folders and JSON files in a folder, by name without the ending; a missing folder has none.
fn entries(folder: &Path) -> Result<Vec<(String, std::path::PathBuf)>, ConfigError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let failed = |error| refused(folder, &error);
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match name.strip_suffix(".json") {
            Some(stem) if path.is_file() => entries.push((stem.to_owned(), path)),
            _ if path.is_dir() => entries.push((name.to_owned(), path)),
            _ => {}
        }
    }
    Ok(entries)
}

fn read<T: DeserializeOwned>(file: &Path) -> Result<T, ConfigError> {
    let text = std::fs::read(file).map_err(|error| refused(file, &error))?;
    serde_json::from_slice(&text).map_err(|error| refused(file, &error))
}

fn refused(path: &Path, cause: &dyn std::fmt::Display) -> ConfigError {
    ConfigError::Refused(format!("permissions.folder: {}: {cause}", path.display()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const PLAN: &str = "http://snomed.info/sct|736253002";
    const NEWS: &str = "http://snomed.info/sct|1363501000000100";

    /// The permissions of a folder with these files.
    fn loaded(files: &[(&str, &str)]) -> Result<Permissions, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        Permissions::load(Some(folder.path()))
    }

    fn types(permissions: &Permissions, role: Role, application: &str) -> Vec<String> {
        let rights = permissions.of(role, application, &[], "QWO");
        rights.map(|rights| rights.types().to_vec()).unwrap_or_default()
    }

    #[test]
    fn in_open_mode_every_organisation_may_use_every_type() {
        let rights = Permissions::load(None).unwrap().open();
        assert_eq!(rights.types().len(), 16);
        assert!(rights.permit("http://snomed.info/sct|887181000000106"));
        assert!(!rights.permit("http://snomed.info/sct|1"));
    }

    #[test]
    fn without_a_list_an_organisation_is_refused() {
        let permissions = loaded(&[("consumer/app/QWO.json", "{\"types\":[]}")]).unwrap();
        for role in [Role::Producer, Role::Consumer] {
            assert!(matches!(
                permissions.of(role, "app", &[], "QWO"),
                Err(LocatorError::NoPermission { organisation }) if organisation == "QWO"
            ));
        }
    }

    #[test]
    fn an_applications_own_list_comes_before_its_organisations_and_both_before_the_older_form() {
        let newer = format!("{{\"types\":[\"{PLAN}\"]}}");
        let older = format!("[\"{NEWS}\"]");
        let permissions = loaded(&[
            ("producer/one.json", &newer),
            ("producer/one/QWO.json", "{\"types\":[]}"),
            ("producer/two/QWO.json", &newer),
            ("one/QWO.json", &older),
            ("two/QWO.json", &older),
            ("README.md", "no list"),
        ])
        .unwrap();
        assert_eq!(types(&permissions, Role::Producer, "one"), [PLAN]);
        assert_eq!(types(&permissions, Role::Producer, "two"), [PLAN]);
        assert_eq!(types(&permissions, Role::Consumer, "one"), [NEWS]);
        assert_eq!(types(&permissions, Role::Consumer, "three"), [""; 0]);
    }

    #[test]
    fn access_controls_go_by_their_newer_and_older_names() {
        let every = r#"{"access_controls":["allow_all_types","allow_override_creation_datetime","allow_supersede_with_delete_failure"]}"#;
        let permissions = loaded(&[("producer/app.json", every), ("old/QWO.json", "[]")]).unwrap();
        let rights = permissions.of(Role::Producer, "app", &[], "X26").unwrap();
        assert_eq!(rights.types().len(), 16);
        assert!(rights.keeps_dates && rights.supersedes_unchecked);
        let granted: Vec<AccessControl> =
            serde_json::from_str(r#"["allow-all-pointer-types","audit-dates-from-payload"]"#)
                .unwrap();
        let rights = permissions.of(Role::Consumer, "old", &granted, "QWO").unwrap();
        assert!(rights.permit(PLAN) && rights.keeps_dates && !rights.supersedes_unchecked);
    }

    #[test]
    fn a_list_that_cannot_be_read_is_named() {
        for text in ["[\"a|b\"]", "{\"types\":1}", "{\"access_controls\":[\"all\"]}", "{"] {
            let error = loaded(&[("producer/app/QWO.json", text)]).unwrap_err().to_string();
            assert!(error.contains("QWO.json"), "{text}: {error}");
        }
    }
}
