//! What a producer does with its own pointers. One file for each interaction.

mod create;
mod delete;
mod read;
mod search;
mod supersede;
mod update;
mod upsert;

pub(crate) use create::create;
pub(crate) use delete::delete;
pub(crate) use read::read;
pub(crate) use search::{search, search_by_post};
pub(crate) use update::update;
pub(crate) use upsert::upsert;

use http::StatusCode;
use service::answer::Answer;

use crate::Locator;
use crate::caller::Caller;
use crate::error::LocatorError;
use crate::outcome::Success;
use crate::pointer::{Checked, codes};

/// A producer publishes pointers of its own, of types it may use.
fn admit(caller: &Caller, checked: &Checked) -> Result<(), LocatorError> {
    if checked.custodian() != caller.organisation {
        return Err(LocatorError::rule(
            "custodian.identifier.value",
            "The custodian of the provided DocumentReference does not match the expected ODS code \
             for this organisation",
        ));
    }
    if caller.rights.permit(&checked.kind()) { Ok(()) } else { Err(LocatorError::TypeNotWritable) }
}

/// Stores a new pointer and deletes those it replaces, as one write.
async fn publish(
    locator: &Locator,
    caller: Caller,
    checked: Checked,
) -> Result<Answer, LocatorError> {
    admit(&caller, &checked)?;
    let location = locator.location(&checked.id);
    let now_micros = locator.now_micros();
    let write = locator.registry().write(move |writer| {
        let replaced = supersede::replaced(writer, &caller, &checked)?;
        let pointer = checked.created(now_micros, caller.rights.keeps_dates);
        let others = writer.count(&pointer.nhs_number, &pointer.kind)?;
        if !writer.insert(&pointer)? {
            return Err(LocatorError::Duplicate);
        }
        for id in &replaced {
            writer.delete(id)?;
        }
        if others > replaced.len() {
            log_another(&pointer.custodian, &pointer.nhs_number, &pointer.kind);
        }
        Ok(if replaced.is_empty() { Success::Created } else { Success::Superseded })
    });
    let success = write.await?;
    Ok(Answer::resource(StatusCode::CREATED, success.to_json()).located(&location))
}

/// One pointer of most types should do for a patient; more are taken, and noted. Numbers that
/// start with 9 belong to tests.
fn log_another(custodian: &str, nhs_number: &str, kind: &str) {
    let code = kind.rsplit('|').next().unwrap_or(kind);
    if !codes::comes_in_several(code) && !nhs_number.starts_with('9') {
        tracing::info!(
            pointer.custodian = custodian,
            pointer.r#type = kind,
            "a patient has several pointers of a type"
        );
    }
}
