//! The members that each type may have in JSON. <https://hl7.org/fhir/R4/json.html>

use std::collections::HashMap;

use super::value_sets::{ValueSetIndex, ValueSets};
use super::{DEFINITIONS, ResourceType, TypeSet, lines};

/// The primitive types. <https://hl7.org/fhir/R4/datatypes.html#primitive>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the primitive type of that name")]
pub enum Primitive {
    Base64Binary,
    Boolean,
    Canonical,
    Code,
    Date,
    DateTime,
    Decimal,
    Id,
    Instant,
    Integer,
    Markdown,
    Oid,
    PositiveInt,
    String,
    Time,
    UnsignedInt,
    Uri,
    Url,
    Uuid,
    Xhtml,
}

impl Primitive {
    const ALL: [(&'static str, Self); 20] = [
        ("base64Binary", Self::Base64Binary),
        ("boolean", Self::Boolean),
        ("canonical", Self::Canonical),
        ("code", Self::Code),
        ("date", Self::Date),
        ("dateTime", Self::DateTime),
        ("decimal", Self::Decimal),
        ("id", Self::Id),
        ("instant", Self::Instant),
        ("integer", Self::Integer),
        ("markdown", Self::Markdown),
        ("oid", Self::Oid),
        ("positiveInt", Self::PositiveInt),
        ("string", Self::String),
        ("time", Self::Time),
        ("unsignedInt", Self::UnsignedInt),
        ("uri", Self::Uri),
        ("url", Self::Url),
        ("uuid", Self::Uuid),
        ("xhtml", Self::Xhtml),
    ];

    /// The type's name in the specification.
    pub fn as_str(self) -> &'static str {
        Self::ALL[self as usize].0
    }

    fn named(name: &str) -> Option<Self> {
        if name.starts_with(|c: char| c.is_ascii_uppercase()) {
            return None;
        }
        Self::ALL.iter().find(|(n, _)| *n == name).map(|(_, p)| *p)
    }
}

/// What the value of a member is.
#[derive(Debug, Clone, Copy)]
pub enum DataType {
    /// A JSON string, number or boolean.
    Primitive(Primitive),
    /// A JSON object of that type.
    Complex(TypeIndex),
    /// A JSON object that says what it is by its `resourceType`.
    Resource,
}

/// A [`Type`] within the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypeIndex(u16);

impl TypeIndex {
    /// Dense from 0, stable for one version of the tables only.
    pub fn number(self) -> usize {
        usize::from(self.0)
    }

    /// The type itself.
    pub fn definition(self) -> &'static Type {
        DEFINITIONS.elements.get(self)
    }
}

/// One JSON member of a type; each form of a choice element is one of its own.
#[derive(Debug)]
pub struct Element {
    /// The member's name: `valueQuantity`.
    pub name: &'static str,
    /// The element's name: `value`.
    pub element: &'static str,
    /// What its value is.
    pub data_type: DataType,
    /// Whether it repeats, and so is an array.
    pub many: bool,
    /// Whether it is part of a `_summary`.
    pub summary: bool,
    /// Whether it may change what the rest means, so that no part of the whole is given without it.
    pub modifier: bool,
    /// The types that a Reference may refer to; any if empty.
    pub targets: TypeSet,
    /// The value set that its codes must be of, if R4 lists it or says its form.
    pub value_set: Option<ValueSetIndex>,
    /// The element's number within its type: the forms of a choice share one.
    pub slot: u8,
}

/// A resource, a data type or a backbone element.
#[derive(Debug)]
pub struct Type {
    /// `Observation.component` for a backbone element.
    pub name: &'static str,
    /// Its place in the table.
    pub index: TypeIndex,
    /// Its members, inherited ones first.
    pub elements: Vec<Element>,
    /// Element names by slot.
    pub slots: Vec<&'static str>,
    /// A bit for each slot that must be filled.
    pub required: u64,
    /// Whether a reference's `reference` is kept here.
    pub is_reference: bool,
    places: Vec<u8>,
}

/// Members of a type stay below this, so that a set of them is a few words.
pub const MEMBERS_MAX: usize = 256;

impl Type {
    /// The member of that name, and its number among [`Type::elements`].
    pub fn element(&'static self, name: &str) -> Option<(usize, &'static Element)> {
        let mask = self.places.len() - 1;
        let mut place = hash(name) & mask;
        loop {
            let index = usize::from(self.places[place].checked_sub(1)?);
            let element = &self.elements[index];
            if element.name == name {
                return Some((index, element));
            }
            place = (place + 1) & mask;
        }
    }

    fn new(name: &'static str, index: TypeIndex) -> Self {
        Self {
            name,
            index,
            elements: Vec::new(),
            slots: Vec::new(),
            required: 0,
            is_reference: name == "Reference",
            places: Vec::new(),
        }
    }

    fn add(&mut self, row: &Row, data_type: DataType, value_sets: &ValueSets) {
        // The forms of a choice stand together.
        if self.slots.last() != Some(&row.element) {
            self.slots.push(row.element);
        }
        let slot = self.slots.len() - 1;
        assert!(slot < 64, "a type has at most 64 elements");
        if row.required {
            self.required |= 1 << slot;
        }
        self.elements.push(Element {
            name: row.name,
            element: row.element,
            data_type,
            many: row.many,
            summary: row.summary,
            modifier: row.modifier,
            targets: row.targets,
            value_set: row.value_set.and_then(|name| value_sets.named(name)),
            slot: slot as u8,
        });
    }

