//! Asks a question as it stands on the page: by SQL and over the API.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value};
use sqlx::AssertSqlSafe;

use super::catalogue::Question;
use crate::register::Register;

/// A row of an answer: values by their names on the wire, without those that are null.
pub type Item = Map<String, Value>;
/// What is filled in for `:name`.
pub type Fillings = BTreeMap<&'static str, String>;

/// An answer is a set; the text of a row tells it from others.
pub type Answer = BTreeSet<String>;

/// How many values are named in one call.
const VALUES: usize = 80;

pub struct Asker<'a> {
    pub register: &'a Register,
    pub fillings: &'a Fillings,
}

impl Asker<'_> {
    /// The rows that the SQL brings. None comes twice.
    pub async fn by_sql(&self, question: &Question) -> Result<Vec<Item>, String> {
        let sql = self.filled(&question.sql, |value| format!("'{value}'"));
        let mut statements: Vec<&str> = sql.trim_end_matches(';').split(";\n").collect();
        let last = statements.pop().expect("a statement");
        let wrong = |error: sqlx::Error| format!("{error}\n{sql}");
        let mut transaction = self.register.pool.begin().await.map_err(wrong)?;
        for statement in statements {
            sqlx::query(AssertSqlSafe(statement.to_owned()))
                .execute(&mut *transaction)
                .await
                .map_err(wrong)?;
        }
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!(
            "select row_to_json(q)::text from ({last}) q"
        )))
        .fetch_all(&mut *transaction)
        .await
        .map_err(wrong)?;
        let item = |row: &String| -> Item {
            let row: Item = serde_json::from_str(row).expect("a row is an object");
            row.into_iter()
                .map(|(name, value)| (camel_case(&name), value))
                .collect()
        };
        let items: Vec<Item> = rows.iter().map(item).map(plain).collect();
        let once: BTreeSet<String> = items.iter().map(text_of).collect();
        if once.len() < items.len() {
            return Err(format!(
                "{} rows, but {} different ones",
                items.len(),
                once.len()
            ));
        }
        Ok(items)
    }

    /// The items that the last line brings.
    pub async fn by_api(&self, question: &Question) -> Result<Vec<Item>, String> {
        let mut known: HashMap<String, Vec<Item>> = HashMap::new();
        let mut last = Vec::new();
        for step in &question.steps {
            let (name, what) = match step.split_once(" = ") {
                Some((name, what)) if !name.contains(' ') => (name, what),
                _ => ("", step.as_str()),
            };
            last = match what.strip_prefix("GET ") {
                Some(call) => self.call(call, &known).await?,
                None => chosen(what, &known)?,
            };
            known.insert(name.to_owned(), last.clone());
        }
        Ok(last)
    }

    /// Every item of every page of every call that the line stands for.
    async fn call(
        &self,
        call: &str,
        known: &HashMap<String, Vec<Item>>,
    ) -> Result<Vec<Item>, String> {
        let call = self.filled(call, str::to_owned);
        let Some((before, list)) = call.split_once('{') else {
            return self.pages(&call).await;
        };
        let (list, after) = list.split_once('}').ok_or("a list ends with }")?;
        let (name, field) = list.split_once('.').ok_or("a list is name.field")?;
        let items = known.get(name).ok_or_else(|| format!("no {name}"))?;
        let values: BTreeSet<String> = items
            .iter()
            .filter_map(|item| Some(value_of(item, field)?.as_str()?.to_owned()))
            .collect();
        let values: Vec<String> = values.into_iter().collect();
        let mut all = Vec::new();
        for some in values.chunks(VALUES) {
            let quoted: Vec<String> = some.iter().map(|value| format!("'{value}'")).collect();
            let call = format!("{before}{}{after}", quoted.join(", "));
            all.extend(self.pages(&call).await?);
        }
        Ok(all)
    }

    async fn pages(&self, call: &str) -> Result<Vec<Item>, String> {
        let (path, query) = call.split_once('?').unwrap_or((call, ""));
        let base = format!("{}{path}", self.register.base_url);
        let mut after: Option<String> = None;
        let mut items = Vec::new();
        loop {
            let mut url: reqwest::Url = base.parse().expect("an address");
            for pair in query.split('&').filter(|pair| !pair.is_empty()) {
                let (name, value) = pair.split_once('=').ok_or("a parameter is name=value")?;
                url.query_pairs_mut().append_pair(name, value);
            }
            if let Some(after) = &after {
                url.query_pairs_mut().append_pair("after", after);
            }
            let (status, text) = self.register.answer(url.as_str()).await;
            let page: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
            if !status.is_success() {
                return Err(format!("{status}: {text:.600}\n{call:.300}"));
            }
            let rows = ["items", "paths", "cells"].iter().find_map(|name| {
                let rows = page.get(name)?.as_array()?;
                Some(rows.iter().filter_map(Value::as_object).cloned())
            });
            items.extend(rows.ok_or_else(|| format!("no rows in {text:.300}"))?);
            match page.get("next").and_then(Value::as_str) {
                Some(next) => after = Some(next.to_owned()),
                None => return Ok(items),
            }
        }
    }

    /// The text with `:name` replaced; `::` is a cast.
    fn filled(&self, text: &str, write: impl Fn(&str) -> String) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some(place) = rest.find(':') {
            filled.push_str(&rest[..place]);
            let after = &rest[place + 1..];
            let length = after
                .find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'))
                .unwrap_or(after.len());
            let name = &after[..length];
            let is_cast = filled.ends_with(':') || after.starts_with(':');
            let begins = name.starts_with(|letter: char| letter.is_ascii_lowercase());
            if begins && !is_cast {
                let value = self.fillings.get(name);
                filled.push_str(&write(
                    value.unwrap_or_else(|| panic!("nothing for :{name}")),
                ));
                rest = &after[length..];
            } else {
                filled.push(':');
                rest = after;
            }
        }
        filled + rest
    }
}

