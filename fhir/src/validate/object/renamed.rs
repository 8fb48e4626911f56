//! A member whose name has escapes.

use serde::de::{DeserializeSeed, Deserializer};
use serde_json::value::RawValue;

use super::{At, Object};
use crate::definitions::{DataType, Element};

/// A member whose value was cut out because its name has escapes.
pub(super) struct Renamed<'o, 'w, 'a> {
    pub(super) object: &'o mut Object<'w, 'a>,
    pub(super) index: usize,
    pub(super) element: &'static Element,
    pub(super) beside: bool,
    pub(super) at: At,
}

impl<'a> Renamed<'_, '_, 'a> {
    pub(super) fn read<D: Deserializer<'a>>(
        self,
        parser: D,
        raw: &'a RawValue,
    ) -> Result<(), D::Error> {
        let Self { object, index, element, beside, at } = self;
        if matches!(element.data_type, DataType::Resource) && !element.many {
            return object.inside(index, raw);
        }
        let value = object.value(index, element, beside, at);
        value.deserialize(parser).map(|_| ())
    }
}
