//! The attributes that sources send beside the core fields, the columns that some of them are given, and the indexes that
//! some core fields are given.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use uuid::Uuid;

use crate::{Entity, SystemId};

/// Longest name of an attribute that is catalogued and can be promoted, in bytes of UTF-8.
pub const MAX_ATTRIBUTE_NAME: usize = 200;

/// Most attributes of one entity that have columns and core fields that have indexes on request, together.
pub const MAX_PROMOTED: usize = 200;

/// The type of a JSON value; null is the absence of a value.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum JsonType {
    /// A text.
    String,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// A list.
    Array,
    /// An object.
    Object,
}

impl JsonType {
    /// Every type.
    pub const ALL: [Self; 5] = [
        Self::String,
        Self::Number,
        Self::Boolean,
        Self::Array,
        Self::Object,
    ];

    /// The name on the wire.
    pub const fn wire_name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

/// The type of a promoted attribute's column.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ValueType {
    /// Text; lists and objects as JSON text.
    Text,
    /// A number of any size, exactly; also from a text that is one.
    Number,
    /// True or false; also from a text that says so.
    Boolean,
    /// A moment, from a text in ISO 8601; UTC where it names no zone.
    Timestamp,
}

impl ValueType {
    /// Every type.
    pub const ALL: [Self; 4] = [Self::Text, Self::Number, Self::Boolean, Self::Timestamp];

    /// The name on the wire.
    pub const fn wire_name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Timestamp => "timestamp",
        }
    }
}

/// Where a promotion stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PromotionState {
    /// The column is about to be made; of a core field, the index is.
    Waiting,
    /// New writes fill the column; the rows that were there follow.
    Backfilling,
    /// Every row has its value; the index is being made.
    Indexing,
    /// The column is read; of a core field, lists are sorted by the index.
    Ready,
    /// It was taken back; the column is not read any more. Of a core field, the index goes.
    Demoting,
    /// The column's values go; the attribute keeps them.
    Emptying,
    /// The column is free for another attribute; of a core field, the index is gone.
    Demoted,
}

impl PromotionState {
    /// Every state, in the order in which they come.
    pub const ALL: [Self; 7] = [
        Self::Waiting,
        Self::Backfilling,
        Self::Indexing,
        Self::Ready,
        Self::Demoting,
        Self::Emptying,
        Self::Demoted,
    ];

    /// The name on the wire.
    pub const fn wire_name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Backfilling => "backfilling",
            Self::Indexing => "indexing",
            Self::Ready => "ready",
            Self::Demoting => "demoting",
            Self::Emptying => "emptying",
            Self::Demoted => "demoted",
        }
    }
}

/// An attribute that a system has sent.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttributeInfo {
    /// Its name.
    pub attribute: String,
    /// The JSON types that its values have had.
    pub json_types: Vec<JsonType>,
    /// When it was first sent.
    pub first_seen_at: DateTime<Utc>,
    /// When it was last sent, to the day.
    pub last_seen_at: DateTime<Utc>,
    /// Live rows that carry it, when they were last counted.
    pub rows_total: Option<u64>,
    /// Those among them whose value does not fit the promoted column.
    pub mismatches: Option<u64>,
    /// When the rows were counted.
    pub counted_at: Option<DateTime<Utc>>,
    /// The column that it has, or will have.
    pub promotion: Option<AttributeColumn>,
}

/// The column of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttributeColumn {
    /// The promotion.
    pub promotion_id: Uuid,
    /// The column's type.
    pub value_type: ValueType,
    /// Where the promotion stands.
    pub state: PromotionState,
}

/// Attributes of one entity of one system, by name.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttributePage {
    /// The attributes.
    pub items: Vec<AttributeInfo>,
    /// There were more names than are catalogued; the values of the others are kept with their rows all the same.
    pub too_many: bool,
    /// Some names are too long to be catalogued; their values are kept with their rows all the same.
    pub names_too_long: bool,
    /// What `after` is for the next page; absent on the last one.
    pub next: Option<String>,
}

