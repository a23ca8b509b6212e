//! Rows as Parquet.
//!
//! Rows are gathered column by column and written as a row group when they are many; a group is handed over as bytes as
//! soon as it is written, so that no more than one is in memory. Only the footer makes it a file.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use parquet::{
    basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel},
    data_type::{BoolType, ByteArray, ByteArrayType, Int64Type},
    errors::ParquetError,
    file::{
        properties::{EnabledStatistics, WriterProperties},
        writer::{SerializedColumnWriter, SerializedFileWriter},
    },
    schema::types::{Type, TypePtr},
};
use sqlx::{Row as _, postgres::PgRow};
use uuid::Uuid;

use super::{Kind, Names, Selected};

/// What is gathered before a group is written. Readers skip by group, and each costs memory until the end of the file.
const GROUP_ROWS: usize = 100_000;
const GROUP_BYTES: usize = 8 * 1024 * 1024;

/// A Parquet file that is being written.
pub struct ParquetWriter {
    columns: Vec<Column>,
    rows: usize,
    /// About what the gathered values take.
    bytes: usize,
    file: SerializedFileWriter<Vec<u8>>,
}

/// The gathered values of a column.
struct Column {
    label: String,
    kind: Kind,
    values: Values,
    /// For each row whether it has a value (1); nothing for a column that always has one.
    levels: Option<Vec<i16>>,
}

/// Values of one type, without the rows that have none.
enum Values {
    Bools(Vec<bool>),
    /// Numbers, and times as microseconds since 1970 in UTC.
    Ints(Vec<i64>),
    /// Texts one after the other, and where each ends.
    Texts {
        bytes: Vec<u8>,
        ends: Vec<usize>,
    },
}

impl ParquetWriter {
    /// A file with the selected columns.
    pub fn new(names: &Names, selected: &[Selected]) -> Result<Self, ParquetError> {
        let columns: Vec<Column> = selected
            .iter()
            .map(|selected| Column::new(names, selected))
            .collect();
        let fields: Result<Vec<TypePtr>, ParquetError> = columns
            .iter()
            .map(|column| Ok(Arc::new(column.schema()?)))
            .collect();
        let schema = Type::group_type_builder("row")
            .with_fields(fields?)
            .build()?;
        let properties = WriterProperties::builder()
            .set_created_by("Cadastre".into())
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            // Indexes of pages would be kept in memory until the end, too.
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .build();
        let file = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
        Ok(Self {
            columns,
            rows: 0,
            bytes: 0,
            file,
        })
    }

    /// How many columns a row begins with.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// How many rows are gathered.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// About what the gathered rows take.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Are there enough rows for a group?
    pub const fn is_full(&self) -> bool {
        self.rows >= GROUP_ROWS || self.bytes >= GROUP_BYTES
    }

    /// Takes a row.
    pub fn take(&mut self, row: &PgRow) -> Result<(), sqlx::Error> {
        for (number, column) in self.columns.iter_mut().enumerate() {
            self.bytes += column.take(row, number)?;
        }
        self.rows += 1;
        Ok(())
    }

    /// Forgets the gathered rows but for the first ones: others could not be read to their end.
    pub fn forget_beyond(&mut self, rows: usize) {
        for column in &mut self.columns {
            column.forget_beyond(rows);
        }
        self.rows = rows;
        self.bytes = self.columns.iter().map(Column::size).sum();
    }

    /// Writes the gathered rows as a group; answers the bytes that the file grew by.
    pub fn write_group(&mut self) -> Result<Vec<u8>, ParquetError> {
        if self.rows > 0 {
            let mut group = self.file.next_row_group()?;
            for column in &mut self.columns {
                let writer = group.next_column()?;
                column.write(writer.ok_or_else(|| {
                    ParquetError::General("the schema has fewer columns than the rows".into())
                })?)?;
            }
            group.close()?;
            (self.rows, self.bytes) = (0, 0);
        }
        self.file.flush()?;
        Ok(std::mem::take(self.file.inner_mut()))
    }

    /// Writes what is left, and the footer; answers the file's last bytes.
    pub fn finish(&mut self) -> Result<Vec<u8>, ParquetError> {
        let mut bytes = self.write_group()?;
        self.file.finish()?;
        bytes.append(self.file.inner_mut());
        Ok(bytes)
    }
}

impl Column {
    fn new(names: &Names, selected: &Selected) -> Self {
        let (label, kind, is_nullable) = match selected {
            Selected::Core(place) => {
                let field = &names.source.fields[*place];
                (field.wire.to_owned(), field.kind, field.is_nullable)
            }
            // As in CSV: the text of a text, and JSON of everything else.
            Selected::Attribute(name) => (format!("ext.{name}"), Kind::Text, true),
        };
        Self {
            label,
            kind,
            values: Values::of(kind),
            levels: is_nullable.then(Vec::new),
        }
    }

