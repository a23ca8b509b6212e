//! What there is to know about one route.

use contract::{Permission, Role};
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::{
    problems::{refusal_with, request_id},
    schemas::{SchemaOf, Schemas, query_parameters, schema_of},
};

/// A chapter of the documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// Records in single calls.
    Records,
    /// Records in sessions.
    Sessions,
    /// Removals that wait for a person.
    Held,
    /// Run reports and the views.
    Runs,
    /// Work for crawlers, and when it is asked for.
    Jobs,
    /// Questions about access.
    Access,
    /// The register's rows.
    Register,
    /// What was.
    History,
    /// Extended attributes and their columns.
    Attributes,
    /// What reads sources.
    Crawlers,
    /// People.
    People,
    /// API keys.
    Keys,
    /// Who did what.
    Audit,
    /// The server itself.
    Server,
}

impl Tag {
    /// The chapters in their order.
    pub const ALL: [Self; 14] = [
        Self::Records,
        Self::Sessions,
        Self::Held,
        Self::Runs,
        Self::Jobs,
        Self::Access,
        Self::Register,
        Self::History,
        Self::Attributes,
        Self::Crawlers,
        Self::People,
        Self::Keys,
        Self::Audit,
        Self::Server,
    ];

    /// Its title.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Records => "Records",
            Self::Sessions => "Sessions",
            Self::Held => "Held removals",
            Self::Runs => "Runs and views",
            Self::Jobs => "Jobs and schedules",
            Self::Access => "Who has access",
            Self::Register => "The register",
            Self::History => "History",
            Self::Attributes => "Attributes",
            Self::Crawlers => "Crawlers",
            Self::People => "People",
            Self::Keys => "Keys",
            Self::Audit => "Audit",
            Self::Server => "Server",
        }
    }

    /// What it is about.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Records => {
                "Records of an entity in one call, or in the chunked form of older callers."
            }
            Self::Sessions => {
                "Loads of more than one call's worth: open, send batches in any order and in parallel, commit."
            }
            Self::Held => "Removals that the delete guard stopped and that a person decides.",
            Self::Runs => "What crawls say about themselves, and bringing the views up to date.",
            Self::Jobs => {
                "Crawls that people and schedules ask for and that workers claim, how they go, and their logs."
            }
            Self::Access => "Finding principals and resources, who has access to what, and why.",
            Self::Register => "Rows of every entity: filter, sort, page, count and export them.",
            Self::History => {
                "Every version of a row and who made it, and what differs between two moments."
            }
            Self::Attributes => {
                "What sources send beside the core fields, and columns for what is asked often."
            }
            Self::Crawlers => {
                "What reads sources: settings with their versions, and secrets that are written and never shown."
            }
            Self::People => {
                "Signing in and out, who is signed in, personal tokens, and which groups give which role."
            }
            Self::Keys => "API keys: the one in use, and those of the workspace.",
            Self::Audit => "Who did what to what, when, and from where.",
            Self::Server => "Health, and this description.",
        }
    }
}

/// Who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a key.
    Public,
    /// Every key that works.
    AnyKey,
    /// Every person who is signed in, with or without a role.
    AnyPerson,
    /// A key with one of these permissions.
    OneOf(&'static [Permission]),
}

struct Body {
    description: &'static str,
    media: Vec<(&'static str, SchemaOf, Option<Value>)>,
}

struct Answer {
    status: u16,
    description: &'static str,
    content: Vec<(&'static str, SchemaOf)>,
    links: Map<String, Value>,
}

/// The description of one route. Everything that the server can answer is in it; what follows from other parts (401
/// from needing a key, 400, 408, 413 and 415 from a body, 404 from an id in the path) comes by itself.
pub struct Operation {
    id: String,
    tag: Tag,
    summary: String,
    description: &'static str,
    access: Access,
    /// The least role of people who may call; `None` where only keys may.
    role: Option<Role>,
    path: Vec<(&'static str, &'static str, SchemaOf)>,
    query: Option<SchemaOf>,
    headers: Vec<Value>,
    body: Option<Body>,
    answers: Vec<Answer>,
    refusals: Vec<(u16, Option<&'static str>)>,
}

impl Operation {
    /// An operation that every working key may call, and no person. `id` names it for generated clients; `summary` is a sentence.
    pub fn new(tag: Tag, id: impl Into<String>, summary: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            tag,
            summary: summary.into(),
            description: "",
            access: Access::AnyKey,
            role: None,
            path: Vec::new(),
            query: None,
            headers: Vec::new(),
            body: None,
            answers: Vec::new(),
            refusals: Vec::new(),
        }
        .may_refuse(500)
    }

