//! Which custom attributes users have: from their definitions, and from a sample of users.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::collection::{Collection, Run};
use crate::{
    AttributeFound, AttributeKind, AttributesFound,
    graph::{GraphError, Page, SubRequest, Version},
    mapping::GUARDED_USER_PROPERTIES,
    stopping::Stopped,
};

const PERMISSION: &str = "User.Read.All";
/// Graph's name for the fifteen attributes that come from Active Directory.
const ON_PREMISES: &str = "onPremisesExtensionAttributes";
const SECURITY: &str = "customSecurityAttributes";
/// The most users that a page has.
const LARGEST_PAGE: usize = 999;
const SAMPLES: usize = 3;
/// Characters that are shown of a value.
const SHOWN: usize = 40;
/// Pages of definitions that are read: the list of schema extensions holds those of all tenants.
const DEFINITION_PAGES: usize = 20;

/// An attribute that is defined, with the property to ask for.
struct Defined {
    name: String,
    property: String,
    kind: AttributeKind,
    value_type: String,
}

/// Looks at the definitions, then at users.
pub(crate) async fn attributes(run: &Run, sample: usize) -> Result<AttributesFound, Stopped> {
    let collection = Collection::start(run, "attributes", PERMISSION);
    let mut found = AttributesFound::default();
    let defined = definitions(run, &collection, &mut found.gaps).await?;
    let mut properties: Vec<String> = vec![ON_PREMISES.to_owned()];
    let further = defined.iter().map(|one| one.property.clone());
    let guarded = GUARDED_USER_PROPERTIES
        .iter()
        .map(|(name, _)| (*name).to_owned());
    properties.extend(further.chain(guarded));
    properties.sort();
    properties.dedup();
    let refused = probe(run, &collection, &properties).await?;
    properties.retain(|name| !refused.contains_key(name));
    let values = sample_users(run, &collection, &properties, sample, &mut found.sampled).await?;
    found.attributes = describe(defined, values, &refused);
    Ok(found)
}

/// What is defined. A list that may not be read is a gap, not a failure.
async fn definitions(
    run: &Run,
    collection: &Collection,
    gaps: &mut Vec<String>,
) -> Result<Vec<Defined>, Stopped> {
    let mut defined = Vec::new();
    let meter = &collection.meter;
    let extensions: Result<Page, GraphError> = run
        .graph
        .post(
            "directoryObjects/getAvailableExtensionProperties",
            &json!({}),
            meter,
        )
        .await;
    match extensions {
        Ok(page) => defined.extend(page.value.iter().filter_map(directory_extension)),
        Err(error) => gaps.push(gap(error, "directory extensions", PERMISSION)?),
    }
    let definitions = "directory/customSecurityAttributeDefinitions";
    match pages(run, collection, definitions).await {
        Ok(all) => defined.extend(all.iter().filter_map(security_attribute)),
        Err(error) => {
            let needed = "CustomSecAttributeDefinition.Read.All";
            gaps.push(gap(error, "custom security attributes", needed)?);
        }
    }
    let own = pages(run, collection, "applications?$select=appId&$top=999").await;
    let extensions = pages(run, collection, "schemaExtensions").await;
    match own.and_then(|own| Ok((own, extensions?))) {
        Ok((own, all)) => {
            let is_own = |one: &&Value| own.iter().any(|app| app["appId"] == one["owner"]);
            let all = all.iter().filter(is_own).filter_map(schema_extension);
            defined.extend(all);
        }
        Err(error) => gaps.push(gap(error, "schema extensions", "Application.Read.All")?),
    }
    Ok(defined)
}

/// A gap in words; what concerns everything is no gap.
fn gap(error: GraphError, what: &str, needed: &str) -> Result<String, Stopped> {
    match &error {
        GraphError::Forbidden { permission, .. } => {
            let permission = permission.as_deref().unwrap_or(needed);
            Ok(format!("{what} are not known: grant {permission}"))
        }
        error if error.is_lasting_absence() => Ok(format!("{what} are not known: {error}")),
        _ => Err(error.into()),
    }
}

