//! What each refusal says, in the NRL's words.

use super::{Deed, Fault, LocatorError, NumberFault, Source, TokenFault};

impl LocatorError {
    /// All that is said, in one line.
    pub(crate) fn sentence(&self) -> String {
        let texts = self.sentences().into_iter().filter_map(|(text, _)| text);
        texts.collect::<Vec<_>>().join("; ")
    }

    /// What is said, and about what: one (sentence, expressions) for each issue.
    pub(super) fn sentences(&self) -> Vec<(Option<String>, Vec<String>)> {
        let one = |text: &str| vec![(Some(text.to_owned()), Vec::new())];
        let about = |text: &str, path: &str| vec![(Some(text.to_owned()), vec![path.to_owned()])];
        match self {
            Self::OrganisationHeader => {
                one("The NHSD-End-User-Organisation-ODS header is missing or invalid")
            }
            Self::RequestIdHeader => one("The X-Request-Id header is missing or invalid"),
            Self::BodyRequired => one("Request body is required"),
            Self::Body(refusal) => {
                let issue = refusal.outcome.issue.first();
                vec![(issue.and_then(|issue| issue.diagnostics.clone()), Vec::new())]
            }
            Self::Malformed { source, faults } => {
                faults.iter().map(|fault| malformed(*source, fault)).collect()
            }
            Self::DuplicateKeys(paths) => vec![(Some(duplicate_keys(paths)), paths.clone())],
            Self::NhsNumber(fault) => about(number(*fault), "subject:identifier"),
            Self::SearchType(source) => {
                let text =
                    "The provided type does not match the allowed types for this organisation";
                about(&wrapped(*source, text), "type")
            }
            Self::SearchCategory(source) => {
                about(&wrapped(*source, "The provided category is not valid"), "category")
            }
            Self::NoPermission { organisation } => one(&format!(
                "Your organisation '{organisation}' does not have permission to access this \
                 resource. Contact the onboarding team."
            )),
            Self::TypeNotReadable => {
                one("The requested DocumentReference is not of a type that this organisation is \
                 allowed to access")
            }
            Self::TypeNotWritable => about(
                "The type of the provided DocumentReference is not in the list of allowed types \
                 for this organisation",
                "type.coding[0].code",
            ),
            Self::BelongsToAnother(deed) => one(belongs_to_another(*deed)),
            Self::AccessToken(fault) => one(access_token(*fault)),
            Self::NoApplicationId => one(
                "The 'nrl-app-id' custom attribute for your application is missing or invalid. \
                 Please contact onboarding team to resolve the issue.",
            ),
            Self::NotFound => one("The requested DocumentReference could not be found"),
            Self::NoSuchUrl => one("There is nothing at this URL. Pointers are at \
                 /producer/FHIR/R4/DocumentReference and /consumer/FHIR/R4/DocumentReference."),
            Self::MethodNotAllowed(allow) => one(&format!("This URL takes {allow} only.")),
            Self::Duplicate => vec![(None, Vec::new())],
            Self::BusinessRules(faults) => faults.iter().map(business_rule).collect(),
            Self::Store(_) => one("The locator failed to answer. Try again."),
            Self::Scripted(_) => one("This failure was scripted on the admin listener."),
        }
    }
}

fn malformed(source: Source, fault: &Fault) -> (Option<String>, Vec<String>) {
    let what = match source {
        Source::Query => "Invalid query parameter",
        Source::Path => "Invalid path parameter",
        Source::Body => "Request body could not be parsed",
        Source::StabilityExtension => "Invalid content stability extension",
        Source::RetrievalExtension => "Invalid content retrieval extension",
    };
    let whole = fault.path.is_empty();
    let path = if whole { "DocumentReference" } else { &fault.path };
    (Some(format!("{what} ({path}: {})", fault.message)), vec![path.to_owned()])
}

fn business_rule(fault: &Fault) -> (Option<String>, Vec<String>) {
    let path = Some(&fault.path).filter(|path| !path.is_empty());
    (Some(fault.message.clone()), path.into_iter().cloned().collect())
}

fn duplicate_keys(paths: &[String]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for path in paths {
        let name = path.rsplit('.').next().unwrap_or(path);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    format!("Duplicate keys found in FHIR document: ['{}']", names.join("', '"))
}

fn number(fault: NumberFault) -> &'static str {
    match fault {
        NumberFault::Consumer => "A valid NHS number is required to search for document references",
        NumberFault::ProducerInvalid => "Invalid NHS number provided in the search parameters",
        NumberFault::ProducerMissing => "NHS number is missing from the search parameters",
        NumberFault::Count => "Invalid NHS number provided in the query parameters",
    }
}

/// GET wraps the sentence, POST does not.
fn wrapped(source: Source, text: &str) -> String {
    match source {
        Source::Query => format!("Invalid query parameter ({text})"),
        _ => text.to_owned(),
    }
}

fn access_token(fault: TokenFault) -> &'static str {
    match fault {
        TokenFault::Missing => "Invalid access token",
        TokenFault::Invalid => "Invalid Access Token",
        TokenFault::Expired => "Access Token expired",
    }
}

fn belongs_to_another(deed: Deed) -> &'static str {
    match deed {
        Deed::Read => {
            "The requested DocumentReference cannot be read because it belongs to another \
             organisation"
        }
        Deed::Delete => {
            "The requested DocumentReference cannot be deleted because it belongs to another \
             organisation"
        }
        Deed::Update => {
            "The id of the provided DocumentReference does not include the expected ODS code for \
             this organisation"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_the_whole_names_the_resource() {
        let fault = Fault::new("", "Value error, The following fields are empty: content");
        let (text, paths) = malformed(Source::Body, &fault);
        let expected = "Request body could not be parsed (DocumentReference: Value error, The \
                        following fields are empty: content)";
        assert_eq!(text.as_deref(), Some(expected));
        assert_eq!(paths, ["DocumentReference"]);
    }

    #[test]
    fn a_name_given_twice_in_two_places_is_listed_once() {
        let paths = ["root.content[0].attachment.url".to_owned(), "root.url".to_owned()];
        let expected = "Duplicate keys found in FHIR document: ['url']";
        assert_eq!(duplicate_keys(&paths), expected);
    }
}