    /// What the summary leaves out; Markdown.
    #[must_use]
    pub const fn says(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// Only keys with one of these permissions may call, and people whose role has one of them.
    #[must_use]
    pub fn needs(mut self, permissions: &'static [Permission]) -> Self {
        self.access = Access::OneOf(permissions);
        self.role = Role::ALL.into_iter().find(|role| {
            let of_role = role.permissions();
            permissions.iter().any(|one| of_role.contains(one))
        });
        self
    }

    /// People may call from this role on, whatever the permissions of keys.
    #[must_use]
    pub const fn from_role(mut self, role: Role) -> Self {
        self.role = Some(role);
        self
    }

    /// For people, by session or personal token; not for keys.
    #[must_use]
    pub const fn for_people(mut self) -> Self {
        self.access = Access::AnyPerson;
        self
    }

    /// Needs no key.
    #[must_use]
    pub const fn public(mut self) -> Self {
        self.access = Access::Public;
        self
    }

    /// A parameter of the path. One that cannot be read names nothing: 404.
    #[must_use]
    pub fn path<T: JsonSchema>(self, name: &'static str, description: &'static str) -> Self {
        self.path_like(name, description, schema_of::<T>())
    }

    /// A parameter of the path whose schema is not that of a type.
    #[must_use]
    pub fn path_like(
        mut self,
        name: &'static str,
        description: &'static str,
        schema: SchemaOf,
    ) -> Self {
        self.path.push((name, description, schema));
        self.may_refuse(404)
    }

    /// The parameters of the query: the fields of a type. Any other is refused.
    #[must_use]
    pub fn query<T: JsonSchema>(self) -> Self {
        self.query_like(Box::new(|generator| T::json_schema(generator).to_value()))
    }

    /// The parameters of a query that no type stands for: the properties of a schema. Any other is refused.
    #[must_use]
    pub fn query_like(mut self, schema: SchemaOf) -> Self {
        self.query = Some(schema);
        self.may_refuse(400)
    }

    /// A header that the caller may send.
    #[must_use]
    pub fn header(mut self, name: &str, description: &str, schema: &Value) -> Self {
        self.headers.push(json!({
            "name": name, "in": "header", "required": false, "description": description, "schema": schema,
        }));
        self
    }

    /// A JSON body of up to 1 MiB.
    #[must_use]
    pub fn takes<T: JsonSchema>(self, example: Value) -> Self {
        self.takes_like(schema_of::<T>(), example)
    }

    /// A JSON body of up to 1 MiB whose schema is not that of a type.
    #[must_use]
    pub fn takes_like(self, schema: SchemaOf, example: Value) -> Self {
        self.takes_any(
            "At most 1 MiB. May be compressed: `Content-Encoding` gzip or zstd.",
            vec![("application/json", schema, Some(example))],
        )
    }

    /// A body in one of several media types, each with its schema and perhaps an example.
    #[must_use]
    pub fn takes_any(
        mut self,
        description: &'static str,
        media: Vec<(&'static str, SchemaOf, Option<Value>)>,
    ) -> Self {
        self.body = Some(Body { description, media });
        [400, 408, 413, 415]
            .into_iter()
            .fold(self, Self::may_refuse)
    }

    /// An answer with a JSON body.
    #[must_use]
    pub fn answers<T: JsonSchema>(self, status: u16, description: &'static str) -> Self {
        self.answers_as(status, description, "application/json", schema_of::<T>())
    }

    /// An answer in a media type of its own.
    #[must_use]
    pub fn answers_as(
        mut self,
        status: u16,
        description: &'static str,
        media_type: &'static str,
        schema: SchemaOf,
    ) -> Self {
        self.answers.push(Answer {
            status,
            description,
            content: vec![(media_type, schema)],
            links: Map::new(),
        });
        self
    }

    /// The latest answer in another media type, where the caller asks for it.
    #[must_use]
    pub fn or_as(mut self, media_type: &'static str, schema: SchemaOf) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.content.push((media_type, schema));
        }
        self
    }

    /// An answer without a body.
    #[must_use]
    pub fn answers_nothing(mut self, status: u16, description: &'static str) -> Self {
        self.answers.push(Answer {
            status,
            description,
            content: Vec::new(),
            links: Map::new(),
        });
        self
    }

    /// What the latest answer is good for: an operation, and where its parameters are in the answer.
    #[must_use]
    pub fn leads_to(mut self, operation_id: &str, parameters: &Value) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            let link = json!({"operationId": operation_id, "parameters": parameters});
            answer.links.insert(operation_id.to_owned(), link);
        }
        self
    }