/// An attribute came with a type that it never had before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttributeDrift {
    /// Drifts are numbered in the order in which they were seen.
    pub drift_id: i64,
    /// The system.
    pub system_id: SystemId,
    /// What kind of row.
    pub entity: Entity,
    /// The attribute's name.
    pub attribute: String,
    /// The types that were known.
    pub known_types: Vec<JsonType>,
    /// The one that came.
    pub new_type: JsonType,
    /// The load that brought it.
    pub sync_id: Uuid,
    /// When.
    pub seen_at: DateTime<Utc>,
}

/// Changes of type, latest first.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttributeDriftPage {
    /// The drifts.
    pub items: Vec<AttributeDrift>,
    /// What `after` is for the next page; absent on the last one.
    pub next: Option<i64>,
}

/// An attribute that should have a column, or a core field that should have an index: one of the two is named.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"required": ["attribute"], "properties": {"attribute": {"type": "string"}, "field": {"type": "null"}}},
    {"required": ["field"], "properties":
        {"field": {"type": "string"}, "attribute": {"type": "null"}, "type": {"type": "null"}}},
]))]
pub struct Promote {
    /// What kind of row.
    pub entity: Entity,
    /// The attribute's name, exactly as it is sent: 1 to 200 bytes.
    pub attribute: Option<String>,
    /// The core field's name, such as `createdDateTime`; not together with `attribute`.
    pub field: Option<String>,
    /// The column's type, of attributes only. When absent: that of the promotion that there is, else what fits all values
    /// seen.
    #[serde(rename = "type")]
    pub value_type: Option<ValueType>,
}

impl Promote {
    /// An attribute that should have a column.
    pub fn attribute(entity: Entity, name: impl Into<String>) -> Self {
        Self {
            entity,
            attribute: Some(name.into()),
            field: None,
            value_type: None,
        }
    }

    /// Does it name either an attribute, or a core field, which has no type to choose?
    pub fn is_of_one(&self) -> bool {
        match (&self.attribute, &self.field) {
            (Some(_), None) => true,
            (None, Some(_)) => self.value_type.is_none(),
            (None, None) | (Some(_), Some(_)) => false,
        }
    }

    /// A core field that should have an index.
    pub fn field(entity: Entity, name: impl Into<String>) -> Self {
        Self {
            entity,
            attribute: None,
            field: Some(name.into()),
            value_type: None,
        }
    }
}

/// Body of `PUT /api/attributes/promotions`: what should be promoted, whether it is or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromoteAll {
    /// The attributes and core fields.
    #[schemars(length(max = 200))]
    pub promotions: Vec<Promote>,
}

/// Answer to [`PromoteAll`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PromotedAll {
    /// What has, or will have, a column or an index.
    pub items: Vec<Promotion>,
    /// What has none, and why.
    pub refused: Vec<PromotionRefused>,
}

/// An attribute that gets no column, or a core field that gets no index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PromotionRefused {
    /// Its place in the list.
    pub index: usize,
    /// Why; a sentence.
    pub detail: String,
}

/// An attribute's way to a column, or a core field's to an index; or back.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Promotion {
    /// The promotion.
    pub promotion_id: Uuid,
    /// What kind of row.
    pub entity: Entity,
    /// The attribute's name; absent where it is about a core field.
    pub attribute: Option<String>,
    /// The core field's name; absent where it is about an attribute.
    pub field: Option<String>,
    /// The type of the attribute's column.
    #[serde(rename = "type")]
    pub value_type: Option<ValueType>,
    /// The column, as SQL names it.
    pub column: String,
    /// Where it stands.
    pub state: PromotionState,
    /// Since when.
    pub state_since: DateTime<Utc>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When the column could first be read, or the index used.
    pub ready_at: Option<DateTime<Utc>>,
    /// How much of the walk through the table is done that the state is about, in percent.
    pub progress_percent: Option<u8>,
    /// Live rows whose value does not fit, in the systems that the key may see; absent until they were counted.
    pub mismatches: Option<u64>,
    /// Why it does not go on at the moment. It is tried again.
    pub error: Option<String>,
}

/// Promotions, latest first.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PromotionPage {
    /// The promotions.
    pub items: Vec<Promotion>,
    /// What `after` is for the next page; absent on the last one.
    pub next: Option<Uuid>,
}
