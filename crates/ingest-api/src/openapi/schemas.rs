//! The schemas of the document, from the types of the code.

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// Collects the schemas that operations name. A type may look different as it is read and as it is written (a field
/// with a default may be left out by the sender, but is always answered), hence two generators.
pub struct Schemas {
    bodies: SchemaGenerator,
    answers: SchemaGenerator,
}

/// Makes a schema, adding what it refers to.
pub type SchemaOf = Box<dyn Fn(&mut SchemaGenerator) -> Value + Send + Sync>;

/// The schema of a type, by reference where the type has a name.
pub fn schema_of<T: JsonSchema>() -> SchemaOf {
    Box::new(|generator| generator.subschema_for::<T>().to_value())
}

impl Schemas {
    /// None yet.
    pub fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Self {
            bodies: settings.clone().for_deserialize().into_generator(),
            answers: settings.for_serialize().into_generator(),
        }
    }

    /// The schema of something that is sent to the server.
    pub fn body(&mut self, schema: &SchemaOf) -> Value {
        schema(&mut self.bodies)
    }

    /// The schema of something that the server answers.
    pub fn answer(&mut self, schema: &SchemaOf) -> Value {
        schema(&mut self.answers)
    }

    /// `components/schemas`. A name that means two things is a mistake that a test finds; here the answer's wins.
    pub fn finish(mut self) -> Map<String, Value> {
        let mut all = self.bodies.take_definitions(true);
        all.extend(self.answers.take_definitions(true));
        all.values_mut().for_each(plain_descriptions);
        all
    }

    /// Names that mean one thing in a body and another in an answer.
    #[cfg(test)]
    pub fn ambiguous(mut self) -> Vec<String> {
        let bodies = self.bodies.take_definitions(true);
        let answers = self.answers.take_definitions(true);
        bodies
            .into_iter()
            .filter(|(name, schema)| answers.get(name).is_some_and(|other| other != schema))
            .map(|(name, _)| name)
            .collect()
    }
}

/// Descriptions are the comments of the code, where a name in brackets is a link that only Rust's documentation has.
fn plain_descriptions(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (name, inner) in object {
                match inner {
                    Value::String(text) if name == "description" => *text = without_links(text),
                    inner => plain_descriptions(inner),
                }
            }
        }
        Value::Array(array) => array.iter_mut().for_each(plain_descriptions),
        _ => {}
    }
}

/// ``[`crate::session::OpenSession`]`` becomes `` `OpenSession` ``.
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once("[`")
        && let Some((target, after)) = link.split_once("`]")
    {
        let name = target.rsplit("::").next().unwrap_or(target);
        plain.extend([before, "`", name, "`"]);
        rest = after;
    }
    plain + rest
}

/// The parameters that a query's type stands for: one for each of its fields.
pub fn query_parameters(mut schema: Value) -> Vec<Value> {
    let required = schema["required"].take();
    let is_required = |name: &str| {
        required
            .as_array()
            .is_some_and(|names| names.iter().any(|known| known == name))
    };
    let Value::Object(fields) = schema["properties"].take() else {
        return Vec::new();
    };
    fields
        .into_iter()
        .map(|(name, mut field)| {
            let description = field
                .as_object_mut()
                .and_then(|field| field.remove("description"));
            json!({
                "name": name,
                "in": "query",
                "required": is_required(&name),
                "description": description,
                "schema": without_null(field),
            })
        })
        .collect()
}

/// A query says "absent" by absence; it has no null.
fn without_null(mut schema: Value) -> Value {
    let Some(object) = schema.as_object_mut() else {
        return schema;
    };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
        choices.retain(|choice| choice["type"] != "null");
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            object.extend(only);
        }
    }
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_lose_the_links_of_the_code_and_nothing_else() {
        assert_eq!(
            without_links("see [`crate::session::Open`] and [`Held`]; [1] `a`"),
            "see `Open` and `Held`; [1] `a`"
        );
        assert_eq!(without_links("an open [`end"), "an open [`end");
        let mut schema = json!({"description": "[`a::B`]", "properties": {"description": {"description": "[`c`]"}}});
        plain_descriptions(&mut schema);
        assert_eq!(
            schema,
            json!({"description": "`B`", "properties": {"description": {"description": "`c`"}}})
        );
    }

    #[test]
    fn a_query_parameter_says_absent_by_absence() {
        let schema = json!({"required": ["a"], "properties": {
            "a": {"type": "string", "description": "A."},
            "b": {"type": ["integer", "null"], "minimum": 0, "default": null},
            "c": {"anyOf": [{"$ref": "#/components/schemas/Entity"}, {"type": "null"}]},
        }});
        let parameters = query_parameters(schema);
        assert_eq!(parameters[0]["required"], true);
        assert_eq!(parameters[0]["description"], "A.");
        assert_eq!(parameters[1]["required"], false);
        assert_eq!(
            parameters[1]["schema"],
            json!({"type": "integer", "minimum": 0})
        );
        assert_eq!(
            parameters[2]["schema"],
            json!({"$ref": "#/components/schemas/Entity"})
        );
    }
}