    /// A refusal, and what it means here.
    #[must_use]
    pub fn refuses(mut self, status: u16, when: &'static str) -> Self {
        self.refusals.retain(|(known, _)| *known != status);
        self.refusals.push((status, Some(when)));
        self
    }

    /// A refusal that needs no further words.
    #[must_use]
    pub fn may_refuse(mut self, status: u16) -> Self {
        if !self.refusals.iter().any(|(known, _)| *known == status) {
            self.refusals.push((status, None));
        }
        self
    }

    /// The operation as OpenAPI writes it.
    pub fn to_openapi(&self, schemas: &mut Schemas) -> Value {
        let mut operation = json!({
            "operationId": self.id,
            "tags": [self.tag.name()],
            "summary": self.summary,
            "security": self.security(),
            "responses": self.responses(schemas),
        });
        if !self.description.is_empty() {
            operation["description"] = self.description.into();
        }
        let parameters = self.parameters(schemas);
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        if let Some(body) = &self.body {
            let content: Map<String, Value> = body
                .media
                .iter()
                .map(|(media_type, schema, example)| {
                    let mut media = json!({"schema": schemas.body(schema)});
                    if let Some(example) = example {
                        media["example"] = example.clone();
                    }
                    ((*media_type).to_owned(), media)
                })
                .collect();
            operation["requestBody"] =
                json!({"description": body.description, "required": true, "content": content});
        }
        operation
    }

    /// Alternatives, each with the permission of a key, or the least role of people.
    fn security(&self) -> Value {
        let keys = match self.access {
            Access::Public => return json!([]),
            Access::AnyPerson => return json!([{"session": []}]),
            Access::AnyKey => vec![json!({"apiKey": []})],
            Access::OneOf(permissions) => permissions
                .iter()
                .map(|permission| json!({"apiKey": [permission.wire_name()]}))
                .collect(),
        };
        let people = self.role.map(|role| json!({"session": [role.wire_name()]}));
        keys.into_iter().chain(people).collect()
    }

    fn parameters(&self, schemas: &mut Schemas) -> Vec<Value> {
        let mut all: Vec<Value> = self
            .path
            .iter()
            .map(|(name, description, schema)| {
                json!({
                    "name": name, "in": "path", "required": true, "description": description,
                    "schema": schemas.body(schema),
                })
            })
            .collect();
        if let Some(query) = &self.query {
            all.extend(query_parameters(schemas.body(query)));
        }
        all.extend(self.headers.iter().cloned());
        all
    }

    fn responses(&self, schemas: &mut Schemas) -> Map<String, Value> {
        let mut all = Map::new();
        for answer in &self.answers {
            let mut response = json!({
                "description": answer.description,
                "headers": {"x-request-id": request_id()},
            });
            for (media_type, schema) in &answer.content {
                response["content"][*media_type] = json!({"schema": schemas.answer(schema)});
            }
            if !answer.links.is_empty() {
                response["links"] = answer.links.clone().into();
            }
            all.insert(answer.status.to_string(), response);
        }
        let from_access: &[u16] = match self.access {
            Access::Public => &[],
            // 403 also where no permission is asked for: the key may be one for other addresses.
            Access::AnyKey | Access::AnyPerson | Access::OneOf(_) => &[401, 403, 429, 503],
        };
        let implied = from_access.iter().map(|status| (*status, None));
        for (status, when) in self.refusals.iter().copied().chain(implied) {
            if all.contains_key(&status.to_string()) {
                continue;
            }
            let refusal = refusal_with(status).expect("operations refuse with known statuses only");
            let mut response = json!({"$ref": format!("#/components/responses/{}", refusal.name)});
            if let Some(when) = when {
                response["description"] = when.into();
            }
            all.insert(status.to_string(), response);
        }
        all
    }
}