fn word(value: &Value, name: &str) -> Option<String> {
    value[name].as_str().map(str::to_owned)
}

fn holds(list: &Value, wanted: &str) -> bool {
    let words = list.as_array().into_iter().flatten();
    words
        .filter_map(Value::as_str)
        .any(|word| word.eq_ignore_ascii_case(wanted))
}

fn directory_extension(value: &Value) -> Option<Defined> {
    if !holds(&value["targetObjects"], "User") {
        return None;
    }
    let name = word(value, "name")?;
    Some(Defined {
        property: name.clone(),
        name,
        kind: AttributeKind::DirectoryExtension,
        value_type: word(value, "dataType")?,
    })
}

fn schema_extension(value: &Value) -> Option<Defined> {
    let is_usable = holds(&value["targetTypes"], "User") && value["status"] != "Deprecated";
    let name = word(value, "id").filter(|_| is_usable)?;
    Some(Defined {
        property: name.clone(),
        name,
        kind: AttributeKind::SchemaExtension,
        value_type: "Object".to_owned(),
    })
}

fn security_attribute(value: &Value) -> Option<Defined> {
    let kind = word(value, "type")?;
    let is_list = value["isCollection"] == true;
    Some(Defined {
        name: format!("{}.{}", word(value, "attributeSet")?, word(value, "name")?),
        property: SECURITY.to_owned(),
        kind: AttributeKind::Security,
        value_type: if is_list {
            format!("{kind} list")
        } else {
            kind
        },
    })
}

/// A short list to its end, or to where it is long.
async fn pages(
    run: &Run,
    collection: &Collection,
    relative: &str,
) -> Result<Vec<Value>, GraphError> {
    let mut page: Page = run
        .graph
        .get(Version::V1, relative, &collection.meter)
        .await?;
    let mut links = crate::graph::NextLink::default();
    let mut all = Vec::new();
    for _ in 0..DEFINITION_PAGES {
        let next = links.after(&run.graph, &page)?;
        all.append(&mut page.value);
        let Some(next) = next else { break };
        page = run.graph.page(next, false, &collection.meter).await?;
    }
    Ok(all)
}

/// The properties that cannot be asked for, with the reason: one of them would fail the whole question.
async fn probe(
    run: &Run,
    collection: &Collection,
    properties: &[String],
) -> Result<BTreeMap<String, String>, Stopped> {
    let mut refused = BTreeMap::new();
    for some in properties.chunks(SubRequest::PER_BATCH) {
        let requests: Vec<SubRequest> = some
            .iter()
            .map(|name| SubRequest {
                url: format!("/users?$select=id,{name}&$top=1"),
                estimate: 1.0,
            })
            .collect();
        let answers = run.graph.batch(Version::V1, &requests, &collection.meter);
        for (name, answer) in some.iter().zip(answers.await?) {
            if let Err(error) = answer {
                let guarded = GUARDED_USER_PROPERTIES.iter().find(|(one, _)| one == name);
                let reason = match (&error, guarded) {
                    (GraphError::Forbidden { .. }, Some((_, permission))) => {
                        format!("grant {permission}")
                    }
                    _ => error.to_string(),
                };
                refused.insert(name.clone(), reason);
            }
        }
    }
    Ok(refused)
}

/// The values of an attribute.
#[derive(Default)]
struct Values {
    filled: u64,
    samples: Vec<String>,
    value_type: &'static str,
}

