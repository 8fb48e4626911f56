//! An answer: a resource and the headers that FHIR's RESTful API wants beside it.
//! <https://hl7.org/fhir/R4/http.html#versions>

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use fhir::FHIR_JSON;
use fhir::instant::format_http_date;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, LAST_MODIFIED, LOCATION};
use http::{HeaderName, HeaderValue, StatusCode};

/// A successful answer.
#[derive(Debug)]
pub struct Answer {
    response: Response,
}

impl Answer {
    /// A resource as FHIR JSON. Nothing of a record is kept by any cache on the way.
    pub fn resource(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self::of(status, HeaderValue::from_static(FHIR_JSON), body.into())
    }

    /// Content that is no FHIR, of its own media type.
    pub fn content(media: HeaderValue, body: impl Into<Bytes>) -> Self {
        Self::of(StatusCode::OK, media, body.into())
    }

    /// Content of its own media type that is sent while it comes to be.
    pub fn stream(media: HeaderValue, body: Body) -> Self {
        Self::of(StatusCode::OK, media, body)
    }

    fn of(status: StatusCode, media: HeaderValue, body: impl Into<Body>) -> Self {
        let mut answer = Self::empty(status);
        *answer.response.body_mut() = body.into();
        answer.with(CONTENT_TYPE, media)
    }

    /// A status and headers only.
    pub fn empty(status: StatusCode) -> Self {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        Self { response }.with(CACHE_CONTROL, HeaderValue::from_static("no-store"))
    }

    /// Adds `ETag: W/"version"` and `Last-Modified`.
    #[must_use]
    pub fn versioned(self, version: i64, last_updated_micros: i64) -> Self {
        self.with(ETAG, header(&format!("W/\"{version}\"")))
            .with(LAST_MODIFIED, header(&format_http_date(last_updated_micros)))
    }

    /// Adds `Location`.
    #[must_use]
    pub fn located(self, url: &str) -> Self {
        self.with(LOCATION, header(url))
    }

    /// Leaves a note for the layers around the handler.
    #[must_use]
    pub fn noting<T: Clone + Send + Sync + 'static>(mut self, note: T) -> Self {
        self.response.extensions_mut().insert(note);
        self
    }

    /// Adds or replaces a header.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.response.headers_mut().insert(name, value);
        self
    }
}

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("dates, versions and checked URLs are visible ASCII")
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        self.response
    }
}