/// `groups where (a, b) not in others.(c, d)`
fn chosen(what: &str, known: &HashMap<String, Vec<Item>>) -> Result<Vec<Item>, String> {
    let wrong = || format!("not understood: {what}");
    let (name, condition) = what.split_once(" where ").ok_or_else(wrong)?;
    let (fields, others, is_wanted) =
        if let Some((fields, others)) = condition.split_once(" not in ") {
            (fields, others, false)
        } else {
            let (fields, others) = condition.split_once(" in ").ok_or_else(wrong)?;
            (fields, others, true)
        };
    let (other, other_fields) = others.split_once('.').ok_or_else(wrong)?;
    let items = |name: &str| known.get(name).ok_or_else(|| format!("no {name}"));
    let values = |item: &Item, fields: &str| -> Vec<Value> {
        let fields = fields.trim_matches(['(', ')']).split(", ");
        let value = |field: &str| value_of(item, field).cloned().unwrap_or(Value::Null);
        fields.map(value).collect()
    };
    let there: BTreeSet<String> = items(other)?
        .iter()
        .map(|item| Value::from(values(item, other_fields)).to_string())
        .collect();
    let is_there = |item: &&Item| {
        let own = Value::from(values(item, fields)).to_string();
        there.contains(&own) == is_wanted
    };
    Ok(items(name)?.iter().filter(is_there).cloned().collect())
}

/// A field of an item, of its key or of its attributes.
fn value_of<'a>(item: &'a Item, field: &str) -> Option<&'a Value> {
    let within = |part: &str| item.get(part)?.as_object()?.get(field);
    item.get(field)
        .or_else(|| within("key"))
        .or_else(|| within("extendedAttributes"))
}

/// The rows as texts, with these fields only.
pub fn answer(items: &[Item], fields: &BTreeSet<String>) -> Answer {
    let shown = |item: &Item| -> Item {
        let field = |name: &String| Some((name.clone(), value_of(item, name)?.clone()));
        plain(fields.iter().filter_map(field).collect())
    };
    items.iter().map(shown).map(|item| text_of(&item)).collect()
}

fn text_of(item: &Item) -> String {
    Value::from(item.clone()).to_string()
}

/// Without nulls, and with moments written in one way.
fn plain(item: Item) -> Item {
    let values = item.into_iter().filter(|(_, value)| !value.is_null());
    let written = |(name, value): (String, Value)| {
        let at = value
            .as_str()
            .and_then(|text| DateTime::parse_from_rfc3339(text).ok());
        let value = at.map_or(value, |at| moment(at.to_utc()).into());
        (name, value)
    };
    values.map(written).collect()
}

/// A moment as the API and the tests write it.
pub fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// `resource_id` as `resourceId`.
pub fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |text, word| {
        text + &word[..1].to_uppercase() + &word[1..]
    })
}