/// Values by attribute, of as many users as were asked for.
async fn sample_users(
    run: &Run,
    collection: &Collection,
    properties: &[String],
    sample: usize,
    sampled: &mut u64,
) -> Result<BTreeMap<String, Values>, Stopped> {
    let mut values: BTreeMap<String, Values> = BTreeMap::new();
    let top = sample.clamp(1, LARGEST_PAGE);
    let relative = format!("users?$select=id,{}&$top={top}", properties.join(","));
    let meter = &collection.meter;
    let mut page: Page = run.graph.get(Version::V1, &relative, meter).await?;
    let mut links = crate::graph::NextLink::default();
    loop {
        let next = links.after(&run.graph, &page)?;
        for user in page.value {
            if *sampled >= sample as u64 {
                return Ok(values);
            }
            *sampled += 1;
            collection.add(1);
            note_user(&user, &mut values);
        }
        match next {
            Some(next) => page = run.graph.page(next, false, meter).await?,
            None => return Ok(values),
        }
    }
}

fn note_user(user: &Value, values: &mut BTreeMap<String, Values>) {
    for (name, value) in user.as_object().into_iter().flatten() {
        match (name.as_str(), value) {
            ("id", _) => {}
            (ON_PREMISES, Value::Object(attributes)) => {
                for (name, value) in attributes {
                    note(values, format!("{ON_PREMISES}.{name}"), value);
                }
            }
            (SECURITY, Value::Object(sets)) => {
                for (set, attributes) in sets {
                    for (name, value) in attributes.as_object().into_iter().flatten() {
                        note(values, format!("{set}.{name}"), value);
                    }
                }
            }
            (name, value) => note(values, name.to_owned(), value),
        }
    }
}

fn note(values: &mut BTreeMap<String, Values>, name: String, value: &Value) {
    let (value_type, text) = match value {
        Value::Null => return,
        _ if name.contains("@odata.") => return,
        Value::Array(items) if items.is_empty() => return,
        Value::String(text) => ("String", text.clone()),
        Value::Bool(_) => ("Boolean", value.to_string()),
        Value::Number(_) => ("Number", value.to_string()),
        Value::Array(_) => ("List", value.to_string()),
        Value::Object(_) => ("Object", value.to_string()),
    };
    let known = values.entry(name).or_default();
    known.filled += 1;
    known.value_type = value_type;
    let text = shortened(&text);
    if known.samples.len() < SAMPLES && !known.samples.contains(&text) {
        known.samples.push(text);
    }
}

fn shortened(text: &str) -> String {
    let visible = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = visible.take(SHOWN).collect();
    if text.chars().count() > SHOWN {
        short.push('…');
    }
    short
}

/// Everything that is defined or was seen.
fn describe(
    defined: Vec<Defined>,
    mut values: BTreeMap<String, Values>,
    refused: &BTreeMap<String, String>,
) -> Vec<AttributeFound> {
    let mut all: Vec<AttributeFound> = Vec::new();
    for one in defined {
        let values = values.remove(&one.name).unwrap_or_default();
        all.push(AttributeFound {
            name: one.name,
            kind: one.kind,
            value_type: one.value_type,
            unreadable: refused.get(&one.property).cloned(),
            select: Some(one.property),
            filled: values.filled,
            samples: values.samples,
        });
    }
    for (name, values) in values {
        let (kind, select) = match name.split('.').next().unwrap_or(&name) {
            ON_PREMISES => (AttributeKind::OnPremisesExtension, None),
            _ if name.contains('.') => (AttributeKind::Security, Some(SECURITY.to_owned())),
            _ => (AttributeKind::Guarded, Some(name.clone())),
        };
        all.push(AttributeFound {
            name,
            kind,
            value_type: values.value_type.to_owned(),
            select,
            filled: values.filled,
            samples: values.samples,
            unreadable: None,
        });
    }
    for (property, reason) in refused {
        let is_known = all.iter().any(|one| one.select.as_ref() == Some(property));
        if !is_known {
            all.push(AttributeFound {
                name: property.clone(),
                kind: AttributeKind::Guarded,
                value_type: "unknown".to_owned(),
                select: Some(property.clone()),
                filled: 0,
                samples: Vec::new(),
                unreadable: Some(reason.clone()),
            });
        }
    }
    all.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    all
}