    /// Ids are texts: what most readers make of Parquet's own type is bytes, or an error.
    fn schema(&self) -> Result<Type, ParquetError> {
        let (physical, logical) = match self.kind {
            Kind::Bool => (Physical::BOOLEAN, None),
            Kind::Int => (Physical::INT64, None),
            Kind::Time => (
                Physical::INT64,
                Some(LogicalType::timestamp(true, TimeUnit::MICROS)),
            ),
            Kind::Json => (Physical::BYTE_ARRAY, Some(LogicalType::Json)),
            Kind::Text | Kind::Uuid | Kind::Number => {
                (Physical::BYTE_ARRAY, Some(LogicalType::String))
            }
        };
        let repetition = if self.levels.is_some() {
            Repetition::OPTIONAL
        } else {
            Repetition::REQUIRED
        };
        Type::primitive_type_builder(&self.label, physical)
            .with_logical_type(logical)
            .with_repetition(repetition)
            .build()
    }

    /// Takes the row's value; answers how much larger the gathered values are.
    fn take(&mut self, row: &PgRow, number: usize) -> Result<usize, sqlx::Error> {
        let added = match (&mut self.values, self.kind) {
            (Values::Bools(values), _) => row.try_get::<Option<bool>, _>(number)?.map(|value| {
                values.push(value);
                size_of::<bool>()
            }),
            (Values::Ints(values), Kind::Time) => {
                let value: Option<DateTime<Utc>> = row.try_get(number)?;
                value.map(|time| {
                    values.push(time.timestamp_micros());
                    size_of::<i64>()
                })
            }
            (Values::Ints(values), _) => row.try_get::<Option<i64>, _>(number)?.map(|value| {
                values.push(value);
                size_of::<i64>()
            }),
            (Values::Texts { bytes, ends }, Kind::Uuid) => {
                row.try_get::<Option<Uuid>, _>(number)?.map(|id| {
                    let mut text = Uuid::encode_buffer();
                    push(bytes, ends, id.hyphenated().encode_lower(&mut text))
                })
            }
            (Values::Texts { bytes, ends }, _) => row
                .try_get::<Option<&str>, _>(number)?
                .map(|text| push(bytes, ends, text)),
        };
        match &mut self.levels {
            Some(levels) => levels.push(i16::from(added.is_some())),
            None if added.is_none() => {
                let detail = format!("{} has no value", self.label);
                return Err(sqlx::Error::Protocol(detail));
            }
            None => {}
        }
        Ok(added.unwrap_or(0) + size_of::<i16>())
    }

    fn forget_beyond(&mut self, rows: usize) {
        let values = self.levels.as_mut().map_or(rows, |levels| {
            levels.truncate(rows);
            levels.iter().filter(|level| **level == 1).count()
        });
        match &mut self.values {
            Values::Bools(all) => all.truncate(values),
            Values::Ints(all) => all.truncate(values),
            Values::Texts { bytes, ends } => {
                ends.truncate(values);
                bytes.truncate(ends.last().copied().unwrap_or(0));
            }
        }
    }

    fn size(&self) -> usize {
        let levels = self.levels.as_ref().map_or(0, Vec::len) * size_of::<i16>();
        levels
            + match &self.values {
                Values::Bools(all) => all.len(),
                Values::Ints(all) => all.len() * size_of::<i64>(),
                Values::Texts { bytes, ends } => bytes.len() + ends.len() * size_of::<usize>(),
            }
    }

    /// Writes the gathered values and forgets them.
    fn write(&mut self, mut writer: SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        let levels = self.levels.as_mut().map(std::mem::take);
        let levels = levels.as_deref();
        match std::mem::replace(&mut self.values, Values::of(self.kind)) {
            Values::Bools(values) => writer
                .typed::<BoolType>()
                .write_batch(&values, levels, None)?,
            Values::Ints(values) => writer
                .typed::<Int64Type>()
                .write_batch(&values, levels, None)?,
            Values::Texts { bytes, ends } => {
                let bytes = Bytes::from(bytes);
                let mut start = 0;
                let values: Vec<ByteArray> = ends
                    .into_iter()
                    .map(|end| {
                        ByteArray::from(bytes.slice(std::mem::replace(&mut start, end)..end))
                    })
                    .collect();
                writer
                    .typed::<ByteArrayType>()
                    .write_batch(&values, levels, None)?
            }
        };
        writer.close()
    }
}

impl Values {
    const fn of(kind: Kind) -> Self {
        match kind {
            Kind::Bool => Self::Bools(Vec::new()),
            Kind::Int | Kind::Time => Self::Ints(Vec::new()),
            Kind::Text | Kind::Uuid | Kind::Json | Kind::Number => Self::Texts {
                bytes: Vec::new(),
                ends: Vec::new(),
            },
        }
    }
}

/// Adds a text; answers how much it takes.
fn push(bytes: &mut Vec<u8>, ends: &mut Vec<usize>, text: &str) -> usize {
    bytes.extend(text.as_bytes());
    ends.push(bytes.len());
    text.len() + size_of::<usize>()
}
