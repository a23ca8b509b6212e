//! `docs/questions.md` as data.

use std::path::Path;

/// A question as the page has it.
pub struct Question {
    /// `Q01`.
    pub id: String,
    /// In English.
    pub text: String,
    /// What the answer means, and what it cannot know.
    pub meaning: String,
    pub sql: String,
    /// The lines of the API's answer, each in one piece.
    pub steps: Vec<String>,
}

/// Every question of the page, in order.
pub fn read() -> Vec<Question> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("../../docs/questions.md")).expect("the page");
    parse(&page)
}

fn parse(page: &str) -> Vec<Question> {
    let mut questions = Vec::new();
    for part in page.split("\n### ").skip(1) {
        // What follows a question may be the next section's heading.
        let part = part.split("\n## ").next().unwrap_or(part);
        let (title, rest) = part.split_once('\n').expect("a question has a body");
        let (id, text) = title.split_once(' ').expect("an id and a text");
        let meaning = rest.split("```").next().unwrap_or_default();
        questions.push(Question {
            id: id.to_owned(),
            text: text.trim().to_owned(),
            meaning: meaning.trim().to_owned(),
            sql: block(rest, "sql"),
            steps: lines(&block(rest, "http")),
        });
    }
    questions
}

/// The text of the one block in that language.
fn block(text: &str, language: &str) -> String {
    let blocks: Vec<&str> = text.split(&format!("```{language}\n")).skip(1).collect();
    assert_eq!(blocks.len(), 1, "one block of {language} in {text}");
    let body = blocks[0].split("```").next();
    body.unwrap_or_default().trim_end().to_owned()
}

/// A line that begins with a space goes on where the one before ended.
fn lines(block: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in block.lines() {
        match lines.last_mut() {
            Some(last) if line.starts_with(' ') => {
                let more = line.trim();
                if !more.starts_with('&') {
                    last.push(' ');
                }
                last.push_str(more);
            }
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

#[test]
fn a_page_is_read_into_its_questions() {
    let page = "# Questions\n\n## One\n\n### Q01 Who?\n\nMeans\nthis.\n\n```sql\nselect 1;\n```\n\n```http\n\
                a = GET /x?filter=b eq 1\n    and c eq 2\n    &fields=d\nGET /y\n```\n\n## Two\n\n### Q02 Why?\n\nSo.\n\n\
                ```sql\nselect 2;\n```\n\n```http\nGET /z\n```\n";
    let questions = parse(page);
    let [first, second] = questions.as_slice() else {
        panic!("{} questions", questions.len());
    };
    assert_eq!((first.id.as_str(), first.text.as_str()), ("Q01", "Who?"));
    assert_eq!(first.meaning, "Means\nthis.");
    assert_eq!(first.sql, "select 1;");
    assert_eq!(
        first.steps,
        ["a = GET /x?filter=b eq 1 and c eq 2&fields=d", "GET /y"]
    );
    assert_eq!(second.sql, "select 2;");
    assert_eq!(second.steps, ["GET /z"]);
}
