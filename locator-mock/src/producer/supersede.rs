//! Superseding: a new pointer names those it replaces in `relatesTo`. Every target is checked,
//! whatever its code; those of code `replaces` are deleted. The NRL deletes them one by one after the
//! new pointer is stored; here all of it is one write.

use crate::caller::Caller;
use crate::error::LocatorError;
use crate::pointer::{Checked, Pointer};
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
        if !caller.rights.supersedes_unchecked {
            like(writer.read(target)?, checked).map_err(refuse)?;
        }
        if relation.text_at("code") == Some("replaces") && !replaced.iter().any(|id| id == target) {
            replaced.push(target.to_owned());
        }
    }
    Ok(replaced)
}

/// Whether a target is about the same patient and of the same type as the new pointer.
fn like(target: Option<Pointer>, checked: &Checked) -> Result<(), &'static str> {
    match target {
        None => Err("The relatesTo target document does not exist"),
        Some(target) if target.nhs_number != checked.nhs_number() => {
            Err("The relatesTo target document NHS number does not match the NHS number in the \
             request")
        }
        Some(target) if target.kind != checked.kind() => {
            Err("The relatesTo target document type does not match the type in the request")
        }
        Some(_) => Ok(()),
    }
}