    /// Fills the hash table: open addressing, at most half full.
    fn place(&mut self) {
        assert!(self.elements.len() < MEMBERS_MAX, "a number fits a byte");
        let size = (self.elements.len() * 2 + 1).next_power_of_two();
        self.places = vec![0; size];
        for (index, element) in self.elements.iter().enumerate() {
            let mut place = hash(element.name) & (size - 1);
            while self.places[place] != 0 {
                place = (place + 1) & (size - 1);
            }
            self.places[place] = index as u8 + 1;
        }
    }
}

/// Mixes the length, the ends and the middle of a name: enough to tell one type's members apart.
fn hash(name: &str) -> usize {
    let bytes = name.as_bytes();
    let Some((&first, &last)) = bytes.first().zip(bytes.last()) else {
        return 0;
    };
    let middle = bytes[bytes.len() / 2];
    let inner = bytes[bytes.len() / 4 * 3];
    let word = u32::from_le_bytes([first, middle, inner, last]);
    let mixed = (word ^ (bytes.len() as u32) << 11).wrapping_mul(0x9E37_79B1);
    (mixed >> 15) as usize
}

/// One member line of the table.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the table's own")]
struct Row {
    name: &'static str,
    element: &'static str,
    data_type: &'static str,
    required: bool,
    many: bool,
    summary: bool,
    modifier: bool,
    targets: TypeSet,
    value_set: Option<&'static str>,
}

impl Row {
    fn read(line: &'static str) -> Self {
        let mut columns = line.split('\t');
        let mut column = || columns.next().unwrap_or_default();
        let (name, data_type, cardinality) = (column(), column(), column());
        let (choice, detail) = (column(), column());
        let value_set = detail.strip_prefix('=');
        let targets = match value_set {
            Some(_) => TypeSet::default(),
            None => TypeSet::listed(detail),
        };
        Self {
            name,
            element: if choice.is_empty() { name } else { choice },
            data_type,
            required: cardinality.starts_with(['1', '+']),
            many: cardinality.starts_with(['*', '+']),
            summary: cardinality.contains('s'),
            modifier: cardinality.contains('m'),
            targets,
            value_set,
        }
    }
}

/// One type line of the table with its members.
struct Block {
    name: &'static str,
    base: &'static str,
    rows: Vec<Row>,
}

/// `elements.tsv`.
pub(super) struct Elements {
    types: Vec<Type>,
    resources: Vec<TypeIndex>,
    element: TypeIndex,
}

impl Elements {
    pub(super) fn read(table: &'static str, value_sets: &ValueSets) -> Self {
        let blocks = blocks(table);
        let numbers = blocks.iter().enumerate();
        let numbers: HashMap<_, _> = numbers.map(|(i, b)| (b.name, i)).collect();
        let index = |name: &str| {
            let number = numbers.get(name).expect("the table defines what it names");
            TypeIndex(*number as u16)
        };
        let mut types = Vec::with_capacity(blocks.len());
        for block in &blocks {
            let mut lineage = vec![block];
            while let Some(base) = lineage.last().and_then(|b| numbers.get(b.base)) {
                lineage.push(&blocks[*base]);
            }
            let mut found = Type::new(block.name, TypeIndex(types.len() as u16));
            for row in lineage.iter().rev().flat_map(|b| &b.rows) {
                let data_type = match Primitive::named(row.data_type) {
                    Some(primitive) => DataType::Primitive(primitive),
                    None if row.data_type == "Resource" => DataType::Resource,
                    None => DataType::Complex(index(row.data_type)),
                };
                found.add(row, data_type, value_sets);
            }
            found.place();
            types.push(found);
        }
        Self {
            types,
            resources: ResourceType::all().map(|t| index(t.as_str())).collect(),
            element: index("Element"),
        }
    }

    pub(super) fn resource(&self, resource_type: ResourceType) -> &Type {
        self.get(self.resources[resource_type.index()])
    }

    fn get(&self, index: TypeIndex) -> &Type {
        &self.types[index.number()]
    }

    pub(super) fn all(&self) -> &[Type] {
        &self.types
    }
}

/// Every type, in order of [`TypeIndex::number`].
pub fn types() -> &'static [Type] {
    DEFINITIONS.elements.all()
}

/// What the `_` member beside a primitive may hold: an id and extensions.
pub fn beside_primitive() -> DataType {
    DataType::Complex(DEFINITIONS.elements.element)
}

fn blocks(table: &'static str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for line in lines(table) {
        if let (Some(member), Some(block)) = (line.strip_prefix('\t'), blocks.last_mut()) {
            block.rows.push(Row::read(member));
        } else {
            let mut columns = line.split('\t');
            let name = columns.next().unwrap_or_default();
            let base = columns.nth(1).unwrap_or_default();
            let rows = Vec::new();
            blocks.push(Block { name, base, rows });
        }
    }
    blocks
}
