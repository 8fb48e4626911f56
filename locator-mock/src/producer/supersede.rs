//! Superseding: a new pointer names those it replaces in `relatesTo`. Every target is checked,
//! whatever its code; those of code `replaces` are deleted.

use crate::caller::Caller;
use crate::error::LocatorError;
use crate::pointer::Checked;
use crate::registry::Writer;

/// The ids that the new pointer replaces.
pub(super) fn replaced(
    writer: &Writer<'_>,
    caller: &Caller,
    checked: &Checked,
) -> Result<Vec<String>, LocatorError> {
    let mut replaced = Vec::new();
    for (i, relation) in checked.root().items_at("relatesTo").iter().enumerate() {
        let refuse = |message: &str| {
            LocatorError::rule(format!("relatesTo[{i}].target.identifier.value"), message)
        };
        let target = relation
            .text_at("target.identifier.value")
            .ok_or_else(|| refuse("No identifier value provided for relatesTo target"))?;
        if !caller.produced(target) {
            return Err(refuse(
                "The relatesTo target identifier value does not include the expected ODS code for \
                 this organisation",
            ));
        }
        let existing = writer
            .read(target)?
            .ok_or_else(|| refuse("The relatesTo target document does not exist"))?;
        if existing.nhs_number != checked.nhs_number() {
            return Err(refuse(
                "The relatesTo target document NHS number does not match the NHS number in the \
                 request",
            ));
        }
        if existing.kind != checked.kind() {
            return Err(refuse(
                "The relatesTo target document type does not match the type in the request",
            ));
        }
        if relation.text_at("code") == Some("replaces") && !replaced.contains(&existing.id) {
            replaced.push(existing.id);
        }
    }
    Ok(replaced)
}
